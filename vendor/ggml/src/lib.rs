//! Lets safe Rust use ggml and llama.cpp without being able to break them. Knows nothing of speech.
//!
//! This is the only package of the repository that may hold unsafe code. ggml ends the process when a shape is
//! wrong (`GGML_ASSERT`), so every constructor here checks shapes first and answers with an [`Error`].
//!
//! - [`backend`]: the compute device
//! - [`Threads`]: worker threads, fewer of them on a busy machine; [`default_threads`]
//! - [`weights`]: tensors of a mapped file
//! - [`graph`]: an arena of graph nodes, and running it
//! - [`quantize`]: rows to and from ggml types
//! - [`llama`]: a decoder model and its sessions
//! - [`log`]: the hook that keeps C from printing

pub mod backend;
pub mod graph;
pub mod llama;
mod load;
mod log;
pub mod quantize;
mod threads;
mod topology;
pub mod weights;

pub use backend::{Backend, cpu_features, pin, version};
pub use log::take_errors;
pub use threads::Threads;
pub use topology::default_threads;

use std::fmt;

/// What C refused, or what would have ended the process had C seen it: one phrase, lower case.
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
