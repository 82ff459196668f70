//! Decoding: rows of many sequences in, the tokens that follow out.
//!
//! [`Decoder`] is the seam. Our own graph implements it; llama.cpp does too, as a second opinion for tests. Both compute
//! one pass at a time, and know nothing of prompts, texts or who drives them. A [`Session`] is one sequence of one
//! decoder, for whoever needs no more.

pub(crate) mod graph;
pub(crate) mod llama;
mod session;

pub use ggml::llama::{CacheType, Input};
pub use session::Session;

use crate::error::{Error, Result};

/// Most positions of one pass whose logits can be had, and most rows of a pass that computes each as if it came alone. In
/// a published model the logits of a position are 0.6 MB.
pub const OUTPUTS_AT_ONCE: usize = 16;

/// A sequence of a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sequence(pub(crate) usize);

/// What goes through a pass for one sequence.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The sequence, which comes once in a pass.
    pub sequence: Sequence,
    /// Where the first row belongs. The sequence forgets what it holds from there on; it holds everything before.
    pub position: usize,
    /// Tokens and rows of audio, in order.
    pub inputs: &'a [Input<'a>],
    /// For each of the last rows, as many as there are ids here, what follows it is computed; and how likely this id is.
    pub asked: &'a [u32],
}

/// How the rows of a pass are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Together, by the fastest kernels: a row's last bits depend on how many rows there are. For one request.
    Together,
    /// Each as if it came alone: the same bits, whichever rows of whichever sequences are beside it.
    Each,
}

/// What follows a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The most likely token.
    pub choice: Choice,
    /// Natural logarithm of the probability of the id that was asked for.
    pub asked: f32,
}

/// Weights, and any number of sequences.
pub trait Decoder: Send {
    /// Makes room for a sequence of up to `capacity` positions.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when there is no memory for it.
    fn open(&mut self, capacity: usize) -> Result<Sequence>;

    /// Gives back the memory of a sequence.
    fn close(&mut self, sequence: Sequence);

    /// Positions that a sequence holds.
    fn position(&self, sequence: Sequence) -> usize;

    /// Forgets everything from `position` on.
    fn truncate(&mut self, sequence: Sequence, position: usize);

    /// Most rows of a pass with [`Rows::Each`], at most [`OUTPUTS_AT_ONCE`]. It depends on the types of the weights: where
    /// kernels of several rows give other bits than those of one, it is 1.
    fn each_at_once(&self) -> usize;

    /// Computes one pass; for each request the verdicts on its last rows. With `logits`, those of all verdicts can be had
    /// afterwards.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] for requests that do not fit, [`crate::ErrorKind::Model`] when the model gives no
    /// finite number. The sequences then end where their requests begin.
    fn pass(&mut self, requests: &[Request<'_>], rows: Rows, logits: bool) -> Result<Vec<Vec<Verdict>>>;

    /// Logits over the vocabulary behind the `output`-th of all verdicts of the last pass, if it was asked for them; else
    /// empty.
    fn logits(&self, output: usize) -> &[f32];
}

/// The rules of a pass that hold for every decoder.
fn check(requests: &[Request<'_>], rows: Rows, each_at_once: usize) -> Result<()> {
    let refuse = |why: String| Err(Error::internal(format!("decoder: {why}")));
    let asked: usize = requests.iter().map(|request| request.asked.len()).sum();
    if asked > OUTPUTS_AT_ONCE {
        return refuse(format!("{asked} outputs of one pass, where {OUTPUTS_AT_ONCE} can be had"));
    }
    match rows {
        Rows::Together if requests.len() != 1 => refuse(format!("{} requests together", requests.len())),
        Rows::Together => Ok(()),
        Rows::Each => {
            let is_all_tokens = |request: &Request<'_>| matches!(request.inputs, [Input::Tokens(_)]);
            let count = |request: &Request<'_>| match request.inputs {
                [Input::Tokens(ids)] => ids.len(),
                _ => 0,
            };
            let total: usize = requests.iter().map(count).sum();
            if !requests.iter().all(is_all_tokens) || total == 0 {
                return refuse("rows that come alone are tokens".into());
            }
            if total > each_at_once {
                return refuse(format!("{total} tokens, where {each_at_once} can be alike"));
            }
            Ok(())
        }
    }
}

fn no_number() -> Error {
    Error::model("the decoder gave no finite number: the model file is damaged, convert or download it again")
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
    best.map(choice).ok_or_else(no_number)
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
