//! A recording that is already in memory, as if it were being spoken now.

use super::{Block, Inner, Source};
use crate::audio::pcm::Pcm16k;
use crate::units::{SAMPLE_RATE, SampleIndex};
use std::time::{Duration, Instant};

/// Plays a recording: `block_samples` (at least 1) at a time, as fast as blocks are taken, or with `realtime` not
/// before the clock has reached the end of each. The clock starts with the first [`Source::next`]; who comes late gets
/// every block that is due as one.
pub fn replay(pcm: Pcm16k, realtime: bool, block_samples: usize) -> Source {
    let clock: Option<Box<dyn Clock>> = if realtime { Some(Box::new(WallClock(None))) } else { None };
    Source::new("recording", Inner::Replay(Replay { pcm, at: 0, block: block_samples.max(1), clock }))
}

/// The time since it was asked first.
trait Clock: Send {
    fn now(&mut self) -> Duration;
    fn sleep(&mut self, time: Duration);
}

struct WallClock(Option<Instant>);

impl Clock for WallClock {
    fn now(&mut self) -> Duration {
        self.0.get_or_insert_with(Instant::now).elapsed()
    }

    fn sleep(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

pub(super) struct Replay {
    pcm: Pcm16k,
    /// Samples delivered.
    at: usize,
    block: usize,
    /// `None`: as fast as they are taken.
    clock: Option<Box<dyn Clock>>,
}

impl Replay {
    pub(super) fn length(&self) -> SampleIndex {
        self.pcm.duration()
    }

    pub(super) fn next(&mut self, wait: Duration, most: usize) -> Option<Block> {
        let left = self.pcm.len() - self.at;
        if left == 0 {
            return None;
        }
        let mut count = self.block.min(left);
        if let Some(clock) = &mut self.clock {
            let mut now = clock.now();
            let due_at = time_of(self.at + count);
            if due_at > now {
                clock.sleep((due_at - now).min(wait));
                now = clock.now();
            }
            if due_at > now {
                return Some(Block::default());
            }
            // Whole blocks, and the rest of the recording with the last one.
            let reached = samples_by(now).min(self.pcm.len()) - self.at;
            count = if reached == left { left } else { (reached - reached % self.block).max(count) };
        }
        let samples = self.pcm.samples()[self.at..][..count.min(most)].to_vec();
        self.at += samples.len();
        Some(Block { samples, dropped: 0 })
    }
}

/// When the given number of samples has been spoken.
fn time_of(samples: usize) -> Duration {
    Duration::from_nanos((samples as u64).saturating_mul(1_000_000_000 / u64::from(SAMPLE_RATE)))
}

/// How many samples have been spoken at a time.
fn samples_by(time: Duration) -> usize {
    usize::try_from(time.as_nanos() * u128::from(SAMPLE_RATE) / 1_000_000_000).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A clock that only moves when somebody sleeps or moves it.
    #[derive(Clone, Default)]
    struct TestClock(Arc<Mutex<Duration>>);

    impl TestClock {
        fn advance(&self, by: Duration) {
            *self.0.lock().expect("a clock") += by;
        }
    }

    impl Clock for TestClock {
        fn now(&mut self) -> Duration {
            *self.0.lock().expect("a clock")
        }

        fn sleep(&mut self, time: Duration) {
            self.advance(time);
        }
    }

    fn ramp(samples: usize) -> Pcm16k {
        Pcm16k::new((0..samples).map(|n| n as f32 / samples as f32).collect()).expect("in range")
    }

    fn played(pcm: &Pcm16k, block: usize) -> (Replay, TestClock) {
        let clock = TestClock::default();
        (Replay { pcm: pcm.clone(), at: 0, block, clock: Some(Box::new(clock.clone())) }, clock)
    }

    const FOREVER: Duration = Duration::from_secs(1000);

    #[test]
    fn blocks_come_when_the_clock_has_reached_their_end() {
        let pcm = ramp(1000);
        let (mut replay, mut clock) = played(&pcm, 160);
        let mut heard = Vec::new();
        while let Some(block) = replay.next(FOREVER, usize::MAX) {
            heard.extend(block.samples);
            assert_eq!(clock.now(), time_of(heard.len()));
        }
        assert_eq!(heard, pcm.samples());
    }

    #[test]
    fn one_who_waits_too_short_gets_nothing_and_loses_nothing() {
        let (mut replay, mut clock) = played(&ramp(320), 160);
        let got: Vec<usize> =
            (0..4).map(|_| replay.next(Duration::from_millis(4), 999).expect("goes on").samples.len()).collect();
        assert_eq!((got, clock.now()), (vec![0, 0, 160, 0], Duration::from_millis(14)));
    }

    #[test]
    fn one_who_comes_late_gets_all_that_is_due() {
        let (mut replay, clock) = played(&ramp(2000), 160);
        let mut lengths = Vec::new();
        let mut next = |most: usize| {
            let block = replay.next(FOREVER, most);
            lengths.push(block.as_ref().map_or(0, |b| b.samples.len()));
            block.and_then(|b| b.samples.last().copied())
        };
        next(999);
        clock.advance(Duration::from_millis(45)); // 55 ms by now: 5 blocks and a half, one of them taken
        next(usize::MAX);
        clock.advance(FOREVER);
        next(100);
        assert_eq!(next(usize::MAX), Some(1999.0 / 2000.0));
        assert_eq!(next(1), None);
        assert_eq!(lengths, [160, 640, 100, 1100, 0]);
    }

    #[test]
    fn without_a_clock_every_block_comes_at_once() {
        let mut source = replay(ramp(400), false, 160);
        let mut lengths = Vec::new();
        while let Some(block) = source.next(Duration::ZERO, usize::MAX).expect("readable") {
            lengths.push(block.samples.len());
        }
        assert_eq!(lengths, [160, 160, 80]);
    }
}
