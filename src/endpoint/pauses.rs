//! From "speech or not", frame by frame, to utterances. Knows nothing of sound.

use super::{Cut, EndReason};
use crate::units::{SAMPLE_RATE, SampleIndex};
use std::ops::Range;

/// Samples in a number of milliseconds.
const fn milliseconds(count: u64) -> u64 {
    count * SAMPLE_RATE as u64 / 1000
}

/// An utterance begins this much before its first speech: soft onsets.
const BEFORE: u64 = milliseconds(300);

/// It ends this much after its last speech, or where its pause was noticed if that is earlier.
const AFTER: u64 = milliseconds(350);

/// The pause that ends a short utterance, and one that is nearly as long as it may be.
const PAUSE: Range<u64> = milliseconds(300)..milliseconds(800);

/// Speech is counted over this long.
const COUNTED: u64 = milliseconds(200);

/// So much of it begins an utterance …
const BEGINS: u64 = milliseconds(80);

/// … and so much keeps it going: single frames in a pause are noise.
const GOES_ON: u64 = milliseconds(40);

/// A recording up to this long is an utterance if there is any speech in it at all.
pub(super) const SHORT: u64 = milliseconds(2000);

/// Earlier than this before the last frame no utterance begins and no quiet place is asked for, beyond the reach of
/// the latter.
pub(super) const LOOK_BACK: u64 = SHORT + BEFORE + COUNTED;

/// The utterance that is running.
#[derive(Debug, Clone, Copy)]
struct Running {
    start: u64,
    /// One past its last speech.
    speech: u64,
}

/// The decisions so far. Positions are samples.
#[derive(Debug)]
pub(super) struct Pauses {
    frame: u64,
    longest: u64,
    /// How far before the longest utterance a quiet place is looked for.
    reach: u64,
    /// One past the last frame.
    end: u64,
    /// Speech in the latest frames: one bit each, the last frame lowest.
    recent: u32,
    counted: u32,
    begins: u32,
    goes_on: u32,
    running: Option<Running>,
    /// One past the last utterance.
    free: u64,
    /// First speech of the stream, until an utterance has begun.
    first: Option<u64>,
    begun: bool,
}

impl Pauses {
    /// For frames of `frame` samples (10 ms or a little more) and utterances of at most `longest` samples (at least 1).
    pub(super) fn new(frame: u64, longest: u64, reach: u64) -> Self {
        Self {
            frame,
            longest: longest.max(1),
            reach: reach.min(longest / 2),
            end: 0,
            recent: 0,
            counted: (1u32 << (COUNTED / frame)) - 1,
            begins: (BEGINS / frame) as u32,
            goes_on: (GOES_ON.div_ceil(frame)) as u32,
            running: None,
            free: 0,
            first: None,
            begun: false,
        }
    }

    /// The next frame, whole or the input's last. `quiet` finds the quietest sample of a range.
    pub(super) fn advance(
        &mut self,
        samples: u64,
        speech: bool,
        quiet: impl Fn(Range<u64>) -> u64,
        cuts: &mut Vec<Cut>,
    ) {
        let frame_start = self.end;
        self.end += samples;
        self.recent = (self.recent << 1 | u32::from(speech)) & self.counted;
        if speech && !self.begun {
            self.first.get_or_insert(frame_start);
        }
        let count = self.recent.count_ones();
        match &mut self.running {
            None if count >= self.begins => self.begin(self.first_counted(frame_start), cuts),
            Some(running) if speech && count >= self.goes_on => running.speech = self.end,
            _ => {}
        }
        self.end_if_due(quiet, cuts);
    }

    /// The input is over.
    pub(super) fn finish(&mut self, quiet: impl Fn(Range<u64>) -> u64, cuts: &mut Vec<Cut>) {
        if let (false, Some(first)) = (self.begun, self.first)
            && self.end <= SHORT
        {
            self.begin(first, cuts);
            self.end_if_due(quiet, cuts);
        }
        if self.running.take().is_some() {
            cuts.push(Cut::End { at: SampleIndex(self.end), why: EndReason::Input });
            self.free = self.end;
        }
    }

    /// Samples from the last speech to `heard`, while an utterance runs and its last whole frame is not speech.
    pub(super) fn quiet_for(&self, heard: u64) -> u64 {
        self.running.filter(|running| running.speech < self.end).map_or(0, |running| heard - running.speech)
    }

    /// No later cut lies before this.
    pub(super) fn keep_from(&self) -> u64 {
        if let Some(running) = self.running {
            return running.start;
        }
        let mut speech = self.first_counted(self.end);
        if !self.begun && self.end <= SHORT {
            speech = speech.min(self.first.unwrap_or(speech));
        }
        self.free.max(speech.saturating_sub(BEFORE))
    }

    /// Start of the first counted frame with speech, or `otherwise`. Only the input's last frame may be shorter.
    fn first_counted(&self, otherwise: u64) -> u64 {
        let frames = u64::from(u32::BITS - self.recent.leading_zeros());
        if frames == 0 { otherwise } else { (self.end.next_multiple_of(self.frame)) - frames * self.frame }
    }

    fn begin(&mut self, speech: u64, cuts: &mut Vec<Cut>) {
        let start = self.free.max(speech.saturating_sub(BEFORE));
        self.running = Some(Running { start, speech: self.end });
        self.begun = true;
        cuts.push(Cut::Begin(SampleIndex(start)));
    }

    /// Ends the running utterance at its pause or, when it has outgrown its length, at a quiet place.
    fn end_if_due(&mut self, quiet: impl Fn(Range<u64>) -> u64, cuts: &mut Vec<Cut>) {
        while let Some(Running { start, speech }) = self.running {
            let limit = start.saturating_add(self.longest);
            let mut paused = self.end - speech >= self.pause_needed(self.end - start);
            if !paused && self.end <= limit {
                return;
            }
            let mut cut = limit;
            if !paused {
                cut = quiet(limit - self.reach..limit);
                // The quietest place is the pause that runs already: what follows it is no part of this utterance.
                paused = cut >= speech;
            }
            let (at, why) = match paused {
                true => ((speech + AFTER).min(self.end).min(limit), EndReason::Pause),
                false => (cut, EndReason::Length),
            };
            cuts.push(Cut::End { at: SampleIndex(at), why });
            self.free = at;
            self.running = None;
            if !paused {
                cuts.push(Cut::Begin(SampleIndex(at)));
                self.running = Some(Running { start: at, speech });
            }
        }
    }

    /// The pause that ends an utterance of this length: the longest up to half of what it may be, then less and less.
    fn pause_needed(&self, length: u64) -> u64 {
        let half = self.longest / 2;
        let over = length.min(self.longest).saturating_sub(half);
        let less = u128::from(PAUSE.end - PAUSE.start) * u128::from(over) / u128::from(self.longest - half);
        PAUSE.end - less as u64
    }
}
