//! The events of a run, as JSON and to the other files of this folder. Times are seconds in the audio
//! that was heard; what is a duration or a delay says `_ms` in its name.

use crate::messages::warning_sentence;
use qasr::endpoint::EndReason;
use qasr::stream::{self, StepCost, Update};
use qasr::text::Language;
use qasr::transcript::Warning;
use qasr::units::SampleIndex;
use serde::Serialize;
use std::time::Duration;

/// One line of `--json`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// Everything is open; audio is taken from now on.
    Ready(Ready),
    /// A step of the running utterance.
    Partial(Partial),
    /// An utterance is over; its number does not come again.
    Final(Final),
    /// Audio was lost because nobody took it in time.
    Dropped(Dropped),
    /// Something about the input that a reader of the text should know.
    Warning(Said),
    /// Nothing follows.
    End(End),
}

#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    pub version: &'static str,
    pub model: String,
    pub input: String,
    pub step_ms: u64,
    pub policy: &'static str,
    pub commit: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub struct Partial {
    pub utterance: u64,
    pub start: f64,
    /// One past the last sample that this text has heard.
    pub up_to: f64,
    /// ISO code; null while the model has not named a language.
    pub language: Option<&'static str>,
    pub language_name: Option<String>,
    /// Append-only from one partial of an utterance to the next, and a prefix of the final text.
    pub committed: String,
    /// The text that follows it for now.
    pub tentative: String,
    /// The ids of both, language header included.
    pub tokens: Vec<u32>,
    pub complete: bool,
    /// The smallest distance between the two largest logits over all choices. Left out of traces: its last digits
    /// differ between processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closest: Option<f32>,
    #[serde(flatten)]
    pub delay: Option<Delay>,
    pub cost: Cost,
}

#[derive(Debug, Clone, Serialize)]
pub struct Final {
    pub utterance: u64,
    pub start: f64,
    pub end: f64,
    pub language: Option<&'static str>,
    pub language_name: Option<String>,
    pub text: String,
    pub tokens: Vec<u32>,
    pub complete: bool,
    /// `pause`, `length` or `input`.
    pub why: &'static str,
    pub warnings: Vec<Said>,
    pub revisions_refused: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closest: Option<f32>,
    #[serde(flatten)]
    pub delay: Option<Delay>,
    pub cost: Cost,
}

#[derive(Debug, Clone, Serialize)]
pub struct Said {
    pub code: String,
    pub message: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Dropped {
    /// Where in the audio that was heard the lost part is missing.
    pub at: f64,
    pub samples: u64,
    pub ms: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct End {
    /// `input`, `interrupt` or `failure`.
    pub why: &'static str,
    /// Seconds heard.
    pub audio: f64,
    pub finals: u64,
    pub steps: u64,
    pub complete: bool,
    pub median_step_ms: Option<f64>,
    pub p95_step_ms: Option<f64>,
    pub largest_lag_ms: u64,
    /// Time at work by audio time: smaller is better. Null for no audio.
    pub rtf: Option<f64>,
    pub dropped_samples: u64,
    pub revisions_refused: u64,
    /// Steps that lay in a pause or were made up for by the next one.
    pub steps_left_out: u64,
    pub peak_rss_bytes: Option<u64>,
}

/// How late an event is. Left out of traces, because it is not the same twice.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Delay {
    /// How much more had been captured by then than the text has heard.
    pub lag_ms: u64,
    /// When it was shown, on the virtual clock of `--simulate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown_ms: Option<f64>,
}

/// The work of a step: what it was, and with a clock, how long it took.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    pub chunks_convolved: usize,
    pub windows_encoded: usize,
    pub windows_reused: usize,
    pub tokens_prefilled: usize,
    pub tokens_reused: usize,
    pub tokens_verified: usize,
    pub tokens_kept: usize,
    pub tokens_generated: usize,
    #[serde(flatten)]
    pub times: Option<Times>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Times {
    pub mel_ms: f64,
    pub encode_ms: f64,
    pub prefill_ms: f64,
    pub decode_ms: f64,
    pub total_ms: f64,
}

impl Event {
    /// An update of the engine as an event. Without `delay` it is as in a trace: nothing in it depends on a clock.
    pub fn new(update: &Update, delay: Option<Delay>) -> Self {
        let with_times = delay.is_some();
        match update {
            Update::Partial(partial) => Self::Partial(Partial {
                utterance: partial.utterance,
                start: partial.start.seconds(),
                up_to: partial.up_to.seconds(),
                language: partial.language.as_deref().and_then(code),
                language_name: partial.language.clone(),
                committed: partial.committed.clone(),
                tentative: partial.tentative.clone(),
                tokens: partial.tokens.clone(),
                complete: partial.complete,
                closest: delay.map(|_| partial.closest),
                delay,
                cost: Cost::new(&partial.cost, with_times),
            }),
            Update::Final(ended) => Self::Final(Final::new(ended, delay)),
        }
    }

    /// The event on one line, with its end.
    pub fn line(&self) -> String {
        // Nothing in an event can fail to be written: no maps with odd keys, and numbers that are none become null.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

impl Final {
    fn new(ended: &stream::Final, delay: Option<Delay>) -> Self {
        let segment = &ended.segment;
        Self {
            utterance: ended.utterance,
            start: segment.start.seconds(),
            end: segment.end.seconds(),
            language: segment.language.as_deref().and_then(code),
            language_name: segment.language.clone(),
            text: segment.text.clone(),
            tokens: segment.tokens.clone(),
            complete: segment.complete,
            why: match ended.why {
                EndReason::Pause => "pause",
                EndReason::Length => "length",
                EndReason::Input => "input",
            },
            warnings: ended.warnings.iter().map(Said::from).collect(),
            revisions_refused: ended.revisions_refused,
            closest: delay.map(|_| ended.closest),
            delay,
            cost: Cost::new(&ended.cost, delay.is_some()),
        }
    }
}

impl From<&Warning> for Said {
    fn from(warning: &Warning) -> Self {
        Self { code: warning.code.to_string(), message: warning_sentence(warning) }
    }
}

impl Dropped {
    /// `samples` are missing before `at`.
    pub fn new(at: SampleIndex, samples: u64) -> Self {
        Self { at: at.seconds(), samples, ms: SampleIndex(samples).milliseconds() }
    }
}

impl Cost {
    fn new(cost: &StepCost, with_times: bool) -> Self {
        Self {
            chunks_convolved: cost.chunks_convolved,
            windows_encoded: cost.windows_encoded,
            windows_reused: cost.windows_reused,
            tokens_prefilled: cost.tokens_prefilled,
            tokens_reused: cost.tokens_reused,
            tokens_verified: cost.tokens_verified,
            tokens_kept: cost.tokens_kept,
            tokens_generated: cost.tokens_generated,
            times: with_times.then(|| Times {
                mel_ms: milliseconds(cost.mel),
                encode_ms: milliseconds(cost.encode),
                prefill_ms: milliseconds(cost.prefill),
                decode_ms: milliseconds(cost.decode),
                total_ms: milliseconds(cost.total()),
            }),
        }
    }
}

fn code(name: &str) -> Option<&'static str> {
    Language::find(name).map(|language| language.code())
}

/// Milliseconds to three places, for JSON.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// One past the last sample that the text of an update has heard.
pub fn covered(update: &Update) -> SampleIndex {
    match update {
        Update::Partial(partial) => partial.up_to,
        Update::Final(ended) => ended.segment.end,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use qasr::stream;
    use qasr::transcript::Segment;

    pub fn partial(utterance: u64, committed: &str) -> Event {
        Event::new(&Update::Partial(update(utterance, committed)), None)
    }

    pub fn finished(utterance: u64, text: &str) -> Event {
        let segment = Segment {
            start: SampleIndex(8000),
            end: SampleIndex(24_000),
            language: Some("English".into()),
            text: text.into(),
            tokens: vec![1, 2],
            log_probabilities: vec![-0.5, -0.25],
            complete: true,
            channel: None,
        };
        let ended = stream::Final {
            utterance,
            segment,
            why: EndReason::Pause,
            warnings: Vec::new(),
            margins: Vec::new(),
            closest: 1.5,
            revisions_refused: 0,
            cost: StepCost::default(),
        };
        Event::new(&Update::Final(ended), None)
    }

    fn update(utterance: u64, committed: &str) -> stream::Partial {
        stream::Partial {
            utterance,
            start: SampleIndex(8000),
            up_to: SampleIndex(24_000),
            language: Some("English".into()),
            committed: committed.into(),
            tentative: " é".into(),
            tokens: vec![1, 2],
            margins: vec![0.5, 0.25],
            complete: true,
            closest: f32::INFINITY,
            cost: StepCost { encode: Duration::from_micros(1500), ..StepCost::default() },
        }
    }

    #[test]
    fn an_event_is_one_line_with_a_name() {
        let delay = Delay { lag_ms: 40, shown_ms: Some(1.5) };
        let line = Event::new(&Update::Partial(update(3, "a\nb")), Some(delay)).line();
        assert!(line.ends_with('\n') && line.trim_end().lines().count() == 1, "{line}");
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&json["event"], &json["utterance"], &json["start"]), (&"partial".into(), &3.into(), &0.5.into()));
        assert_eq!((&json["committed"], &json["tentative"]), (&"a\nb".into(), &" é".into()));
        assert_eq!((&json["language"], &json["language_name"]), (&"en".into(), &"English".into()));
        assert_eq!((&json["lag_ms"], &json["shown_ms"]), (&40.into(), &1.5.into()));
        assert_eq!((&json["cost"]["encode_ms"], &json["cost"]["total_ms"]), (&1.5.into(), &1.5.into()));
        assert!(json["closest"].is_null());
    }

    #[test]
    fn without_a_delay_nothing_depends_on_a_clock_or_a_processor() {
        for line in [partial(0, "a").line(), finished(0, "a").line()] {
            assert!(!line.contains("_ms") && !line.contains("closest"), "{line}");
            assert!(line.contains("tokens_generated"), "{line}");
        }
    }
}
