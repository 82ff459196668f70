//! LogMel → audio embeddings → token ids: the model, as files, sizes, encoder and decoder.
//!
//! The only room that touches [`ggml`]. A [`Model`] is immutable and shared; what changes belongs to a session.

pub mod check;
pub mod config;
mod convolution;
pub mod decoder;
pub mod demo;
pub mod encoder;
pub mod files;
mod keys;
pub mod memory;
mod open;
pub mod watch;

pub use config::{DecoderConfig, EncoderConfig};
pub use decoder::{CacheType, Decoder, Session};
pub use encoder::{AudioEmbeddings, EncodedWindow, Encoder};
pub use files::ModelFiles;
pub use memory::MemoryNeed;
pub use open::{Engine, Model, ModelInfo, ModelOptions};
pub use watch::{Watch, Watcher};
