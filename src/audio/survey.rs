//! Facts about a recording without decoding it: container, length, tracks.

use super::codec::Decoder as TrackDecoder;
use super::containers::{choose, shape};
use super::decode::{Opened, begin_path, open};
use super::recording::{Decoder, ReadOptions};
use super::sniff::Kind;
use super::source::Source;
use super::{ffmpeg, plain, sniff, wav};
use crate::error::{Error, Result};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Facts about a recording, from its headers.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// `mp4`, `matroska`, `wav`.
    pub container: String,
    /// Seconds by its header or its size; `None` where that is not known without decoding it.
    pub seconds: Option<f64>,
    /// Its audio tracks, in the order in which [`ReadOptions::track`] counts them.
    pub tracks: Vec<AudioTrack>,
}

/// One audio track.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioTrack {
    /// `AAC`, `PCM, 16-bit`, `AC-3`.
    pub codec: String,
    /// Frames per second by the container; 0 where it does not say.
    pub rate: u32,
    /// By the container; 0 where it does not say.
    pub channels: u32,
    /// As the container writes it: ISO 639 or BCP 47. Empty where it is not known.
    pub language: String,
    /// The container marks it as default.
    pub is_default: bool,
    /// It is decoded by what is built in.
    pub is_builtin: bool,
    /// It is the one that is taken with these options.
    pub is_chosen: bool,
}

/// `AAC, 2 channels, 48000 Hz, ger, default, chosen`.
impl fmt::Display for AudioTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = shape(&self.codec, self.channels, self.rate, &self.language);
        let marks =
            [(self.is_default, "default"), (self.is_chosen, "chosen"), (!self.is_builtin, "cannot be decoded here")];
        words.extend(marks.iter().filter(|(is, _)| *is).map(|(_, mark)| (*mark).to_owned()));
        f.write_str(&words.join(", "))
    }
}

/// Surveys a recording in a file. `options` say which track would be chosen. `None`: by its first bytes it is nothing
/// that is known as sound.
///
/// # Errors
/// As [`super::read_path`], where the file cannot be opened or its headers are damaged. A recording none of whose tracks
/// can be decoded is not an error.
pub fn survey(path: &Path, options: &ReadOptions) -> Result<Option<Survey>> {
    let name = path.display().to_string();
    let (source, prefix) = begin_path(path, &name)?;
    if matches!(sniff::sniff(&prefix), Kind::Unknown | Kind::NotSound(_)) {
        return Ok(None);
    }
    // The headers may be anybody's.
    catch_unwind(AssertUnwindSafe(|| look(source, &prefix, options)))
        .unwrap_or_else(|_| Err("is damaged in a way that its reader did not expect".to_owned()))
        .map(Some)
        .map_err(|fault| Error::audio(format!("{name}: {fault}")))
}

fn look(source: Source, prefix: &[u8], options: &ReadOptions) -> std::result::Result<Survey, String> {
    let kind = sniff::sniff(prefix);
    let length = source.length();
    let foreign = |name: String| Survey {
        container: name.clone(),
        seconds: None,
        tracks: vec![AudioTrack {
            codec: name,
            rate: 0,
            channels: 0,
            language: String::new(),
            is_default: true,
            is_builtin: false,
            is_chosen: options.decoder != Decoder::Builtin,
        }],
    };
    Ok(match open(kind, source, prefix, options)? {
        Opened::Foreign(_, name) => foreign(name),
        Opened::Packets(demuxer) => {
            let tracks = demuxer.tracks();
            let allowed = options.decoder != Decoder::Builtin && ffmpeg::is_there();
            let chosen = choose(tracks, options.track, allowed).ok().map(|choice| choice.track);
            let tracks = tracks.iter().enumerate().map(|(index, track)| AudioTrack {
                codec: track.codec.name(),
                rate: track.rate,
                channels: track.channels,
                language: track.language.clone(),
                is_default: track.is_default,
                is_builtin: TrackDecoder::new(track).is_ok(),
                is_chosen: chosen == Some(index),
            });
            Survey { container: demuxer.name().to_owned(), seconds: demuxer.seconds(), tracks: tracks.collect() }
        }
        Opened::Plain(source) => {
            let (container, layout, start) = match kind {
                Kind::Au => ("au", plain::au_layout(&mut source.reader())?, 24),
                Kind::Sphere => ("sphere", plain::sphere_layout(&mut source.reader())?, 1024),
                _ => {
                    let (layout, start) = wav::layout(source.reader())?;
                    ("wav", layout, start)
                }
            };
            let frame = layout.frame_bytes().max(1) as f64;
            let seconds =
                length.map(|length| length.saturating_sub(start) as f64 / frame / f64::from(layout.rate.max(1)));
            let track = AudioTrack {
                codec: super::codec::Codec::Pcm { encoding: layout.encoding, big_endian: layout.big_endian }.name(),
                rate: layout.rate,
                channels: layout.channels.into(),
                language: String::new(),
                is_default: true,
                is_builtin: true,
                is_chosen: options.track.is_none_or(|track| track == 1),
            };
            Survey { container: container.to_owned(), seconds, tracks: vec![track] }
        }
    })
}
