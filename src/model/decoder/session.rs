//! One sequence of one decoder, for tests and measurements.

use super::{Decoder, Input, OUTPUTS_AT_ONCE, Request, Rows, Sequence};
use crate::error::Result;

/// One sequence: feed tokens or rows, go back to a position, look at the logits.
pub struct Session {
    decoder: Box<dyn Decoder>,
    sequence: Sequence,
    capacity: usize,
}

impl Session {
    pub(crate) fn new(mut decoder: Box<dyn Decoder>, capacity: usize) -> Result<Self> {
        let sequence = decoder.open(capacity)?;
        Ok(Self { decoder, sequence, capacity })
    }

    /// Positions filled so far.
    pub fn position(&self) -> usize {
        self.decoder.position(self.sequence)
    }

    /// Positions it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends tokens and rows in order, in one pass, and computes the logits that follow each of the last `outputs`
    /// positions, at most [`OUTPUTS_AT_ONCE`].
    ///
    /// # Errors
    /// When they do not fit or do not belong to this model; the session is then as before.
    pub fn append(&mut self, inputs: &[Input<'_>], outputs: usize) -> Result<()> {
        self.pass(inputs, outputs, Rows::Together)
    }

    /// Appends tokens of a text, each computed as if it came alone, and the logits that follow each of them. A text has
    /// the same logits, bit for bit, however it is divided into such passes.
    ///
    /// # Errors
    /// As [`Session::append`], and for more than [`Session::each_at_once`].
    pub fn append_each(&mut self, ids: &[u32]) -> Result<()> {
        self.pass(&[Input::Tokens(ids)], ids.len(), Rows::Each)
    }

    fn pass(&mut self, inputs: &[Input<'_>], outputs: usize, rows: Rows) -> Result<()> {
        let asked = vec![0; outputs.min(OUTPUTS_AT_ONCE + 1)];
        let request = Request { sequence: self.sequence, position: self.position(), inputs, asked: &asked };
        self.decoder.pass(&[request], rows, true).map(|_| ())
    }

    /// Most tokens of one [`Session::append_each`].
    pub fn each_at_once(&self) -> usize {
        self.decoder.each_at_once()
    }

    /// Forgets everything from `position` on.
    pub fn truncate(&mut self, position: usize) {
        self.decoder.truncate(self.sequence, position);
    }

    /// Logits over the vocabulary for what follows the `output`-th of the positions asked for in the last pass; empty where
    /// none were.
    pub fn logits(&self, output: usize) -> &[f32] {
        self.decoder.logits(output)
    }
}
