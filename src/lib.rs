//! Qwen3-ASR speech recognition on machines without a big GPU: quantized, offline, in little memory.
//!
//! ```no_run
//! use qasr::{Model, ModelFiles, ModelOptions, Options, audio};
//!
//! # fn main() -> qasr::Result<()> {
//! let files = ModelFiles::find("models/Qwen3-ASR-0.6B-q8_0.gguf".as_ref())?;
//! let model = Model::open(&files, &ModelOptions::default())?; // immutable, Send + Sync, cheap to clone
//! let recording = audio::read_path("speech.flac".as_ref(), &audio::ReadOptions::default())?;
//! let transcript = qasr::transcribe(&model, &recording.pcm, &Options::default(), &mut |_| {})?;
//! println!("{}", transcript.text);
//! # Ok(())
//! # }
//! ```
//!
//! The rooms, in the order audio passes them: [`audio`] → [`mel`] → [`model`] → [`text`] → [`transcript`];
//! [`transcribe`](transcribe()) is the offline driver. The library prints nothing and ends no process.

pub mod audio;
pub mod endpoint;
pub mod error;
pub mod mel;
pub mod model;
pub mod options;
pub mod recognizer;
pub mod stream;
pub mod text;
pub mod transcribe;
pub mod transcript;
pub mod units;

pub use error::{Error, ErrorKind, Remedy, Result};
pub use model::{Model, ModelFiles, ModelOptions};
pub use options::{Cancel, Options};
pub use stream::{Stream, StreamOptions, Update};
pub use transcribe::{Progress, Transcriber, transcribe};
pub use transcript::{Segment, Timings, Transcript, Warning, WarningCode};

/// Version of this library.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The git revision it was built from: `revision 0123456789ab`, or `revision unknown`.
pub const REVISION: &str = env!("QASR_REVISION");
/// Version and revision: what tells two builds apart.
pub const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), " ", env!("QASR_REVISION"));
