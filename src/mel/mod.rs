//! Computes exactly the features the model was trained on, all at once or as audio arrives, with equal results.
//!
//! ```text
//! samples [n] ─ stft ─▶ power [201] ─ filterbank ─▶ power [128] ─ log10 ─▶ MelEnergies ─ clamp, scale ─▶ LogMel
//! ```
//!
//! Two types, because the normalization looks at the loudest value of the whole recording: an energy never changes
//! once its frame has been heard, but its normalized value may, when something louder comes later. Live input
//! therefore appends to one [`MelEnergies`] and normalizes the range it needs with the peak known so far.

mod energies;
mod filterbank;
mod stft;

pub use energies::MelEnergies;

use crate::units::HOP;
use std::ops::Range;

/// Values per mel frame.
pub const BANDS: usize = 128;

/// Samples mirrored at both ends of a recording: half an STFT window.
const MARGIN: usize = stft::WINDOW / 2;

/// Recordings up to this many samples (12.5 ms) have no frames: mirroring half an STFT window without
/// repeating the edge needs one more. The official extractor refuses them; here they are empty.
pub const TOO_SHORT: usize = MARGIN;

/// Samples after a whole number of hops from which the frame before them needs no mirrored end: frame `f` is final
/// with sample `160 (f + 1) + 39`.
pub const BEHIND_FRAME: usize = MARGIN - HOP;

/// How far below the peak an energy may lie: 8 decades.
const DEPTH: f32 = 8.0;

/// Energies are log10 of at least 1e-10, so this is the lowest there is, and the peak of nothing.
const FLOOR: f32 = -10.0;

/// Features of one utterance, ready for the encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct LogMel {
    /// Mel frames, 10 ms each.
    pub frames: usize,
    /// The log10 energy that [`LogMel::data`] was clamped against: nothing lies lower than `peak - 8`.
    pub peak: f32,
    /// `[frames, 128]`, one frame after the other: `data[frame * 128 + band]`.
    pub data: Vec<f32>,
}

impl LogMel {
    /// Features of energies `[frames, 128]`, in the same order: what lies more than 8 decades below `peak` is raised, and
    /// [-8, 0] decades become a range of width 2.
    pub fn from_energies(energies: &[f32], peak: f32) -> Self {
        let floor = peak - DEPTH;
        let data = energies.iter().map(|&energy| (energy.max(floor) + 4.0) / 4.0).collect();
        Self { frames: energies.len() / BANDS, peak, data }
    }

    /// A range of its frames.
    ///
    /// # Panics
    ///
    /// If the range reaches beyond [`LogMel::frames`].
    pub fn part(&self, range: Range<usize>) -> Self {
        let data = self.data[range.start * BANDS..range.end * BANDS].to_vec();
        Self { frames: range.len(), peak: self.peak, data }
    }
}

/// Features of a whole recording: `samples` is mono at 16 kHz in [-1, 1]; the result has `frame_count(n)` frames and
/// its own peak. Never fails; a recording too short for a frame gives an empty result.
pub fn log_mel(samples: &[f32]) -> LogMel {
    let mut energies = MelEnergies::new();
    energies.append(samples);
    energies.finish();
    energies.log_mel(0..energies.frames(), energies.peak())
}

/// Whether frames whose lowest energy is `lowest` have the same features clamped against either peak: then what was
/// computed from them under one peak stands under the other.
pub fn is_same_under(lowest: f32, one_peak: f32, other_peak: f32) -> bool {
    one_peak == other_peak || lowest >= one_peak.max(other_peak) - DEPTH
}

/// Frames of a whole recording of `samples` samples: one per full hop, none up to [`TOO_SHORT`].
pub fn frame_count(samples: usize) -> usize {
    if samples <= TOO_SHORT { 0 } else { samples / HOP }
}
