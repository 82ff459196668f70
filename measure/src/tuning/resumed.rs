//! Trials that are made once: an interrupted search goes on where it stopped.

use super::groups::Group;
use super::search::{Measured, Trial};
use crate::journal::{Journal, Line};
use qasr::error::Result;
use qasr_format::GgmlType;
use serde::{Deserialize, Serialize};

/// A finished trial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrialLine {
    /// The types by group: "decoder-mlp=q4_0".
    types: String,
    measured: Measured,
}

impl Line for TrialLine {
    const MEASUREMENT: &'static str = "a search for a recipe";
}

/// A [`Trial`] whose measurements are kept in a journal.
pub struct ResumedTrial<T> {
    trial: T,
    journal: Journal<TrialLine>,
}

impl<T: Trial> ResumedTrial<T> {
    /// Goes on with the trials that `journal` has.
    pub fn new(trial: T, journal: Journal<TrialLine>) -> Self {
        Self { trial, journal }
    }

    /// Trials that are finished.
    pub fn finished(&self) -> usize {
        self.journal.lines().len()
    }
}

impl<T: Trial> Trial for ResumedTrial<T> {
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
        if let Some(line) = self.journal.lines().iter().find(|line| line.types == types_text) {
            return Ok(line.measured);
        }
        let measured = self.trial.measure(types)?;
        self.journal.append(TrialLine { types: types_text, measured })?;
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Identity;
    use std::path::Path;

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

    fn resumed(counted: u32, path: &Path) -> ResumedTrial<Counted> {
        ResumedTrial::new(Counted(counted), Journal::open(path, &Identity::default()).unwrap())
    }

    #[test]
    fn what_was_measured_is_not_measured_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.jsonl");
        let one = [(Group::Embedding, GgmlType::Q8_0), (Group::DecoderMlp, GgmlType::Q4_0)];
        let turned = [one[1], one[0]];
        let mut trial = resumed(0, &path);
        let first = trial.measure(&one).unwrap();
        assert_eq!(trial.measure(&turned).unwrap(), first);
        trial.measure(&one[..1]).unwrap();
        assert_eq!(trial.trial.0, 2);
        drop(trial);
        let mut trial = resumed(10, &path);
        assert_eq!((trial.finished(), trial.measure(&one).unwrap()), (2, first));
        assert_eq!(trial.measure(&one[..1]).unwrap().perplexity, 2.0);
        assert_eq!(trial.measure(&one[1..]).unwrap().perplexity, 11.0);
        assert_eq!(resumed(0, &path).finished(), 3);
    }
}
