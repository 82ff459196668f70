//! One decoding session: feed tokens or embeddings, go back to a position, ask for the next token.
//!
//! [`DecoderSession`] is the seam: today llama.cpp stands behind it, an own graph can take its place.

use super::watch::Watch;
use crate::error::{Error, Remedy, Result};
use std::sync::Arc;

pub use ggml::llama::{CacheType, Input};

/// Prompt rows computed at once. From 128 to 1024 the prefill of 30 s took the same time within the noise, and scratch
/// memory grew by 14 MiB (`benches/record/2026-11-22/rows-at-once.txt`).
const ROWS_AT_ONCE: usize = 256;

/// Positions of one pass whose logits can be had. Each takes a row of the vocabulary, 0.6 MB in the published models.
pub const OUTPUTS_AT_ONCE: usize = 16;

/// What the rest of the program needs of a decoder.
pub trait DecoderSession: Send {
    /// Positions filled so far.
    fn position(&self) -> usize;

    /// Positions it can hold.
    fn capacity(&self) -> usize;

    /// Appends tokens and rows in order, in one pass, and computes the logits that follow each of the last `outputs`
    /// positions, at most [`OUTPUTS_AT_ONCE`].
    ///
    /// # Errors
    /// When they do not fit or do not belong to this model; the session is then as before.
    fn append(&mut self, inputs: &[Input<'_>], outputs: usize) -> Result<()>;

    /// Appends tokens of a text, each computed as if it came alone, and the logits that follow each of them. A text has
    /// the same logits, bit for bit, however it is divided into such passes.
    ///
    /// # Errors
    /// As [`DecoderSession::append`], and for more than [`DecoderSession::each_at_once`].
    fn append_each(&mut self, ids: &[u32]) -> Result<()>;

    /// Most tokens of one [`DecoderSession::append_each`], at most [`OUTPUTS_AT_ONCE`]. It depends on the types of the
    /// weights: where the kernels of several rows give other bits than those of one, it is 1.
    fn each_at_once(&self) -> usize;

    /// Forgets everything from `position` on.
    fn truncate(&mut self, position: usize);

    /// Logits over the vocabulary for what follows the `output`-th of the positions asked for in the last
    /// [`DecoderSession::append`] or [`DecoderSession::append_each`]; empty where none were.
    fn logits(&self, output: usize) -> &[f32];
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

    fn append(&mut self, inputs: &[Input<'_>], outputs: usize) -> Result<()> {
        self.session.append(inputs, outputs).map_err(|error| Error::internal(format!("decoder: {error}")))
    }

    fn append_each(&mut self, ids: &[u32]) -> Result<()> {
        self.session.append_each(ids).map_err(|error| Error::internal(format!("decoder: {error}")))
    }

    fn each_at_once(&self) -> usize {
        self.session.each_at_once()
    }

    fn truncate(&mut self, position: usize) {
        self.session.truncate(position);
    }

    fn logits(&self, output: usize) -> &[f32] {
        self.session.logits(output).unwrap_or_default()
    }
}

/// Opens a session over shared weights.
pub(crate) fn open(
    model: &Arc<ggml::llama::Model>,
    capacity: usize,
    threads: &Arc<ggml::Threads>,
    cache: CacheType,
    each_at_once: usize,
    watch: &Watch,
) -> Result<Box<dyn DecoderSession>> {
    let options = ggml::llama::SessionOptions {
        context_length: capacity,
        rows_at_once: ROWS_AT_ONCE,
        outputs_at_once: OUTPUTS_AT_ONCE,
        threads: Arc::clone(threads),
        cache,
        each_at_once,
        watch: watch.products(),
    };
    let session = ggml::llama::Session::new(model, options)
        .map_err(|error| Error::internal(format!("decoder: {error}")).with_remedy(Remedy::ShorterUtterances))?;
    Ok(Box::new(Llama { session, capacity }))
}

/// The token that follows, and how clear that was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The token with the largest logit, the first one among equals.
    pub token: u32,
    /// Its distance to the next largest logit; infinite when there is no other.
    pub margin: f32,
}

/// The most likely token.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when no logit is a finite number: the weights are damaged.
pub fn most_likely(logits: &[f32]) -> Result<Choice> {
    let (mut best, mut top, mut second) = (None, f32::NEG_INFINITY, f32::NEG_INFINITY);
    for (id, &logit) in logits.iter().enumerate() {
        if !logit.is_finite() {
            continue;
        }
        if best.is_none() || logit > top {
            second = top;
            (best, top) = (Some(id), logit);
        } else if logit > second {
            second = logit;
        }
    }
    best.map(|id| Choice { token: id as u32, margin: top - second }).ok_or_else(|| {
        Error::model("the decoder gave no finite number: the model file is damaged, convert or download it again")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_wins_and_numbers_must_be_finite() {
        assert_eq!(most_likely(&[1.0, 3.0, 3.0, f32::NAN]).expect("finite ones"), Choice { token: 1, margin: 0.0 });
        assert_eq!(most_likely(&[f32::NAN, 1.0, -2.0, 0.5]).expect("finite ones"), Choice { token: 1, margin: 0.5 });
        assert_eq!(most_likely(&[-1.0]).expect("a finite one"), Choice { token: 0, margin: f32::INFINITY });
        assert!(most_likely(&[f32::NAN, f32::NEG_INFINITY]).is_err());
        assert!(most_likely(&[]).is_err());
    }
}
