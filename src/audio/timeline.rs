//! Where a block lies in the time of its recording. Containers give their packets times; what is missing between them
//! becomes silence, so that nothing moves what comes later, and every missing part is reported with place and length.

use crate::transcript::WarningCode;

/// Why a part of a recording is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The packets' times say that nothing was recorded.
    Gap,
    /// It was there and cannot be decoded.
    Damaged,
}

/// Where a block goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// Right after the one before.
    Here,
    /// At the start of a recording that begins this number of frames later than its file.
    Late(u64),
    /// After this number of frames of silence.
    After(u64),
}

/// Times that differ less from the samples' own are rounding and jitter: Matroska counts in milliseconds, browsers give
/// packets the time at which they were handled.
const JITTER: f64 = 0.1;
/// The same at the start, where nothing can have drifted yet.
const START_JITTER: f64 = 0.04;
/// A block this much before the end of what is there begins a new count of time, as in files that were joined.
const RESTART: f64 = 0.5;
/// A later time is a new count, not a hole: no recording pauses this long.
const LONGEST_GAP: f64 = 24.0 * 3600.0;
/// So many missing parts are reported one by one, the others as a sum.
const REPORTED: usize = 5;

/// A missing part, in seconds.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: f64,
    end: f64,
    why: Missing,
}

/// The time of one recording.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    rate: u32,
    /// Frames at this rate, from `before` on.
    frames: u64,
    /// Seconds before the first frame of this rate.
    before: f64,
    /// Offset added to the container's times.
    shift: f64,
    /// Anything was placed or pushed.
    begun: bool,
    /// The missing part that may still go on.
    open: Option<Part>,
    closed: Vec<Part>,
    reported: usize,
    unreported: usize,
    unreported_seconds: f64,
}

impl Timeline {
    /// The rate of the frames that follow.
    pub(crate) fn set_rate(&mut self, rate: u32) {
        (self.before, self.frames, self.rate) = (self.now(), 0, rate);
    }

    /// The end of what is there, in seconds.
    pub(crate) fn now(&self) -> f64 {
        if self.rate == 0 { self.before } else { self.before + self.frames as f64 / f64::from(self.rate) }
    }

    /// So many frames were decoded.
    pub(crate) fn advance(&mut self, frames: u64) {
        if frames > 0 {
            self.begun = true;
            self.frames += frames;
            self.closed.extend(self.open.take());
        }
    }

    /// Where the block goes that was recorded at `seconds`, by its container's count. The silence before it counts as
    /// pushed.
    pub(crate) fn place(&mut self, seconds: f64) -> Placed {
        let missing = seconds + self.shift - self.now();
        let is_start = !std::mem::replace(&mut self.begun, true);
        if !(-RESTART..=LONGEST_GAP).contains(&missing) || (is_start && missing < 0.0) {
            if missing.is_finite() {
                self.shift -= missing;
            }
            return Placed::Here;
        }
        if missing < if is_start { START_JITTER } else { JITTER } {
            return Placed::Here;
        }
        // A recording that begins later than its film is whole.
        if is_start { Placed::Late(self.skip(missing)) } else { Placed::After(self.lose(missing, Missing::Gap)) }
    }

    /// A part of this length is missing here. Returns its frames, which count as pushed.
    pub(crate) fn lose(&mut self, seconds: f64, why: Missing) -> u64 {
        let start = self.now();
        let frames = self.skip(seconds.clamp(0.0, LONGEST_GAP));
        let end = self.now();
        match &mut self.open {
            Some(open) if open.why == why => open.end = end,
            // Times that go on later than the damaged packets were long: one hole, and its cause is the damage.
            Some(open) if open.why == Missing::Damaged => open.end = end,
            _ => {
                self.closed.extend(self.open.take());
                self.open = (frames > 0).then_some(Part { start, end, why });
            }
        }
        frames
    }

    fn skip(&mut self, seconds: f64) -> u64 {
        self.begun = true;
        let frames = (seconds * f64::from(self.rate)).round() as u64;
        self.frames += frames;
        frames
    }

    /// Missing parts that have not been reported yet, as codes and sentences; with `last`, also the one at the end and
    /// the sum of those that were too many.
    pub(crate) fn news(&mut self, last: bool) -> Vec<(WarningCode, String)> {
        if last {
            self.closed.extend(self.open.take());
        }
        let mut news = Vec::new();
        for part in self.closed.drain(..) {
            if self.reported >= REPORTED {
                self.unreported += 1;
                self.unreported_seconds += part.end - part.start;
                continue;
            }
            self.reported += 1;
            let place = format!("from {} to {}", clock(part.start), clock(part.end));
            let length = part.end - part.start;
            news.push(match part.why {
                Missing::Gap => (
                    WarningCode::AudioGap,
                    format!("nothing was recorded {place} ({length:.2} s); silence stands there"),
                ),
                Missing::Damaged => (
                    WarningCode::AudioDamaged,
                    format!("the audio {place} ({length:.2} s) is damaged or lost; silence stands there"),
                ),
            });
        }
        if last && self.unreported > 0 {
            let (count, seconds) = (self.unreported, self.unreported_seconds);
            self.unreported = 0;
            news.push((WarningCode::AudioDamaged, format!("{count} more parts are missing, {seconds:.2} s in all")));
        }
        news
    }
}

/// Hours, minutes and seconds with hundredths: `0:02.28`, `1:00:02.28`.
fn clock(seconds: f64) -> String {
    let hundredths = (seconds * 100.0).round() as u64;
    let (minutes, hundredths) = (hundredths / 6000, hundredths % 6000);
    let seconds = format!("{:02}.{:02}", hundredths / 100, hundredths % 100);
    match minutes / 60 {
        0 => format!("{minutes}:{seconds}"),
        hours => format!("{hours}:{:02}:{seconds}", minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A timeline at 1 kHz.
    fn timeline() -> Timeline {
        let mut timeline = Timeline::default();
        timeline.set_rate(1000);
        timeline
    }

    #[test]
    fn a_late_start_is_kept_and_not_reported() {
        let mut time = timeline();
        assert_eq!(time.place(5.0), Placed::Late(5000));
        time.advance(1000);
        assert_eq!((time.now(), time.news(true)), (6.0, vec![]));
        assert_eq!(timeline().place(0.03), Placed::Here);
        assert_eq!(timeline().place(-3.0), Placed::Here);
    }

    #[test]
    fn a_hole_becomes_silence_and_is_reported_once() {
        let mut time = timeline();
        assert_eq!(time.place(0.0), Placed::Here);
        time.advance(2000);
        assert_eq!(time.place(2.09), Placed::Here);
        assert_eq!(time.place(10.5), Placed::After(8500));
        assert!(time.news(false).is_empty(), "it may go on");
        time.advance(10);
        let news = time.news(false);
        assert_eq!(news.len(), 1);
        assert!(
            news[0].0 == WarningCode::AudioGap && news[0].1.contains("from 0:02.00 to 0:10.50 (8.50 s)"),
            "{news:?}"
        );
        assert!(time.news(true).is_empty());
    }

    #[test]
    fn damaged_packets_in_a_row_are_one_part_with_the_hole_after_them() {
        let mut time = timeline();
        time.advance(1000);
        assert_eq!((time.lose(0.5, Missing::Damaged), time.lose(0.5, Missing::Damaged)), (500, 500));
        assert_eq!(time.place(3.0), Placed::After(1000));
        time.advance(1);
        let news = time.news(true);
        assert_eq!(news.len(), 1);
        assert!(news[0].0 == WarningCode::AudioDamaged && news[0].1.contains("from 0:01.00 to 0:03.00"), "{news:?}");
    }

    #[test]
    fn a_count_that_starts_again_goes_on_from_the_end() {
        let mut time = timeline();
        time.place(0.0);
        time.advance(5000);
        assert_eq!(time.place(0.0), Placed::Here);
        time.advance(1000);
        assert_eq!(time.place(1.0), Placed::Here);
        assert_eq!(time.place(2.0), Placed::After(1000));
        assert_eq!(time.place(1e9), Placed::Here);
        assert_eq!(time.place(f64::NAN), Placed::Here);
        time.advance(1000);
        assert_eq!(time.place(1e9 + 1.0), Placed::Here);
    }

    #[test]
    fn many_holes_end_in_a_sum() {
        let mut time = timeline();
        for number in 0..9u32 {
            time.advance(100);
            time.place(f64::from(number + 1));
            time.advance(1);
        }
        assert_eq!(time.news(false).len(), REPORTED);
        let rest = time.news(true);
        assert!(rest.len() == 1 && rest[0].1.starts_with("4 more parts"), "{rest:?}");
    }

    #[test]
    fn the_rate_may_change() {
        let mut time = timeline();
        time.advance(1000);
        time.set_rate(500);
        time.advance(500);
        assert_eq!(time.now(), 2.0);
        assert_eq!(time.place(4.0), Placed::After(1000));
    }

    #[test]
    fn places_are_written_as_clocks() {
        assert_eq!([clock(2.284), clock(62.0), clock(3602.5)], ["0:02.28", "1:02.00", "1:00:02.50"]);
    }
}
