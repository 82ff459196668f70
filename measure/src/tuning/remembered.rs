//! Trials that are made once: an interrupted search goes on where it stopped.

use super::groups::Group;
use super::search::{Measured, Trial};
use qasr::error::{Error, Result};
use qasr_format::GgmlType;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    /// What else decides about the result: model, recordings, importance matrix, version.
    about: String,
    /// The types by group: "decoder-mlp=q4_0".
    types: String,
    measured: Measured,
}

/// A [`Trial`] whose measurements are kept in a file.
pub struct Remembered<T> {
    trial: T,
    about: String,
    known: HashMap<String, Measured>,
    path: PathBuf,
    file: File,
}

impl<T: Trial> Remembered<T> {
    /// Reads what is known from `path`, of which only lines about the same thing count, and adds to it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Output`] when the file cannot be written.
    pub fn open(trial: T, about: String, path: &Path) -> Result<Self> {
        let unwritable =
            |error: std::io::Error| Error::output(format!("{}: cannot be written: {error}", path.display()));
        let text = fs::read_to_string(path).unwrap_or_default();
        // A line that a killed run left half is no result.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let known = lines.filter(|line| line.about == about).map(|line| (line.types, line.measured)).collect();
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(unwritable)?;
        if !text.is_empty() && !text.ends_with('\n') {
            writeln!(file).map_err(unwritable)?;
        }
        Ok(Self { trial, about, known, path: path.to_path_buf(), file })
    }

    /// Trials known before.
    pub fn known(&self) -> usize {
        self.known.len()
    }
}

impl<T: Trial> Trial for Remembered<T> {
    fn bytes(&mut self, group: Group, kind: GgmlType) -> Result<u64> {
        self.trial.bytes(group, kind)
    }

    fn rest(&mut self) -> Result<u64> {
        self.trial.rest()
    }

    fn measure(&mut self, types: &[(Group, GgmlType)]) -> Result<Measured> {
        let mut named: Vec<String> = types.iter().map(|(group, kind)| format!("{group:?}={kind}")).collect();
        named.sort();
        let types_text = named.join(" ");
        if let Some(measured) = self.known.get(&types_text) {
            return Ok(*measured);
        }
        let measured = self.trial.measure(types)?;
        let line = Line { about: self.about.clone(), types: types_text.clone(), measured };
        let unwritable =
            |error: std::io::Error| Error::output(format!("{}: cannot be written: {error}", self.path.display()));
        let text = serde_json::to_string(&line).map_err(|error| Error::internal(error.to_string()))?;
        self.file.write_all(format!("{text}\n").as_bytes()).map_err(unwritable)?;
        self.known.insert(types_text, measured);
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts how often it is asked.
    struct Counted(u32);

    impl Trial for Counted {
        fn bytes(&mut self, _: Group, _: GgmlType) -> Result<u64> {
            Ok(1)
        }

        fn rest(&mut self) -> Result<u64> {
            Ok(1)
        }

        fn measure(&mut self, _: &[(Group, GgmlType)]) -> Result<Measured> {
            self.0 += 1;
            Ok(Measured { bytes: 7, kl: 0.1 / 3.0, flip_rate: 0.0, perplexity: f64::from(self.0) })
        }
    }

    #[test]
    fn what_was_measured_is_not_measured_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.jsonl");
        let one = [(Group::Embedding, GgmlType::Q8_0), (Group::DecoderMlp, GgmlType::Q4_0)];
        let turned = [one[1], one[0]];
        let mut trial = Remembered::open(Counted(0), "a".into(), &path).unwrap();
        let first = trial.measure(&one).unwrap();
        assert_eq!(trial.measure(&turned).unwrap(), first);
        trial.measure(&one[..1]).unwrap();
        assert_eq!(trial.trial.0, 2);
        drop(trial);
        // A kill in mid-line leaves half of one.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 9]).unwrap();
        let mut trial = Remembered::open(Counted(10), "a".into(), &path).unwrap();
        assert_eq!((trial.known(), trial.measure(&one).unwrap()), (1, first));
        assert_eq!(trial.measure(&one[..1]).unwrap().perplexity, 11.0);
        let trial = Remembered::open(Counted(0), "a".into(), &path).unwrap();
        assert_eq!(trial.known(), 2, "the line behind the half one is whole");
        assert_eq!(Remembered::open(Counted(0), "b".into(), &path).unwrap().known(), 0, "about another model");
    }
}
