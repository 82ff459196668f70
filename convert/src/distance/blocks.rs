//! Depth 1: values of known distributions, to a type and back.

use std::fmt;

use qasr_format::GgmlType;

use crate::error::{ConvertError, Result};
use crate::random::Random;

/// Values per row: blocks of 256 and of 32 fit.
pub const ROW: usize = 256;

/// Rows per distribution; with 64 Ki values the third digit of the mean error stands whatever the seed.
const ROWS: usize = 256;

/// The shorter of the two block lengths: every block of either length has its outlier.
const OUTLIER_EVERY: usize = 32;

/// How the values are distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Normal: about what trained matrices look like.
    Normal,
    /// Student's t of three degrees of freedom: few large values among many small ones.
    HeavyTails,
    /// Normal, and one value of ten deviations in every 32.
    Outlier,
    /// Nothing but zeros.
    Zero,
    /// One value throughout.
    Constant,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Normal, Self::HeavyTails, Self::Outlier, Self::Zero, Self::Constant];

    /// For tables: "heavy tails".
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::HeavyTails => "heavy tails",
            Self::Outlier => "one outlier in 32",
            Self::Zero => "zero",
            Self::Constant => "constant",
        }
    }

    /// [`ROWS`] rows of [`ROW`] values, always the same.
    fn values(self) -> Vec<f32> {
        let mut random = Random::named(1, self.name());
        let mut value = |place: usize| match self {
            Self::Normal => random.normal(),
            Self::HeavyTails => {
                let squares: f64 = (0..3).map(|_| random.normal().powi(2)).sum();
                random.normal() / (squares / 3.0).sqrt().max(1e-6)
            }
            Self::Outlier if place % OUTLIER_EVERY == (place / OUTLIER_EVERY) % OUTLIER_EVERY => 10.0,
            Self::Outlier => random.normal(),
            Self::Zero => 0.0,
            Self::Constant => 0.37,
        };
        (0..ROWS * ROW).map(|place| value(place) as f32).collect()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Error of a round trip through a type, for values of one distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockError {
    /// The type.
    pub kind: GgmlType,
    /// The distribution.
    pub shape: Shape,
    /// Bits that one value takes, scales included.
    pub bits_per_value: f64,
    /// Root of the mean square of the differences, relative to that of the values; each column counted by its
    /// importance, where one was given.
    pub relative_rms: f64,
    /// The largest difference, relative to the largest value of its quantization block.
    pub max_relative: f64,
}

/// Takes values of every [`Shape`] to `kind` and back. `importance` has a weight for each of the [`ROW`] columns, as
/// an importance matrix gives them; rounding then goes by them.
///
/// # Errors
/// When `kind` is not a type that is written here, or `importance` has not [`ROW`] weights.
pub fn blocks(kind: GgmlType, importance: Option<&[f32]>) -> Result<Vec<BlockError>> {
    let failed = |error: ggml::Error| ConvertError::usage(format!("type {kind}: {error}"));
    let mut errors = Vec::new();
    for shape in Shape::ALL {
        let values = shape.values();
        let stored = ggml::quantize::quantize_rows(kind.id(), &values, ROW, importance).map_err(failed)?;
        let back = ggml::quantize::dequantize(kind.id(), &stored, values.len()).map_err(failed)?;
        errors.push(BlockError {
            kind,
            shape,
            bits_per_value: kind.bits_per_value(),
            relative_rms: relative_rms(&values, &back, importance),
            max_relative: max_relative(&values, &back, kind.block_len() as usize),
        });
    }
    Ok(errors)
}

fn relative_rms(values: &[f32], back: &[f32], importance: Option<&[f32]>) -> f64 {
    let weight = |place: usize| importance.map_or(1.0, |columns| f64::from(columns[place % ROW]));
    let (mut difference, mut size) = (0.0, 0.0);
    for (place, (value, back)) in values.iter().zip(back).enumerate() {
        difference += weight(place) * (f64::from(*back) - f64::from(*value)).powi(2);
        size += weight(place) * f64::from(*value).powi(2);
    }
    relative(difference.sqrt(), size.sqrt())
}

fn max_relative(values: &[f32], back: &[f32], block: usize) -> f64 {
    let of_block = |(values, back): (&[f32], &[f32])| {
        let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let difference = values.iter().zip(back).fold(0.0_f32, |most, (value, back)| most.max((back - value).abs()));
        relative(f64::from(difference), f64::from(largest))
    };
    // A type without blocks is taken in stretches as long as the shortest block.
    let block = if block > 1 { block } else { OUTLIER_EVERY };
    values.chunks(block).zip(back.chunks(block)).map(of_block).fold(0.0, f64::max)
}

/// A difference from nothing is infinitely large, unless there is none.
pub(super) fn relative(difference: f64, size: f64) -> f64 {
    if difference == 0.0 { 0.0 } else { difference / size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, shape: Shape, importance: Option<&[f32]>) -> BlockError {
        let errors = blocks(GgmlType::find(kind).unwrap(), importance).unwrap();
        errors.into_iter().find(|error| error.shape == shape).unwrap()
    }

    #[test]
    fn more_bits_lose_less_and_exact_types_nothing() {
        let names = ["f32", "f16", "q8_0", "q6_k", "q5_k", "q4_k", "q4_0"];
        let errors: Vec<f64> = names.iter().map(|kind| of(kind, Shape::Normal, None).relative_rms).collect();
        assert_eq!(errors[0], 0.0);
        assert!(errors.windows(2).all(|pair| pair[0] < pair[1]), "{errors:?}");
        // Half a step of q8_0 in a block of 32 normal values: the largest lies near 2.1 deviations, a step is 1/127 of
        // it, and a step's rounding has a deviation of 1/√12.
        let expected = 2.1 / 127.0 / 12.0_f64.sqrt();
        assert!((errors[2] / expected - 1.0).abs() < 0.15, "{} instead of {expected}", errors[2]);
        for kind in names {
            assert_eq!(of(kind, Shape::Zero, None).relative_rms, 0.0, "{kind}");
        }
        assert!(of("q4_0", Shape::Outlier, None).relative_rms > 1.5 * of("q4_0", Shape::Normal, None).relative_rms);
    }

    #[test]
    fn importance_moves_the_error_to_where_it_counts_less() {
        let importance: Vec<f32> = (0..ROW).map(|column| if column % 8 == 0 { 100.0 } else { 1.0 }).collect();
        let kind = GgmlType::find("q4_0").unwrap();
        let values = Shape::Normal.values();
        let plain = ggml::quantize::quantize_rows(kind.id(), &values, ROW, None).unwrap();
        let plain = ggml::quantize::dequantize(kind.id(), &plain, values.len()).unwrap();
        let without = relative_rms(&values, &plain, Some(&importance));
        let with = of("q4_0", Shape::Normal, Some(&importance)).relative_rms;
        assert!(with < 0.9 * without, "{with} with importance, {without} without");
        assert!(blocks(kind, Some(&importance[1..])).is_err());
    }

    #[test]
    fn the_largest_difference_counts_beside_its_own_block() {
        let values = [vec![1.0_f32; 32], vec![100.0; 32]].concat();
        let mut back = values.clone();
        back[40] = 101.0;
        assert!((max_relative(&values, &back, 32) - 0.01).abs() < 1e-9);
        back[3] = 1.5;
        assert!((max_relative(&values, &back, 32) - 0.5).abs() < 1e-9);
        assert_eq!(relative(0.0, 0.0), 0.0);
        assert_eq!(relative(1.0, 0.0), f64::INFINITY);
    }
}
