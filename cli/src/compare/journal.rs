//! Every finished run, line by line in a file beside the page, so that a comparison that was stopped goes on.

use super::child::Outcome;
use qasr::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A finished run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Counted from 1.
    pub round: usize,
    /// Their names.
    pub recording: String,
    pub engine: String,
    /// Whose turn it was among the engines, counted from 1.
    pub turn: usize,
    /// Load average of the machine just before, where it is known.
    pub load_before: Option<f64>,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What decides about a run, by name. Runs go on only under an equal one.
pub type SetUp = Map<String, Value>;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    SetUp(SetUp),
    Run(Box<Run>),
}

/// The file, open behind its last whole line.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// All that is finished, in order.
    pub runs: Vec<Run>,
}

impl Journal {
    /// Goes on with the journal at `path` or begins it; `restart` begins it in any case.
    ///
    /// # Errors
    /// A usage error when what is there was made under another set-up (which it names) or is no journal; an output error
    /// when it cannot be read or written.
    pub fn open(path: &Path, set_up: &SetUp, restart: bool) -> Result<Self> {
        let content = match fs::read(path) {
            Ok(content) if !restart => content,
            Ok(_) => Vec::new(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(path, &error)),
        };
        // A line that a kill left without its end is not finished, and neither is its run.
        let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (mut earlier, mut runs) = (None, Vec::new());
        for (index, line) in content[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            match serde_json::from_slice(line) {
                Ok(Line::SetUp(found)) if index == 0 => earlier = Some(found),
                Ok(Line::Run(run)) if index > 0 => runs.push(*run),
                _ => {
                    return Err(Error::usage(format!(
                        "{}, line {}: is no line of a comparison; remove the file, or begin anew with --restart",
                        path.display(),
                        index + 1
                    )));
                }
            }
        }
        // Without a run there is nothing to lose.
        if let Some(earlier) = earlier.filter(|_| !runs.is_empty()) {
            check(path, &earlier, set_up)?;
            let file = File::options().append(true).open(path).map_err(|error| failed(path, &error))?;
            file.set_len(whole as u64).map_err(|error| failed(path, &error))?;
            return Ok(Self { path: path.to_path_buf(), file, runs });
        }
        let file = File::create(path).map_err(|error| failed(path, &error))?;
        let mut journal = Self { path: path.to_path_buf(), file, runs };
        journal.write(&Line::SetUp(set_up.clone()))?;
        Ok(journal)
    }

    /// Writes a finished run down.
    ///
    /// # Errors
    /// An output error that names the file.
    pub fn add(&mut self, run: Run) -> Result<()> {
        self.write(&Line::Run(Box::new(run.clone())))?;
        self.runs.push(run);
        Ok(())
    }

    /// Whether a run is finished.
    pub fn has(&self, round: usize, recording: &str, engine: &str) -> bool {
        self.runs.iter().any(|run| run.round == round && run.recording == recording && run.engine == engine)
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        let line = serde_json::to_string(line).map_err(|error| Error::internal(format!("no JSON: {error}")))?;
        self.file.write_all((line + "\n").as_bytes()).map_err(|error| failed(&self.path, &error))
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::output(format!("the runs in {} cannot be kept: {error}; give another -o", path.display()))
}

fn check(path: &Path, earlier: &SetUp, now: &SetUp) -> Result<()> {
    let names: std::collections::BTreeSet<&String> = earlier.keys().chain(now.keys()).collect();
    let differing: Vec<&str> =
        names.into_iter().filter(|name| earlier.get(*name) != now.get(*name)).map(String::as_str).collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{} has the runs of another comparison ({} differ): give another -o, or measure anew with --restart",
        path.display(),
        differing.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set_up(threads: u32) -> SetUp {
        json!({"threads": threads, "language": "auto"}).as_object().unwrap().clone()
    }

    fn run(round: usize) -> Run {
        let outcome = Outcome {
            text: "one\ntwo".into(),
            wall_seconds: 1.5,
            user_seconds: 1.0,
            system_seconds: 0.1,
            peak_bytes: 1 << 20,
            first_text_seconds: Some(0.5),
            failure: None,
        };
        Run { round, recording: "a.wav".into(), engine: "qasr".into(), turn: 1, load_before: None, outcome }
    }

    #[test]
    fn runs_are_kept_and_half_a_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        let mut journal = Journal::open(&path, &set_up(2), false).unwrap();
        journal.add(run(1)).unwrap();
        journal.add(run(2)).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 20]).unwrap();
        let mut journal = Journal::open(&path, &set_up(2), false).unwrap();
        assert_eq!(journal.runs, [run(1)]);
        assert!(journal.has(1, "a.wav", "qasr") && !journal.has(2, "a.wav", "qasr"));
        journal.add(run(2)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn another_set_up_is_refused_by_name_until_it_is_restarted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        Journal::open(&path, &set_up(2), false).unwrap().add(run(1)).unwrap();
        let error = Journal::open(&path, &set_up(3), false).unwrap_err().to_string();
        assert!(error.contains("(threads differ)") && error.contains("--restart"), "{error}");
        let mut restarted = Journal::open(&path, &set_up(3), true).unwrap();
        assert!(restarted.runs.is_empty());
        restarted.add(run(1)).unwrap();
        assert!(Journal::open(&path, &set_up(2), false).is_err());
    }

    #[test]
    fn a_journal_without_runs_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        Journal::open(&path, &set_up(2), false).unwrap();
        Journal::open(&path, &set_up(3), false).unwrap().add(run(1)).unwrap();
        assert_eq!(Journal::open(&path, &set_up(3), false).unwrap().runs, [run(1)]);
    }

    #[test]
    fn what_is_no_journal_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        fs::write(&path, "my notes\n").unwrap();
        let error = Journal::open(&path, &set_up(2), false).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "my notes\n");
    }
}
