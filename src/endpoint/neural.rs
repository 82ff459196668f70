//! Speech by a small neural network: the `earshot` package, which carries its 40 kB of weights inside.

use std::fmt;

/// Samples of one frame: 16 ms.
pub(super) const FRAME: usize = 256;

/// Speech begins at this probability …
const BEGINS: f32 = 0.5;

/// … and goes on down to this one.
const GOES_ON: f32 = 0.35;

/// The network with its memory of the stream.
pub(super) struct Neural {
    network: Box<earshot::Detector>,
    speaking: bool,
}

impl Neural {
    pub(super) fn new() -> Self {
        Self { network: earshot::Detector::default_boxed(), speaking: false }
    }

    /// Whether there is speech in this frame (samples in [-1, 1], which the network requires).
    pub(super) fn is_speech(&mut self, frame: &[f32; FRAME]) -> bool {
        let probability = self.network.predict_f32(frame);
        self.speaking = probability >= if self.speaking { GOES_ON } else { BEGINS };
        self.speaking
    }
}

impl fmt::Debug for Neural {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neural").field("speaking", &self.speaking).finish_non_exhaustive()
    }
}
