//! Lets safe Rust use ggml and llama.cpp without being able to break them. Knows nothing of speech.
//!
//! This is the only package of the repository that may hold unsafe code. ggml ends the process when a shape is
//! wrong (`GGML_ASSERT`), so every constructor here checks shapes first and answers with an [`Error`]. Files are the one
//! thing that cannot be checked here: see [`CheckedFile`].
//!
//! - [`backend`]: the compute device
//! - [`Threads`]: worker threads, fewer of them on a busy machine; [`default_threads`]
//! - [`weights`]: tensors of a mapped file
//! - [`graph`]: an arena of graph nodes, and running it
//! - [`plan`]: a graph that is computed many times
//! - [`attention`]: the attention of a decoder, over what it keeps
//! - `custom`: operations of our own inside a graph
//! - `gelu`, `patches`: two of them
//! - `math`: elementary functions for those
//! - [`quantize`]: rows to and from ggml types
//! - [`llama`]: a decoder model and its sessions
//! - `log`: the hook that keeps C from printing

mod alone;
pub mod attention;
pub mod backend;
mod choice;
mod custom;
mod file;
mod gelu;
pub mod graph;
mod layers;
pub mod llama;
mod load;
mod log;
mod math;
mod patches;
pub mod plan;
pub mod quantize;
mod threads;
mod topology;
pub mod weights;

pub use backend::{Backend, cpu_features, pin, version};
pub use choice::CHOICE;
pub use file::{CheckedFile, UncheckedFile};
pub use log::take_errors;
pub use patches::Convolution;
pub use threads::Threads;
pub use topology::default_threads;

use ggml_sys as sys;
use std::fmt;

/// The types, by ggml's ids, that every product here can be computed with, and that [`quantize`] writes. Others have no
/// kernel on a CPU (ggml would call a null function), or none that was tried.
pub const COMPUTABLE: [u32; 10] = [
    sys::GGML_TYPE_F32,
    sys::GGML_TYPE_F16,
    sys::GGML_TYPE_BF16,
    sys::GGML_TYPE_Q8_0,
    sys::GGML_TYPE_Q6_K,
    sys::GGML_TYPE_Q5_K,
    sys::GGML_TYPE_Q5_0,
    sys::GGML_TYPE_Q4_K,
    sys::GGML_TYPE_Q4_0,
    sys::GGML_TYPE_IQ4_NL,
];

/// A request that C refused, or that would have aborted the process inside C: one phrase, lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(pub String);

impl Error {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
