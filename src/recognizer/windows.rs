//! Encoder rows of a growing utterance, every finished window and chunk computed once.
//!
//! A frame's energies never change once all its samples have been heard, but its *features* are clamped against the
//! loudest value of the utterance so far. What was computed from finished frames therefore stands as long as the
//! peak's floor stays below their energies, or stays where it was; otherwise it is computed again. That is exact, and
//! rare.

use super::cost::{StepCost, Stopwatch};
use crate::error::Result;
use crate::mel::{BANDS, MelEnergies, is_same_under, normalize};
use crate::model::Encoder;
use crate::model::config::CHUNK_FRAMES;
use crate::model::encoder::WINDOW_FRAMES;
use crate::options::{Cancel, Reuse};
use std::ops::Range;
use std::sync::Arc;

/// Encoder rows of one attention window, `[rows, decoder width]`.
pub(super) type WindowRows = Arc<[f32]>;

/// Something computed from finished frames, and what it depends on besides them.
struct Kept<T> {
    value: T,
    /// The peak that the frames were clamped against.
    peak: f32,
    /// Their lowest energy.
    lowest: f32,
}

impl<T> Kept<T> {
    fn stands(&self, peak: f32) -> bool {
        is_same_under(self.lowest, self.peak, peak)
    }
}

/// One utterance, from samples to encoder rows.
#[derive(Default)]
pub(super) struct Windows {
    energies: MelEnergies,
    /// The loudest energy of the audio before, as far as it still counts.
    carried_peak: Option<f32>,
    /// Finished windows, from the first on.
    windows: Vec<Kept<WindowRows>>,
    /// Finished chunks from `first_chunk` on: those of the window that is not finished.
    chunks: Vec<Kept<Vec<f32>>>,
    first_chunk: usize,
}

impl Windows {
    /// For the next utterance, whose features are clamped as if everything until now were part of it: `carried_peak` is
    /// the loudest energy before it.
    pub(super) fn after(carried_peak: Option<f32>) -> Self {
        Self { carried_peak, ..Self::default() }
    }

    /// The loudest energy of this utterance, and the samples that it was found in; `None` before there was any.
    pub(super) fn own_peak(&self) -> Option<(f32, u64)> {
        (self.energies.frames() > 0).then(|| (self.energies.peak(), self.energies.samples() as u64))
    }

    /// The loudest energy of the audio before.
    pub(super) fn carried_peak(&self) -> Option<f32> {
        self.carried_peak
    }

    /// Rows of the whole utterance as if it ended with `audio`, window by window. `audio` begins with the samples
    /// given before, or, where an utterance turns out to have ended earlier, is the beginning of them.
    pub(super) fn encode(
        &mut self,
        encoder: &Encoder,
        audio: &[f32],
        reuse: Reuse,
        cancel: &Cancel,
        cost: &mut StepCost,
        watch: &mut Stopwatch,
    ) -> Result<Vec<WindowRows>> {
        let (frames, peak) = self.hear(audio);
        cost.mel += watch.lap();
        let finished = self.energies.frames();
        let total = frames.len() / BANDS;
        let mut rows = Vec::with_capacity(total.div_ceil(WINDOW_FRAMES));
        for (index, start) in (0..total).step_by(WINDOW_FRAMES).enumerate() {
            let range = start..total.min(start + WINDOW_FRAMES);
            if let Some(kept) = self.windows.get(index).filter(|kept| reuse.windows && kept.stands(peak)) {
                rows.push(Arc::clone(&kept.value));
                cost.windows_reused += 1;
                continue;
            }
            cancel.check()?;
            let lowest = lowest(&frames[range.start * BANDS..range.end * BANDS]);
            let stem = self.convolve(encoder, &frames, range.clone(), peak, reuse.chunks, cost)?;
            let value: WindowRows = encoder.attend(&stem)?.into();
            cost.windows_encoded += 1;
            rows.push(Arc::clone(&value));
            if range.len() == WINDOW_FRAMES && range.end <= finished {
                self.windows.truncate(index);
                self.windows.push(Kept { value, peak, lowest });
                self.first_chunk = range.end / CHUNK_FRAMES;
                self.chunks.clear();
            }
        }
        cost.encode += watch.lap();
        Ok(rows)
    }

    /// Takes `audio` as [`Windows::encode`] does: energies of all frames, the one at the mirrored end included, and their peak.
    pub(super) fn hear(&mut self, audio: &[f32]) -> (Vec<f32>, f32) {
        if audio.len() < self.energies.samples() {
            // Finished windows of the shorter utterance are the same; a chunk that reaches over its end is not.
            self.energies = MelEnergies::new();
            self.energies.append(audio);
            let finished = self.energies.frames();
            self.windows.truncate(finished / WINDOW_FRAMES);
            self.chunks.truncate((finished / CHUNK_FRAMES).saturating_sub(self.first_chunk));
            if self.first_chunk > finished / CHUNK_FRAMES {
                (self.first_chunk, self.chunks) = (0, Vec::new());
            }
        } else {
            let heard = self.energies.samples();
            self.energies.append(&audio[heard..]);
        }
        let mut frames = self.energies.energies(0..self.energies.frames()).to_vec();
        let mut peak = self.carried_peak.map_or(self.energies.peak(), |carried| carried.max(self.energies.peak()));
        if let Some(last) = self.energies.last_frame() {
            peak = last.iter().copied().fold(peak, f32::max);
            frames.extend_from_slice(&last);
        }
        (frames, peak)
    }

    /// The stem's rows of one window, chunk by chunk.
    fn convolve(
        &mut self,
        encoder: &Encoder,
        energies: &[f32],
        window: Range<usize>,
        peak: f32,
        reuse: bool,
        cost: &mut StepCost,
    ) -> Result<Vec<f32>> {
        let (finished, total) = (self.energies.frames(), energies.len() / BANDS);
        let mut rows = Vec::new();
        for start in window.clone().step_by(CHUNK_FRAMES) {
            let end = window.end.min(start + CHUNK_FRAMES);
            let place = (start / CHUNK_FRAMES).checked_sub(self.first_chunk);
            if let Some(kept) = place.and_then(|place| self.chunks.get(place)).filter(|kept| reuse && kept.stands(peak))
            {
                rows.extend_from_slice(&kept.value);
                continue;
            }
            let chunk = &energies[start * BANDS..end * BANDS];
            let value = encoder.convolve(&normalize(chunk, peak), total <= CHUNK_FRAMES)?;
            cost.chunks_convolved += 1;
            rows.extend_from_slice(&value);
            if let Some(place) =
                place.filter(|place| end - start == CHUNK_FRAMES && end <= finished && *place <= self.chunks.len())
            {
                self.chunks.truncate(place);
                self.chunks.push(Kept { value, peak, lowest: lowest(chunk) });
            }
        }
        Ok(rows)
    }
}

fn lowest(energies: &[f32]) -> f32 {
    energies.iter().copied().fold(f32::INFINITY, f32::min)
}
