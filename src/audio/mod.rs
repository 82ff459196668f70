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
mod ffmpeg;
mod level;
pub mod live;
mod opus;
mod pcm;
mod plain;
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
pub use survey::{AudioTrack, Survey, survey};

use crate::error::{Error, Result};
use crate::transcript::Warning;
use crate::units::SampleIndex;
use codec::Codec;
use collect::Collector;
use containers::{Bytes, Demuxer};
use samples::{Encoding, Layout};
use sniff::Kind;
pub(crate) use source::Source;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

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
    /// What decodes.
    pub decoder: Decoder,
}

/// What decodes a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decoder {
    /// What is built in. Other codecs are an error that names them.
    #[default]
    Builtin,
    /// What is built in, and for other codecs the program `ffmpeg`, where it is on the path.
    Auto,
    /// The program `ffmpeg`, for everything but headerless samples.
    Ffmpeg,
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
    /// The samples, trimmed as wished.
    pub pcm: Pcm16k,
    /// Where sample 0 lies in the recording: at the offset, or later where the audio of a film begins later.
    pub start: SampleIndex,
    /// What was less than perfect: `audio_damaged`, `audio_gap`, `audio_clipped`, `audio_tracks`, `audio_decoder`,
    /// `channels_cancel`, `offset_beyond_end`.
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
    let fail = |e: std::io::Error| {
        Error::audio(match name.contains("://") {
            true => format!("{name}: is an address, and nothing is downloaded: give a file"),
            false => format!("{name}: cannot be opened: {e}"),
        })
    };
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
    Ok((Source::File { file, path: path.to_owned() }, prefix))
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

/// Decodes a source that starts with `prefix`.
fn read(source: Source, prefix: &[u8], name: &str, options: &ReadOptions) -> Result<Recording> {
    // The decoders are other people's code and the bytes may be anybody's: a panic in there is an unreadable file.
    // Nothing outlives it, for the collector is lost with it.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // Nobody waits for its first samples, so a stream is levelled as a file is.
        let mut collector = Collector::new(name, options);
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
    if prefix.is_empty() {
        return Err("is empty (0 bytes): record or copy it again".to_owned());
    }
    let kind = sniff::sniff(prefix);
    if options.decoder == Decoder::Ffmpeg && !matches!(kind, Kind::NotSound(_)) {
        let track = options.track.map(|track| (track as usize).saturating_sub(1));
        return ffmpeg::read(source, track, None, collector);
    }
    match open(kind, source, prefix, options)? {
        Opened::Packets(demuxer) => compressed::read(demuxer, options, collector),
        Opened::Plain(source) => {
            only_track(options.track)?;
            match kind {
                Kind::Au => plain::read_au(source.reader(), collector),
                Kind::Sphere => plain::read_sphere(source.reader(), collector),
                _ => wav::read(source.reader(), collector),
            }
        }
        Opened::Foreign(source, name) if options.decoder == Decoder::Auto && ffmpeg::is_there() => {
            ffmpeg::read(source, options.track.map(|track| (track as usize).saturating_sub(1)), Some(&name), collector)
        }
        Opened::Foreign(_, name) => Err(ffmpeg::refusal(&name, "")),
    }
}

/// A source of which it is known what it is.
enum Opened {
    /// A container with packets.
    Packets(Box<dyn Demuxer>),
    /// WAV, AU or SPHERE with samples.
    Plain(Source),
    /// Sound that nothing here decodes, and its name.
    Foreign(Source, String),
}

fn open(kind: Kind, source: Source, prefix: &[u8], options: &ReadOptions) -> std::result::Result<Opened, Fault> {
    const CONVERT: &str = "convert it to WAV, FLAC or MP3 first";
    Ok(match kind {
        Kind::Wav => match wav::peek(prefix) {
            Some(wav_format::Inside::Adpcm { kind, rate, channels }) => {
                let (_, data) = wav::data_stream(source.reader())?;
                Opened::Packets(Box::new(containers::Adpcm::new(kind, rate, channels.into(), data)?))
            }
            Some(wav_format::Inside::Mpeg) => {
                let (_, data) = wav::data_stream(source.reader())?;
                let frames = Bytes::new(Source::Stream(Box::new(data)), false);
                Opened::Packets(Box::new(containers::mpeg::Mpeg::open(frames, "mp3")?))
            }
            Some(wav_format::Inside::Unknown(tag)) => Opened::Foreign(source, wav_format::tag_name(tag)),
            _ => Opened::Plain(source),
        },
        Kind::Au | Kind::Sphere => Opened::Plain(source),
        Kind::Unsupported(what) => Opened::Foreign(source, what.to_owned()),
        Kind::NotSound(what) => return Err(format!("is not a recording but {what}")),
        Kind::Unknown if options.decoder == Decoder::Auto && ffmpeg::is_there() => {
            Opened::Foreign(source, "sound of a format that is not known here".to_owned())
        }
        Kind::Unknown => {
            return Err(format!(
                "is of no sound format that is known here: {CONVERT}, or say rate and channels if it is headerless \
                 16-bit PCM"
            ));
        }
        kind => Opened::Packets(containers::open(kind, source, options.decoder == Decoder::Auto)?),
    })
}

/// Files of plain samples have one track.
fn only_track(wished: Option<u32>) -> std::result::Result<(), Fault> {
    match wished {
        None | Some(1) => Ok(()),
        Some(track) => Err(format!("has one audio track, so there is no track {track}")),
    }
}
