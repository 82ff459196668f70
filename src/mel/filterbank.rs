//! 128 triangles on the Slaney mel scale. Each spectrum bin lies in at most two of them, so only the bins inside a
//! triangle are stored and multiplied: some 400 products per frame where the full matrix has 25 728.

use super::BANDS;
use super::stft::{BIN_HZ, BINS};

/// Upper edge of the last triangle.
const TOP_HZ: f64 = 8000.0;

/// The mel scale is linear up to here and logarithmic above.
const KNEE_HZ: f64 = 1000.0;

/// Width of one mel below the knee.
const HZ_PER_MEL: f64 = 200.0 / 3.0;

const KNEE_MEL: f64 = KNEE_HZ / HZ_PER_MEL;

/// Mels per factor of e above the knee: 27 mels make a factor of 6.4.
fn mels_per_e() -> f64 {
    27.0 / 6.4f64.ln()
}

fn hz_to_mel(hz: f64) -> f64 {
    if hz < KNEE_HZ { hz / HZ_PER_MEL } else { KNEE_MEL + mels_per_e() * (hz / KNEE_HZ).ln() }
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel < KNEE_MEL { mel * HZ_PER_MEL } else { KNEE_HZ * ((mel - KNEE_MEL) / mels_per_e()).exp() }
}

/// One triangle: the first bin inside it, and where its weights lie.
#[derive(Debug, Clone, Copy)]
struct Triangle {
    first_bin: usize,
    weights: (usize, usize),
}

/// The triangles with their weights, back to back.
#[derive(Debug, Clone)]
pub(super) struct Filterbank {
    triangles: Vec<Triangle>,
    weights: Vec<f64>,
}

impl Filterbank {
    pub(super) fn new() -> Self {
        let step = hz_to_mel(TOP_HZ) / (BANDS + 1) as f64;
        let edge = |i: usize| mel_to_hz(i as f64 * step);
        let mut triangles = Vec::with_capacity(BANDS);
        let mut weights = Vec::new();
        for band in 0..BANDS {
            let (low, centre, high) = (edge(band), edge(band + 1), edge(band + 2));
            let start = weights.len();
            let mut first_bin = 0;
            for bin in 0..BINS {
                let hz = bin as f64 * BIN_HZ;
                let height = ((hz - low) / (centre - low)).min((high - hz) / (high - centre));
                if height > 0.0 {
                    if weights.len() == start {
                        first_bin = bin;
                    }
                    // The official matrix is used in f32: rounding here too keeps its values.
                    weights.push(f64::from((height * 2.0 / (high - low)) as f32));
                }
            }
            triangles.push(Triangle { first_bin, weights: (start, weights.len()) });
        }
        Self { triangles, weights }
    }

    /// Energy of every band, in band order: `power` is one spectrum, `[201]`.
    pub(super) fn energies<'a>(&'a self, power: &'a [f64; BINS]) -> impl Iterator<Item = f64> + 'a {
        self.triangles.iter().map(|triangle| {
            let weights = &self.weights[triangle.weights.0..triangle.weights.1];
            weights.iter().zip(&power[triangle.first_bin..]).map(|(w, p)| w * p).sum()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_linear_then_logarithmic_and_inverts() {
        assert!((hz_to_mel(500.0) - 7.5).abs() < 1e-12);
        assert!((hz_to_mel(1000.0) - 15.0).abs() < 1e-12);
        assert!((hz_to_mel(6400.0) - 42.0).abs() < 1e-12);
        for hz in [0.0, 40.0, 999.9, 1000.0, 1000.1, 7960.0, 8000.0] {
            assert!((mel_to_hz(hz_to_mel(hz)) - hz).abs() < 1e-9, "{hz} Hz does not come back");
        }
    }

    #[test]
    fn every_band_hears_something_and_no_bin_feeds_three() {
        let bank = Filterbank::new();
        let mut fed = [0; BINS];
        assert_eq!(bank.triangles.len(), BANDS);
        for (band, triangle) in bank.triangles.iter().enumerate() {
            let count = triangle.weights.1 - triangle.weights.0;
            assert!(count > 0, "band {band} is deaf");
            fed[triangle.first_bin..triangle.first_bin + count].iter_mut().for_each(|n| *n += 1);
        }
        assert_eq!((fed[0], fed[BINS - 1]), (0, 0), "the outer edges lie on the first and the last bin");
        assert!(fed[1..BINS - 1].iter().all(|n| (1..=2).contains(n)), "{fed:?}");
    }

    #[test]
    fn a_flat_spectrum_gives_one_per_bin_width_where_triangles_are_wide() {
        // Each triangle has area 1 over Hz, so sampled every 40 Hz its weights add up to about 1/40.
        let bank = Filterbank::new();
        let flat = [1.0; BINS];
        let last = bank.energies(&flat).last().unwrap_or_default();
        assert!((last * BIN_HZ - 1.0).abs() < 0.05, "{last}");
    }
}
