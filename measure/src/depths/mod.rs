//! The cost of quantization at five levels; each level explains the errors seen at the next: blocks, tensors, embeddings, logits,
//! transcripts.
//!
//! ```text
//! 1 blocks      values ─ round trip through a type            files only, no model runs: in the converter,
//! 2 tensors     a pair of files ─ the same tensors in another  `qasr_convert::distance`
//! 3 embeddings  clip ─ rows after every encoder layer          `embeddings`; `noise` makes it harder
//! 4 logits      clip, text ─ what is expected at every token   `logits`
//! 5 transcripts recording ─ text, beside what was said          `crate::evaluation`; with 3 and 4 type by type: `types`
//! ```

pub mod clips;
pub mod embeddings;
pub mod logits;
pub mod metrics;
pub mod noise;
pub mod types;

use qasr::text::Language;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One utterance to measure on.
#[derive(Debug, Clone)]
pub struct Clip {
    /// For tables and messages.
    pub name: String,
    /// Mono at 16 kHz.
    pub samples: Arc<[f32]>,
    /// How it was recorded or made: "clean", "white noise 10 dB".
    pub condition: String,
    /// The language spoken, when known.
    pub language: Option<Language>,
    /// The words spoken, when known, as the model should write them.
    pub text: Option<String>,
}

/// A mean, the middle and the far end of measured values.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// Half of them lie above.
    pub median: f64,
    /// One in a hundred lies above.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of `values` in any order; all zero when there are none.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (Some(last), Some(&max)) = (values.len().checked_sub(1), values.last()) else {
            return Self::default();
        };
        let at = |share: f64| values[(share * last as f64).round() as usize];
        Self { mean: values.iter().sum::<f64>() / values.len() as f64, median: at(0.5), p99: at(0.99), max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_that_of_the_sorted_values() {
        let spread = Spread::of((0..=200).rev().map(f64::from).collect());
        assert_eq!(spread, Spread { mean: 100.0, median: 100.0, p99: 198.0, max: 200.0 });
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
