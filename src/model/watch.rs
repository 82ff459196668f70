//! Watching a model compute, for what has to be measured inside it: which values its matrices multiply, and what every
//! layer of the encoder gives.
//!
//! A watcher is given to a call: to a transcription ([`crate::Options::watch`]), to a decoding session, or to the encoder.
//! A watched model is slower.

use std::fmt;
use std::sync::Arc;

/// Sees what passes through a model. May be called from several threads at once.
pub trait Watcher: Send + Sync {
    /// The matrix `weight`, by its name in the file, multiplies `rows`: `[n, width]`.
    fn product(&self, _weight: &str, _width: usize, _rows: &[f32]) {}

    /// Behind layer `layer` of the encoder, counted from 0, an attention window is `rows`: `[n, width]`.
    fn encoder_layer(&self, _layer: usize, _width: usize, _rows: &[f32]) {}
}

/// Who watches: nobody, unless it is made from a [`Watcher`].
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<dyn Watcher>>);

impl Watch {
    /// `watcher` sees everything.
    pub fn new(watcher: Arc<dyn Watcher>) -> Self {
        Self(Some(watcher))
    }

    /// The watcher, if there is one.
    pub fn watcher(&self) -> Option<&dyn Watcher> {
        self.0.as_deref()
    }

    /// The same for a decoder session.
    pub(super) fn products(&self) -> Option<ggml::llama::Watch> {
        let watcher = Arc::clone(self.0.as_ref()?);
        Some(Arc::new(move |weight: &str, width: usize, rows: &[f32]| watcher.product(weight, width, rows)))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watch(on)" } else { "Watch(off)" })
    }
}
