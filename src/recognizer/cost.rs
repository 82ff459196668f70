//! The cost of a step: counts of the work, and times where a clock was lent.

use crate::transcript::Timings;
use std::ops::AddAssign;
use std::time::Duration;

/// The work of one step. Durations are zero unless a clock was lent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepCost {
    /// Chunks of 1 s that went through the convolution stem.
    pub chunks_convolved: usize,
    /// Attention windows that went through the encoder.
    pub windows_encoded: usize,
    /// Attention windows whose rows were kept from earlier steps.
    pub windows_reused: usize,
    /// Positions computed by the decoder for prompt and audio.
    pub tokens_prefilled: usize,
    /// Positions whose attention was kept from earlier steps.
    pub tokens_reused: usize,
    /// Tokens of earlier hypotheses computed in batches.
    pub tokens_verified: usize,
    /// Those of them that stood.
    pub tokens_kept: usize,
    /// Tokens generated one by one.
    pub tokens_generated: usize,
    /// Features.
    pub mel: Duration,
    /// Audio encoder.
    pub encode: Duration,
    /// Prompt, audio and verified tokens through the decoder.
    pub prefill: Duration,
    /// Token by token.
    pub decode: Duration,
}

impl StepCost {
    /// Its times as those of a whole recording.
    pub(crate) fn put_times(&self, timings: &mut Timings) {
        (timings.mel, timings.encode, timings.prefill, timings.decode) =
            (self.mel, self.encode, self.prefill, self.decode);
    }

    /// Time of all stages.
    pub fn total(&self) -> Duration {
        self.mel + self.encode + self.prefill + self.decode
    }
}

impl AddAssign for StepCost {
    fn add_assign(&mut self, other: Self) {
        self.chunks_convolved += other.chunks_convolved;
        self.windows_encoded += other.windows_encoded;
        self.windows_reused += other.windows_reused;
        self.tokens_prefilled += other.tokens_prefilled;
        self.tokens_reused += other.tokens_reused;
        self.tokens_verified += other.tokens_verified;
        self.tokens_kept += other.tokens_kept;
        self.tokens_generated += other.tokens_generated;
        self.mel += other.mel;
        self.encode += other.encode;
        self.prefill += other.prefill;
        self.decode += other.decode;
    }
}

/// A clock that a caller lends: time since any fixed moment.
pub type Clock = fn() -> Duration;

/// Time between calls, or zero without a clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch {
    clock: Option<Clock>,
    last: Duration,
}

impl Stopwatch {
    pub(crate) fn start(clock: Option<Clock>) -> Self {
        Self { clock, last: clock.map_or(Duration::ZERO, |now| now()) }
    }

    /// Time since the start or the last lap.
    pub(crate) fn lap(&mut self) -> Duration {
        let now = self.clock.map_or(Duration::ZERO, |now| now());
        now.saturating_sub(std::mem::replace(&mut self.last, now))
    }
}
