//! Options for reading a recording, and the result.

use super::pcm::Pcm16k;
use crate::transcript::Warning;
use crate::units::SampleIndex;
use std::path::Path;
use std::time::Duration;

/// Options for reading a source.
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
    /// The decoder.
    pub decoder: Decoder,
}

/// The decoder of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decoder {
    /// Built-in decoders only. Other codecs are an error that names them.
    #[default]
    Builtin,
    /// Built-in decoders, and for other codecs the program `ffmpeg` if it is on the path.
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

/// The format of headerless samples.
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
    /// Faults of the recording: `audio_damaged`, `audio_gap`, `audio_clipped`, `audio_tracks`, `audio_decoder`,
    /// `channels_cancel`, `offset_beyond_end`.
    pub warnings: Vec<Warning>,
    /// Frames per second in the source.
    pub source_rate: u32,
    /// Channels in the source.
    pub channels: u32,
    /// Container and codec, for people: `wav (16-bit)`, `ogg (vorbis)`.
    pub format: String,
}

/// Extensions of files that hold recordings, the common ones first. Only for finding recordings in a folder: the content of
/// a file decides about its format.
pub const EXTENSIONS: [&str; 25] = [
    "wav", "flac", "mp3", "ogg", "opus", "m4a", "mp4", "mkv", "webm", "mov", "aac", "oga", "m4b", "m4v", "3gp", "mka",
    "aiff", "aif", "aifc", "caf", "au", "snd", "w64", "mp2", "mpga",
];

/// Whether a file's name ends as those of recordings do ([`EXTENSIONS`], in any case).
pub fn is_recording_name(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    EXTENSIONS.contains(&extension.as_str())
}
