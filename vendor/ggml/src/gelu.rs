//! The exact GELU, `x * Φ(x)` with the normal distribution's Φ, as an operation of our own: ggml calls the C library's
//! `erff` for every value.

use crate::Result;
use crate::custom::{Operation, Share, Source, Target};
use crate::graph::{Arena, Node};
use crate::math::{exp2_lanes, fused};

/// Values computed at once: one vector of the widest instructions, several of narrower ones.
const LANES: usize = 16;

/// From here on `erfc(a / √2)` no longer counts beside a value of this size, and the polynomial is not fitted to it.
const FAR: f32 = 5.8;

/// `-log2(erfc(a / √2)) / a` for `a` between 0 and [`FAR`]: a polynomial, constant first.
const P: [f32; 9] = [
    1.151_105_5,
    0.459_209_77,
    0.052_474_026,
    -0.006_997_007,
    4.678_237e-5,
    2.506_619e-4,
    -6.440_915e-5,
    7.800_963e-6,
    -3.928_387e-7,
];

/// The GELU of each value; errors stay below 2.4e-7 for values up to 20, and below 6e-8 between -1 and 1. What is not a
/// number stays so.
///
/// With `a = |x|` it is `max(x, 0) - a / 2 * erfc(a / √2)`, for either sign of `x` and without a difference of nearly
/// equal numbers.
#[inline(always)]
fn gelu_lanes(x: [f32; LANES]) -> [f32; LANES] {
    let (mut a, mut powers) = ([0.0; LANES], [0.0; LANES]);
    for ((a, power), x) in a.iter_mut().zip(&mut powers).zip(x) {
        // A comparison that is false for what is not a number, which therefore passes through; so below.
        *a = if x.abs() > FAR { FAR } else { x.abs() };
        let mut sum = P[8];
        for factor in P[..8].iter().rev() {
            sum = fused(sum, *a, *factor);
        }
        *power = -*a * sum;
    }
    let tail = exp2_lanes(powers);
    let mut values = [0.0; LANES];
    for (value, ((x, a), tail)) in values.iter_mut().zip(x.into_iter().zip(a).zip(tail)) {
        let positive = if x < 0.0 { 0.0 } else { x };
        *value = fused(-0.5 * a, tail, positive);
    }
    values
}

/// `to[i] = gelu(from[i] + bias[i])`; all of one length.
fn gelu_of_sums(to: &mut [f32], from: &[f32], bias: &[f32]) {
    let (groups, rest) = to.as_chunks_mut::<LANES>();
    let (from_groups, from_rest) = from.as_chunks::<LANES>();
    let (bias_groups, bias_rest) = bias.as_chunks::<LANES>();
    for ((to, from), bias) in groups.iter_mut().zip(from_groups).zip(bias_groups) {
        let mut sums = *from;
        for (sum, bias) in sums.iter_mut().zip(bias) {
            *sum += bias;
        }
        *to = gelu_lanes(sums);
    }
    let mut sums = [0.0; LANES];
    for ((sum, from), bias) in sums.iter_mut().zip(from_rest).zip(bias_rest) {
        *sum = from + bias;
    }
    for (to, value) in rest.iter_mut().zip(gelu_lanes(sums)) {
        *to = value;
    }
}

/// `to[i] = gelu(from[i])`; both of one length.
fn gelu(to: &mut [f32], from: &[f32]) {
    let (groups, rest) = to.as_chunks_mut::<LANES>();
    let (from_groups, from_rest) = from.as_chunks::<LANES>();
    for (to, from) in groups.iter_mut().zip(from_groups) {
        *to = gelu_lanes(*from);
    }
    let mut last = [0.0; LANES];
    last[..from_rest.len()].copy_from_slice(from_rest);
    for (to, value) in rest.iter_mut().zip(gelu_lanes(last)) {
        *to = value;
    }
}

/// Of every value of the first operand; of its sum with the second, a row, where there is one.
struct Gelu;

impl Operation for Gelu {
    fn compute(&self, sources: &[Source<'_>], result: &Target<'_>, share: Share) {
        let from = sources[0].f32();
        let Some(bias) = sources.get(1).map(|bias| bias.f32()) else {
            let range = share.range(from.len(), LANES);
            // SAFETY: the ranges of two shares do not overlap.
            let to = unsafe { result.part(range.clone()) };
            return gelu(to, &from[range]);
        };
        let rows = share.range(from.len() / bias.len(), 1);
        let range = rows.start * bias.len()..rows.end * bias.len();
        // SAFETY: the rows of two shares do not overlap.
        let to = unsafe { result.part(range.clone()) };
        for (to, from) in to.chunks_exact_mut(bias.len()).zip(from[range].chunks_exact(bias.len())) {
            gelu_of_sums(to, from, bias);
        }
    }
}

impl Arena {
    /// The exact (erf) GELU of every value.
    pub fn gelu_erf<'a>(&'a self, a: Node<'a>) -> Result<Node<'a>> {
        self.need_f32("gelu", a)?;
        self.custom(Box::new(Gelu), a.dims(), &[a])
    }

    /// The exact (erf) GELU of `a + bias`, where `bias` is one row, `[n]`, for all rows of `a`, `[n, ..]`.
    pub fn gelu_erf_of_sum<'a>(&'a self, a: Node<'a>, bias: Node<'a>) -> Result<Node<'a>> {
        self.need_f32("gelu", a)?;
        self.need_f32("gelu", bias)?;
        if bias.dims() != [a.dims()[0], 1, 1, 1] {
            return Err(crate::Error::new(format!("a gelu of the sum of {:?} and {:?}", a.dims(), bias.dims())));
        }
        self.custom(Box::new(Gelu), a.dims(), &[a, bias])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Backend;
    use crate::graph::Executor;
    use std::f64::consts::{FRAC_1_SQRT_2, PI};

    /// `1 - erf(z)` for `z` from 0 on: a series near 0, a continued fraction elsewhere.
    fn erfc(z: f64) -> f64 {
        if z < 2.5 {
            let (mut term, mut sum) = (z, z);
            for n in 1..60 {
                term *= -z * z / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            return 1.0 - 2.0 / PI.sqrt() * sum;
        }
        let fraction = (1..80).rev().fold(z, |below, n| z + f64::from(n) / 2.0 / below);
        (-z * z).exp() / PI.sqrt() / fraction
    }

    fn exact(x: f32) -> f64 {
        let a = f64::from(x).abs();
        f64::from(x).max(0.0) - a / 2.0 * erfc(a * FRAC_1_SQRT_2)
    }

    /// Through a graph, by two threads.
    fn computed(values: &[f32]) -> Vec<f32> {
        let arena = Arena::new(4).expect("arena");
        let input = arena.input(&[values.len()]).expect("input");
        let node = arena.gelu_erf(input).expect("a node");
        let mut executor = Executor::new(Backend::cpu(2).expect("a CPU")).expect("an executor");
        executor.run(&arena, &[(input, values)], node).expect("runs")
    }

    #[test]
    fn the_reference_is_right() {
        for (z, expected) in [(0.0, 1.0), (0.5, 0.479_500_122_186_953_5), (3.0, 2.209_049_699_858_544e-5)] {
            assert!((erfc(z) / expected - 1.0).abs() < 1e-13, "erfc({z}) is {}", erfc(z));
        }
        assert!((erfc(2.5 - 1e-15) / erfc(2.5) - 1.0).abs() < 1e-11, "where one form follows the other");
    }

    #[test]
    fn errors_stay_below_their_bounds() {
        // Every 61st of all numbers of either sign between 1e-6 and 20.
        let grid = (1e-6f32.to_bits()..20f32.to_bits()).step_by(61).map(f32::from_bits);
        let values: Vec<f32> = grid.flat_map(|x| [x, -x]).collect();
        let found = computed(&values);
        let mut worst = [(1.0, 6e-8, 0f64), (2.0, 1e-7, 0.0), (4.0, 1.6e-7, 0.0), (20.0, 2.4e-7, 0.0)];
        for (x, found) in values.iter().zip(&found) {
            let error = (f64::from(*found) - exact(*x)).abs();
            let place = worst.iter_mut().find(|(end, ..)| x.abs() <= *end).expect("a number up to 20");
            place.2 = place.2.max(error);
        }
        println!("largest errors: {worst:?}");
        assert!(worst.iter().all(|(_, bound, error)| error < bound), "{worst:?}");
    }

    #[test]
    fn tails_are_monotone() {
        let rising: Vec<f32> = (0..4000).map(|step| 1.0 + step as f32 * 5e-3).collect();
        let found = computed(&rising);
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(found.iter().zip(&rising).all(|(found, x)| found <= x));
        assert!(found.iter().zip(&rising).all(|(found, x)| *x < 6.0 || found == x));
        let falling: Vec<f32> = rising.iter().map(|x| -x).collect();
        let found = computed(&falling);
        assert!(found.windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(found.iter().all(|found| *found < 0.0));
        assert!(found.iter().zip(&falling).all(|(found, x)| *x > -5.8 || *found > -2e-8));
    }

    #[test]
    fn what_is_no_number_or_has_no_end() {
        let found = computed(&[f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.0, -0.0]);
        assert!(found[..2].iter().all(|value| value.is_nan()));
        assert_eq!([found[2], found[4]], [f32::INFINITY, f32::MAX]);
        assert!(found[3] == found[5] && (-2e-8..=0.0).contains(&found[3]), "{}", found[3]);
        assert_eq!([found[6], found[7]], [0.0; 2]);
        assert_eq!(computed(&[f32::MIN_POSITIVE / 2.0])[0], f32::MIN_POSITIVE / 4.0);
    }

    /// Lengths around a vector's, so that beginnings, ends and the pieces of threads are all met.
    #[test]
    fn a_sum_is_the_same_as_one_after_the_other() {
        for width in [1, 15, 16, 17, 40] {
            let values: Vec<f32> = (0..width * 5).map(|at| (at as f32 * 0.37).sin() * 4.0).collect();
            let bias: Vec<f32> = (0..width).map(|at| (at as f32 * 0.91).cos()).collect();
            let arena = Arena::new(8).expect("arena");
            let (a, b) = (arena.input(&[width, 5]).expect("a"), arena.input(&[width]).expect("b"));
            let together = arena.gelu_erf_of_sum(a, b).expect("a node");
            let apart = arena.gelu_erf(arena.add(a, b).expect("sum")).expect("a node");
            let mut executor = Executor::new(Backend::cpu(2).expect("a CPU")).expect("an executor");
            let found = executor.run_all(&arena, &[(a, &values), (b, &bias)], &[together, apart]).expect("runs");
            assert_eq!(found[0], found[1], "{width} values a row");
        }
    }

    #[test]
    fn a_bias_is_one_row_of_the_same_length() {
        let arena = Arena::new(8).expect("arena");
        let a = arena.input(&[6, 4]).expect("a");
        for dims in [[3, 1], [1, 1], [6, 4], [6, 2], [12, 1]] {
            assert!(arena.gelu_erf_of_sum(a, arena.input(&dims).expect("a bias")).is_err(), "{dims:?}");
        }
    }
}
