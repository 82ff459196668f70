//! Where every decoder puts its samples: native-rate blocks in, one mono 16 kHz recording out.
//!
//! Only the result grows; a block is mixed, resampled and forgotten, so two hours of stereo at 48 kHz never exist at
//! once.

use super::pcm::Pcm16k;
use super::resample::Resampler;
use super::{Fault, ReadOptions, Recording};
use crate::transcript::Warning;
use crate::units::SAMPLE_RATE;
use std::time::Duration;

/// Rates outside are not speech but a damaged header; one of 1 Hz would turn a kilobyte into hours.
const RATES: std::ops::RangeInclusive<u32> = 1000..=768_000;
/// More channels than any microphone array or sound format in use.
const MAX_CHANNELS: usize = 64;
/// Larger floats cannot be filtered without overflow, and no recorder writes them: damage, like NaN.
const LARGEST: f32 = 1e36;
/// A mean this much weaker in energy than its channels (60 dB) has cancelled out.
const CANCELLED: f64 = 1e-6;

/// Collects the samples of one recording.
pub(crate) struct Collector {
    name: String,
    /// Rate and channel count of the first block, for the report.
    first: Option<(u32, usize)>,
    rate: u32,
    resampler: Option<Resampler>,
    mono: Vec<f32>,
    out: Vec<f32>,
    /// 16 kHz samples still to drop before the wished part begins.
    skip: u64,
    /// 16 kHz samples wished.
    wanted: u64,
    /// Frames at native rates.
    frames: u64,
    samples: u64,
    unusable: u64,
    mean_energy: f64,
    channel_energy: f64,
    warnings: Vec<Warning>,
}

impl Collector {
    pub(crate) fn new(name: &str, options: &ReadOptions) -> Self {
        Self {
            name: name.to_owned(),
            first: None,
            rate: 0,
            resampler: None,
            mono: Vec::new(),
            out: Vec::new(),
            skip: options.offset.map_or(0, samples_in),
            wanted: options.duration.map_or(u64::MAX, samples_in),
            frames: 0,
            samples: 0,
            unusable: 0,
            mean_energy: 0.0,
            channel_energy: 0.0,
            warnings: Vec::new(),
        }
    }

    /// Announces rate (Hz) and channel count of the blocks that follow; may change in the middle of a recording.
    pub(crate) fn format(&mut self, rate: u32, channels: usize) -> Result<(), Fault> {
        if !RATES.contains(&rate) {
            return Err(format!(
                "has a sample rate of {rate} Hz, outside {} to {} Hz: the file is damaged or needs converting",
                RATES.start(),
                RATES.end()
            ));
        }
        if channels == 0 || channels > MAX_CHANNELS {
            return Err(format!(
                "has {channels} channels, and 1 to {MAX_CHANNELS} can be read: the file is damaged or needs converting"
            ));
        }
        self.first.get_or_insert((rate, channels));
        if rate != self.rate {
            if let Some(before) = self.resampler.take() {
                before.finish(&mut self.out)?;
            }
            self.rate = rate;
            if rate != SAMPLE_RATE {
                self.resampler = Some(Resampler::new(rate)?);
            }
        }
        Ok(())
    }

    /// Takes one block of interleaved samples with the announced channel count; an incomplete last frame is dropped.
    /// Returns false when the wished part is complete and nothing more is needed.
    pub(crate) fn push(&mut self, interleaved: &[f32], channels: usize) -> Result<bool, Fault> {
        self.mono.clear();
        let channels = channels.max(1);
        for frame in interleaved.chunks_exact(channels) {
            // In f64, because the sum of 64 large floats may not fit into one.
            let mut sum = 0.0f64;
            let mut energy = 0.0f64;
            for &sample in frame {
                if sample.abs() <= LARGEST {
                    sum += f64::from(sample);
                    energy += f64::from(sample) * f64::from(sample);
                } else {
                    self.unusable += 1;
                }
            }
            let mean = sum / channels as f64;
            self.mean_energy += mean * mean;
            self.channel_energy += energy / channels as f64;
            self.mono.push(mean as f32);
        }
        self.frames += self.mono.len() as u64;
        self.samples += (self.mono.len() * channels) as u64;
        match &mut self.resampler {
            Some(resampler) => resampler.push(&self.mono, &mut self.out)?,
            None => self.out.extend_from_slice(&self.mono),
        }
        self.drop_front();
        Ok((self.out.len() as u64) < self.wanted || self.skip > 0)
    }

    /// Something that is wrong with the recording, but does not prevent reading it; repeats are kept once.
    pub(crate) fn damaged(&mut self, what: impl Into<String>) {
        let warning = Warning { code: "audio_damaged", message: format!("{}: {}", self.name, what.into()) };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Frames taken so far, at their native rates.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Removes what lies before the wished part.
    fn drop_front(&mut self) {
        if self.skip > 0 {
            let drop = self.out.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.out.drain(..drop);
            self.skip -= drop as u64;
        }
    }

    /// Ends the recording.
    pub(crate) fn finish(mut self, format: &str) -> Result<Recording, Fault> {
        let Some((source_rate, channels)) = self.first else {
            return Err("holds no audio".to_owned());
        };
        if let Some(resampler) = self.resampler.take() {
            resampler.finish(&mut self.out)?;
        }
        self.drop_front();
        self.out.truncate(usize::try_from(self.wanted).unwrap_or(usize::MAX));
        if self.unusable > 0 && self.unusable == self.samples {
            return Err(
                "holds only samples that are no numbers (NaN or infinite): record or convert it again".to_owned()
            );
        }
        if self.unusable > 0 {
            let (bad, all) = (self.unusable, self.samples);
            self.damaged(format!("{bad} of {all} samples are no numbers (NaN or infinite) and were read as silence"));
        }
        if self.skip > 0 && self.frames > 0 {
            self.warnings.push(Warning {
                code: "offset_beyond_end",
                message: format!("{}: the recording ends before the offset, so nothing of it is left", self.name),
            });
        }
        if channels > 1 && self.channel_energy > 0.0 && self.mean_energy < CANCELLED * self.channel_energy {
            self.warnings.push(Warning {
                code: "channels_cancel",
                message: format!(
                    "{}: the channels cancel out when averaged (one is the other turned upside down), so the result is \
                     near silence; pass on a single channel instead",
                    self.name
                ),
            });
        }
        let pcm = Pcm16k::from_any_level(self.out).map_err(|e| e.to_string())?;
        Ok(Recording {
            pcm,
            warnings: self.warnings,
            source_rate,
            channels: channels as u32,
            format: format.to_owned(),
        })
    }
}

/// A time from the command line in 16 kHz samples, to the nearest.
fn samples_in(time: Duration) -> u64 {
    let nanos = time.as_nanos().saturating_mul(u128::from(SAMPLE_RATE)).saturating_add(500_000_000);
    u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(options: &ReadOptions, rate: u32, channels: usize, samples: &[f32]) -> Result<Recording, Fault> {
        let mut collector = Collector::new("x", options);
        collector.format(rate, channels)?;
        for block in samples.chunks(channels * 5) {
            if !collector.push(block, channels)? {
                break;
            }
        }
        collector.finish("test")
    }

    #[test]
    fn channels_are_averaged() {
        let got = collect(&ReadOptions::default(), 16_000, 2, &[0.5, 0.0, -1.0, 1.0, 0.25, 0.75]).expect("readable");
        assert_eq!(got.pcm.samples(), [0.25, 0.0, 0.5]);
        assert!(got.warnings.is_empty());
    }

    #[test]
    fn trimming_is_exact_to_the_sample() {
        let samples: Vec<f32> = (0..32_000).map(|n| n as f32 / 40_000.0).collect();
        for (offset, duration) in [(0, 160), (1, 1), (15_999, 2), (31_999, 1), (100, 31_900)] {
            let at = |n: u64| Some(Duration::from_nanos(n * 62_500));
            let options = ReadOptions { offset: at(offset), duration: at(duration), ..Default::default() };
            let got = collect(&options, 16_000, 1, &samples).expect("readable");
            assert_eq!(got.pcm.samples(), &samples[offset as usize..(offset + duration) as usize]);
        }
        let options = ReadOptions { offset: Some(Duration::from_secs(3)), ..Default::default() };
        let got = collect(&options, 16_000, 1, &samples).expect("readable");
        assert!(got.pcm.is_empty());
        assert_eq!(got.warnings[0].code, "offset_beyond_end");
    }

    #[test]
    fn cancelling_channels_are_reported() {
        let samples: Vec<f32> = (0..400).flat_map(|n| [(n as f32).sin(), -(n as f32).sin()]).collect();
        let got = collect(&ReadOptions::default(), 16_000, 2, &samples).expect("readable");
        assert_eq!(got.warnings[0].code, "channels_cancel");
        let silence = collect(&ReadOptions::default(), 16_000, 2, &[0.0; 800]).expect("readable");
        assert!(silence.warnings.is_empty());
    }

    #[test]
    fn what_is_no_number_becomes_silence_and_a_warning() {
        let got = collect(&ReadOptions::default(), 16_000, 1, &[0.5, f32::NAN, f32::INFINITY, 2e38]).expect("readable");
        assert_eq!(got.pcm.samples(), [0.5, 0.0, 0.0, 0.0]);
        assert_eq!(got.warnings[0].code, "audio_damaged");
        assert!(collect(&ReadOptions::default(), 16_000, 1, &[f32::NAN; 9]).is_err());
    }

    #[test]
    fn absurd_formats_are_refused() {
        for (rate, channels) in [(0, 1), (1, 1), (u32::MAX, 1), (16_000, 0), (16_000, 65_535)] {
            assert!(collect(&ReadOptions::default(), rate, channels.max(1), &[]).is_err() || channels == 0);
            assert!(Collector::new("x", &ReadOptions::default()).format(rate, channels).is_err());
        }
    }

    #[test]
    fn the_rate_may_change_in_between() {
        let mut collector = Collector::new("x", &ReadOptions::default());
        collector.format(8000, 1).expect("fine");
        collector.push(&[0.1; 800], 1).expect("fine");
        collector.format(48_000, 2).expect("fine");
        collector.push(&[0.1; 9600], 2).expect("fine");
        let got = collector.finish("test").expect("fine");
        assert_eq!((got.pcm.len(), got.source_rate, got.channels), (3200, 8000, 1));
    }
}
