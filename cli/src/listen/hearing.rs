//! Takes sound from its source while the engine is at work on a thread of its own. So level and lag are true at every
//! moment, also during a step that takes long.
//!
//! Audio that the engine has not taken yet waits here, up to [`MOST`]; then the source waits, or, if it is a microphone, its
//! ring fills and drops.

use qasr::audio::live::{Block, Source};
use qasr::error::{Error, Result};
use qasr::transcript::Warning;
use qasr::units::SAMPLE_RATE;
use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Samples that wait for the engine: 25 s, to which a microphone's ring adds 5.
const MOST: usize = 25 * SAMPLE_RATE as usize;
/// How often a silent source is left to see whether anybody still listens.
const WAIT: Duration = Duration::from_millis(50);

/// Samples that the engine takes in one piece, with the news that came before them.
#[derive(Debug, Default)]
pub struct Heard {
    pub block: Block,
    pub warnings: Vec<Warning>,
}

/// A source that is being heard.
pub struct Hearing {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Sees how much was heard and how loud it is.
#[derive(Clone)]
pub struct Meter(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Heard>,
    waiting_samples: usize,
    /// All samples so far.
    captured: u64,
    /// Loudest sample since the meter was read.
    peak: f32,
    /// How the audio ended; taken once, after all that waits.
    end: Option<Result<()>>,
    is_over: bool,
    is_unwanted: bool,
}

impl Hearing {
    /// Begins to hear.
    pub fn of(mut source: Source) -> Self {
        let shared = Arc::new(Shared::default());
        let ours = shared.clone();
        let thread = thread::spawn(move || {
            let ending = Ending(ours);
            while ending.0.has_room() {
                let next = source.next(WAIT, MOST);
                let warnings = source.warnings();
                if !ending.0.put(next, warnings) {
                    return;
                }
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Everything that is there, after waiting up to `wait` for anything; empty where the time passed without. `None`:
    /// the audio is over.
    ///
    /// # Errors
    /// As [`Source::next`].
    pub fn next(&self, wait: Duration) -> Result<Option<Heard>> {
        let mut state = self.shared.lock();
        if state.waiting.is_empty() && !state.is_over {
            let waited = self.shared.changed.wait_timeout(state, wait);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if let Some(heard) = state.waiting.pop_front() {
            state.waiting_samples -= heard.block.samples.len();
            self.shared.changed.notify_all();
            return Ok(Some(heard));
        }
        match state.end.take() {
            Some(end) => end.map(|()| None),
            None if state.is_over => Ok(None),
            None => Ok(Some(Heard::default())),
        }
    }

    /// Samples heard so far, those that wait included.
    pub fn captured(&self) -> u64 {
        self.shared.lock().captured
    }

    /// For another thread.
    pub fn meter(&self) -> Meter {
        Meter(self.shared.clone())
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.shared.lock().is_unwanted = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // Its panic, if there was one, was reported as the end of the audio.
            let _ = thread.join();
        }
    }
}

/// Ends the audio however its thread ends, so that the engine never waits for a thread that is gone.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if !state.is_over {
            state.is_over = true;
            state.end = Some(Err(Error::internal("the thread that takes the sound has ended")));
        }
        self.0.changed.notify_all();
    }
}

impl Meter {
    /// Samples heard so far, and the loudest since the last call; `None` where nothing came since.
    pub fn read(&self) -> (u64, Option<f32>) {
        let mut state = self.0.lock();
        let peak = mem::replace(&mut state.peak, -1.0);
        (state.captured, (peak >= 0.0).then_some(peak))
    }
}

impl Shared {
    /// Waits until there is room for more. False when nobody listens any more.
    fn has_room(&self) -> bool {
        let mut state = self.lock();
        while state.waiting_samples >= MOST && !state.is_unwanted {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.is_unwanted
    }

    /// Puts down what the source gave. False when it was the last.
    fn put(&self, next: Result<Option<Block>>, warnings: Vec<Warning>) -> bool {
        let mut state = self.lock();
        let (block, end) = match next {
            Ok(Some(block)) => (block, None),
            Ok(None) => (Block::default(), Some(Ok(()))),
            Err(error) => (Block::default(), Some(Err(error))),
        };
        state.captured += block.samples.len() as u64;
        state.waiting_samples += block.samples.len();
        state.peak = block.samples.iter().fold(state.peak, |peak, sample| peak.max(sample.abs()));
        match state.waiting.back_mut() {
            // The engine takes everything at once, so that it catches up; a loss has its place between samples.
            Some(last) if block.dropped == 0 && warnings.is_empty() => last.block.samples.extend(block.samples),
            _ if block == Block::default() && warnings.is_empty() => {}
            _ => state.waiting.push_back(Heard { block, warnings }),
        }
        let goes_on = end.is_none();
        state.is_over |= !goes_on;
        state.end = end;
        self.changed.notify_all();
        goes_on
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked left whole values: each change is made in one piece.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qasr::audio::{RawFormat, live};
    use std::time::Instant;

    fn ring() -> (live::Feeder, Source) {
        live::ring("the headset", RawFormat { rate: 16_000, channels: 1 }, 30).expect("a ring")
    }

    /// Waits for what another thread is about to do.
    fn until(what: impl Fn() -> bool) {
        let started = Instant::now();
        while !what() {
            assert!(started.elapsed() < Duration::from_secs(20), "it never happens");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_meter_moves_while_nobody_takes_anything() {
        let (mut feeder, source) = ring();
        let hearing = Hearing::of(source);
        let meter = hearing.meter();
        for (second, level) in [(1u64, 0.25f32), (2, 0.5)] {
            feeder.push(&vec![level; 16_000], |sample| sample);
            until(|| hearing.captured() == 16_000 * second);
            assert_eq!(meter.read(), (16_000 * second, Some(level)));
            assert_eq!(meter.read(), (16_000 * second, None));
        }
        let heard = hearing.next(Duration::ZERO).unwrap().unwrap();
        assert_eq!(heard.block.samples.len(), 32_000, "all at once");
        assert_eq!(hearing.next(Duration::ZERO).unwrap().unwrap().block, Block::default());
    }

    #[test]
    fn the_end_comes_after_all_samples_and_once() {
        let (mut feeder, source) = ring();
        feeder.push(&[0.5f32; 160], |sample| sample);
        feeder.alarm().gone("was unplugged");
        let hearing = Hearing::of(source);
        until(|| hearing.shared.lock().is_over);
        assert_eq!(hearing.next(Duration::ZERO).unwrap().unwrap().block.samples.len(), 160);
        assert!(hearing.next(Duration::ZERO).unwrap_err().to_string().contains("unplugged"));
        assert!(hearing.next(Duration::ZERO).unwrap().is_none());
    }

    #[test]
    fn what_waits_is_bounded() {
        let pcm = qasr::audio::Pcm16k::new(vec![0.1; 3 * MOST]).unwrap();
        let hearing = Hearing::of(live::replay(pcm, false, MOST / 10));
        until(|| hearing.captured() >= MOST as u64);
        thread::sleep(Duration::from_millis(50));
        assert!(hearing.captured() < (MOST + MOST / 5) as u64, "{}", hearing.captured());
        let mut all = 0;
        while let Some(heard) = hearing.next(Duration::from_secs(1)).unwrap() {
            all += heard.block.samples.len();
        }
        assert_eq!(all, 3 * MOST);
    }
}
