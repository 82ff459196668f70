//! Speech by a small neural network: the `earshot` package, which carries its 40 kB of weights inside.

use std::fmt;

/// Samples of one frame: 16 ms.
pub(super) const FRAME: usize = 256;

/// Speech from this probability on, as its authors recommend. With 0.35 for going on, utterances ran on through noise
/// of 5 dB and 0 dB below the speech.
const SPEECH: f32 = 0.5;

/// The network with its memory of the stream.
pub(super) struct Neural(Box<earshot::Detector>);

impl Neural {
    pub(super) fn new() -> Self {
        Self(earshot::Detector::default_boxed())
    }

    /// Whether there is speech in this frame (samples in [-1, 1], which the network requires).
    pub(super) fn is_speech(&mut self, frame: &[f32; FRAME]) -> bool {
        self.0.predict_f32(frame) >= SPEECH
    }
}

impl fmt::Debug for Neural {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neural").finish_non_exhaustive()
    }
}
