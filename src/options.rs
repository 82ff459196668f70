//! Settings of recognition: the same for the offline and the live driver, so that they give the same text.

use crate::endpoint::Detector;
use crate::error::{Error, ErrorKind, Result};
use crate::model::config::SEGMENT_SECONDS as SEGMENT_SECONDS_RANGE;
use crate::model::decoder::OUTPUTS_AT_ONCE;
pub use crate::model::memory::BATCH_BYTES;
use crate::model::memory::MOST_AT_ONCE;
use crate::model::{Model, Watch};
use crate::text::Language;
use crate::units::{SAMPLE_RATE, SampleIndex};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Longest utterance when neither the caller nor the model says otherwise, in seconds. The official limit is 1200;
/// a decode step slows down with every position, and memory grows, so small machines cut sooner.
pub const SEGMENT_SECONDS: f64 = 30.0;

/// Most tokens an utterance may be given, unless its length allows more: the attention cache is made for all of them
/// in advance, and no minute of speech has so many.
const MOST_NEW_TOKENS: usize = 4096;

/// Settings of recognition. All fields have sensible defaults.
///
/// Serialized, they are everything beside the audio and the model that decides about a text, for journals and traces:
/// equal JSON means equal results. All fields are required when they are read again, and no others are taken, so that
/// options of another version of the library are refused instead of being filled up with defaults.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Options {
    /// The language spoken, when known; the model then writes text only. Otherwise it names the language itself.
    pub language: Option<Language>,
    /// Words given to bias recognition. Plain text: control tokens in it are not obeyed.
    pub context_text: String,
    /// The speech detector: utterances end at pauses, and audio between them is not recognized.
    pub detector: Detector,
    /// Longest utterance in seconds; longer ones are cut at a quiet place. 1 to 1200.
    pub segment_seconds: Option<f64>,
    /// Most tokens generated per utterance; beyond 4096 only where the utterance is long enough to need them. Meeting
    /// it is reported as incomplete text, never passed over.
    pub max_new_tokens: Option<usize>,
    /// Most tokens per second of an utterance, rounded up, instead of `max_new_tokens`: what speech gives, for
    /// measurements with weights that never end a text by themselves.
    pub tokens_per_second: Option<f64>,
    /// Characters of the text before that every utterance is given as context, after `context_text`.
    pub carried_characters: usize,
    /// Against which loudest value the features are clamped.
    pub peak: PeakPolicy,
    /// Where the recording given begins in the file it was cut from: added to all times.
    pub origin: SampleIndex,
    /// Caches that are kept from one step to the next.
    pub reuse: Reuse,
    /// Offline, of a recording whose length is known: most utterances that are decoded at once, up to 16; 0 means as many as
    /// pay and as their attention caches fit into [`BATCH_BYTES`]. The text does not depend on it. Not serialized.
    #[serde(skip)]
    pub batch: usize,
    /// Stops the work from another thread. Not serialized.
    #[serde(skip)]
    pub cancel: Cancel,
    /// Sees what passes through the model, for measuring. Not serialized.
    #[serde(skip)]
    pub watch: Watch,
}

/// A request to stop, shared by all its clones. Work that sees it ends soon, with [`crate::ErrorKind::Interrupted`].
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Request>);

#[derive(Debug, Default)]
struct Request {
    is_made: AtomicBool,
    checks: AtomicU64,
}

impl Cancel {
    /// Asks to stop. Cannot be taken back.
    pub fn cancel(&self) {
        self.0.is_made.store(true, Ordering::Release);
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_made.load(Ordering::Acquire)
    }

    /// How often the work has looked for a request: once for each window of the encoder, each part of a prompt and each
    /// token. A sign of life while an utterance is recognized, for a display in another thread.
    pub fn checks(&self) -> u64 {
        self.0.checks.load(Ordering::Relaxed)
    }

    /// An error once somebody has asked.
    pub(crate) fn check(&self) -> Result<()> {
        self.0.checks.fetch_add(1, Ordering::Relaxed);
        if self.is_cancelled() {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
        }
        Ok(())
    }
}

/// The features leave out what lies 8 decades below the loudest energy of the input. Which input that is, once a stream
/// is cut into utterances, has to be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeakPolicy {
    /// The stream so far: nearest to a whole recording in one piece, and what was computed rarely has to be computed
    /// again because the utterance got louder. What is more than a minute past does not count.
    #[default]
    Stream,
    /// The utterance alone, as the official package does with the pieces of a recording over 20 minutes.
    Utterance,
}

/// Switches of the caches. Every one of them leaves the text as it is and costs time when it is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reuse {
    /// Convolution rows of finished chunks (1 s).
    pub chunks: bool,
    /// Encoder rows of finished attention windows (8 s).
    pub windows: bool,
    /// The decoder's attention to everything that has not changed since the last step.
    pub attention: bool,
    /// The last hypothesis, verified in one batch instead of being generated again.
    pub drafts: bool,
}

impl Reuse {
    /// Everything is computed anew at every step.
    pub const NONE: Self = Self { chunks: false, windows: false, attention: false, drafts: false };
}

impl Default for Reuse {
    fn default() -> Self {
        Self { chunks: true, windows: true, attention: true, drafts: true }
    }
}

impl Options {
    /// The longest utterance, in samples.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] outside 1 to 1200 s, or for an impossible rate of tokens.
    pub(crate) fn longest(&self, model: &Model) -> Result<usize> {
        let own = model.decoder_config().segment_seconds.map(f64::from);
        let seconds = self.segment_seconds.or(own).unwrap_or(SEGMENT_SECONDS);
        if !SEGMENT_SECONDS_RANGE.contains(&(seconds as f32)) {
            return Err(Error::usage(format!("segments of {seconds} s: give 1 to 1200 seconds")));
        }
        if let Some(rate) = self.tokens_per_second.filter(|rate| !(0.0..=1000.0).contains(rate)) {
            return Err(Error::usage(format!("{rate} tokens per second: give 0 to 1000")));
        }
        Ok((seconds * f64::from(SAMPLE_RATE)) as usize)
    }

    /// Most utterances that are decoded at once.
    pub(crate) fn width(&self, model: &Model) -> usize {
        // An utterance that is given text before it has to wait for that text; what is watched comes in order.
        if self.carried_characters > 0 || self.watch.watcher().is_some() {
            return 1;
        }
        if self.batch > 0 {
            return self.batch.min(OUTPUTS_AT_ONCE);
        }
        MOST_AT_ONCE.min(model.steps_at_once())
    }

    /// Whether an utterance may join others whose attention caches have so many bytes.
    pub(crate) fn may_join(&self, bytes: usize) -> bool {
        self.batch > 0 || bytes < BATCH_BYTES
    }

    /// Tokens allowed for an utterance of `samples`. By default three times what speech gives (about 4 per second),
    /// so that only a model caught in a loop meets it.
    pub(crate) fn token_budget(&self, samples: usize) -> usize {
        let seconds = samples as f64 / f64::from(SAMPLE_RATE);
        if let Some(rate) = self.tokens_per_second {
            return (rate * seconds).ceil().max(1.0) as usize;
        }
        let default = 128 + (12.0 * seconds).ceil() as usize;
        self.max_new_tokens.unwrap_or(default).min(default.max(MOST_NEW_TOKENS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serialized_options_are_all_that_decides_and_read_back_the_same() {
        let options = Options {
            language: Language::find("fr"),
            context_text: "names".into(),
            detector: Detector::Neural,
            segment_seconds: Some(0.1 + 0.2),
            peak: PeakPolicy::Utterance,
            origin: SampleIndex(7),
            reuse: Reuse { drafts: false, ..Reuse::default() },
            ..Options::default()
        };
        options.cancel.cancel();
        let json = serde_json::to_string(&options).expect("options are JSON");
        assert_eq!(
            json,
            "{\"language\":\"French\",\"context_text\":\"names\",\"detector\":\"neural\",\
             \"segment_seconds\":0.30000000000000004,\"max_new_tokens\":null,\"tokens_per_second\":null,\
             \"carried_characters\":0,\"peak\":\"utterance\",\"origin\":7,\
             \"reuse\":{\"chunks\":true,\"windows\":true,\"attention\":true,\"drafts\":false}}"
        );
        let again: Options = serde_json::from_str(&json).expect("options are read back");
        assert_eq!(serde_json::to_string(&again).expect("options are JSON"), json);
        assert!(!again.cancel.is_cancelled());
        // Another version's options are refused, not filled up or cut.
        for (from, to) in [("\"origin\":7,", ""), ("\"origin\":7,", "\"origin\":7,\"speed\":1,"), ("French", "Klingon")]
        {
            let other = json.replace(from, to);
            assert_ne!(other, json);
            assert!(serde_json::from_str::<Options>(&other).is_err(), "{other}");
        }
    }
}
