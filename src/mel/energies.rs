//! Log10 energies as audio arrives: append-only, equal for every way of cutting the audio into blocks.

use super::filterbank::Filterbank;
use super::stft::{Stft, WINDOW};
use super::{BANDS, FLOOR, LogMel, MARGIN, TOO_SHORT};
use crate::units::HOP;
use std::ops::Range;

/// Samples taken from a block at a time, so that a recording of 20 minutes is not copied as a whole.
const PIECE: usize = 100 * HOP;

/// Log10 energies of 128 bands per mel frame, *before* normalization.
///
/// A frame appears once its whole STFT window has been heard: frame `f` with sample `160 f + 199` (frame 0 with
/// sample 200, which the mirrored beginning needs). It never changes afterwards. [`MelEnergies::finish`] adds the last
/// frame, whose STFT window reaches over the end, where the official features mirror the recording.
#[derive(Debug, Clone)]
pub struct MelEnergies {
    stft: Stft,
    filterbank: Filterbank,
    /// `[frames, 128]`.
    energies: Vec<f32>,
    peak: f32,
    heard: usize,
    /// Samples from the start of the next frame's STFT window. The mirrored beginning is put before them as soon as
    /// there is enough to mirror; until then they start at sample 0.
    pending: Vec<f32>,
    finished: bool,
}

impl Default for MelEnergies {
    fn default() -> Self {
        Self::new()
    }
}

impl MelEnergies {
    /// No audio yet.
    pub fn new() -> Self {
        Self {
            stft: Stft::new(),
            filterbank: Filterbank::new(),
            energies: Vec::new(),
            peak: FLOOR,
            heard: 0,
            pending: Vec::new(),
            finished: false,
        }
    }

    /// Hears one block of any length, mono at 16 kHz in [-1, 1], and adds the frames that it completes.
    ///
    /// # Panics
    ///
    /// After [`MelEnergies::finish`]: the mirrored last frame would have to change.
    pub fn append(&mut self, block: &[f32]) {
        assert!(!self.finished, "MelEnergies: append after finish; start a new MelEnergies for new audio");
        self.energies.reserve(block.len() / HOP * BANDS);
        for piece in block.chunks(PIECE) {
            self.append_piece(piece);
        }
    }

    /// Ends the recording: adds the frame that needs the mirrored end, if there is one. A second call does nothing.
    pub fn finish(&mut self) {
        if let Some(frame) = self.last_frame() {
            self.keep(&frame);
        }
        self.finished = true;
    }

    /// The frame that [`MelEnergies::finish`] would add if the recording ended here: there is at most one. A live step
    /// needs it for a provisional result; it differs from the frame that will stand there once more has been heard.
    pub fn last_frame(&mut self) -> Option<[f32; BANDS]> {
        if self.finished || super::frame_count(self.heard) == self.frames() {
            return None;
        }
        // A full hop is left, so the recording ends at most 40 samples before this STFT window does, and all that
        // they mirror is pending.
        let mut window = [0.0; WINDOW];
        let end = self.pending.len();
        window[..end].copy_from_slice(&self.pending);
        for (out, &mirrored) in window[end..].iter_mut().zip(self.pending[..end - 1].iter().rev()) {
            *out = mirrored;
        }
        Some(self.compute(&window))
    }

    /// Mel frames so far.
    pub fn frames(&self) -> usize {
        self.energies.len() / BANDS
    }

    /// The largest energy of all frames so far; -10, the lowest possible, before the first.
    pub fn peak(&self) -> f32 {
        self.peak
    }

    /// Samples heard.
    pub fn samples(&self) -> usize {
        self.heard
    }

    /// Energies of a range of frames, `[frames, 128]`, frame-major.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond [`MelEnergies::frames`].
    pub fn energies(&self, range: Range<usize>) -> &[f32] {
        &self.energies[range.start * BANDS..range.end * BANDS]
    }

    /// Normalized features of a range of frames, clamped against `peak`: [`MelEnergies::peak`] for what the official
    /// extractor gives for the audio so far, or another to reproduce an earlier result.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond [`MelEnergies::frames`].
    pub fn log_mel(&self, range: Range<usize>, peak: f32) -> LogMel {
        LogMel::from_energies(self.energies(range), peak)
    }

    fn append_piece(&mut self, piece: &[f32]) {
        let mirrored = self.heard > TOO_SHORT;
        self.heard += piece.len();
        self.pending.extend_from_slice(piece);
        if self.heard <= TOO_SHORT {
            return;
        }
        if !mirrored {
            self.mirror_beginning();
        }
        let mut start = 0;
        while let Some(window) = self.pending.get(start..).and_then(|rest| rest.first_chunk::<WINDOW>().copied()) {
            let frame = self.compute(&window);
            self.keep(&frame);
            start += HOP;
        }
        self.pending.drain(..start);
    }

    /// Puts samples 200 … 1 before sample 0: a mirror that does not repeat the edge.
    fn mirror_beginning(&mut self) {
        let mirrored: Vec<f32> = self.pending[1..=MARGIN].iter().rev().copied().collect();
        self.pending.splice(0..0, mirrored);
    }

    fn compute(&mut self, window: &[f32; WINDOW]) -> [f32; BANDS] {
        let power = self.stft.power(window);
        let mut frame = [FLOOR; BANDS];
        for (out, energy) in frame.iter_mut().zip(self.filterbank.energies(power)) {
            *out = (energy as f32).log10().max(FLOOR);
        }
        frame
    }

    fn keep(&mut self, frame: &[f32; BANDS]) {
        self.peak = frame.iter().copied().fold(self.peak, f32::max);
        self.energies.extend_from_slice(frame);
    }
}
