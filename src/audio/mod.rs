//! Turns any sound we accept into mono 16 kHz samples and forgets where it came from.
//!
//! The first bytes of a source decide what it is (`sniff`), never its name. Plain samples (`wav`, `plain`) and the packets
//! of a container (`containers`, decoded by `codec`) go block by block to the collector (`collect`), each with its time.
//! It puts silence where something is missing (`timeline`), averages the channels or takes one, resamples (`resample`),
//! keeps the wished part and brings it to full scale (`level`): the official order of operations. [`open_path`] does this
//! while the samples are used, in memory that does not depend on the length; [`read_path`] keeps them all. No header's
//! claim decides how much is allocated.

mod aac;
mod buffer;
mod codec;
mod collect;
mod compressed;
mod containers;
mod decode;
mod fault;
mod ffmpeg;
mod level;
pub mod live;
mod opus;
mod pcm;
mod plain;
mod recording;
mod resample;
mod samples;
mod sniff;
mod source;
mod survey;
mod timeline;
mod wav;
mod wav_format;

pub use buffer::SampleBuffer;
pub use pcm::Pcm16k;
pub use recording::{Channel, Decoder, EXTENSIONS, RawFormat, ReadOptions, Recording, is_recording_name};
pub use survey::{AudioTrack, Survey, survey};

use crate::error::Result;
use decode::{begin_path, begin_stream, read};
use std::io::Read;
use std::path::Path;

/// Opens a recording in a file (or a named pipe), to be decoded while it is worked on: in a thread of its own, up to
/// 30 s ahead, in memory that does not depend on its length. The samples are those of [`read_path`].
///
/// # Errors
/// As [`read_path`] where the file cannot be opened; what is wrong inside is an error of [`live::Source::next`].
pub fn open_path(path: &Path, options: &ReadOptions) -> Result<live::Source> {
    let name = path.display().to_string();
    let (source, prefix) = begin_path(path, &name)?;
    live::recording(source, prefix, &name, options.clone())
}

/// Opens a recording from a source that cannot go back, as [`open_path`]. Waits for its first 64 kB.
///
/// # Errors
/// As [`open_path`], with `name` in the place of the path.
pub fn open_stream(
    source: impl Read + Send + Sync + 'static,
    name: &str,
    options: &ReadOptions,
) -> Result<live::Source> {
    let (source, prefix) = begin_stream(source, name)?;
    live::recording(source, prefix, name, options.clone())
}

/// Reads a recording from a file (or a named pipe).
///
/// # Errors
/// [`crate::error::ErrorKind::Audio`] with the path when it cannot be opened or holds no readable audio. A damaged
/// recording of which something can be decoded is not an error: it has a warning.
pub fn read_path(path: &Path, options: &ReadOptions) -> Result<Recording> {
    let name = path.display().to_string();
    let (source, prefix) = begin_path(path, &name)?;
    read(source, &prefix, &name, options)
}

/// Reads a recording from a source that cannot go back, such as standard input. Formats that need to (MP4 with its
/// index at the end) are refused.
///
/// # Errors
/// As [`read_path`], with `name` in the place of the path.
pub fn read_stream(source: impl Read + Send + Sync + 'static, name: &str, options: &ReadOptions) -> Result<Recording> {
    let (source, prefix) = begin_stream(source, name)?;
    read(source, &prefix, name, options)
}
