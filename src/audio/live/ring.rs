//! Between an audio callback and its consumer: a ring that the callback never waits for. When it is full, samples are
//! dropped, counted, and reported at the place where they are missing.

use super::{Block, Inner, Source};
use crate::audio::collect::{Mean, check_format};
use crate::audio::fault::Fault;
use crate::audio::level::Level;
use crate::audio::recording::RawFormat;
use crate::audio::resample::Resampler;
use crate::error::{Error, Result};
use crate::transcript::{Warning, WarningCode};
use crate::units::SAMPLE_RATE;
use rtrb::{Consumer, Producer, RingBuffer};
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Gaps that fit beside the samples. When there are more, they become one: what follows is dropped too until a gap
/// can be noted.
const GAPS: usize = 256;
/// How often an empty ring is looked at: a callback must not wake anybody.
const POLL: Duration = Duration::from_millis(5);
/// Seconds a ring may hold.
const SECONDS: std::ops::RangeInclusive<u32> = 1..=600;

/// Makes a source of an audio callback that the program has itself: the callback gives interleaved samples to the
/// [`Feeder`], the [`Source`] delivers them. It holds `seconds` (1 to 600, the nearest of which is taken) of audio that
/// nobody has taken yet. It ends when the feeder is dropped.
///
/// # Errors
/// [`crate::error::ErrorKind::Audio`] for a rate or a number of channels that cannot be read.
pub fn ring(name: &str, format: RawFormat, seconds: u32) -> Result<(Feeder, Source)> {
    let fail = |fault: Fault| Error::audio(format!("{name}: {fault}"));
    check_format(format.rate, usize::from(format.channels)).map_err(fail)?;
    let room = format.rate as usize * seconds.clamp(*SECONDS.start(), *SECONDS.end()) as usize;
    let (samples, to_read) = RingBuffer::new(room);
    let (gaps, gaps_to_read) = RingBuffer::new(GAPS);
    let shared = Arc::new(Shared::default());
    let feeder =
        Feeder { channels: format.channels.into(), samples, gaps, written: 0, lost: 0, shared: shared.clone() };
    let ring = Ring {
        name: name.to_owned(),
        format,
        samples: to_read,
        gaps: gaps_to_read,
        shared,
        resampler: resampler(format.rate).map_err(fail)?,
        read: 0,
        lost: 0,
        timeline: 0,
        ready: Vec::new(),
        dropped: 0,
        ended: false,
        warnings: Vec::new(),
        is_overrun_reported: false,
        level: Level::clipping(),
        device: None,
    };
    Ok((feeder, Source::new(name, Inner::Ring(Box::new(ring)))))
}

fn resampler(rate: u32) -> std::result::Result<Option<Resampler>, Fault> {
    if rate == SAMPLE_RATE { Ok(None) } else { Resampler::live(rate).map(Some) }
}

/// State shared by both ends and the alarm.
#[derive(Default)]
struct Shared {
    /// Nothing more will be written.
    over: AtomicBool,
    /// Frames lost since the last gap that was noted.
    lost: AtomicU64,
    overruns: AtomicU64,
    reason: OnceLock<String>,
}

/// Frames missing at a place.
#[derive(Clone, Copy)]
struct Gap {
    /// Frames written before it.
    at: u64,
    frames: u64,
}

/// The callback's end of a ring.
pub struct Feeder {
    channels: usize,
    samples: Producer<f32>,
    gaps: Producer<Gap>,
    /// Frames written to the ring.
    written: u64,
    /// Frames lost since the last gap that was noted.
    lost: u64,
    shared: Arc<Shared>,
}

impl Feeder {
    /// Takes interleaved samples, which `level` turns into floats in [-1, 1]; an incomplete last frame is dropped.
    /// Allocates nothing, takes no lock, makes no system call and waits for nobody: fit for a real-time thread.
    pub fn push<S: Copy>(&mut self, interleaved: &[S], level: impl Fn(S) -> f32) {
        let mut frames = interleaved.chunks_exact(self.channels);
        let count = frames.len();
        let mut room = self.samples.slots().min(count);
        if room > 0 && self.lost > 0 {
            // The gap is noted before the samples that follow it, so that the consumer sees it first.
            match self.gaps.push(Gap { at: self.written, frames: self.lost }) {
                Ok(()) => self.lost = 0,
                Err(_) => room = 0,
            }
        }
        if room > 0
            && let Ok(chunk) = self.samples.write_chunk_uninit(room)
        {
            let mono = frames.by_ref().map(|frame| Mean::of(frame.iter().map(|&sample| level(sample))).mean());
            self.written += chunk.fill_from_iter(mono) as u64;
        }
        self.lost += frames.len() as u64;
        self.shared.lost.store(self.lost, Ordering::Release);
    }

    /// A handle for whoever learns about the device's troubles.
    pub fn alarm(&self) -> Alarm {
        Alarm(self.shared.clone())
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
    }
}

/// Tells the consumer of a ring about its device; not for the real-time thread, since it allocates.
#[derive(Clone)]
pub struct Alarm(Arc<Shared>);

impl Alarm {
    /// The device is gone: the source ends after everything written so far, with an error that says `reason` behind
    /// the source's name.
    pub fn gone(&self, reason: impl Into<String>) {
        // The first reason is the cause of those that follow.
        let _ = self.0.reason.set(reason.into());
        self.0.over.store(true, Ordering::Release);
    }

    /// The device has lost audio before it came to the ring; how much is not known.
    pub fn overrun(&self) {
        self.0.overruns.fetch_add(1, Ordering::Relaxed);
    }
}

/// The consumer's end.
pub(super) struct Ring {
    name: String,
    format: RawFormat,
    samples: Consumer<f32>,
    gaps: Consumer<Gap>,
    shared: Arc<Shared>,
    /// `None` at 16 kHz, and after a gap until the gap is reported.
    resampler: Option<Resampler>,
    /// Frames read from the ring.
    read: u64,
    /// Frames missing before the place that reading has come to.
    lost: u64,
    /// Samples at 16 kHz, delivered or reported as dropped.
    timeline: u64,
    /// Samples to deliver.
    ready: Vec<f32>,
    /// The gap to report before them.
    dropped: u64,
    /// The feeder ended, and everything is reported.
    ended: bool,
    warnings: Vec<Warning>,
    is_overrun_reported: bool,
    level: Level,
    /// A device's stream, which must live as long as the ring.
    device: Option<Box<dyn Any + Send>>,
}

impl Ring {
    pub(super) fn format(&self) -> RawFormat {
        self.format
    }

    pub(super) fn keep(&mut self, device: Box<dyn Any + Send>) {
        self.device = Some(device);
    }

    pub(super) fn next(&mut self, wait: Duration, most: usize) -> Result<Option<Block>> {
        let start = Instant::now();
        loop {
            let over = match self.ready.is_empty() {
                true => self.fill().map_err(|fault| Error::audio(format!("{}: {fault}", self.name)))?,
                false => false,
            };
            self.look_for_overruns();
            if !self.ready.is_empty() || (over && self.dropped > 0) {
                let count = self.ready.len().min(most);
                let samples = self.ready.drain(..count).collect();
                return Ok(Some(Block { samples, dropped: std::mem::take(&mut self.dropped) }));
            }
            if over {
                self.device = None;
                return match self.shared.reason.get() {
                    Some(reason) => Err(Error::audio(format!("{}: {reason}", self.name))),
                    None => Ok(None),
                };
            }
            let Some(left) = wait.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                return Ok(Some(Block::default()));
            };
            std::thread::sleep(left.min(POLL));
        }
    }

    pub(super) fn warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    /// Moves everything up to the next gap from the ring to `ready`, which is empty. True when there is nothing more
    /// and never will be.
    fn fill(&mut self) -> std::result::Result<bool, Fault> {
        loop {
            // In this order: whatever was written before the end is seen, and every gap before a sample that is seen.
            let over = self.shared.over.load(Ordering::Acquire);
            let there = self.samples.slots();
            let gap = self.gaps.peek().ok().copied();
            let before_gap = gap.map_or(u64::MAX, |gap| gap.at - self.read);
            let count = there.min(usize::try_from(before_gap).unwrap_or(usize::MAX));
            if self.ended {
                return Ok(true);
            } else if count > 0 {
                self.take(count)?;
                if !self.ready.is_empty() {
                    return Ok(false);
                }
            } else if before_gap == 0 {
                self.flush()?;
                if !self.ready.is_empty() {
                    return Ok(false);
                }
                let _ = self.gaps.pop();
                self.note_missing(gap.map_or(0, |gap| gap.frames));
                self.resampler = resampler(self.format.rate)?;
            } else if over {
                self.flush()?;
                if self.ready.is_empty() {
                    self.note_missing(self.shared.lost.load(Ordering::Acquire));
                    self.ended = true;
                }
                return Ok(self.ended);
            } else {
                return Ok(false);
            }
        }
    }

    /// Moves `count` frames, which are there, to `ready`.
    fn take(&mut self, count: usize) -> std::result::Result<(), Fault> {
        let Ok(chunk) = self.samples.read_chunk(count) else { return Ok(()) };
        let before = self.ready.len();
        let (first, second) = chunk.as_slices();
        for part in [first, second] {
            match &mut self.resampler {
                Some(resampler) => resampler.push(part, &mut self.ready)?,
                None => self.ready.extend_from_slice(part),
            }
        }
        chunk.commit_all();
        self.read += count as u64;
        self.made(before);
        Ok(())
    }

    /// Moves what the resampler holds back to `ready`: the audio stops here.
    fn flush(&mut self) -> std::result::Result<(), Fault> {
        let before = self.ready.len();
        if let Some(resampler) = self.resampler.take() {
            resampler.finish(&mut self.ready)?;
            self.made(before);
        }
        Ok(())
    }

    /// Limits and counts the samples of `ready` from `start` on.
    fn made(&mut self, start: usize) {
        let made = &mut self.ready[start..];
        self.timeline += made.len() as u64;
        if let Some(clipped) = self.level.scale(made) {
            self.warnings
                .push(Warning { code: WarningCode::AudioClipped, message: format!("{}: {clipped}", self.name) });
        }
    }

    /// Notes that frames are missing here. Rounded so that positions stay right to the sample, however many gaps.
    fn note_missing(&mut self, frames: u64) {
        self.lost += frames;
        let position = u128::from(self.read + self.lost) * u128::from(SAMPLE_RATE) / u128::from(self.format.rate);
        let dropped = if frames == 0 { 0 } else { (position as u64).saturating_sub(self.timeline) };
        self.timeline += dropped;
        self.dropped += dropped;
    }

    fn look_for_overruns(&mut self) {
        if !self.is_overrun_reported && self.shared.overruns.load(Ordering::Relaxed) > 0 {
            self.is_overrun_reported = true;
            self.warnings.push(Warning {
                code: WarningCode::DeviceOverrun,
                message: format!(
                    "{}: the device lost audio before this program got it, so words may be missing; close other \
                     programs that load the machine (reported once)",
                    self.name
                ),
            });
        }
    }
}
