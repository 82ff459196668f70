//! Positions in a stream of audio. Seconds appear only where flags are read and results are printed.

use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};

/// Samples per second everywhere after [`crate::audio`].
pub const SAMPLE_RATE: u32 = 16_000;

/// Samples from one mel frame to the next: 10 ms.
pub const HOP: usize = 160;

/// A position in one stream, counted in samples at [`SAMPLE_RATE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct SampleIndex(pub u64);

impl SampleIndex {
    /// The position in seconds.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / f64::from(SAMPLE_RATE)
    }

    /// The position in whole milliseconds, rounded down.
    pub fn milliseconds(self) -> u64 {
        self.0 * 1000 / u64::from(SAMPLE_RATE)
    }
}

impl Add<u64> for SampleIndex {
    type Output = Self;
    fn add(self, samples: u64) -> Self {
        Self(self.0 + samples)
    }
}

impl Sub for SampleIndex {
    type Output = u64;
    fn sub(self, earlier: Self) -> u64 {
        self.0 - earlier.0
    }
}
