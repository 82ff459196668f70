//! Any rate to 16 kHz, block by block, with the frequency response of the official resampler.
//!
//! The official package resamples with soxr's high quality setting: flat up to 0.92 of the lower Nyquist frequency,
//! over 120 dB down at 1.0. Mel features see that slope, so this filter copies it: a Blackman-Harris sinc of 184
//! samples at the lower rate, cut off at 0.957, lies within 0.06 dB (mean) of soxr's measured slope down to -80 dB,
//! the depth at which the features stop looking.
//!
//! Between 16 kHz and a rate that shares a reasonable divisor with it only a few phases of the filter occur. They are
//! computed exactly, so that no interpolation error arises; any other rate interpolates between 512 phases.

use super::fault::Fault;
use crate::units::SAMPLE_RATE;
use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Async, FixedAsync, Resampler as _, SincInterpolationParameters, SincInterpolationType, WindowFunction};

/// Length of the filter in samples at the lower of the two rates.
const FILTER_SAMPLES: u64 = 184;
/// Where the filter is 6 dB down, relative to the lower Nyquist frequency.
const CUTOFF: f32 = 0.957;
/// The most coefficients for which every phase is computed exactly.
const MAX_COEFFICIENTS: u64 = 1 << 20;
/// Phases that are interpolated (cubic) when there would be too many.
const INTERPOLATED_PHASES: u64 = 512;
/// Frames handed to rubato at a time.
const BLOCK: usize = 4096;
/// Live, 10 ms at a time, but no fewer frames than these: each block costs some copying.
const LEAST_LIVE_BLOCK: usize = 64;

/// Converts one mono stream to 16 kHz without delay: output sample 0 stands for the same instant as input sample 0.
pub(crate) struct Resampler {
    inner: Async<f32>,
    rate: u32,
    /// Frames per block.
    block: usize,
    /// Frames waiting for a full block.
    pending: Vec<f32>,
    scratch: Vec<f32>,
    /// Output samples still to drop: the filter's delay.
    skip: usize,
    /// Input samples so far, without the zeros put in front.
    fed: u64,
    /// Output samples so far.
    produced: u64,
}

impl Resampler {
    /// A converter from `rate` (Hz, not 16,000 and not 0).
    pub(crate) fn new(rate: u32) -> Result<Self, Fault> {
        Self::in_blocks(rate, BLOCK)
    }

    /// The same converter for audio that should not wait: with every rate whose phases are exact it gives the same
    /// samples, in smaller portions.
    pub(crate) fn live(rate: u32) -> Result<Self, Fault> {
        Self::in_blocks(rate, (rate as usize / 100).clamp(LEAST_LIVE_BLOCK, BLOCK))
    }

    fn in_blocks(rate: u32, block: usize) -> Result<Self, Fault> {
        let shared = gcd(u64::from(rate), u64::from(SAMPLE_RATE));
        let (step, phases) = (u64::from(rate) / shared, u64::from(SAMPLE_RATE) / shared);
        // The length counts input samples; rubato needs a multiple of 8.
        let length = (FILTER_SAMPLES * step.max(phases)).div_ceil(phases).next_multiple_of(8);
        let exact = phases * length <= MAX_COEFFICIENTS;
        let factor = if exact { phases } else { INTERPOLATED_PHASES };
        let parameters = SincInterpolationParameters::new(length as usize, WindowFunction::BlackmanHarris)
            .f_cutoff(CUTOFF)
            .oversampling_factor(factor as usize)
            .interpolation(if exact { SincInterpolationType::Nearest } else { SincInterpolationType::Cubic });
        let ratio = f64::from(SAMPLE_RATE) / f64::from(rate);
        let inner = Async::new_sinc(ratio, 1.0, &parameters, block, 1, FixedAsync::Input)
            .map_err(|e| format!("cannot be resampled from {rate} Hz: {e}"))?;
        let (zeros, skip) = alignment(length, step, phases, factor);
        let scratch = vec![0.0; inner.output_frames_max()];
        Ok(Self { inner, rate, block, pending: vec![0.0; zeros], scratch, skip, fed: 0, produced: 0 })
    }

    /// Takes the next samples and appends what is ready to `out`.
    pub(crate) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), Fault> {
        self.fed += samples.len() as u64;
        self.pending.extend_from_slice(samples);
        let mut start = 0;
        while self.pending.len() - start >= self.block {
            self.convert(start, u64::MAX, out)?;
            start += self.block;
        }
        self.pending.drain(..start);
        Ok(())
    }

    /// Appends the rest, so that all of it together has the length that librosa gives.
    pub(crate) fn finish(mut self, out: &mut Vec<f32>) -> Result<(), Fault> {
        let length = output_length(self.fed, self.rate);
        while self.produced < length {
            self.pending.resize(self.block, 0.0);
            self.convert(0, length, out)?;
            self.pending.clear();
        }
        // More was never appended: blocks before this one end at least half a filter before the last input sample.
        Ok(())
    }

    /// Converts the block at `start` of the pending samples, appending no more than `length` output samples in all.
    fn convert(&mut self, start: usize, length: u64, out: &mut Vec<f32>) -> Result<(), Fault> {
        let rate = self.rate;
        let fault = |e: &dyn std::fmt::Display| format!("cannot be resampled from {rate} Hz: {e}");
        let input =
            InterleavedSlice::new(&self.pending[start..start + self.block], 1, self.block).map_err(|e| fault(&e))?;
        let room = self.scratch.len();
        let mut output = InterleavedSlice::new_mut(&mut self.scratch, 1, room).map_err(|e| fault(&e))?;
        let (_, made) = self.inner.process_into_buffer(&input, &mut output, None).map_err(|e| fault(&e))?;
        let made = self.scratch.get(..made).unwrap_or(&self.scratch);
        let late = self.skip.min(made.len());
        self.skip -= late;
        let left = length.saturating_sub(self.produced);
        let take = (made.len() - late).min(usize::try_from(left).unwrap_or(usize::MAX));
        out.extend_from_slice(&made[late..late + take]);
        self.produced += take as u64;
        Ok(())
    }
}

/// Samples that librosa's `resample` returns for `fed` samples at `rate`. The ratio is a rounded f64 there too, so
/// that even the rare product that rounds to just above a whole number comes out alike.
fn output_length(fed: u64, rate: u32) -> u64 {
    (fed as f64 * (f64::from(SAMPLE_RATE) / f64::from(rate))).ceil() as u64
}

/// How many zeros to put in front of the input, and how many output samples to drop, so that an output sample falls
/// on the first input sample.
///
/// rubato's output k stands for input time `(k + 1) * step / phases - length / 2 + 1 / factor` (its first sample lies
/// half a filter back, and its phase n is centred one phase late). With z zeros in front that is zero for a whole k
/// when `phases * (length / 2 + z) - phases / factor` is a multiple of `step`; such a z exists whenever
/// `factor == phases`, because the two have no common divisor. Otherwise the z with the smallest rest is taken.
fn alignment(length: u64, step: u64, phases: u64, factor: u64) -> (usize, usize) {
    let delay = |zeros: u64| (phases * (length / 2 + zeros)) as f64 - phases as f64 / factor as f64;
    let rest = |zeros: u64| {
        let outputs = delay(zeros) / step as f64;
        (outputs - outputs.round()).abs()
    };
    let zeros = (0..step.min(1 << 16)).min_by(|&a, &b| rest(a).total_cmp(&rest(b))).unwrap_or(0);
    let outputs = (delay(zeros) / step as f64).round();
    (zeros as usize, (outputs as usize).saturating_sub(1))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn resample(input: &[f32], rate: u32, block: usize) -> Vec<f32> {
        let mut out = Vec::new();
        let mut resampler = Resampler::new(rate).expect("a usable rate");
        for part in input.chunks(block) {
            resampler.push(part, &mut out).expect("push");
        }
        resampler.finish(&mut out).expect("finish");
        out
    }

    fn tone(hz: f64, rate: u32, samples: usize) -> Vec<f32> {
        (0..samples).map(|n| (TAU * hz * n as f64 / f64::from(rate)).sin() as f32).collect()
    }

    #[test]
    fn a_tone_keeps_its_phase_and_level_at_every_rate() {
        for rate in [8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000, 96000, 192_000, 384_000, 44_099, 15_999] {
            let hz = 1234.5;
            let out = resample(&tone(hz, rate, rate as usize / 2), rate, 1000);
            let want = tone(hz, SAMPLE_RATE, out.len());
            // Half a filter from either end there is nothing but the tone.
            let worst = (200..out.len() - 200).map(|n| (out[n] - want[n]).abs()).fold(0.0f32, f32::max);
            // Interpolated phases cannot be aligned exactly: a thousandth of a sample is left.
            let limit = if [44_099, 15_999].contains(&rate) { 5e-4 } else { 4e-5 };
            assert!(worst < limit, "{rate} Hz: {worst}");
        }
    }

    #[test]
    fn nothing_folds_back() {
        for hz in [8001.0, 9000.0, 12_000.0, 20_000.0] {
            let out = resample(&tone(hz, 48_000, 24_000), 48_000, 24_000);
            let worst = out[200..out.len() - 200].iter().fold(0.0f32, |m, s| m.max(s.abs()));
            assert!(worst < 1e-4, "{hz} Hz leaves {worst}");
        }
    }

    #[test]
    fn length_is_librosas_and_blocks_do_not_matter() {
        for (rate, samples, want) in [
            (8000, 1, 2),
            (384_000, 1, 1),
            (44_100, 441, 160),
            (44_100, 442, 161),
            (48_000, 0, 0),
            (11_025, 20_000, 29_025),
        ] {
            let input = tone(440.0, rate, samples);
            let whole = resample(&input, rate, samples.max(1));
            assert_eq!(whole.len(), want, "{rate} {samples}");
            assert_eq!(whole, resample(&input, rate, 7), "{rate} {samples}");
        }
    }

    #[test]
    fn small_live_blocks_give_the_same_samples() {
        for rate in [1000, 8000, 11_025, 22_050, 24_000, 44_100, 48_000, 192_000, 384_000, 768_000] {
            let input = tone(440.0, rate, rate as usize / 2 + 1);
            let mut out = Vec::new();
            let mut resampler = Resampler::live(rate).expect("a usable rate");
            input.chunks(100).for_each(|part| resampler.push(part, &mut out).expect("push"));
            let before_the_end = out.len();
            resampler.finish(&mut out).expect("finish");
            assert!(out == resample(&input, rate, 4096), "{rate} Hz");
            // Half a filter, and one block.
            let late = out.len() - before_the_end;
            let limit = (92 * SAMPLE_RATE / rate.min(SAMPLE_RATE) + 160 * 64 / (rate / 100).min(64)) as usize + 2;
            assert!(late <= limit, "{rate} Hz: the last {late} samples come only with the end");
        }
    }

    #[test]
    fn the_first_sample_stays_the_first() {
        // A click at input sample 0 must peak at output sample 0, and one in the middle at the middle.
        for rate in [8000, 22_050, 44_100, 48_000] {
            for at in [0, rate as usize / 10] {
                let mut input = vec![0.0; rate as usize / 5];
                input[at] = 1.0;
                let out = resample(&input, rate, 333);
                let peak = (0..out.len()).max_by(|&a, &b| out[a].total_cmp(&out[b])).expect("not empty");
                assert_eq!(peak, at * 16_000 / rate as usize, "{rate} Hz, click at {at}");
            }
        }
    }
}
