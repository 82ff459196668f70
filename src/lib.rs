//! Qwen3-ASR speech recognition on machines without a big GPU: quantized, offline or live, in little memory.
//!
//! A whole program, which prints what is said in a recording:
//!
//! ```no_run
//! use qasr::audio::{ReadOptions, read_path};
//! use qasr::{Model, ModelFiles, ModelOptions, Options, transcribe};
//! use std::path::Path;
//!
//! fn main() -> qasr::Result<()> {
//!     let files = ModelFiles::find(Path::new("models/"))?; // or Model::open_demo, for a first try
//!     let model = Model::open(&files, &ModelOptions::default())?;
//!     let recording = read_path(Path::new("speech.mp3"), &ReadOptions::default())?;
//!     let transcript = transcribe(&model, &recording.pcm, &Options::default(), &mut |_| {})?;
//!     for segment in &transcript.segments {
//!         println!("{:.2} {:.2} {}", segment.start.seconds(), segment.end.seconds(), segment.text);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! `examples/transcribe.rs`, `examples/live.rs` and `examples/errors.rs` in the repository run as they are.
//!
//! # Offline
//!
//! [`transcribe()`] takes a recording that is in memory. [`audio::open_path`] and [`Transcriber`] do the same while the
//! recording is decoded, in memory that does not depend on its length. [`Options`] hold the language, context words and
//! the longest utterance. A recording is cut into utterances at pauses ([`endpoint`]); each is a [`Segment`] with times.
//!
//! # Live
//!
//! A [`Stream`] is fed blocks of any length and answers with [`Update`]s: text of the running utterance, of which the
//! committed part never changes, and a final segment for each utterance that is over. Its texts are those of
//! [`transcribe()`]. Sources of audio, microphones included, are in [`audio::live`].
//!
//! ```no_run
//! # fn show(update: qasr::Update) {}
//! # fn main() -> qasr::Result<()> {
//! use qasr::{Model, ModelOptions, Stream, StreamOptions};
//! let model = Model::open_demo(&ModelOptions::default())?;
//! let mut stream = Stream::new(&model, StreamOptions::default())?;
//! let blocks: Vec<Vec<f32>> = vec![vec![0.0; 1600]; 20]; // mono, 16 kHz, in [-1, 1]
//! for block in &blocks {
//!     stream.feed(block)?.into_iter().for_each(show);
//! }
//! stream.end()?.into_iter().for_each(show);
//! # Ok(())
//! # }
//! ```
//!
//! # Errors and warnings
//!
//! An [`Error`] has a [kind](ErrorKind) for the program, a sentence for its user and sometimes a [`Remedy`], which the
//! program can put in its own words. A text that is less than perfect is no error: the [`Transcript`] then has
//! [`Warning`]s, and `complete` is false where words are missing.
//!
//! # Channels
//!
//! The channels of a recording are averaged. [`audio::Channel::Only`] in the [`audio::ReadOptions`] takes one of them,
//! for conversations recorded with one speaker in each.
//!
//! # Cancellation
//!
//! Clones of [`Options::cancel`] stop the work from any thread: it ends within one pass of the model, with
//! [`ErrorKind::Interrupted`].
//!
//! # Memory and threads
//!
//! A [`Model`] is immutable, cheap to clone and shared by any number of recordings and streams at once. Its weights stay
//! in the mapped files, except those copied into a faster layout ([`ModelOptions::repack`]). Beside them, memory is
//! bounded by the longest utterance ([`Options::segment_seconds`]). [`ModelOptions::threads`] says how many threads
//! compute; the text does not depend on it.
//!
//! # The rooms
//!
//! In the order in which audio passes them: [`audio`] → [`endpoint`] → [`mel`] → [`model`] → [`text`] → [`transcript`],
//! with [`recognizer`] for one utterance, and [`transcribe`](mod@transcribe) and [`stream`] as the two drivers. The
//! library prints nothing and ends no process.

#![warn(missing_docs)]

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
/// Version and revision, which identify a build.
pub const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), " ", env!("QASR_REVISION"));
