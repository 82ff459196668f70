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
const SHORT: u64 = milliseconds(2000);

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

    /// Samples of an utterance before the first place where its length may cut it.
    pub(super) fn surely_whole(&self) -> u64 {
        self.longest - self.reach
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
            // Some of it may lie before the last end; a frame of speech after it is needed.
            None if speech && count >= self.begins => self.begin(self.first_counted(frame_start), cuts),
            Some(running) if speech && count >= self.goes_on => running.speech = self.end,
            _ => {}
        }
        self.end_if_due(quiet, cuts);
    }

    /// The input is over.
    pub(super) fn finish(&mut self, quiet: impl Fn(Range<u64>) -> u64, cuts: &mut Vec<Cut>) {
        if self.running.is_none() {
            // Speech that the end of the input cut off needs no more than speech that keeps an utterance going.
            let enough = self.recent.count_ones() >= self.goes_on && self.last_counted() > self.free;
            let cut_off = enough.then(|| self.first_counted(self.end));
            let short = self.first.filter(|_| !self.begun && self.end <= SHORT);
            if let Some(first) = short.or(cut_off) {
                self.begin(first, cuts);
                self.end_if_due(quiet, cuts);
            }
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

    /// One past the last counted frame with speech, if there is one.
    fn last_counted(&self) -> u64 {
        let frames = u64::from(self.recent.trailing_zeros());
        self.end.next_multiple_of(self.frame).saturating_sub(frames * self.frame).min(self.end)
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

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = 160;

    /// The cuts of frames that are speech or not; the quietest place is always this far before the end of its range.
    fn cuts(frames: &[bool], longest: u64, quiet: u64) -> Vec<Cut> {
        let mut pauses = Pauses::new(FRAME, longest, 5 * u64::from(SAMPLE_RATE));
        let mut cuts = Vec::new();
        let find = |range: Range<u64>| range.end.saturating_sub(quiet).max(range.start);
        for &speech in frames {
            pauses.advance(FRAME, speech, find, &mut cuts);
        }
        pauses.finish(find, &mut cuts);
        cuts
    }

    fn ranges(cuts: &[Cut]) -> Vec<Range<u64>> {
        let pairs = cuts.chunks(2).map(|pair| match pair {
            [Cut::Begin(start), Cut::End { at, .. }] => start.0..at.0,
            _ => panic!("cuts do not alternate: {cuts:?}"),
        });
        pairs.collect()
    }

    /// Frames in runs of up to `run`, about one in `share` of them speech, the same on every call.
    fn chatter(seed: u64, run: u64, share: u64) -> Vec<bool> {
        let mut state = seed;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut frames = Vec::new();
        while frames.len() < 6000 {
            let speech = next(share) == 0;
            (0..=next(run)).for_each(|_| frames.push(speech));
        }
        frames
    }

    #[test]
    fn no_speech_is_ever_outside() {
        let (counted, begins) = ((COUNTED / FRAME) as usize, (BEGINS / FRAME) as usize);
        for seed in 0..60 {
            let frames = chatter(seed, [2, 8, 40, 150][seed as usize % 4], [2, 3, 6][seed as usize % 3]);
            for longest in [800, 16_000, 50_000, 480_000] {
                let found = ranges(&cuts(&frames, longest, 3000));
                assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start), "seed {seed}: {found:?}");
                assert!(found.iter().all(|r| r.start < r.end && r.end - r.start <= longest), "seed {seed}: {found:?}");
                for (first, window) in frames.windows(counted).enumerate() {
                    if window.iter().filter(|&&speech| speech).count() < begins {
                        continue;
                    }
                    for frame in (first..first + counted).filter(|&frame| frames[frame]) {
                        let at = frame as u64 * FRAME + FRAME / 2;
                        assert!(found.iter().any(|r| r.contains(&at)), "seed {seed}, {longest}: {at} in {found:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn too_little_speech_begins_nothing_and_keeps_nothing_going() {
        let mut frames = vec![false; 1000];
        frames[300..307].fill(true);
        assert_eq!(cuts(&frames, 480_000, 0), []);
        frames[307] = true;
        let expected = |end| Vec::from_iter(Some(300 * FRAME - BEFORE..end));
        assert_eq!(ranges(&cuts(&frames, 480_000, 0)), expected(308 * FRAME + AFTER));
        // Three frames are not enough 0.5 s later; a fourth is.
        frames[350..353].fill(true);
        assert_eq!(ranges(&cuts(&frames, 480_000, 0)), expected(308 * FRAME + AFTER));
        frames[353] = true;
        assert_eq!(ranges(&cuts(&frames, 480_000, 0)), expected(354 * FRAME + AFTER));
    }

    #[test]
    fn what_the_end_of_the_input_cuts_off_is_kept() {
        let mut frames = vec![false; 1000];
        frames[995..].fill(true);
        assert_eq!(ranges(&cuts(&frames, 480_000, 0)), Vec::from_iter(Some(995 * FRAME - BEFORE..1000 * FRAME)));
        frames[995..997].fill(false);
        assert_eq!(cuts(&frames, 480_000, 0), []);
    }

    #[test]
    fn a_pause_that_holds_the_quietest_place_ends_the_utterance_itself() {
        // Speech up to 0.1 s before the longest utterance, too short a pause; then speech again or none.
        let (longest, paused) = (500 * FRAME, 490);
        for goes_on in [true, false] {
            let frames: Vec<bool> = (0..600).map(|frame| frame < paused || (goes_on && frame >= 504)).collect();
            let [Cut::Begin(SampleIndex(0)), Cut::End { at, why: EndReason::Pause }, rest @ ..] =
                &cuts(&frames, longest, 500)[..]
            else {
                panic!("no end by the pause")
            };
            assert_eq!(at.0, longest);
            let begins = [Cut::Begin(*at), Cut::End { at: SampleIndex(600 * FRAME), why: EndReason::Input }];
            assert_eq!(rest, if goes_on { &begins[..] } else { &[] });
        }
        // The quietest place is not in the pause: cut there, and what follows is one more utterance.
        let frames: Vec<bool> = (0..600).map(|frame| frame < paused).collect();
        let found = cuts(&frames, longest, 5000);
        assert_eq!(found[1], Cut::End { at: SampleIndex(longest - 5000), why: EndReason::Length });
        assert_eq!(ranges(&found), [0..longest - 5000, longest - 5000..490 * FRAME + AFTER]);
    }
}
