//! The samples of one stream that somebody may still need.

use crate::units::{SAMPLE_RATE, SampleIndex};
use std::ops::Range;

/// Samples are let go of when at least this many can be: moving the others costs time.
const AT_ONCE: u64 = SAMPLE_RATE as u64;

/// Mono samples at 16 kHz from a position of a stream on, each finite and in [-1, 1]. Cleaned once, when they arrive, and
/// kept once: endpointer and recognizer borrow ranges.
#[derive(Debug, Clone, Default)]
pub struct SampleBuffer {
    samples: Vec<f32>,
    /// The position of the first one.
    start: u64,
}

impl SampleBuffer {
    /// Appends a block of any length. A sample that is not finite counts as 0, and one beyond full scale as full scale.
    pub fn append(&mut self, block: &[f32]) {
        self.samples.extend(block.iter().map(|&x| if x.is_finite() { x.clamp(-1.0, 1.0) } else { 0.0 }));
    }

    /// One past the last sample.
    pub fn end(&self) -> SampleIndex {
        SampleIndex(self.start + self.samples.len() as u64)
    }

    /// The samples of a range of the stream, as far as they are here.
    pub fn range(&self, range: Range<SampleIndex>) -> &[f32] {
        let index = |position: SampleIndex| (position.0.saturating_sub(self.start) as usize).min(self.samples.len());
        self.samples.get(index(range.start)..index(range.end)).unwrap_or_default()
    }

    /// Nothing before this position is needed any more.
    pub fn forget_before(&mut self, position: SampleIndex) {
        let gone = position.0.saturating_sub(self.start).min(self.samples.len() as u64);
        if gone > AT_ONCE {
            self.samples.drain(..gone as usize);
            self.start += gone;
        }
    }

    /// How many samples are kept.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_stream_whatever_was_forgotten() {
        let mut buffer = SampleBuffer::default();
        buffer.append(&[f32::NAN, f32::INFINITY, -3.0, 0.5]);
        let at = SampleIndex;
        assert_eq!(buffer.range(at(0)..at(9)), [0.0, 0.0, -1.0, 0.5]);
        buffer.append(&vec![0.25; 40_000]);
        buffer.forget_before(at(16_000));
        assert_eq!(buffer.len(), 40_004, "not worth moving the others");
        buffer.forget_before(at(30_000));
        assert_eq!((buffer.len(), buffer.end()), (10_004, at(40_004)));
        buffer.append(&[0.75]);
        assert_eq!(buffer.range(at(40_003)..at(40_005)), [0.25, 0.75]);
        assert_eq!(buffer.range(at(29_990)..at(30_002)).len(), 2);
        assert_eq!((buffer.range(at(5)..at(4)).len(), buffer.range(at(50_000)..at(50_001)).len()), (0, 0));
        buffer.append(&vec![0.0; 40_000]);
        buffer.forget_before(at(u64::MAX));
        assert!(buffer.is_empty() && buffer.end() == at(80_005));
    }
}
