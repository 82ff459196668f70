//! Every finished run, line by line in a file beside the page, so that a comparison that was stopped goes on.

use super::child::Outcome;
use qasr_measure::journal::Line;
use serde::{Deserialize, Serialize};

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
