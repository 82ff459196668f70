//! Finds out what a source is and has it decoded: the first bytes decide, never the name.

use super::collect::Collector;
use super::containers::{self, Bytes, Demuxer};
use super::fault::Fault;
use super::recording::{Decoder, RawFormat, ReadOptions, Recording};
use super::samples::{self, Encoding, Layout};
use super::sniff::{self, Kind};
use super::source::Source;
use super::{compressed, ffmpeg, plain, wav, wav_format};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// A file at its first byte, and its first bytes.
pub(super) fn begin_path(path: &Path, name: &str) -> Result<(Source, Vec<u8>)> {
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
pub(super) fn begin_stream(mut source: impl Read + Send + Sync + 'static, name: &str) -> Result<(Source, Vec<u8>)> {
    let mut prefix = Vec::new();
    (&mut source)
        .take(sniff::PREFIX as u64)
        .read_to_end(&mut prefix)
        .map_err(|e| Error::audio(format!("{name}: cannot be read: {e}")))?;
    Ok((Source::Stream(Box::new(Cursor::new(prefix.clone()).chain(source))), prefix))
}

/// Decodes a source that starts with `prefix`.
pub(super) fn read(source: Source, prefix: &[u8], name: &str, options: &ReadOptions) -> Result<Recording> {
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
pub(super) fn decode(
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
pub(super) enum Opened {
    /// A container with packets.
    Packets(Box<dyn Demuxer>),
    /// WAV, AU or SPHERE with samples.
    Plain(Source),
    /// Sound that nothing here decodes, and its name.
    Foreign(Source, String),
}

pub(super) fn open(
    kind: Kind,
    source: Source,
    prefix: &[u8],
    options: &ReadOptions,
) -> std::result::Result<Opened, Fault> {
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
