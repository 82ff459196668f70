//! One run: a command on a recording, and its outcome as a line of the journal beside the page.

use qasr_measure::journal::Line;
use qasr_measure::process;
use serde::{Deserialize, Serialize};
use std::time::Duration;

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

impl Line for Run {
    const MEASUREMENT: &'static str = "a comparison";
}

/// A process that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its standard output, without white space around it.
    pub text: String,
    /// From before its start to its end.
    pub wall_seconds: f64,
    /// User time of its own and of children it waited for.
    pub user_seconds: f64,
    /// The same inside the kernel.
    pub system_seconds: f64,
    /// Largest resident set, with the pages of mapped files.
    pub peak_bytes: u64,
    /// From its start to the first letter that is not white space.
    pub first_text_seconds: Option<f64>,
    /// Why it counts as failed: how it ended, and the end of its standard error.
    pub failure: Option<String>,
}

impl Outcome {
    /// Runs a command to its end, at most this long.
    ///
    /// # Errors
    /// A sentence when it cannot be started.
    pub fn of(words: &[String], timeout: Duration) -> Result<Self, String> {
        let execution = process::run(words, timeout)?;
        let how = match execution.status {
            Some(status) if status.success() => None,
            Some(status) => Some(status.to_string()),
            None => Some(format!("killed after {:.1} s without an end (--timeout)", timeout.as_secs_f64())),
        };
        let complaint = match execution.complaint.as_str() {
            "" => "nothing on standard error".to_owned(),
            complaint => format!("standard error ends with: {complaint}"),
        };
        Ok(Self {
            text: execution.text,
            wall_seconds: execution.wall.as_secs_f64(),
            user_seconds: execution.usage.user_seconds,
            system_seconds: execution.usage.system_seconds,
            peak_bytes: execution.usage.peak_bytes,
            first_text_seconds: execution.first_text.map(|first| first.as_secs_f64()),
            failure: how.map(|how| format!("{how}; {complaint}")),
        })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_explained() {
        let failure = |script: &str, seconds: f64| {
            let words = ["sh", "-c", script].map(str::to_owned);
            Outcome::of(&words, Duration::from_secs_f64(seconds)).unwrap().failure
        };
        assert_eq!(failure("true", 20.0), None);
        let sentence = failure("echo sorry >&2; exit 7", 20.0).unwrap();
        assert!(sentence.contains('7') && sentence.ends_with("; standard error ends with: sorry"), "{sentence}");
        let sentence = failure("exec sleep 30", 0.2).unwrap();
        assert!(sentence.contains("--timeout") && sentence.ends_with("; nothing on standard error"), "{sentence}");
    }
}
