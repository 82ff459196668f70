//! Turns any sound we accept into mono 16 kHz samples and forgets where it came from.
//!
//! What a source is, is decided by its first bytes ([`sniff`]), never by its name. Its container is taken apart
//! ([`wav`], [`plain`], [`compressed`]) and its samples go block by block to the [`collect::Collector`], which
//! averages the channels, resamples ([`resample`]) and keeps the wished part: the official order of operations, in
//! memory that grows only with the 16 kHz result. No header's claim decides how much is allocated.

mod collect;
mod compressed;
mod level;
pub mod live;
mod opus;
mod pcm;
mod plain;
mod resample;
mod samples;
mod sniff;
pub mod split;
mod timeline;
mod wav;
mod wav_format;

pub use pcm::Pcm16k;

use crate::error::{Error, Result};
use crate::transcript::Warning;
use collect::Collector;
use samples::{Encoding, Layout};
use sniff::Kind;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;
use symphonia::core::io::{MediaSource, ReadOnlySource};

/// What is wrong with a source: a sentence that begins behind its name.
type Fault = String;

/// What to read of a source, and how.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Headerless signed 16-bit little-endian samples; `None` finds out what the source is.
    pub raw: Option<RawFormat>,
    /// Leave out this much at the start.
    pub offset: Option<Duration>,
    /// Read no more than this much.
    pub duration: Option<Duration>,
    /// Which channel, or all of them as one.
    pub channel: Channel,
    /// Which audio track, counted from 1; `None` takes the one marked as default, or the first that can be decoded.
    pub track: Option<u32>,
}

/// Which channel of a recording becomes the one that is recognized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channel {
    /// The mean of all.
    #[default]
    Mix,
    /// One of them, counted from 0: left is 0, right is 1.
    Only(u16),
}

/// What headerless samples cannot say about themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFormat {
    /// Frames per second.
    pub rate: u32,
    /// Interleaved channels.
    pub channels: u16,
}

/// A recording, ready for features.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The samples, trimmed as wished. Sample 0 lies at the offset.
    pub pcm: Pcm16k,
    /// What was less than perfect: `audio_damaged`, `audio_gap`, `audio_clipped`, `audio_tracks`, `channels_cancel`,
    /// `offset_beyond_end`.
    pub warnings: Vec<Warning>,
    /// Frames per second in the source.
    pub source_rate: u32,
    /// Channels in the source.
    pub channels: u32,
    /// Container and codec, for people: `wav (16-bit)`, `ogg (vorbis)`.
    pub format: String,
}

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

/// A file at its first byte, and its first bytes.
fn begin_path(path: &Path, name: &str) -> Result<(Source, Vec<u8>)> {
    let fail = |e: std::io::Error| Error::audio(format!("{name}: cannot be opened: {e}"));
    let mut file = File::open(path).map_err(fail)?;
    let kind = file.metadata().map_err(fail)?;
    if kind.is_dir() {
        return Err(Error::audio(format!("{name}: is a folder; name the recordings in it")));
    }
    if !kind.is_file() {
        return begin_stream(file, name);
    }
    let mut prefix = Vec::new();
    (&mut file).take(sniff::PREFIX as u64).read_to_end(&mut prefix).map_err(fail)?;
    file.seek(SeekFrom::Start(0)).map_err(fail)?;
    Ok((Source::File(file), prefix))
}

/// The same of a source that cannot go back.
fn begin_stream(mut source: impl Read + Send + Sync + 'static, name: &str) -> Result<(Source, Vec<u8>)> {
    let mut prefix = Vec::new();
    (&mut source)
        .take(sniff::PREFIX as u64)
        .read_to_end(&mut prefix)
        .map_err(|e| Error::audio(format!("{name}: cannot be read: {e}")))?;
    Ok((Source::Stream(Box::new(Cursor::new(prefix.clone()).chain(source))), prefix))
}

/// A source at its first byte.
pub(crate) enum Source {
    File(File),
    Stream(Box<dyn Read + Send + Sync>),
}

impl Source {
    /// A collector told what kind of source this is.
    pub(crate) fn collector(&self, collector: Collector) -> Collector {
        match self {
            Self::File(_) => collector,
            Self::Stream(_) => collector.of_a_stream(),
        }
    }

    fn reader(self) -> Box<dyn Read + Send + Sync> {
        match self {
            Self::File(file) => Box::new(BufReader::with_capacity(1 << 16, file)),
            Self::Stream(stream) => stream,
        }
    }

    fn media(self) -> Box<dyn MediaSource> {
        match self {
            Self::File(file) => Box::new(file),
            Self::Stream(stream) => Box::new(ReadOnlySource::new(stream)),
        }
    }
}

/// Decodes a source that starts with `prefix`.
fn read(source: Source, prefix: &[u8], name: &str, options: &ReadOptions) -> Result<Recording> {
    // The decoders are other people's code and the bytes may be anybody's: a panic in there is an unreadable file.
    // Nothing outlives it, for the collector is lost with it.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut collector = source.collector(Collector::new(name, options));
        let format = decode(source, prefix, options, &mut collector)?;
        collector.finish(&format)
    }));
    outcome
        .unwrap_or_else(|_| Err("is damaged in a way that its decoder did not expect".to_owned()))
        .map_err(|fault| Error::audio(format!("{name}: {fault}")))
}

/// Finds out what the source is and gives its samples to the collector. Returns its name for the report.
fn decode(
    source: Source,
    prefix: &[u8],
    options: &ReadOptions,
    collector: &mut Collector,
) -> std::result::Result<String, Fault> {
    if let Some(RawFormat { rate, channels }) = options.raw {
        let layout = Layout { encoding: Encoding::Signed(2), big_endian: false, channels, rate };
        samples::read_samples(&mut source.reader(), layout, None, collector)?;
        return Ok("raw (16-bit)".to_owned());
    }
    const CONVERT: &str = "convert it to WAV, FLAC or MP3 first";
    match sniff::sniff(prefix) {
        _ if prefix.is_empty() => Err("is empty (0 bytes): record or copy it again".to_owned()),
        Kind::Wav => match wav::peek(prefix) {
            Some(wav_format::Inside::Adpcm) => compressed::read(source.media(), collector),
            Some(wav_format::Inside::Mpeg) => {
                let frames = wav::data_stream(source.reader())?;
                compressed::read(Box::new(ReadOnlySource::new(frames)), collector)
            }
            _ => wav::read(source.reader(), collector),
        },
        Kind::Au => plain::read_au(source.reader(), collector),
        Kind::Sphere => plain::read_sphere(source.reader(), collector),
        Kind::Compressed(_) => compressed::read(source.media(), collector),
        Kind::Unsupported(what) => Err(format!("is {what}, which is not supported: {CONVERT}")),
        Kind::NotSound(what) => Err(format!("is not a recording but {what}")),
        Kind::Unknown => Err(format!(
            "is of no sound format that is known here: {CONVERT}, or say rate and channels if it is headerless 16-bit PCM"
        )),
    }
}
