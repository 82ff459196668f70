//! Decides where one utterance ends and the next begins, from the audio alone, so that the live and the offline
//! driver cut the same recording at the same samples.
//!
//! ```text
//! samples ─ frames ─▶ levels | neural ─ speech or not ─▶ pauses ─▶ Begin, End
//! ```
//!
//! The frames lie on a fixed grid from the stream's first sample and every decision uses whole frames, so the cuts do
//! not depend on how the audio was handed over. docs/ENDPOINT.md has the rule and what it was measured on.

mod levels;
mod neural;
mod pauses;

use crate::audio::split::{REACH, find_quiet};
use crate::units::SampleIndex;
use levels::Levels;
use neural::Neural;
use pauses::Pauses;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How speech is told from everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detector {
    /// Levels of frequency bands above their own tracked background.
    #[default]
    Energy,
    /// A small neural network.
    Neural,
    /// None: everything is speech, and only the longest utterance ends one.
    Off,
}

/// What an [`Endpointer`] needs to know.
#[derive(Debug, Clone, Copy)]
pub struct EndpointOptions {
    /// How speech is told from silence.
    pub detector: Detector,
    /// Longest utterance, in samples; it is cut at a quiet place shortly before.
    pub longest: usize,
}

/// A decision about the stream, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// An utterance begins with this sample, which may lie before what was heard last.
    Begin(SampleIndex),
    /// The utterance ends before this sample.
    End {
        /// One past its last sample.
        at: SampleIndex,
        /// What ended it.
        why: EndReason,
    },
}

/// What ended an utterance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// A pause followed.
    Pause,
    /// It was as long as an utterance may be; the next one follows without a gap.
    Length,
    /// The audio ended.
    Input,
}

/// Cuts one stream into utterances, causally and in constant memory.
///
/// The cuts alternate: [`Cut::Begin`], [`Cut::End`], and so on. Utterances do not overlap, none is longer than
/// [`EndpointOptions::longest`], and what lies between them is not speech.
#[derive(Debug)]
pub struct Endpointer {
    sound: Sound,
    pauses: Pauses,
    /// The samples after the last whole frame.
    rest: Vec<f32>,
    /// The last samples of all whole frames: where quiet places are looked for.
    tail: Vec<f32>,
    /// Samples of the tail that may be asked for.
    tail_needed: usize,
    heard: u64,
    finished: bool,
}

impl Endpointer {
    /// For a stream that begins. A longest utterance of 0 is taken as 1 sample.
    pub fn new(options: &EndpointOptions) -> Self {
        let sound = match options.detector {
            Detector::Energy => Sound::Levels(Box::new(Levels::new())),
            Detector::Neural => Sound::Neural(Neural::new()),
            Detector::Off => Sound::Everything,
        };
        let reach = REACH.min(options.longest / 4);
        Self {
            pauses: Pauses::new(sound.frame() as u64, options.longest as u64, reach as u64),
            rest: Vec::with_capacity(sound.frame()),
            tail: Vec::new(),
            tail_needed: reach + pauses::LOOK_BACK as usize + 2 * sound.frame(),
            sound,
            heard: 0,
            finished: false,
        }
    }

    /// Takes the next samples (mono, 16 kHz, any number) and adds what they decide to `cuts`, in order.
    ///
    /// What is not finite counts as 0, and what is beyond full scale as full scale. After [`Self::finish`] nothing is
    /// heard any more.
    pub fn append(&mut self, block: &[f32], cuts: &mut Vec<Cut>) {
        if self.finished {
            return;
        }
        for part in block.chunks(self.sound.frame()) {
            self.heard += part.len() as u64;
            self.rest.extend(part.iter().map(|&x| if x.is_finite() { x.clamp(-1.0, 1.0) } else { 0.0 }));
            if self.rest.len() >= self.sound.frame() {
                self.take_frame(self.sound.frame(), cuts);
            }
        }
    }

    /// The audio is over: a running utterance ends with [`EndReason::Input`] behind the last sample heard. Speech that
    /// is too short to begin an utterance begins one now if it is cut off here, or if the whole recording is no longer
    /// than 2 s.
    pub fn finish(&mut self, cuts: &mut Vec<Cut>) {
        if self.finished {
            return;
        }
        self.finished = true;
        let rest = self.rest.len();
        if rest > 0 {
            self.rest.resize(self.sound.frame(), 0.0);
            self.take_frame(rest, cuts);
        }
        let tail = Tail { samples: &self.tail, end: self.heard };
        self.pauses.finish(|range| tail.quiet(range), cuts);
    }

    /// An utterance that begins with `start` is not cut by its length before this.
    pub fn earliest_length_cut(&self, start: SampleIndex) -> SampleIndex {
        start + self.pauses.surely_whole()
    }

    /// One past the last sample appended.
    pub fn heard(&self) -> SampleIndex {
        SampleIndex(self.heard)
    }

    /// Samples since speech was heard last, while an utterance runs; 0 during speech and while none runs.
    pub fn quiet_for(&self) -> u64 {
        self.pauses.quiet_for(self.heard)
    }

    /// No later cut lies before this: the caller may forget earlier samples. The start of the running utterance, or
    /// shortly before what was heard last.
    pub fn keep_from(&self) -> SampleIndex {
        SampleIndex(self.pauses.keep_from())
    }

    /// Hands the first frame of the rest on; only its first `heard` samples are part of the stream.
    fn take_frame(&mut self, heard: usize, cuts: &mut Vec<Cut>) {
        let frame = self.sound.frame();
        let speech = self.sound.is_speech(&self.rest[..frame]);
        if self.tail.len() > self.tail_needed + crate::units::SAMPLE_RATE as usize {
            self.tail.drain(..self.tail.len() - self.tail_needed);
        }
        self.tail.extend_from_slice(&self.rest[..heard]);
        self.rest.drain(..frame);
        let tail = Tail { samples: &self.tail, end: self.heard - self.rest.len() as u64 };
        self.pauses.advance(heard as u64, speech, |range| tail.quiet(range), cuts);
    }
}

/// The last samples of the stream.
struct Tail<'a> {
    samples: &'a [f32],
    /// One past the last of them, in the stream.
    end: u64,
}

impl Tail<'_> {
    /// The quietest place of a range of the stream; its end, if it is too short to choose.
    fn quiet(&self, range: Range<u64>) -> u64 {
        let first = self.end - self.samples.len() as u64;
        let index = |position: u64| usize::try_from(position.saturating_sub(first)).unwrap_or(usize::MAX);
        let samples = self.samples.get(index(range.start)..index(range.end)).unwrap_or_default();
        find_quiet(samples).map_or(range.end, |at| range.start + at as u64)
    }
}

/// What tells speech from everything else, frame by frame.
#[derive(Debug)]
enum Sound {
    Levels(Box<Levels>),
    Neural(Neural),
    Everything,
}

impl Sound {
    /// Samples of one frame.
    fn frame(&self) -> usize {
        match self {
            Self::Levels(_) | Self::Everything => levels::FRAME,
            Self::Neural(_) => neural::FRAME,
        }
    }

    fn is_speech(&mut self, frame: &[f32]) -> bool {
        match self {
            Self::Levels(levels) => frame.first_chunk().is_some_and(|frame| levels.stands_out(frame)),
            Self::Neural(neural) => frame.first_chunk().is_some_and(|frame| neural.is_speech(frame)),
            Self::Everything => true,
        }
    }
}
