//! Brings samples into [-1, 1]. The official package divides a recording by its peak where that is beyond full scale.
//! While a recording is still being decoded only its beginning can be known: the first two minutes of a file set the
//! scale (all of a shorter one, as officially), and what is louder later is clipped. A stream may arrive as slowly as it
//! is spoken, so only its first seconds are waited for. Live, nothing is, and everything beyond full scale is clipped.

use crate::units::SAMPLE_RATE;

/// Samples of a file whose peak sets the scale: two minutes.
pub(crate) const OF_A_FILE: usize = 120 * SAMPLE_RATE as usize;
/// The same of a stream: 5 s.
pub(crate) const OF_A_STREAM: usize = 5 * SAMPLE_RATE as usize;
/// Samples beyond are a signal that is too loud; up to here the filter of the resampler can bring full scale.
const CLIPPED: f32 = 1.5;

/// The level of one recording.
pub(crate) struct Level {
    /// `None` while the samples that set it are collected.
    scale: Option<f32>,
    /// Samples that set it.
    known: usize,
    held: Vec<f32>,
    reported: bool,
}

impl Level {
    /// Full scale is full scale.
    pub(crate) fn clipping() -> Self {
        Self { scale: Some(1.0), known: 0, held: Vec::new(), reported: false }
    }

    /// The peak of the first `known` samples is full scale, where it is louder than that.
    pub(crate) fn by_peak(known: usize) -> Self {
        Self { scale: None, known, held: Vec::new(), reported: false }
    }

    /// Nothing needs to be waited for: no sample is beyond full scale, or too little to matter.
    pub(crate) fn is_known(&mut self) {
        self.known = 0;
    }

    /// Levels `samples`, which must be finite; leaves there what is ready to be handed on. `last` says that no more
    /// follow. Returns a sentence the first time that clipping is audible.
    pub(crate) fn apply(&mut self, samples: &mut Vec<f32>, last: bool) -> Option<String> {
        if self.scale.is_none() {
            self.held.append(samples);
            if self.held.len() < self.known && !last {
                return None;
            }
            std::mem::swap(samples, &mut self.held);
            self.held = Vec::new();
            self.scale = Some(peak(&samples[..samples.len().min(self.known)]).max(1.0));
        }
        self.scale(samples)
    }

    /// Levels samples in place, once the scale is known. Returns a sentence the first time that clipping is audible.
    pub(crate) fn scale(&mut self, samples: &mut [f32]) -> Option<String> {
        let scale = self.scale.unwrap_or(1.0);
        let peak = peak(samples) / scale;
        for sample in samples {
            *sample = (*sample / scale).clamp(-1.0, 1.0);
        }
        if peak <= CLIPPED || self.reported {
            return None;
        }
        self.reported = true;
        Some(format!(
            "is louder than full scale ({peak:.1} times so far) and was clipped: turn its level down (reported once)"
        ))
    }
}

fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: usize = 100;

    fn levelled(level: &mut Level, mut samples: Vec<f32>, last: bool) -> (Vec<f32>, bool) {
        let warned = level.apply(&mut samples, last).is_some();
        (samples, warned)
    }

    #[test]
    fn a_short_recording_is_divided_by_its_peak() {
        let mut level = Level::by_peak(KNOWN);
        assert_eq!(levelled(&mut level, vec![2.0, -4.0], false), (vec![], false));
        assert_eq!(levelled(&mut level, vec![1.0], true), (vec![0.5, -1.0, 0.25], false));
        let quiet = levelled(&mut Level::by_peak(KNOWN), vec![0.001, -0.002], true);
        assert_eq!(quiet, (vec![0.001, -0.002], false));
        assert_eq!(levelled(&mut Level::by_peak(KNOWN), vec![3e38, 1e-38], true).0[0], 1.0);
    }

    #[test]
    fn the_beginning_sets_the_scale_of_a_long_one() {
        let mut level = Level::by_peak(KNOWN);
        let (first, warned) = levelled(&mut level, vec![2.0; KNOWN], false);
        assert_eq!((first.len(), first[0], warned), (KNOWN, 1.0, false));
        assert_eq!(levelled(&mut level, vec![1.0, 2.5], false), (vec![0.5, 1.0], false));
        assert_eq!(levelled(&mut level, vec![-9.0], false), (vec![-1.0], true));
        assert_eq!(levelled(&mut level, vec![-9.0], true), (vec![-1.0], false));
    }

    #[test]
    fn what_cannot_be_too_loud_does_not_wait() {
        let mut level = Level::by_peak(KNOWN);
        level.is_known();
        assert_eq!(levelled(&mut level, vec![0.5, 1.1], false), (vec![0.5, 1.0], false));
    }

    #[test]
    fn live_samples_wait_for_nothing() {
        let mut level = Level::clipping();
        assert_eq!(levelled(&mut level, vec![0.5, 1.2], false), (vec![0.5, 1.0], false));
        assert_eq!(levelled(&mut level, vec![-2.0], false), (vec![-1.0], true));
    }
}
