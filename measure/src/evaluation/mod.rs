//! A model over a manifest: a list of recordings with what is said in them. What is finished is never done twice.
//!
//! ```text
//! Manifest ─ run (audio, transcribe, scoring) ─▶ FileResult, one line each in the Journal ─ Summary, compare
//! ```

mod journal;
mod manifest;
mod result;
mod summary;

pub use journal::{ModelLine, ProcessLine, ResultJournal, ResultLine, run_identity};
pub use manifest::{Entry, Manifest};
pub use result::{Failure, FileResult, StageTimes};
pub use summary::{Comparison, Group, Score, Share, Summary, compare};

use crate::identity::FileIdentity;
use crate::scoring::Normalizer;
use qasr::audio::{self, ReadOptions};
use qasr::error::{Error, ErrorKind, Result};
use qasr::model::Model;
use qasr::options::Options;
use qasr::transcribe::transcribe;
use qasr::transcript::Transcript;
use serde::Serialize;
use std::time::Instant;

/// How to go over a manifest.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct EvaluationOptions {
    /// Settings of recognition. `language` holds the model to one language in every recording, except where
    /// `use_manifest_language` finds another.
    #[serde(flatten)]
    pub transcribe: Options,
    /// Hold the model to the language that the manifest names for a recording.
    pub use_manifest_language: bool,
    /// How texts are made alike; `None` chooses by the language expected.
    pub normalizer: Option<Normalizer>,
    /// Use only this number of entries, from the first.
    #[serde(skip)]
    pub limit: Option<usize>,
}

impl EvaluationOptions {
    /// Everything that decides about a result, by name, for the header of a journal; `limit` does not.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if there is no JSON for them, which no options should cause.
    pub fn identity(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self)
            .map_err(|error| Error::internal(format!("the options cannot be written down: {error}")))
    }

    /// The entries to go over.
    pub fn entries<'a>(&self, manifest: &'a Manifest) -> &'a [Entry] {
        &manifest.entries[..self.limit.map_or(manifest.entries.len(), |limit| limit.min(manifest.entries.len()))]
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Entries done, those from the journal included.
    pub done: usize,
    /// Entries in all.
    pub total: usize,
    /// The one just finished.
    pub result: &'a FileResult,
    /// Whether it was finished before this run began.
    pub is_from_journal: bool,
}

/// Transcribes every entry that the journal does not have, and gives the results of all in the manifest's order.
/// Results are in the journal before `progress` hears of them. A recording that changed since is done again.
///
/// A recording that cannot be read, or for which the model gives no numbers, is a result with a `failure` and ends
/// nothing.
///
/// # Errors
/// [`ErrorKind::Usage`] for options out of range, [`ErrorKind::Output`] when the journal cannot be written.
pub fn run(
    model: &Model,
    manifest: &Manifest,
    options: &EvaluationOptions,
    mut journal: Option<&mut ResultJournal>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<FileResult>> {
    let entries = options.entries(manifest);
    let mut results = Vec::with_capacity(entries.len());
    for entry in entries {
        // Why it cannot be read, transcribing it reports.
        let identity = FileIdentity::read(&entry.file, ErrorKind::Audio).ok();
        let known = journal.as_deref().and_then(|journal| journal.find(entry, identity.as_ref())).cloned();
        let is_from_journal = known.is_some();
        let result = match known {
            Some(known) => known,
            None => {
                let result = evaluate(model, entry, identity, options)?;
                if let Some(journal) = journal.as_deref_mut() {
                    journal.append(&result)?;
                }
                result
            }
        };
        progress(Progress { done: results.len() + 1, total: entries.len(), result: &result, is_from_journal });
        results.push(result);
    }
    Ok(results)
}

/// Transcribes and scores one recording.
fn evaluate(
    model: &Model,
    entry: &Entry,
    identity: Option<FileIdentity>,
    options: &EvaluationOptions,
) -> Result<FileResult> {
    let mut transcribing = options.transcribe.clone();
    if let Some(language) = entry.language.filter(|_| options.use_manifest_language) {
        transcribing.language = Some(language);
    }
    let forced = transcribing.language;
    let started = Instant::now();
    let heard = hear(model, entry, &transcribing);
    let wall = started.elapsed();
    let mut result = FileResult::new(entry, identity.unwrap_or_default());
    match heard {
        Ok(transcript) => {
            result.set_transcript(&transcript, wall, forced);
            result.score(entry.language.or(forced), options.normalizer);
        }
        Err(error) if matches!(error.kind(), ErrorKind::Audio | ErrorKind::Model) => {
            result.failure = Some(Failure::new(&error));
        }
        Err(error) => return Err(error),
    }
    Ok(result)
}

fn hear(model: &Model, entry: &Entry, options: &Options) -> Result<Transcript> {
    let started = Instant::now();
    let recording = audio::read_path(&entry.file, &ReadOptions::default())?;
    let audio_time = started.elapsed();
    let named = |error: Error| error.at(&entry.name);
    let mut transcript = transcribe(model, &recording.pcm, options, &mut |_| {}).map_err(named)?;
    transcript.timings.audio = audio_time;
    transcript.warnings.splice(0..0, recording.warnings);
    Ok(transcript)
}
