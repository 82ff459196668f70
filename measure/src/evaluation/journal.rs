//! Results of recordings in a journal: a recording is never transcribed twice.

use super::{Entry, FileResult};
use crate::identity::{FileIdentity, ModelIdentity};
use crate::journal::{Identity, Journal, JournalError, Line};
use qasr::model::ModelInfo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// The facts about a model that a report needs, so that it can be made from the journal alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelLine {
    /// As the file names it.
    pub name: String,
    /// Type of most of the decoder's weights.
    pub decoder_type: String,
    /// Type of most of the encoder's weights.
    pub encoder_type: String,
    /// Size of both files.
    pub file_bytes: u64,
}

impl ModelLine {
    /// From an open model.
    pub fn new(info: &ModelInfo) -> Self {
        Self {
            name: info.name.clone(),
            decoder_type: info.decoder_type.clone(),
            encoder_type: info.encoder_type.clone(),
            file_bytes: info.file_bytes,
        }
    }
}

/// Costs of one process that worked on the run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProcessLine {
    /// Recordings it finished.
    pub files: usize,
    /// CPU time outside the kernel.
    pub user_seconds: f64,
    /// CPU time inside the kernel.
    pub system_seconds: f64,
    /// Most memory it held at once, opening the model included.
    pub peak_bytes: u64,
}

/// A line of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResultLine {
    /// The model that was opened.
    Model(ModelLine),
    /// A finished recording.
    File(Box<FileResult>),
    /// The end of a process.
    Process(ProcessLine),
}

impl Line for ResultLine {
    const MEASUREMENT: &'static str = "an evaluation";
}

/// The identity of a run: `options` is [`EvaluationOptions::identity`](super::EvaluationOptions::identity) and whatever
/// else decides about times.
pub fn run_identity(manifest: &FileIdentity, model: &ModelIdentity, version: &str, options: &Value) -> Identity {
    let identity = Identity::default()
        .with("the manifest", manifest)
        .with("the model's files", model)
        .with("the program's version", version);
    let options = options.as_object().into_iter().flatten();
    options.fold(identity, |identity, (name, value)| identity.with(&format!("option {name}"), value))
}

/// The journal of a run, with its results by recording.
#[derive(Debug)]
pub struct ResultJournal {
    journal: Journal<ResultLine>,
    /// The line of every recording; the last one where a recording changed and was done again.
    lines: HashMap<String, usize>,
}

impl From<Journal<ResultLine>> for ResultJournal {
    fn from(journal: Journal<ResultLine>) -> Self {
        let name = |(index, line): (usize, &ResultLine)| match line {
            ResultLine::File(result) => Some((result.file.clone(), index)),
            _ => None,
        };
        let lines = journal.lines().iter().enumerate().filter_map(name).collect();
        Self { journal, lines }
    }
}

impl ResultJournal {
    /// As [`Journal::open`].
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open(path: &Path, identity: &Identity) -> Result<Self, JournalError> {
        Journal::open(path, identity).map(Self::from)
    }

    /// As [`Journal::restart`].
    ///
    /// # Errors
    /// As [`Journal::restart`].
    pub fn restart(path: &Path, identity: &Identity) -> Result<Self, JournalError> {
        Journal::restart(path, identity).map(Self::from)
    }

    /// As [`Journal::resume`].
    ///
    /// # Errors
    /// As [`Journal::resume`].
    pub fn resume(path: &Path) -> Result<Option<Self>, JournalError> {
        Ok(Journal::resume(path)?.map(Self::from))
    }

    /// Writes down a finished recording.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append(&mut self, result: &FileResult) -> Result<(), JournalError> {
        self.journal.append(ResultLine::File(Box::new(result.clone())))?;
        self.lines.insert(result.file.clone(), self.journal.lines().len() - 1);
        Ok(())
    }

    /// Writes down which model was opened.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn set_model(&mut self, model: ModelLine) -> Result<(), JournalError> {
        if self.model() == Some(&model) { Ok(()) } else { self.journal.append(ResultLine::Model(model)) }
    }

    /// Writes down the costs of a process.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn add_process(&mut self, process: ProcessLine) -> Result<(), JournalError> {
        self.journal.append(ResultLine::Process(process))
    }

    /// The result of an entry whose recording is still the same, or still cannot be read (`identity` is `None`).
    pub fn find(&self, entry: &Entry, identity: Option<&FileIdentity>) -> Option<&FileResult> {
        let identity = identity.cloned().unwrap_or_default();
        match &self.journal.lines()[*self.lines.get(&entry.name)?] {
            ResultLine::File(result) if result.identity == identity => Some(result),
            _ => None,
        }
    }

    /// How many recordings are finished.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether none is finished.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The model, once it was opened.
    pub fn model(&self) -> Option<&ModelLine> {
        self.journal.lines().iter().rev().find_map(|line| match line {
            ResultLine::Model(model) => Some(model),
            _ => None,
        })
    }

    /// Costs of the processes whose end could be noted; together they may have done fewer recordings than are finished.
    pub fn processes(&self) -> impl Iterator<Item = &ProcessLine> {
        self.journal.lines().iter().filter_map(|line| match line {
            ResultLine::Process(process) => Some(process),
            _ => None,
        })
    }

    /// Whether the last line had no end and was dropped.
    pub fn was_torn(&self) -> bool {
        self.journal.was_torn()
    }
}
