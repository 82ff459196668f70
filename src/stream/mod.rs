//! Live: audio in any blocks, text that grows.
//!
//! ```text
//! feed(block) ─ endpoint ─▶ utterance;  each step: recognizer (reused windows, attention, draft) ─ policy ─▶ Update
//! ```
//!
//! The engine has no clock, no thread and no file: steps are triggered by samples, so a recording fed in blocks
//! replays a microphone exactly.

mod engine;
mod official;
mod policy;

pub use crate::recognizer::{Clock, StepCost};
pub use engine::{Statistics, Stream, StreamOptions};
pub use official::OfficialRule;
pub use policy::{Commit, Promises, SteadyRule};

use crate::endpoint::EndReason;
use crate::transcript::{Segment, Warning};
use crate::units::SampleIndex;
use serde::{Deserialize, Serialize};

/// How a step treats the text of the step before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// As a draft: verified in one batch, so that the text is what offline would give for the audio so far.
    #[default]
    Exact,
    /// As the official package does: its beginning is forced, its end generated anew. For comparison.
    Official(OfficialRule),
}

/// An update while audio arrives.
#[derive(Debug, Clone)]
pub enum Update {
    /// The running utterance, as far as it is understood.
    Partial(Partial),
    /// An utterance is over; its text will not change.
    Final(Final),
}

/// The running utterance after a step. The text of the utterance so far is `committed` followed by `tentative`.
#[derive(Debug, Clone)]
pub struct Partial {
    /// Number of the utterance in the stream, from 0.
    pub utterance: u64,
    /// Its first sample.
    pub start: SampleIndex,
    /// One past the last sample that this text has heard.
    pub up_to: SampleIndex,
    /// Model name of the language, once known.
    pub language: Option<String>,
    /// All text of this utterance that will not change any more. Append-only from one partial to the next, and a
    /// prefix of the final text.
    pub committed: String,
    /// The text that follows it for now, with its leading space. May be replaced.
    pub tentative: String,
    /// The ids of committed and tentative text, language header included.
    pub tokens: Vec<u32>,
    /// For every id, the distance of its logit to the next largest; infinite where it was forced.
    pub margins: Vec<f32>,
    /// False when the step's limit of new tokens cut the text; the next step goes on from there.
    pub complete: bool,
    /// The smallest distance between the two largest logits over all choices: how near another text was.
    pub closest: f32,
    /// The cost of the step.
    pub cost: StepCost,
}

/// An utterance that is over.
#[derive(Debug, Clone)]
pub struct Final {
    /// Number of the utterance in the stream, from 0.
    pub utterance: u64,
    /// Its text and place.
    pub segment: Segment,
    /// Reason for its end.
    pub why: EndReason,
    /// Warnings for a reader of the text.
    pub warnings: Vec<Warning>,
    /// For every id, the distance of its logit to the next largest; infinite where it was forced.
    pub margins: Vec<f32>,
    /// The smallest distance between the two largest logits over all choices: how near another text was.
    pub closest: f32,
    /// In how many steps of this utterance a hypothesis wanted to change committed text and was not allowed to.
    pub revisions_refused: usize,
    /// The cost of the last step.
    pub cost: StepCost,
}
