//! One stream with its record and its sums: what every way of feeding it shares.

use super::events::{Delay, End, Event, covered};
use super::record::Recorder;
use super::saved::Saved;
use super::totals::Totals;
use qasr::Model;
use qasr::error::{Error, Result};
use qasr::stream::{Stream, StreamOptions, Update};
use qasr::units::SampleIndex;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The clock that the engine is lent.
pub fn clock() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// A stream at work.
pub struct Session {
    stream: Stream,
    recorder: Option<Recorder>,
    saved: Vec<Saved>,
    /// The first file that could not be written.
    failure: Option<Error>,
    pub totals: Totals,
}

/// The result of one call of the engine.
pub struct Said {
    pub updates: Vec<Update>,
    /// How long it took.
    pub took: Duration,
}

impl Session {
    /// A stream that has heard nothing, with the files it writes.
    pub fn open(model: &Model, options: StreamOptions, recorder: Option<Recorder>, saved: Vec<Saved>) -> Result<Self> {
        let stream = Stream::new(model, options)?;
        Ok(Self { stream, recorder, saved, failure: None, totals: Totals::default() })
    }

    /// Hears one block.
    pub fn feed(&mut self, samples: &[f32]) -> Result<Said> {
        let started = Instant::now();
        let updates = self.stream.feed(samples);
        self.totals.heard = self.stream.heard();
        self.said(updates, started, |recorder| recorder.feed(samples))
    }

    /// The audio is over.
    pub fn end(&mut self) -> Result<Said> {
        let started = Instant::now();
        let updates = self.stream.end();
        self.said(updates, started, Recorder::end)
    }

    /// Counts `samples` as lost at this place.
    pub fn dropped(&mut self, samples: u64) {
        self.totals.dropped_samples += samples;
    }

    /// Updates of the engine, for others to read. `captured` is one past the last sample that has arrived by now.
    pub fn event(&mut self, update: &Update, captured: SampleIndex, shown: Option<Duration>) -> Event {
        let lag_ms = SampleIndex(captured.0.saturating_sub(covered(update).0)).milliseconds();
        self.totals.largest_lag_ms = self.totals.largest_lag_ms.max(lag_ms);
        let shown_ms = shown.map(super::events::milliseconds);
        Event::new(update, Some(Delay { lag_ms, shown_ms }))
    }

    /// The last event.
    pub fn end_event(&self, why: &'static str) -> End {
        self.totals.end(why, &self.stream.statistics())
    }

    /// Completes the files.
    ///
    /// # Errors
    /// [`qasr::ErrorKind::Output`] when one of them is not whole.
    pub fn close(mut self) -> Result<()> {
        match (self.failure.take(), self.recorder.take()) {
            (Some(failure), _) => Err(failure),
            (None, Some(recorder)) => recorder.close(),
            (None, None) => Ok(()),
        }
    }

    fn said(
        &mut self,
        updates: Result<Vec<Update>>,
        started: Instant,
        record: impl FnOnce(&mut Recorder) -> Result<()>,
    ) -> Result<Said> {
        let took = started.elapsed();
        let list = updates.as_deref().unwrap_or_default();
        self.totals.add(list, took);
        // A file that cannot be written is reported at the end and must not cost the text.
        for update in list {
            let Update::Final(ended) = update else { continue };
            let failure = &mut self.failure;
            self.saved.retain_mut(|saved| match saved.add(&ended.segment) {
                Ok(()) => true,
                Err(error) => {
                    failure.get_or_insert(error);
                    false
                }
            });
        }
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = record(recorder).and_then(|()| recorder.updates(list))
        {
            self.recorder = None;
            self.failure.get_or_insert(error);
        }
        Ok(Said { updates: updates?, took })
    }
}
