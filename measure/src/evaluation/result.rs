//! The result of one recording: one line of the journal.

use super::Entry;
use crate::identity::FileIdentity;
use crate::scoring::{Distance, Errors, Normalizer, Unit, character_distance, is_loop, score};
use qasr::error::{Error, ErrorKind};
use qasr::text::Language;
use qasr::transcript::{Transcript, WarningCode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One recording: reference, recognized text, errors and cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileResult {
    /// As the manifest names it.
    pub file: String,
    /// Of the recording; all zero where it could not be read.
    pub identity: FileIdentity,
    /// Of the entry.
    pub category: Option<String>,
    /// Why there is no text. Everything below is empty then, except what the manifest says.
    pub failure: Option<Failure>,
    /// Length of the recording.
    pub seconds: f64,
    /// The reference text of the manifest; `None` if it is not known.
    pub truth: Option<String>,
    /// The text of the model.
    pub heard: String,
    /// Code of the language that the manifest names.
    pub language_expected: Option<String>,
    /// Code of the first language that the model named; `None` where it heard nothing, and where it was held to one.
    pub language_heard: Option<String>,
    /// How both texts were made alike before they were compared.
    pub normalizer: Normalizer,
    /// The unit of `errors`.
    pub unit: Unit,
    /// `None` without truth.
    pub errors: Option<Errors>,
    /// By character, whatever `unit` is. `None` without truth.
    pub character_errors: Option<Distance>,
    /// The text repeats itself as no speaker does, or did before the repetition was taken out.
    pub is_loop: bool,
    /// Words were said and none was heard.
    pub is_missing: bool,
    /// Nothing was said and words were heard.
    pub is_invented: bool,
    /// False when the limit of new tokens cut the text.
    pub complete: bool,
    /// Codes of the transcript's warnings.
    pub warnings: Vec<WarningCode>,
    /// Where the time went.
    pub times: StageTimes,
    /// Audio tokens that went through the decoder.
    pub audio_tokens: usize,
    /// Tokens generated.
    pub new_tokens: usize,
}

/// Why a recording has no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The model is at fault, not the recording.
    pub is_of_model: bool,
    /// One sentence.
    pub message: String,
}

impl Failure {
    pub(super) fn new(error: &Error) -> Self {
        Self { is_of_model: error.kind() == ErrorKind::Model, message: error.to_string() }
    }
}

/// Where the time went, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct StageTimes {
    /// Reading, decoding and resampling the recording.
    pub audio_ms: f64,
    /// Features.
    pub mel_ms: f64,
    /// Audio encoder.
    pub encode_ms: f64,
    /// Prompt through the decoder.
    pub prefill_ms: f64,
    /// Token by token.
    pub decode_ms: f64,
    /// From opening the recording to its text: all of the above, and finding the utterances.
    pub wall_ms: f64,
}

impl FileResult {
    /// The facts that are known before recognition.
    pub(super) fn new(entry: &Entry, identity: FileIdentity) -> Self {
        Self {
            file: entry.name.clone(),
            identity,
            category: entry.category.clone(),
            failure: None,
            seconds: 0.0,
            truth: entry.text.clone(),
            heard: String::new(),
            language_expected: entry.language.map(|language| language.code().to_owned()),
            language_heard: None,
            normalizer: Normalizer::Basic,
            unit: Unit::Words,
            errors: None,
            character_errors: None,
            is_loop: false,
            is_missing: false,
            is_invented: false,
            complete: true,
            warnings: Vec::new(),
            times: StageTimes::default(),
            audio_tokens: 0,
            new_tokens: 0,
        }
    }

    /// Takes what the model gave. A model that was held to a language names that one, which says nothing.
    pub(super) fn set_transcript(&mut self, transcript: &Transcript, wall: Duration, forced: Option<Language>) {
        let named = transcript.languages.first().filter(|_| forced.is_none());
        let timings = &transcript.timings;
        self.seconds = transcript.duration.seconds();
        self.heard = transcript.text.clone();
        self.language_heard =
            named.map(|name| Language::find(name).map_or(name.clone(), |language| language.code().to_owned()));
        self.complete = transcript.complete;
        self.warnings = transcript.warnings.iter().map(|warning| warning.code).collect();
        self.times = StageTimes {
            audio_ms: milliseconds(timings.audio),
            mel_ms: milliseconds(timings.mel),
            encode_ms: milliseconds(timings.encode),
            prefill_ms: milliseconds(timings.prefill),
            decode_ms: milliseconds(timings.decode),
            wall_ms: milliseconds(wall),
        };
        (self.audio_tokens, self.new_tokens) = (timings.audio_tokens, timings.new_tokens);
    }

    /// Holds the text against the truth. `language` decides how texts are made alike, unless a way is given.
    pub(super) fn score(&mut self, language: Option<Language>, normalizer: Option<Normalizer>) {
        self.normalizer = normalizer.unwrap_or_else(|| Normalizer::for_language(language));
        self.unit = Unit::choose(language, self.truth.as_deref().unwrap_or(&self.heard));
        let is_repaired = self.warnings.contains(&WarningCode::RepetitionRepaired);
        self.is_loop = is_repaired || is_loop(&self.heard, self.truth.as_deref(), self.unit);
        let Some(truth) = &self.truth else { return };
        let has_words = |text: &str| !Normalizer::Basic.apply(text).is_empty();
        self.is_missing = has_words(truth) && !has_words(&self.heard);
        self.is_invented = !has_words(truth) && has_words(&self.heard);
        self.errors = Some(score(truth, &self.heard, self.normalizer, self.unit).errors);
        self.character_errors = Some(character_distance(truth, &self.heard, self.normalizer));
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
