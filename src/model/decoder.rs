//! One decoding session: feed tokens or embeddings, go back to a position, ask for the next token.
//!
//! [`DecoderSession`] is the seam: today llama.cpp implements it, an own graph can take its place.

use super::watch::Watch;
use crate::error::{Error, Remedy, Result};
use std::sync::Arc;

pub use ggml::llama::{CacheType, Input};

/// Prompt rows computed at once. From 128 to 1024 the prefill of 30 s took the same time within the noise, and scratch
/// memory grew by 14 MiB (`benches/record/2026-11-22/rows-at-once.txt`).
const ROWS_AT_ONCE: usize = 256;

/// Positions of one pass whose logits can be had. Each takes a row of the vocabulary, 0.6 MB in the published models.
pub const OUTPUTS_AT_ONCE: usize = 16;

/// The operations that the rest of the program needs from a decoder.
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

/// llama.cpp as a decoder session.
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
    /// Natural logarithm of its probability.
    pub log_probability: f32,
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
    let choice = |id: usize| Choice {
        token: id as u32,
        margin: top - second,
        log_probability: log_probability(logits, id as u32),
    };
    best.map(choice).ok_or_else(|| {
        Error::model("the decoder gave no finite number: the model file is damaged, convert or download it again")
    })
}

/// Logits further below the largest than this are left out of a sum of probabilities: all of a vocabulary of 150,000
/// together are less than a ten-millionth of the largest.
const NEGLIGIBLE: f32 = 30.0;

/// Natural logarithm of the probability of `token` under these logits: its logit less the logarithm of the sum of all
/// exponentials. Logits that are no finite number count as impossible tokens.
pub fn log_probability(logits: &[f32], token: u32) -> f32 {
    let top = logits.iter().copied().filter(|logit| logit.is_finite()).fold(f32::NEG_INFINITY, f32::max);
    let Some(own) = logits.get(token as usize).copied().filter(|logit| logit.is_finite()) else {
        return f32::NEG_INFINITY;
    };
    let near = logits.iter().map(|logit| logit - top).filter(|below| *below > -NEGLIGIBLE);
    let sum: f64 = near.map(|below| f64::from(below.exp())).sum();
    (f64::from(own - top) - sum.ln()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_probability_is_that_of_all_logits() {
        let logits: Vec<f32> = (0..5000).map(|id| ((id * 37) % 101) as f32 / 5.0 - 10.0).collect();
        let direct = |token: usize| {
            let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
            f64::from(logits[token]) - sum.ln()
        };
        for token in [0, 7, 2500, 4999] {
            let found = f64::from(log_probability(&logits, token as u32));
            assert!((found - direct(token)).abs() < 1e-5, "{token}: {found} {}", direct(token));
        }
        // A lone candidate is certain, an impossible one and one that does not exist are not.
        assert_eq!(log_probability(&[f32::NAN, 3.0, f32::NEG_INFINITY], 1), 0.0);
        assert_eq!(log_probability(&[1.0, f32::NAN], 1), f32::NEG_INFINITY);
        assert_eq!(log_probability(&[1.0], 4), f32::NEG_INFINITY);
    }

    #[test]
    fn the_first_of_equals_wins_and_numbers_must_be_finite() {
        let choice = |logits: &[f32]| most_likely(logits).expect("finite ones");
        for (logits, token, margin) in [
            (&[1.0, 3.0, 3.0, f32::NAN][..], 1, 0.0),
            (&[f32::NAN, 1.0, -2.0, 0.5], 1, 0.5),
            (&[-1.0], 0, f32::INFINITY),
        ] {
            let log_probability = log_probability(logits, token);
            assert_eq!(choice(logits), Choice { token, margin, log_probability });
        }
        assert!(most_likely(&[f32::NAN, f32::NEG_INFINITY]).is_err());
        assert!(most_likely(&[]).is_err());
    }
}
