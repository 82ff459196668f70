//! Where every decoder puts its samples: native-rate blocks in, one mono 16 kHz recording out.
//!
//! ```text
//! block, its time ─ timeline (silence for what is missing) ─ channel ─ resampler ─ wished part ─ level ─▶ sink
//! ```
//!
//! A block is mixed, resampled and forgotten, so two hours of stereo at 48 kHz never exist at once. The result goes on
//! to a sink while it is decoded, or is kept as a whole.

use super::fault::Fault;
use super::level::{self, Level};
use super::pcm::Pcm16k;
use super::recording::{Channel, RawFormat, ReadOptions, Recording};
use super::resample::Resampler;
use super::timeline::{Missing, Placed, Timeline};
use crate::transcript::{Warning, WarningCode};
use crate::units::{SAMPLE_RATE, SampleIndex};
use std::sync::Arc;
use std::time::Duration;

/// Rates outside are not speech but a damaged header; one of 1 Hz would turn a kilobyte into hours.
const RATES: std::ops::RangeInclusive<u32> = 1000..=768_000;
/// More channels than any microphone array or sound format in use.
const MAX_CHANNELS: usize = 64;
/// Larger floats cannot be filtered without overflow, and no recorder writes them: damage, like NaN.
const LARGEST: f32 = 1e36;
/// A mean this much weaker in energy than its channels (60 dB) has cancelled out.
const CANCELLED: f64 = 1e-6;
/// Frames of silence pushed at a time: a long hole must not need memory of its length.
const SILENCE_BLOCK: usize = 1 << 14;

/// Refuses rates (Hz) and numbers of channels that no recording has.
pub(crate) fn check_format(rate: u32, channels: usize) -> Result<(), Fault> {
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
    Ok(())
}

/// The channels of one frame as one. In f64, because the sum of 64 large floats may not fit into one f32.
#[derive(Default)]
pub(crate) struct Mean {
    channels: usize,
    sum: f64,
    energy: f64,
    /// Channels that are no numbers, which count as silence.
    unusable: u64,
}

impl Mean {
    pub(crate) fn of(frame: impl Iterator<Item = f32>) -> Self {
        let mut mean = Self::default();
        for sample in frame {
            mean.channels += 1;
            if sample.abs() <= LARGEST {
                mean.sum += f64::from(sample);
                mean.energy += f64::from(sample) * f64::from(sample);
            } else {
                mean.unusable += 1;
            }
        }
        mean
    }

    fn exact(&self) -> f64 {
        self.sum / self.channels as f64
    }

    /// The mono sample.
    pub(crate) fn mean(&self) -> f32 {
        self.exact() as f32
    }
}

/// Takes a recording while it is decoded.
pub(crate) trait Sink: Send + Sync {
    /// Where the first sample lies in the recording; before the first samples.
    fn set_start(&self, start: SampleIndex);
    /// Rate and channels of the source.
    fn set_format(&self, format: RawFormat);
    /// How many samples probably come in all.
    fn expect(&self, samples: u64);
    /// A warning about the recording.
    fn warn(&self, warning: Warning);
    /// The next samples. False when nobody wants them.
    fn push(&self, samples: &[f32]) -> bool;
}

/// Where a collector's result goes.
enum Destination {
    Whole(Vec<f32>),
    Sink {
        sink: Arc<dyn Sink>,
        /// Warnings that the sink has.
        passed_on: usize,
    },
}

/// Collects the samples of one recording.
pub(crate) struct Collector {
    name: String,
    /// Rate and channel count of the first block, for the report.
    first: Option<(u32, usize)>,
    rate: u32,
    channel: Channel,
    timeline: Timeline,
    resampler: Option<Resampler>,
    mono: Vec<f32>,
    out: Vec<f32>,
    /// Where the first sample that is handed on lies in the recording.
    start: SampleIndex,
    /// 16 kHz samples still to drop before the wished part begins.
    skip: u64,
    /// 16 kHz samples wished that have not come yet.
    wanted: u64,
    /// Decoded frames at native rates, silence for missing ones not included.
    frames: u64,
    samples: u64,
    unusable: u64,
    mean_energy: f64,
    channel_energy: f64,
    warnings: Vec<Warning>,
    level: Level,
    destination: Destination,
    /// Samples are wanted as they arrive, even a few at a time.
    live: bool,
    is_stream: bool,
}

impl Collector {
    /// Keeps the whole recording.
    pub(crate) fn new(name: &str, options: &ReadOptions) -> Self {
        Self::with(name, options, Destination::Whole(Vec::new()), Level::by_peak(level::OF_A_FILE))
    }

    /// The recording comes from where nobody can look ahead, maybe as slowly as it is spoken.
    pub(crate) fn of_a_stream(self) -> Self {
        Self { level: Level::by_peak(level::OF_A_STREAM), is_stream: true, ..self }
    }

    /// Hands a recording to `sink` while it is decoded, and keeps none of it.
    pub(crate) fn passing_on(name: &str, options: &ReadOptions, sink: Arc<dyn Sink>) -> Self {
        Self::with(name, options, Destination::Sink { sink, passed_on: 0 }, Level::by_peak(level::OF_A_FILE))
    }

    /// Hands everything to `sink` as soon as it is decoded, without waiting for its level.
    pub(crate) fn live(name: &str, sink: Arc<dyn Sink>) -> Self {
        let destination = Destination::Sink { sink, passed_on: 0 };
        Self { live: true, ..Self::with(name, &ReadOptions::default(), destination, Level::clipping()) }
    }

    fn with(name: &str, options: &ReadOptions, destination: Destination, level: Level) -> Self {
        let skip = options.offset.map_or(0, samples_in);
        let start = SampleIndex(skip);
        if let Destination::Sink { sink, .. } = &destination {
            sink.set_start(start);
        }
        Self {
            name: name.to_owned(),
            first: None,
            rate: 0,
            channel: options.channel,
            timeline: Timeline::default(),
            resampler: None,
            mono: Vec::new(),
            out: Vec::new(),
            start,
            skip,
            wanted: options.duration.map_or(u64::MAX, samples_in),
            frames: 0,
            samples: 0,
            unusable: 0,
            mean_energy: 0.0,
            channel_energy: 0.0,
            warnings: Vec::new(),
            level,
            destination,
            live: false,
            is_stream: false,
        }
    }

    /// True when samples are wanted as they arrive, even a few at a time.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// How long the recording probably is, in seconds: a header's claim or an estimate, for progress alone.
    pub(crate) fn expect(&self, seconds: f64) {
        if let Destination::Sink { sink, .. } = &self.destination {
            let before = self.skip as f64 / f64::from(SAMPLE_RATE);
            let wanted = (seconds - before).max(0.0) * f64::from(SAMPLE_RATE);
            sink.expect((wanted as u64).min(self.wanted));
        }
    }

    /// Announces rate (Hz) and channel count of the blocks that follow; may change in the middle of a recording.
    pub(crate) fn format(&mut self, rate: u32, channels: usize) -> Result<(), Fault> {
        check_format(rate, channels)?;
        if let Channel::Only(wished) = self.channel
            && usize::from(wished) >= channels
        {
            return Err(match channels {
                1 => format!("has one channel, so there is no channel {}", wished + 1),
                _ => format!("has {channels} channels, so there is no channel {}", wished + 1),
            });
        }
        self.first.get_or_insert((rate, channels));
        if let Destination::Sink { sink, .. } = &self.destination {
            sink.set_format(RawFormat { rate, channels: channels as u16 });
        }
        if rate != self.rate {
            if let Some(before) = self.resampler.take() {
                before.finish(&mut self.out)?;
            }
            self.rate = rate;
            self.timeline.set_rate(rate);
            if rate != SAMPLE_RATE {
                self.resampler = Some(if self.is_live() { Resampler::live(rate) } else { Resampler::new(rate) }?);
            }
        }
        Ok(())
    }

    /// Says that the source has no samples beyond full scale, as integers have none. The resampler may still make some,
    /// which are scaled in a file.
    pub(crate) fn cannot_exceed(&mut self) {
        if self.is_stream || self.rate == SAMPLE_RATE {
            self.level.is_known();
        }
    }

    /// Says when the next block was recorded, in seconds from the beginning of the recording (of the film, where it has
    /// pictures). Needs a format. What is missing before it becomes silence. Returns false as [`Self::push`] does.
    pub(crate) fn at(&mut self, seconds: f64) -> Result<bool, Fault> {
        match self.timeline.place(seconds) {
            Placed::Here => Ok(true),
            Placed::After(frames) => self.silence(frames),
            Placed::Late(frames) => {
                let late = frames * u64::from(SAMPLE_RATE) / u64::from(self.rate);
                let waited = late.saturating_sub(self.skip);
                self.skip -= late - waited;
                self.wanted = self.wanted.saturating_sub(waited);
                self.start = self.start + waited;
                if let Destination::Sink { sink, .. } = &self.destination {
                    sink.set_start(self.start);
                }
                Ok(self.wanted > 0)
            }
        }
    }

    /// Puts silence where a packet of this length could not be decoded, and reports its place.
    pub(crate) fn lost(&mut self, seconds: f64, why: Missing) -> Result<bool, Fault> {
        let frames = self.timeline.lose(seconds, why);
        self.silence(frames)
    }

    /// Takes one block of interleaved samples with the announced channel count; an incomplete last frame is dropped.
    /// Returns false when the wished part is complete and nothing more is needed.
    pub(crate) fn push(&mut self, interleaved: &[f32], channels: usize) -> Result<bool, Fault> {
        self.mono.clear();
        let channels = channels.max(1);
        for frame in interleaved.chunks_exact(channels) {
            let mean = match self.channel {
                Channel::Mix => Mean::of(frame.iter().copied()),
                Channel::Only(wished) => Mean::of(frame.get(usize::from(wished)).copied().into_iter()),
            };
            self.unusable += mean.unusable;
            self.samples += mean.channels as u64;
            self.mean_energy += mean.exact() * mean.exact();
            self.channel_energy += mean.energy / mean.channels as f64;
            self.mono.push(mean.mean());
        }
        let frames = self.mono.len() as u64;
        self.frames += frames;
        self.timeline.advance(frames);
        self.pass_on()
    }

    /// So many frames of silence, which are in the timeline already.
    fn silence(&mut self, frames: u64) -> Result<bool, Fault> {
        let mut left = frames;
        let mut more = true;
        while left > 0 && more {
            let block = left.min(SILENCE_BLOCK as u64);
            self.mono.clear();
            self.mono.resize(block as usize, 0.0);
            more = self.pass_on()?;
            left -= block;
        }
        Ok(more)
    }

    /// Resamples `self.mono` and hands on what there is. False when nothing more is needed.
    fn pass_on(&mut self) -> Result<bool, Fault> {
        match &mut self.resampler {
            Some(resampler) => resampler.push(&self.mono, &mut self.out)?,
            None => self.out.extend_from_slice(&self.mono),
        }
        Ok(self.deliver(false))
    }

    /// Something that is wrong with the recording, but does not prevent reading it; repeats are kept once.
    pub(crate) fn damaged(&mut self, what: impl Into<String>) {
        self.warn(WarningCode::AudioDamaged, what);
    }

    /// A warning about the recording; repeats are kept once.
    pub(crate) fn warn(&mut self, code: WarningCode, what: impl Into<String>) {
        let warning = Warning { code, message: format!("{}: {}", self.name, what.into()) };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Decoded frames so far, at their native rates; silence for missing ones does not count.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Where the next block lies if nothing is missing, in seconds.
    pub(crate) fn now(&self) -> f64 {
        self.timeline.now()
    }

    /// Cuts `self.out` to the wished part, levels it and hands it to the sink; false when nothing more is needed. `last`
    /// says that no sample follows.
    fn deliver(&mut self, last: bool) -> bool {
        let drop = self.out.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        self.out.drain(..drop);
        self.skip -= drop as u64;
        self.out.truncate(usize::try_from(self.wanted).unwrap_or(usize::MAX));
        self.wanted -= self.out.len() as u64;
        let complete = self.wanted == 0;
        if let Some(clipped) = self.level.apply(&mut self.out, last || complete) {
            self.warn(WarningCode::AudioClipped, clipped);
        }
        for (code, gap) in self.timeline.news(last || complete) {
            self.warn(code, gap);
        }
        let wanted = match &mut self.destination {
            Destination::Whole(whole) => {
                whole.append(&mut self.out);
                true
            }
            Destination::Sink { sink, passed_on } => {
                for warning in &self.warnings[*passed_on..] {
                    sink.warn(warning.clone());
                }
                *passed_on = self.warnings.len();
                sink.push(&self.out)
            }
        };
        self.out.clear();
        wanted && !complete
    }

    /// Takes everything out of the resampler: no sample follows.
    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        if let Some(resampler) = self.resampler.take() {
            resampler.finish(&mut self.out)?;
        }
        self.deliver(true);
        Ok(())
    }

    /// Ends the recording. One that went to a sink is all there, and the recording is empty.
    pub(crate) fn finish(mut self, format: &str) -> Result<Recording, Fault> {
        let Some((source_rate, channels)) = self.first else {
            return Err("holds no audio".to_owned());
        };
        self.flush()?;
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
            self.warn(WarningCode::OffsetBeyondEnd, "the recording ends before the offset, so nothing of it is left");
        }
        let weak = self.channel_energy > 0.0 && self.mean_energy < CANCELLED * self.channel_energy;
        if channels > 1 && self.channel == Channel::Mix && weak {
            self.warn(
                WarningCode::ChannelsCancel,
                "the channels cancel out when averaged (one is the other turned upside down), so the result is near \
                 silence; choose a single channel instead",
            );
        }
        self.deliver(true);
        let pcm = match self.destination {
            Destination::Whole(samples) => Pcm16k::new(samples).map_err(|e| e.to_string())?,
            Destination::Sink { .. } => Pcm16k::default(),
        };
        Ok(Recording {
            pcm,
            start: self.start,
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
        assert_eq!(got.warnings[0].code, WarningCode::OffsetBeyondEnd);
    }

    #[test]
    fn a_late_start_is_a_time_and_no_sound() {
        let read = |offset: u64, duration: Option<u64>| {
            let seconds = Duration::from_secs;
            let options =
                ReadOptions { offset: Some(seconds(offset)), duration: duration.map(seconds), ..Default::default() };
            let mut collector = Collector::new("x", &options);
            collector.format(8000, 1).expect("fine");
            if collector.at(5.0).expect("fine") {
                collector.push(&[0.1; 32_000], 1).expect("fine");
            }
            let got = collector.finish("test").expect("fine");
            (got.start.seconds(), got.pcm.duration().seconds())
        };
        assert_eq!(read(0, None), (5.0, 4.0));
        assert_eq!(read(3, None), (5.0, 4.0));
        assert_eq!(read(6, None), (6.0, 3.0));
        assert_eq!(read(3, Some(3)), (5.0, 1.0));
        assert_eq!(read(0, Some(3)), (5.0, 0.0));
    }

    #[test]
    fn cancelling_channels_are_reported() {
        let samples: Vec<f32> = (0..400).flat_map(|n| [(n as f32).sin(), -(n as f32).sin()]).collect();
        let got = collect(&ReadOptions::default(), 16_000, 2, &samples).expect("readable");
        assert_eq!(got.warnings[0].code, WarningCode::ChannelsCancel);
        let silence = collect(&ReadOptions::default(), 16_000, 2, &[0.0; 800]).expect("readable");
        assert!(silence.warnings.is_empty());
    }

    #[test]
    fn what_is_no_number_becomes_silence_and_a_warning() {
        let got = collect(&ReadOptions::default(), 16_000, 1, &[0.5, f32::NAN, f32::INFINITY, 2e38]).expect("readable");
        assert_eq!(got.pcm.samples(), [0.5, 0.0, 0.0, 0.0]);
        assert_eq!(got.warnings[0].code, WarningCode::AudioDamaged);
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
