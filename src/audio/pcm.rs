//! The one sample type of everything after this room.

use crate::error::{Error, Result};
use crate::units::SampleIndex;
use std::ops::Range;

/// Mono samples at 16,000 Hz, each finite and in [-1, 1].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pcm16k(Vec<f32>);

impl Pcm16k {
    /// Takes samples that already are what the type promises.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Audio`], naming the first sample that is not finite or lies outside [-1, 1].
    pub fn new(samples: Vec<f32>) -> Result<Self> {
        match samples.iter().position(|s| !(-1.0..=1.0).contains(s)) {
            None => Ok(Self(samples)),
            Some(at) => Err(Error::audio(format!(
                "sample {at} is {}, but samples must be finite and in [-1, 1]: scale the signal first",
                samples[at]
            ))),
        }
    }

    /// All samples.
    pub fn samples(&self) -> &[f32] {
        &self.0
    }

    /// How many samples.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is not one sample.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The length as a position: one past the last sample.
    pub fn duration(&self) -> SampleIndex {
        SampleIndex(self.0.len() as u64)
    }

    /// A copy of a part. What of the range lies past the end is left out.
    pub fn slice(&self, range: Range<usize>) -> Pcm16k {
        let end = range.end.min(self.0.len());
        let start = range.start.min(end);
        Self(self.0[start..end].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_it_does_not_promise() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.000_001, -2.0] {
            let error = Pcm16k::new(vec![0.0, bad]).expect_err("must be refused").to_string();
            assert!(error.contains("sample 1 "), "{error}");
        }
        assert_eq!(Pcm16k::new(vec![-1.0, 0.0, 1.0]).expect("fine").len(), 3);
    }

    #[test]
    fn slices_stay_inside() {
        let pcm = Pcm16k::new(vec![0.1, 0.2, 0.3]).expect("fine");
        assert_eq!(pcm.slice(1..9).samples(), [0.2, 0.3]);
        assert!(pcm.slice(5..9).is_empty());
        assert_eq!(pcm.duration(), SampleIndex(3));
    }
}
