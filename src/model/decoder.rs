//! One decoding session: feed tokens or embeddings, go back to a position, ask for the next token.
//!
//! [`DecoderSession`] is the seam: today llama.cpp stands behind it, an own graph can take its place.

use crate::error::{Error, Result};
use std::sync::Arc;

pub use ggml::llama::{CacheType, Input};

/// Prompt rows computed at once. From 128 to 1024 the prefill of 30 s took the same time within the noise, and scratch
/// memory grew by 14 MiB (`benches/record/2026-11-22/rows-at-once.txt`).
const ROWS_AT_ONCE: usize = 256;

/// What the rest of the program needs of a decoder.
pub trait DecoderSession: Send {
    /// Positions filled so far.
    fn position(&self) -> usize;

    /// Positions it can hold.
    fn capacity(&self) -> usize;

    /// Appends tokens and rows in order, in one pass.
    ///
    /// # Errors
    /// When they do not fit or do not belong to this model; the session is then as before.
    fn append(&mut self, inputs: &[Input<'_>]) -> Result<()>;

    /// Forgets everything from `position` on.
    fn truncate(&mut self, position: usize);

    /// Logits over the vocabulary for what follows the last position; empty before anything was appended.
    fn logits(&self) -> &[f32];
}

/// llama.cpp behind the seam.
struct Llama {
    session: ggml::llama::Session,
    capacity: usize,
}

impl DecoderSession for Llama {
    fn position(&self) -> usize {
        self.session.position()
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn append(&mut self, inputs: &[Input<'_>]) -> Result<()> {
        self.session.append(inputs).map_err(|error| Error::internal(format!("decoder: {error}")))
    }

    fn truncate(&mut self, position: usize) {
        self.session.truncate(position);
    }

    fn logits(&self) -> &[f32] {
        self.session.logits().unwrap_or_default()
    }
}

/// Opens a session over shared weights.
pub(crate) fn open(model: &Arc<ggml::llama::Model>, capacity: usize, threads: usize, cache: CacheType) -> Result<Box<dyn DecoderSession>> {
    let options = ggml::llama::SessionOptions { context_length: capacity, rows_at_once: ROWS_AT_ONCE, threads, cache };
    let session = ggml::llama::Session::new(model, options).map_err(|error| Error::internal(format!("decoder: {error}; try a shorter --segment-seconds")))?;
    Ok(Box::new(Llama { session, capacity }))
}

/// The token with the largest logit, the first one among equals.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when no logit is a finite number: the weights are damaged.
pub fn most_likely(logits: &[f32]) -> Result<u32> {
    let mut best = None;
    for (id, logit) in logits.iter().enumerate() {
        if logit.is_finite() && best.is_none_or(|(_, top)| *logit > top) {
            best = Some((id, *logit));
        }
    }
    best.map(|(id, _)| id as u32).ok_or_else(|| Error::model("the decoder gave no finite number: the model file is damaged, convert or download it again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_wins_and_numbers_must_be_finite() {
        assert_eq!(most_likely(&[1.0, 3.0, 3.0, f32::NAN]).expect("finite ones"), 1);
        assert!(most_likely(&[f32::NAN, f32::NEG_INFINITY]).is_err());
        assert!(most_likely(&[]).is_err());
    }
}
