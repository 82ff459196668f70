//! Encoder rows of a growing utterance, every finished window and chunk computed once.
//!
//! A frame's energies never change once all its samples have been heard, but its *features* are clamped against the
//! loudest value of the utterance so far. What was computed from finished frames therefore stands as long as the
//! peak's floor stays below their energies, or stays where it was; otherwise it is computed again. That is exact, and
//! rare.

use super::cost::{StepCost, Stopwatch};
use crate::error::Result;
use crate::mel::{BANDS, LogMel, MelEnergies, is_same_under};
use crate::model::config::CHUNK_FRAMES;
use crate::model::encoder::{self, ChunkRows, WINDOW_FRAMES};
use crate::model::{AudioEmbeddings, EncodedWindow, Encoder};
use crate::options::Options;
use std::ops::Range;

/// A value computed from finished frames, and the other values that it depends on.
struct Cached<T> {
    value: T,
    /// The peak that the frames were clamped against.
    peak: f32,
    /// Their lowest energy.
    lowest: f32,
}

impl<T> Cached<T> {
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
    windows: Vec<Cached<EncodedWindow>>,
    /// Finished chunks from `first_chunk` on: those of the window that is not finished.
    chunks: Vec<Cached<ChunkRows>>,
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
        options: &Options,
        cost: &mut StepCost,
        watch: &mut Stopwatch,
    ) -> Result<AudioEmbeddings> {
        let (frames, peak) = self.append(audio);
        cost.mel += watch.lap();
        let Options { reuse, cancel, watch: watched, .. } = options;
        let finished = self.energies.frames();
        let total = frames.len() / BANDS;
        let mut windows = Vec::with_capacity(total.div_ceil(WINDOW_FRAMES));
        for (index, window) in encoder::windows(total).enumerate() {
            if let Some(kept) = self.windows.get(index).filter(|kept| reuse.windows && kept.stands(peak)) {
                windows.push(kept.value.clone());
                cost.windows_reused += 1;
                continue;
            }
            cancel.check()?;
            let mut rows_of = |chunk: Range<usize>| {
                let energies = &frames[chunk.start * BANDS..chunk.end * BANDS];
                let is_finished = chunk.len() == CHUNK_FRAMES && chunk.end <= finished;
                let place = (chunk.start / CHUNK_FRAMES).checked_sub(self.first_chunk);
                let kept = place.and_then(|place| self.chunks.get(place));
                if let Some(kept) = kept.filter(|kept| reuse.chunks && kept.stands(peak)) {
                    return Ok(kept.value.clone());
                }
                let value = encoder.convolve(&LogMel::from_energies(energies, peak), total <= CHUNK_FRAMES)?;
                cost.chunks_convolved += 1;
                if let Some(place) = place.filter(|place| is_finished && *place <= self.chunks.len()) {
                    self.chunks.truncate(place);
                    self.chunks.push(Cached { value: value.clone(), peak, lowest: lowest(energies) });
                }
                Ok(value)
            };
            let value = encoder.encode_window(window.clone(), &mut rows_of, watched.watcher())?;
            cost.windows_encoded += 1;
            windows.push(value.clone());
            if window.len() == WINDOW_FRAMES && window.end <= finished {
                let lowest = lowest(&frames[window.start * BANDS..window.end * BANDS]);
                self.windows.truncate(index);
                self.windows.push(Cached { value, peak, lowest });
                self.first_chunk = window.end / CHUNK_FRAMES;
                self.chunks.clear();
            }
        }
        cost.encode += watch.lap();
        Ok(AudioEmbeddings { windows })
    }

    /// Takes `audio` as [`Windows::encode`] does: energies of all frames, the one at the mirrored end included, and their peak.
    pub(super) fn append(&mut self, audio: &[f32]) -> (Vec<f32>, f32) {
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
}

fn lowest(energies: &[f32]) -> f32 {
    energies.iter().copied().fold(f32::INFINITY, f32::min)
}
