//! Audio that does not wait: it is heard, understood and shown on three threads, none of which waits for the next.
//!
//! ```text
//! source ─ hearing thread ─ everything that is there ─▶ engine thread ─ mailbox ─▶ front (this thread)
//!              └────────────────── level, samples so far ──────────────────────────────▲
//! ```

use super::Ended;
use super::events::{Dropped, Event, Said, covered};
use super::front::{Front, Moment};
use super::hearing::{Heard, Hearing, Meter};
use super::mailbox::{Mailbox, Status};
use super::session::{self, Session};
use super::totals;
use crate::interrupt;
use qasr::audio::live::{Block, Source};
use qasr::error::Result;
use qasr::stream::Update;
use qasr::units::{SAMPLE_RATE, SampleIndex};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often the front looks at the meter.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often a silent source is left to see whether the run is to end.
const WAIT: Duration = Duration::from_millis(50);

/// The RTF of the status line is that of about this much audio.
const RECENT_SECONDS: f64 = 10.0;

/// State shared by the two threads.
#[derive(Default)]
struct Shared {
    mailbox: Mailbox,
    /// Nobody reads the text any more.
    is_unwanted: AtomicBool,
}

/// Closes the mailbox however the engine's thread ends, so that the front never waits for a thread that is gone.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.mailbox.close();
    }
}

/// Listens to `source` until it ends, Ctrl-C is pressed or nobody reads the text any more. `open` makes the session on
/// the engine's own thread, and `ready` is the first event. `patience` is the delay from which a text is too late; `None`
/// where the source does not say when it was spoken.
pub fn listen(
    open: impl FnOnce() -> Result<Session> + Send + 'static,
    ready: Event,
    source: Source,
    patience: Option<Duration>,
    front: &mut Front<'_>,
) -> Ended {
    let shared = Arc::new(Shared::default());
    let of_engine = shared.clone();
    let hearing = Hearing::of(source);
    let mut moments = Moments::new(hearing.meter(), patience);
    let engine = thread::spawn(move || {
        let closing = Closing(of_engine);
        let mut session = match open() {
            Ok(session) => session,
            Err(error) => return Ended::failed(error),
        };
        closing.0.mailbox.post(ready);
        let heard = Engine::new(&mut session, hearing, &closing.0).run();
        let mailbox = &closing.0.mailbox;
        Ended::finish(session, heard, &mut |event| mailbox.post(event))
    });
    while let Some(letters) = shared.mailbox.collect(LOOK_EVERY) {
        letters.events.iter().for_each(|event| front.show(event));
        let moment = moments.now(letters.status);
        front.status(moment);
        if let Some(advice) = moments.advice(&moment) {
            front.advise(&advice);
        }
        if !front.is_wanted() {
            shared.is_unwanted.store(true, Ordering::Release);
        }
    }
    // A panic there is a panic here: the command reports it as a bug.
    engine.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// The engine's thread at work.
struct Engine<'a> {
    session: &'a mut Session,
    hearing: Hearing,
    shared: &'a Shared,
    recent: Recent,
    /// How far the text of the running utterance has heard; `None` between utterances.
    running: Option<SampleIndex>,
    has_stepped: bool,
}

impl<'a> Engine<'a> {
    fn new(session: &'a mut Session, hearing: Hearing, shared: &'a Shared) -> Self {
        Self { session, hearing, shared, recent: Recent::default(), running: None, has_stepped: false }
    }

    /// Hears everything. Returns why the audio is over.
    fn run(&mut self) -> Result<&'static str> {
        loop {
            // Asked before the block is taken: it has what was spoken before the key was pressed.
            let is_last = interrupt::is_wanted() || self.shared.is_unwanted.load(Ordering::Acquire);
            let Some(Heard { block, warnings }) = self.hearing.next(WAIT)? else { return Ok("input") };
            for warning in warnings {
                self.shared.mailbox.post(Event::Warning(Said::from(&warning)));
            }
            self.take_note(&block);
            if !block.samples.is_empty() {
                let said = self.session.feed(&block.samples)?;
                self.tell(&block, &said);
            }
            if is_last {
                return Ok("interrupt");
            }
        }
    }

    /// Passes on what was said about a block.
    fn tell(&mut self, block: &Block, said: &session::Said) {
        // The audio that arrived meanwhile shows the delay of the text; it is taken next, all at once.
        let captured = SampleIndex(self.hearing.captured());
        for update in &said.updates {
            self.running = matches!(update, Update::Partial(_)).then(|| covered(update));
            let event = self.session.event(update, captured, None);
            self.shared.mailbox.post(event);
        }
        let heard = self.session.totals.heard;
        // Before the first step there was nothing to do.
        self.has_stepped |= !said.updates.is_empty();
        let rtf = self.recent.add(said.took, block.samples.len()) * f64::from(u8::from(self.has_stepped));
        self.shared.mailbox.post_status(Status {
            answered: self.running.unwrap_or(heard),
            heard,
            rtf,
            dropped_samples: self.session.totals.dropped_samples,
        });
    }

    fn take_note(&mut self, block: &Block) {
        if block.dropped > 0 {
            let at = self.session.totals.heard;
            self.session.dropped(block.dropped);
            self.shared.mailbox.post(Event::Dropped(Dropped::new(at, block.dropped)));
        }
    }
}

/// How it goes at each moment, also while the engine is at work.
struct Moments {
    meter: Meter,
    peak: f32,
    /// How often the meter had nothing new.
    silent: u32,
    status: Status,
    patience: Option<Duration>,
    advised: bool,
}

impl Moments {
    fn new(meter: Meter, patience: Option<Duration>) -> Self {
        Self { meter, peak: 0.0, silent: 0, status: Status::default(), patience, advised: false }
    }

    /// Now, with the newest word of the engine, if there is one.
    fn now(&mut self, status: Option<Status>) -> Moment {
        self.status = status.unwrap_or(self.status);
        let (captured, peak) = self.meter.read();
        // Devices give their samples in blocks: a level holds until the next could have come.
        self.silent = if peak.is_some() { 0 } else { self.silent + 1 };
        self.peak = peak.unwrap_or(if self.silent > 5 { 0.0 } else { self.peak });
        Moment {
            peak: self.peak,
            lag_ms: SampleIndex(captured.saturating_sub(self.status.answered.0)).milliseconds(),
            rtf: self.status.rtf,
            dropped_samples: self.status.dropped_samples,
        }
    }

    /// Prints advice once if the model is too slow here.
    fn advice(&mut self, moment: &Moment) -> Option<String> {
        let is_late = self.patience.is_some_and(|patience| u128::from(moment.lag_ms) > patience.as_millis());
        let is_slow = moment.rtf > 1.0 && self.status.heard.seconds() > RECENT_SECONDS;
        let is_new = (is_late || is_slow) && !self.advised;
        self.advised |= is_new;
        is_new.then(|| totals::too_slow(moment.lag_ms, Some(moment.rtf)))
    }
}

/// Time at work by audio time, of which the older counts less and less.
#[derive(Debug, Default)]
struct Recent {
    at_work: f64,
    audio: f64,
}

impl Recent {
    fn add(&mut self, took: Duration, samples: usize) -> f64 {
        let seconds = samples as f64 / f64::from(SAMPLE_RATE);
        let fade = (-seconds / RECENT_SECONDS).exp();
        self.at_work = self.at_work * fade + took.as_secs_f64();
        self.audio = self.audio * fade + seconds;
        if self.audio > 0.0 { self.at_work / self.audio } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::End;
    use super::*;
    use qasr::audio::RawFormat;
    use qasr::audio::live;
    use qasr::{ErrorKind, Model, ModelOptions, StreamOptions};

    /// Reports warnings of a source, and how it ended.
    fn said_of(source: Source) -> (Vec<Event>, Result<&'static str>) {
        let mut options = ModelOptions::default();
        options.threads = 1;
        let model = Model::open_demo(&options).expect("the demo model");
        let mut session = Session::open(&model, StreamOptions::default(), None, Vec::new()).expect("a stream");
        let shared = Shared::default();
        let heard = Engine::new(&mut session, Hearing::of(source), &shared).run();
        let ended = Ended::finish(session, heard, &mut |event| shared.mailbox.post(event));
        shared.mailbox.close();
        let events =
            std::iter::from_fn(|| shared.mailbox.collect(Duration::ZERO)).flat_map(|letters| letters.events).collect();
        (events, ended.failures.into_iter().next().map_or(Ok("no failure"), Err))
    }

    fn recording() -> Vec<i16> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
        let bytes = std::fs::read(path).expect("the recording");
        bytes[44..].as_chunks::<2>().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
    }

    fn level(sample: i16) -> f32 {
        f32::from(sample) / 32_768.0
    }

    #[test]
    fn a_device_that_disappears_is_an_error_and_the_text_is_kept() {
        let format = RawFormat { rate: 16_000, channels: 1 };
        let (mut feeder, source) = live::ring("the headset", format, 30).expect("a ring");
        feeder.push(&recording(), level);
        feeder.alarm().gone("was unplugged");
        let (events, ended) = said_of(source);
        let error = ended.expect_err("the device is gone");
        assert_eq!(error.kind(), ErrorKind::Audio);
        assert!(error.to_string().contains("the headset") && error.to_string().contains("unplugged"), "{error}");
        let text = events.iter().find_map(|event| match event {
            Event::Final(ended) => Some(ended.text.as_str()),
            _ => None,
        });
        assert!(text.is_some_and(|text| text.starts_with("seven six nine")), "{events:?}");
        assert!(matches!(events.last(), Some(Event::End(End { why: "failure", .. }))), "{events:?}");
    }

    #[test]
    fn what_a_full_ring_drops_is_told_with_its_place() {
        let format = RawFormat { rate: 16_000, channels: 1 };
        let (mut feeder, mut source) = live::ring("the headset", format, 1).expect("a ring");
        let samples = recording();
        // One second fits, the second one is lost, and there is room again for the third.
        feeder.push(&samples[..32_000], level);
        let first = source.next(Duration::ZERO, usize::MAX).expect("goes on").expect("a block");
        assert_eq!((first.samples.len(), first.dropped), (16_000, 0));
        feeder.push(&samples[32_000..40_000], level);
        drop(feeder);
        let (events, ended) = said_of(source);
        assert!(ended.is_ok());
        let dropped: Vec<(f64, u64)> = events
            .iter()
            .filter_map(|event| match event {
                Event::Dropped(dropped) => Some((dropped.at, dropped.samples)),
                _ => None,
            })
            .collect();
        // The session has not heard the block that was taken away above.
        assert_eq!(dropped, [(0.0, 16_000)]);
        assert!(matches!(events.last(), Some(Event::End(End { dropped_samples: 16_000, .. }))), "{events:?}");
    }

    #[test]
    fn what_helps_is_said_once_where_the_model_is_too_slow() {
        let format = RawFormat { rate: 16_000, channels: 1 };
        let (mut feeder, source) = live::ring("the headset", format, 30).expect("a ring");
        let hearing = Hearing::of(source);
        let mut moments = Moments::new(hearing.meter(), Some(Duration::from_secs(5)));
        let moment = moments.now(None);
        assert_eq!((moment.lag_ms, moments.advice(&moment)), (0, None));
        // Six seconds are heard while the engine says nothing: the text is late before the step is over.
        feeder.push(&vec![0i16; 6 * 16_000], level);
        while hearing.captured() < 6 * 16_000 {
            thread::sleep(Duration::from_millis(5));
        }
        let moment = moments.now(None);
        let advice = moments.advice(&moment).expect("some advice");
        assert!(advice.contains("the text is 6.0 s late") && advice.contains("--step"), "{advice}");
        assert_eq!(moments.advice(&moment), None, "once");
        // Without a clock in the source, the work for each second counts, once there is enough of it.
        let mut moments = Moments::new(hearing.meter(), None);
        let moment = moments.now(None);
        assert_eq!(moments.advice(&moment), None);
        for (rtf, seconds, is_slow) in [(2.0, 5, false), (0.9, 20, false), (2.0, 20, true)] {
            let heard = SampleIndex(seconds * 16_000);
            let moment = moments.now(Some(Status { answered: heard, heard, rtf, dropped_samples: 0 }));
            assert_eq!(moments.advice(&moment).is_some(), is_slow, "{rtf} {seconds}");
        }
    }

    #[test]
    fn the_recent_rtf_forgets() {
        let mut recent = Recent::default();
        let second = Duration::from_secs(1);
        assert!((recent.add(second, 16_000) - 1.0).abs() < 1e-9);
        let later = (0..20).fold(0.0, |_, _| recent.add(second * 2, 16_000));
        assert!((later - 2.0).abs() < 0.2, "{later}");
        assert_eq!(Recent::default().add(Duration::ZERO, 0), 0.0);
    }
}
