//! What is finished, line by line in a file, so that a run that was stopped, in whatever way, goes on where it was.
//!
//! The first line says what was run (the [`Header`]); the file goes on only with the same. Every other line is a finished
//! recording, the model that was opened, or what a process took. Each is written in one piece behind the last; one that
//! a kill left without its end is dropped.

use super::{Entry, FileIdentity, FileResult, ModelIdentity};
use qasr::error::{Error, Result};
use qasr::model::ModelInfo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What identifies a run. Results under equal headers are of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Of the manifest.
    pub manifest: FileIdentity,
    pub model: ModelIdentity,
    /// Of the program, and the revision that it was built from.
    pub version: String,
    /// Everything else that decides about results, by name.
    pub options: Value,
}

/// What a model says about itself, for reports made from the journal alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelLine {
    pub name: String,
    pub decoder_type: String,
    pub encoder_type: String,
    pub file_bytes: u64,
}

impl ModelLine {
    pub fn new(info: &ModelInfo) -> Self {
        Self {
            name: info.name.clone(),
            decoder_type: info.decoder_type.clone(),
            encoder_type: info.encoder_type.clone(),
            file_bytes: info.file_bytes,
        }
    }
}

/// What one process took that worked on the run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProcessLine {
    /// Recordings it finished.
    pub files: usize,
    pub user_seconds: f64,
    pub system_seconds: f64,
    /// Most memory it held at once, opening the model included.
    pub peak_bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Header(Header),
    Model(ModelLine),
    File(Box<FileResult>),
    Process(ProcessLine),
}

/// The file, and what it held when it was opened or got since.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    header: Header,
    model: Option<ModelLine>,
    results: HashMap<String, FileResult>,
    processes: Vec<ProcessLine>,
    was_torn: bool,
}

impl Journal {
    /// Goes on with the journal at `path`, or begins it. What is there must have an equal header.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when the file is no journal, is damaged (with the line), or is that of another run:
    /// the sentence says what differs. [`crate::ErrorKind::Output`] when it cannot be read or written.
    pub fn open(path: &Path, header: &Header) -> Result<Self> {
        let journal = match Self::resume(path)? {
            Some(journal) => journal,
            None => return Self::begin(path, header),
        };
        let differing = differing(&journal.header, header);
        if !differing.is_empty() {
            return Err(Error::usage(format!(
                "{} holds results of another run ({} differ): keep it and give another folder (-o), or measure anew \
                 with --restart",
                path.display(),
                differing.join(", ")
            )));
        }
        Ok(journal)
    }

    /// Begins anew: a journal that is there is replaced, anything else is not.
    ///
    /// # Errors
    /// As [`open`](Self::open), except that what is there may be of another run, or damaged behind its first line.
    pub fn restart(path: &Path, header: &Header) -> Result<Self> {
        match fs::read(path) {
            Ok(content) => drop(first_line(path, &content)?),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(path, "read", &error)),
        }
        Self::begin(path, header)
    }

    /// Goes on with the journal at `path`, whatever it is of; `None` where none has begun.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn resume(path: &Path) -> Result<Option<Self>> {
        let content = match fs::read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(path, "read", &error)),
        };
        let Some(header) = first_line(path, &content)? else { return Ok(None) };
        let file = File::options().append(true).open(path).map_err(|error| failed(path, "write", &error))?;
        let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let was_torn = whole < content.len();
        if was_torn {
            file.set_len(whole as u64).map_err(|error| failed(path, "write", &error))?;
        }
        let mut journal = Self {
            path: path.to_path_buf(),
            file,
            header,
            model: None,
            results: HashMap::new(),
            processes: Vec::new(),
            was_torn,
        };
        for (index, line) in content[..whole].split(|byte| *byte == b'\n').enumerate().skip(1) {
            if !line.is_empty() {
                let line = serde_json::from_slice(line).map_err(|error| {
                    Error::usage(format!(
                        "{}, line {}: is damaged ({error}): measure anew with --restart",
                        path.display(),
                        index + 1
                    ))
                })?;
                journal.take(line);
            }
        }
        Ok(Some(journal))
    }

    fn begin(path: &Path, header: &Header) -> Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let line = text(&Line::Header(header.clone()))?;
        // Renamed: no kill can leave a journal without its whole first line, or half of an older one.
        let written = fs::write(&part, line).and_then(|()| fs::rename(&part, path));
        written.map_err(|error| failed(path, "write", &error))?;
        let again = Self::resume(path)?;
        again.ok_or_else(|| Error::output(format!("{} went away while it was written: try again", path.display())))
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Header(_) => {}
            Line::Model(model) => self.model = Some(model),
            // A recording that changed was done again: the last result counts.
            Line::File(result) => drop(self.results.insert(result.file.clone(), *result)),
            Line::Process(process) => self.processes.push(process),
        }
    }

    fn write(&mut self, line: Line) -> Result<()> {
        self.file.write_all(text(&line)?.as_bytes()).map_err(|error| failed(&self.path, "write", &error))?;
        self.take(line);
        Ok(())
    }

    /// Writes down a finished recording.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Output`] with the path.
    pub fn append(&mut self, result: &FileResult) -> Result<()> {
        self.write(Line::File(Box::new(result.clone())))
    }

    /// Writes down which model was opened.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Output`] with the path.
    pub fn set_model(&mut self, model: ModelLine) -> Result<()> {
        if self.model.as_ref() == Some(&model) { Ok(()) } else { self.write(Line::Model(model)) }
    }

    /// Writes down what a process took.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Output`] with the path.
    pub fn add_process(&mut self, process: ProcessLine) -> Result<()> {
        self.write(Line::Process(process))
    }

    /// The result of an entry whose recording is still the same, or still cannot be read (`identity` is `None`).
    pub fn find(&self, entry: &Entry, identity: Option<&FileIdentity>) -> Option<&FileResult> {
        let identity = identity.cloned().unwrap_or_default();
        self.results.get(&entry.name).filter(|result| result.identity == identity)
    }

    /// How many recordings are finished.
    pub fn len(&self) -> usize {
        self.results.len()
    }

    /// Whether none is finished.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// What identifies the run.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The model, once it was opened.
    pub fn model(&self) -> Option<&ModelLine> {
        self.model.as_ref()
    }

    /// What the processes took that ended in a way that could be noted; together they may have done fewer recordings
    /// than are finished.
    pub fn processes(&self) -> &[ProcessLine] {
        &self.processes
    }

    /// Whether the last line had no end and was dropped.
    pub fn was_torn(&self) -> bool {
        self.was_torn
    }
}

/// The header of a journal; `None` where not even that was written.
fn first_line(path: &Path, content: &[u8]) -> Result<Option<Header>> {
    if content.is_empty() {
        return Ok(None);
    }
    let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match serde_json::from_slice(line) {
        Ok(Line::Header(header)) => Ok(Some(header)),
        _ => Err(Error::usage(format!(
            "{} is not a journal of `qasr eval`, or one of another version: give another folder (-o)",
            path.display()
        ))),
    }
}

fn text(line: &Line) -> Result<String> {
    let line = serde_json::to_string(line).map_err(|error| Error::internal(format!("a result is no JSON: {error}")))?;
    Ok(line + "\n")
}

fn failed(path: &Path, what: &str, error: &std::io::Error) -> Error {
    Error::output(format!("cannot {what} {}: {error}; give another folder (-o)", path.display()))
}

/// What of two headers is not the same, in words.
fn differing(one: &Header, other: &Header) -> Vec<String> {
    let mut names = Vec::new();
    let parts = [
        ("the manifest", one.manifest == other.manifest),
        ("the model's files", one.model == other.model),
        ("the program's version", one.version == other.version),
    ];
    names.extend(parts.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name.to_owned()));
    let (one, other) = (&one.options, &other.options);
    let keys = [one, other].into_iter().filter_map(Value::as_object).flat_map(|options| options.keys());
    let mut keys: Vec<&String> = keys.filter(|key| one.get(key.as_str()) != other.get(key.as_str())).collect();
    keys.sort();
    keys.dedup();
    names.extend(keys.into_iter().map(|key| format!("option {key}")));
    names
}
