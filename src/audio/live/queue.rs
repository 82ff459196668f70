//! Between a reader thread and its consumer: samples in order, and a writer that waits when there are too many. A pipe
//! whose reader waits holds its own writer up, so that nothing is ever lost.

use super::Block;
use crate::audio::collect::Sink;
use crate::audio::fault::Fault;
use crate::audio::recording::RawFormat;
use crate::transcript::Warning;
use crate::units::{SAMPLE_RATE, SampleIndex};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Samples after which the writer waits: 30 s, so that a recorder at the other end of a pipe, which does not wait but
/// loses audio, survives a slow consumer for that long. One block more is taken.
const ROOM: usize = 30 * SAMPLE_RATE as usize;

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    taken: Condvar,
}

#[derive(Default)]
struct State {
    samples: VecDeque<f32>,
    warnings: Vec<Warning>,
    format: Option<RawFormat>,
    /// Where the first sample lies in the recording.
    start: SampleIndex,
    /// Samples that probably come in all.
    expected: Option<u64>,
    end: Option<Result<(), Fault>>,
    /// Nobody takes any more.
    closed: bool,
}

impl Queue {
    /// No writer panics while it holds the lock; if one did, the samples would still be right.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the first samples, or the end.
    pub(super) fn wait_for_samples(&self) {
        let mut state = self.state();
        while state.samples.is_empty() && state.end.is_none() {
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn start(&self) -> SampleIndex {
        self.state().start
    }

    pub(super) fn format(&self) -> Option<RawFormat> {
        self.state().format
    }

    pub(super) fn expected(&self) -> Option<u64> {
        self.state().expected
    }

    pub(super) fn warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut self.state().warnings)
    }

    /// Nothing more will be pushed.
    pub(super) fn end(&self, end: Result<(), Fault>) {
        self.state().end.get_or_insert(end);
        self.arrived.notify_one();
    }

    /// Nothing more will be taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.taken.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// As [`super::Source::next`].
    pub(super) fn take(&self, wait: Duration, most: usize) -> Result<Option<Block>, Fault> {
        let start = Instant::now();
        let mut state = self.state();
        loop {
            if !state.samples.is_empty() {
                let count = state.samples.len().min(most);
                let samples = state.samples.drain(..count).collect();
                self.taken.notify_one();
                return Ok(Some(Block { samples, dropped: 0 }));
            }
            if let Some(end) = &state.end {
                return end.clone().map(|()| None);
            }
            let Some(left) = wait.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                return Ok(Some(Block::default()));
            };
            state = self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Sink for Queue {
    fn set_format(&self, format: RawFormat) {
        self.state().format.get_or_insert(format);
    }

    fn set_start(&self, start: SampleIndex) {
        self.state().start = start;
    }

    fn expect(&self, samples: u64) {
        self.state().expected = Some(samples);
    }

    fn warn(&self, warning: Warning) {
        self.state().warnings.push(warning);
    }

    /// Waits until there is room.
    fn push(&self, samples: &[f32]) -> bool {
        let mut state = self.state();
        while state.samples.len() >= ROOM && !state.closed {
            state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.closed && !samples.is_empty() {
            state.samples.extend(samples);
            self.arrived.notify_one();
        }
        !state.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_writer_waits_until_there_is_room_and_no_longer_than_there_is_a_consumer() {
        let queue = Arc::new(Queue::default());
        let writer = {
            let queue = queue.clone();
            std::thread::spawn(move || (0..).take_while(|_| queue.push(&[0.5; ROOM / 4])).count())
        };
        let mut heard = 0;
        while heard < 3 * ROOM {
            let block = queue.take(Duration::from_secs(60), usize::MAX).expect("no fault").expect("not over");
            assert!(block.samples.len() <= ROOM, "{} samples waited", block.samples.len());
            heard += block.samples.len();
        }
        queue.close();
        let pushed = writer.join().expect("the writer") * (ROOM / 4);
        assert!((heard..=heard + ROOM).contains(&pushed), "{pushed} pushed, {heard} heard");
    }

    #[test]
    fn all_samples_come_before_the_end() {
        let queue = Queue::default();
        assert!(queue.push(&[0.1, 0.2, 0.3]));
        queue.end(Err("is broken".to_owned()));
        let next = || queue.take(Duration::ZERO, 2).map(|block| block.map(|b| b.samples));
        assert_eq!(next(), Ok(Some(vec![0.1, 0.2])));
        assert_eq!(next(), Ok(Some(vec![0.3])));
        assert_eq!(next(), Err("is broken".to_owned()));
    }
}
