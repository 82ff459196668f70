//! Between the engine, which must not wait, and the front, which may have to: what would be outdated is replaced, what
//! counts is kept.

use super::events::{Dropped, Event};
use qasr::units::SampleIndex;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How far the engine is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Status {
    /// One past the last sample that the text accounts for.
    pub answered: SampleIndex,
    /// Samples given to the engine so far.
    pub heard: SampleIndex,
    /// Time at work by audio time, over the last seconds.
    pub rtf: f64,
    pub dropped_samples: u64,
}

/// Letters for the front. A front that does not collect them makes it grow by the texts of finished utterances only.
#[derive(Debug, Default)]
pub struct Mailbox {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    kept: VecDeque<Event>,
    /// The newest partial of the running utterance, which comes after all that is kept.
    partial: Option<Event>,
    status: Option<Status>,
    is_closed: bool,
}

/// Everything that was waiting.
#[derive(Debug)]
pub struct Letters {
    pub events: Vec<Event>,
    pub status: Option<Status>,
}

impl Mailbox {
    /// Leaves an event. Never waits for the front.
    pub fn post(&self, event: Event) {
        let mut waiting = self.lock();
        match (event, waiting.kept.back_mut()) {
            (partial @ Event::Partial(_), _) => waiting.partial = Some(partial),
            // Losses that nobody has read about yet become one.
            (Event::Dropped(more), Some(Event::Dropped(before))) => {
                let samples = before.samples + more.samples;
                before.samples = samples;
                before.ms = Dropped::new(Default::default(), samples).ms;
            }
            (event, _) => {
                if matches!(event, Event::Final(_)) {
                    waiting.partial = None;
                }
                waiting.kept.push_back(event);
            }
        }
        self.changed.notify_one();
    }

    /// Replaces the status.
    pub fn post_status(&self, status: Status) {
        self.lock().status = Some(status);
        self.changed.notify_one();
    }

    /// Nothing more will be left here.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Waits for something, but no longer than `wait`, and takes everything there is. `None`: closed and empty.
    pub fn collect(&self, wait: Duration) -> Option<Letters> {
        let mut waiting = self.lock();
        if !waiting.is_closed && waiting.kept.is_empty() && waiting.partial.is_none() && waiting.status.is_none() {
            waiting = self.changed.wait_timeout(waiting, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut events: Vec<Event> = std::mem::take(&mut waiting.kept).into();
        events.extend(waiting.partial.take());
        let status = waiting.status.take();
        (!events.is_empty() || status.is_some() || !waiting.is_closed).then_some(Letters { events, status })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Whoever panicked left whole letters: each is put down in one piece.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::tests::{finished, partial};
    use super::*;

    fn collected(mailbox: &Mailbox) -> Vec<String> {
        let letters = mailbox.collect(Duration::ZERO).expect("something");
        letters
            .events
            .iter()
            .map(|event| match event {
                Event::Partial(partial) => format!("partial {} {}", partial.utterance, partial.committed),
                Event::Final(ended) => format!("final {} {}", ended.utterance, ended.text),
                Event::Dropped(dropped) => format!("dropped {} before {}", dropped.samples, dropped.at),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn only_the_newest_partial_waits_and_no_final_is_lost() {
        let mailbox = Mailbox::default();
        for utterance in 0..1000 {
            for step in 0..10 {
                mailbox.post(partial(utterance, &format!("step {step}")));
            }
            mailbox.post(finished(utterance, "text"));
        }
        mailbox.post(partial(1000, "a"));
        mailbox.post(partial(1000, "ab"));
        let all = collected(&mailbox);
        assert_eq!(all.len(), 1001);
        assert!((0..1000).all(|n| all[n] == format!("final {n} text")));
        assert_eq!(all[1000], "partial 1000 ab");
    }

    #[test]
    fn losses_that_nobody_has_read_about_become_one() {
        let mailbox = Mailbox::default();
        for at in [16_000, 32_000] {
            mailbox.post(Event::Dropped(Dropped::new(SampleIndex(at), 160)));
        }
        mailbox.post(finished(0, "x"));
        mailbox.post(Event::Dropped(Dropped::new(SampleIndex(48_000), 1)));
        assert_eq!(collected(&mailbox), ["dropped 320 before 1", "final 0 x", "dropped 1 before 3"]);
    }

    #[test]
    fn a_closed_mailbox_gives_what_is_left_and_then_nothing() {
        let mailbox = Mailbox::default();
        mailbox.post(finished(0, "x"));
        mailbox.close();
        assert_eq!(collected(&mailbox), ["final 0 x"]);
        assert!(mailbox.collect(Duration::ZERO).is_none());
    }
}
