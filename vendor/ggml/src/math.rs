//! Elementary functions over a fixed number of values, for kernels of our own.
//!
//! They are plain Rust that the compiler turns into vector instructions of the machine it builds for. Each uses only
//! additions, multiplications and integer operations on bits, so that every CPU with a fused multiply-add gives the same
//! values.

use std::f32::consts::LN_2;

/// Numbers that are computed together: one register of AVX-512, two of AVX2, four of NEON.
pub(crate) const LANES: usize = 16;

/// As many numbers.
pub(crate) type Lanes = [f32; LANES];

/// `a * b + c`: rounded once where the CPU has an instruction for that, twice elsewhere, where `f32::mul_add` would call
/// a function of the C library for every value.
#[inline(always)]
pub(crate) fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
}

/// 2 to the power of each value, with a relative error below 1.2e-7.
///
/// Powers of less than -126 are 0, so that a weight of minus infinity counts for nothing; powers of more than 127 are as
/// that of 127. What is not a number stays so.
#[inline(always)]
pub(crate) fn exp2_lanes<const N: usize>(h: [f32; N]) -> [f32; N] {
    /// A power of two so large that a number added to it is rounded to a whole one, which is then in the lowest bits.
    const WHOLE: f32 = (3 << 22) as f32;
    /// Lowest and highest power whose bits are those of a normal number.
    const LOWEST: f32 = -126.0;
    const HIGHEST: f32 = 127.0;
    /// The power of a fraction between -0.5 and 0.5: a polynomial, constant first.
    const P: [f32; 7] = [1.0, LN_2, 0.240_226_47, 0.055_503_29, 0.009_618_49, 0.001_339_992_9, 0.000_153_455_18];
    let mut powers = [0.0; N];
    for (power, &h) in powers.iter_mut().zip(&h) {
        let within = h.clamp(LOWEST, HIGHEST);
        let shifted = within + WHOLE;
        let fraction = within - (shifted - WHOLE);
        let mut sum = P[6];
        for factor in P[..6].iter().rev() {
            sum = fused(sum, fraction, *factor);
        }
        // The exponent's place in a number begins at bit 23; an exponent of 127 stands for 1.
        let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
        *power = if h < LOWEST { 0.0 } else { sum * scale };
    }
    powers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_are_close_everywhere() {
        let mut worst = 0f64;
        for step in 0..=2_530_000 {
            let h = -126.0 + step as f32 * 1e-4;
            let h = h.min(127.0);
            let [found, ..] = exp2_lanes([h; 4]);
            let exact = f64::from(h).exp2();
            worst = worst.max((f64::from(found) - exact).abs() / exact);
        }
        assert!(worst < 1.2e-7, "{worst:e}");
    }

    #[test]
    fn powers_at_the_ends() {
        let ends = [f32::NEG_INFINITY, -1e30, -126.1, -126.0, 0.0, -0.0, 1.0, 127.0];
        let powers = [0.0, 0.0, 0.0, f32::MIN_POSITIVE, 1.0, 1.0, 2.0, 2f32.powi(127)];
        assert_eq!(exp2_lanes(ends), powers);
        assert_eq!(exp2_lanes([128.0, f32::INFINITY]), [2f32.powi(127); 2]);
        assert!(exp2_lanes([f32::NAN, -f32::NAN]).iter().all(|power| power.is_nan()));
    }
}
