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
pub mod split;

use crate::audio::SampleBuffer;
use crate::units::SampleIndex;
use levels::Levels;
use neural::Neural;
use pauses::Pauses;
use serde::{Deserialize, Serialize};
use split::{REACH, find_quiet};
use std::ops::Range;

/// The speech detector.
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

/// Settings of an [`Endpointer`].
#[derive(Debug, Clone, Copy)]
pub struct EndpointOptions {
    /// The speech detector.
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
        /// Reason for its end.
        why: EndReason,
    },
}

/// Reason for the end of an utterance.
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
    /// One past the last whole frame.
    framed: u64,
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
            sound,
            framed: 0,
            heard: 0,
            finished: false,
        }
    }

    /// Adds to `cuts`, in order, the decisions about the samples of the stream that are new in `audio`. It has to have all
    /// samples from [`Self::keep_from`] on. After [`Self::finish`] nothing is heard any more.
    pub fn advance(&mut self, audio: &SampleBuffer, cuts: &mut Vec<Cut>) {
        if self.finished {
            return;
        }
        let frame = self.sound.frame() as u64;
        self.heard = audio.end().0;
        while self.framed + frame <= self.heard {
            let speech = self.sound.is_speech(samples(audio, self.framed..self.framed + frame));
            self.framed += frame;
            self.pauses.advance(frame, speech, |range| quietest(audio, range), cuts);
        }
    }

    /// The audio is over: a running utterance ends with [`EndReason::Input`] after the last sample heard. Speech that
    /// is too short to begin an utterance begins one now if it is cut off here, or if the whole recording is no longer
    /// than 2 s.
    pub fn finish(&mut self, audio: &SampleBuffer, cuts: &mut Vec<Cut>) {
        if self.finished {
            return;
        }
        self.advance(audio, cuts);
        self.finished = true;
        let mut frame = samples(audio, self.framed..self.heard).to_vec();
        let rest = frame.len() as u64;
        if rest > 0 {
            frame.resize(self.sound.frame(), 0.0);
            let speech = self.sound.is_speech(&frame);
            self.framed = self.heard;
            self.pauses.advance(rest, speech, |range| quietest(audio, range), cuts);
        }
        self.pauses.finish(|range| quietest(audio, range), cuts);
    }

    /// An utterance that begins with `start` is not cut by its length before this.
    pub fn earliest_length_cut(&self, start: SampleIndex) -> SampleIndex {
        start + self.pauses.surely_whole()
    }

    /// One past the last sample heard.
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
}

fn samples(audio: &SampleBuffer, range: Range<u64>) -> &[f32] {
    audio.range(SampleIndex(range.start)..SampleIndex(range.end))
}

/// The quietest place of a range of the stream; its end, if it is too short to choose.
fn quietest(audio: &SampleBuffer, range: Range<u64>) -> u64 {
    find_quiet(samples(audio, range.clone())).map_or(range.end, |at| range.start + at as u64)
}

/// A detector's decision about speech, frame by frame.
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
