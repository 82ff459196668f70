//! Finished work, line by line in a file, so that a measurement that was interrupted in any way goes on.
//!
//! The first line is the [`Identity`] of the measurement; the file goes on only under an equal one. Every other line is
//! a finished part. Each is written in one piece at the end; one that a kill left without its end is dropped.

use crate::whole::create_whole;
use qasr::error::{Error, ErrorKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The form of the files. Another form is refused.
const FORM: u32 = 1;

/// A finished part of a measurement.
pub trait Line: Serialize + DeserializeOwned {
    /// The measurement, as an error names it.
    const MEASUREMENT: &'static str;
}

/// Everything that decides about the results, by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(Map<String, Value>);

impl Identity {
    /// With one more part. Values are equal when their JSON is.
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.0.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// A short name for this identity, for files that lie in one folder.
    pub fn short_hash(&self) -> String {
        let text = Value::Object(self.0.clone()).to_string();
        qasr_convert::sha256::of(text.as_bytes())[..12].to_owned()
    }

    /// Names of the parts that are not equal.
    fn differing(&self, other: &Self) -> Vec<String> {
        let names = self.0.keys().chain(other.0.keys()).filter(|name| self.0.get(*name) != other.0.get(*name));
        let mut names: Vec<String> = names.cloned().collect();
        names.sort();
        names.dedup();
        names
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    measurement: String,
    form: u32,
    identity: Identity,
}

/// The file, open after its last whole line.
#[derive(Debug)]
pub struct Journal<L> {
    path: PathBuf,
    file: File,
    identity: Identity,
    lines: Vec<L>,
    was_torn: bool,
}

impl<L: Line> Journal<L> {
    /// Goes on with the journal at `path`, or begins it. One of another identity is begun anew while it has no part.
    ///
    /// # Errors
    /// When the file is no journal of this measurement, is damaged, has parts under another identity, or cannot be read
    /// or written.
    pub fn open(path: &Path, identity: &Identity) -> Result<Self, JournalError> {
        let Some(journal) = Self::resume(path)? else { return Self::begin(path, identity) };
        let differing = journal.identity.differing(identity);
        match (differing.is_empty(), journal.lines.is_empty()) {
            (true, _) => Ok(journal),
            (false, true) => Self::begin(path, identity),
            (false, false) => Err(fault::<L>(path, Fault::Other(differing))),
        }
    }

    /// Begins anew: a journal of this measurement is replaced, anything else is not.
    ///
    /// # Errors
    /// When the file is no journal of this measurement, or cannot be read or written.
    pub fn restart(path: &Path, identity: &Identity) -> Result<Self, JournalError> {
        if let Some(content) = read(path).map_err(|error| fault::<L>(path, Fault::Read(error)))? {
            first_line::<L>(path, &content)?;
        }
        Self::begin(path, identity)
    }

    /// Goes on with the journal at `path` under any identity; `None` where there is none.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn resume(path: &Path) -> Result<Option<Self>, JournalError> {
        let failed = |error| fault::<L>(path, Fault::Read(error));
        let Some(content) = read(path).map_err(failed)? else { return Ok(None) };
        let (identity, begin) = first_line::<L>(path, &content)?;
        let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut lines = Vec::new();
        for (index, line) in content[begin..whole].split(|byte| *byte == b'\n').enumerate() {
            if !line.is_empty() {
                let damaged = |error: serde_json::Error| {
                    fault::<L>(path, Fault::Damaged { line: index + 2, why: error.to_string() })
                };
                lines.push(serde_json::from_slice(line).map_err(damaged)?);
            }
        }
        let was_torn = whole < content.len();
        let failed = |error| fault::<L>(path, Fault::Write(error));
        let file = File::options().append(true).open(path).map_err(failed)?;
        if was_torn {
            file.set_len(whole as u64).map_err(failed)?;
        }
        Ok(Some(Self { path: path.to_path_buf(), file, identity, lines, was_torn }))
    }

    fn begin(path: &Path, identity: &Identity) -> Result<Self, JournalError> {
        let header = Header { measurement: L::MEASUREMENT.to_owned(), form: FORM, identity: identity.clone() };
        // Whole from the start: no kill can leave a journal without its first line, or half of an older one.
        let file = text(&header).and_then(|line| create_whole(path, |out| out.write_all(&line)));
        let file = file.map_err(|error| fault::<L>(path, Fault::Write(error)))?;
        Ok(Self { path: path.to_path_buf(), file, identity: identity.clone(), lines: Vec::new(), was_torn: false })
    }

    /// Writes a finished part down.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, line: L) -> Result<(), JournalError> {
        let written = text(&line).and_then(|text| self.file.write_all(&text));
        written.map_err(|error| fault::<L>(&self.path, Fault::Write(error)))?;
        self.lines.push(line);
        Ok(())
    }

    /// All that is finished, in order.
    pub fn lines(&self) -> &[L] {
        &self.lines
    }

    /// Whether the last line had no end and was dropped.
    pub fn was_torn(&self) -> bool {
        self.was_torn
    }
}

/// The content of a file; `None` where there is none or nothing in it.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content).filter(|content| !content.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The identity, and where the next line begins.
fn first_line<L: Line>(path: &Path, content: &[u8]) -> Result<(Identity, usize), JournalError> {
    let end = content.iter().position(|byte| *byte == b'\n');
    match end.map(|end| (serde_json::from_slice(&content[..end]), end + 1)) {
        Some((Ok(Header { measurement, form: FORM, identity }), begin)) if measurement == L::MEASUREMENT => {
            Ok((identity, begin))
        }
        _ => Err(fault::<L>(path, Fault::NoJournal)),
    }
}

fn text(line: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text)
}

/// Why a journal cannot be used. Names facts; the remedy depends on the program.
#[derive(Debug)]
pub struct JournalError {
    path: PathBuf,
    measurement: &'static str,
    /// The cause.
    pub fault: Fault,
}

/// The cause of a [`JournalError`].
#[derive(Debug)]
pub enum Fault {
    /// The file is something else, or was written by another version.
    NoJournal,
    /// Finished parts are of another measurement; names of what differs.
    Other(Vec<String>),
    /// A line cannot be read.
    Damaged {
        /// Counted from 1.
        line: usize,
        /// The parser's reason.
        why: String,
    },
    /// The file cannot be read.
    Read(io::Error),
    /// The file cannot be written.
    Write(io::Error),
}

fn fault<L: Line>(path: &Path, fault: Fault) -> JournalError {
    JournalError { path: path.to_path_buf(), measurement: L::MEASUREMENT, fault }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, measurement) = (self.path.display(), self.measurement);
        match &self.fault {
            Fault::NoJournal => write!(f, "{path} is not a journal of {measurement}, or one of another version"),
            Fault::Other(names) => write!(f, "{path} has results of another run ({} differ)", names.join(", ")),
            Fault::Damaged { line, why } => write!(f, "{path}, line {line}: is damaged ({why})"),
            Fault::Read(error) => write!(f, "cannot read {path}: {error}"),
            Fault::Write(error) => write!(f, "cannot write {path}: {error}"),
        }
    }
}

impl std::error::Error for JournalError {}

impl JournalError {
    /// The kind that fits the cause.
    pub fn kind(&self) -> ErrorKind {
        match self.fault {
            Fault::Read(_) | Fault::Write(_) => ErrorKind::Output,
            _ => ErrorKind::Usage,
        }
    }
}

impl From<JournalError> for Error {
    fn from(error: JournalError) -> Self {
        Error::new(error.kind(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Part {
        number: u32,
    }

    impl Line for Part {
        const MEASUREMENT: &'static str = "a test";
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct OtherPart {}

    impl Line for OtherPart {
        const MEASUREMENT: &'static str = "another test";
    }

    fn identity(threads: u32) -> Identity {
        Identity::default().with("threads", threads).with("language", "auto")
    }

    fn begun(path: &Path, parts: u32) -> Journal<Part> {
        let mut journal = Journal::open(path, &identity(2)).unwrap();
        (1..=parts).for_each(|number| journal.append(Part { number }).unwrap());
        journal
    }

    #[test]
    fn parts_are_kept_and_half_a_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        drop(begun(&path, 2));
        let whole = fs::read(&path).unwrap();
        for lost in [1, 5] {
            fs::write(&path, &whole[..whole.len() - lost]).unwrap();
            let mut journal = Journal::open(&path, &identity(2)).unwrap();
            assert_eq!((journal.lines(), journal.was_torn()), (&[Part { number: 1 }][..], true));
            journal.append(Part { number: 2 }).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
        assert!(!Journal::<Part>::resume(&path).unwrap().unwrap().was_torn());
    }

    #[test]
    fn another_identity_is_refused_by_name_until_it_is_restarted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        drop(begun(&path, 1));
        let error = Journal::<Part>::open(&path, &identity(3)).unwrap_err();
        assert!(error.to_string().contains("x.jsonl has results of another run (threads differ)"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(Journal::<Part>::restart(&path, &identity(3)).unwrap().lines().is_empty());
        // Without a part there is nothing to lose.
        assert!(begun(&path, 1).lines().len() == 1 && Journal::<Part>::open(&path, &identity(2)).is_ok());
        assert_ne!(identity(2).short_hash(), identity(3).short_hash());
    }

    #[test]
    fn anything_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        for content in ["my notes\n", "my notes", "{\"file\":\"six.wav\"}\n", "{\"header\":{\"version\":\"0.1\"}}\n"] {
            fs::write(&path, content).unwrap();
            let opened = [Journal::<Part>::open(&path, &identity(2)), Journal::restart(&path, &identity(2))];
            for error in opened.map(Result::unwrap_err) {
                assert!(error.to_string().contains("x.jsonl is not a journal of a test"), "{error}");
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        fs::remove_file(&path).unwrap();
        drop(begun(&path, 1));
        assert!(matches!(Journal::<OtherPart>::resume(&path).unwrap_err().fault, Fault::NoJournal));
    }

    #[test]
    fn a_damaged_line_and_a_place_that_cannot_be_written_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        drop(begun(&path, 1));
        let mut content = fs::read(&path).unwrap();
        content.extend(b"{}\n");
        fs::write(&path, content).unwrap();
        let error = Journal::<Part>::open(&path, &identity(2)).unwrap_err();
        assert!(error.to_string().contains("x.jsonl, line 3: is damaged"), "{error}");
        let error = Journal::<Part>::open(&folder.path().join("no/such.jsonl"), &identity(2)).unwrap_err();
        assert!(error.kind() == ErrorKind::Output && error.to_string().starts_with("cannot write"), "{error}");
        fs::write(&path, b"").unwrap();
        assert!(Journal::<Part>::resume(&path).unwrap().is_none());
    }
}
