//! What a transcription gives back: text with its segments, and everything that went less than perfectly.

use crate::units::SampleIndex;
use std::time::Duration;

/// The text of a recording. The same type comes from the offline and the live driver.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    /// Model names of the languages heard, in order, without empty ones and consecutive repeats
    /// (official package: joined with commas).
    pub languages: Vec<String>,
    /// The texts of all segments, joined with a space where the script has spaces between words; with nothing between
    /// them at the official limit of 1200 s without a detector, as the official package does.
    pub text: String,
    /// The pieces the recording was cut into.
    pub segments: Vec<Segment>,
    /// Length of the recording at 16 kHz.
    pub duration: SampleIndex,
    /// False when text is missing: a segment's was cut by the new-token limit, or the recording was not finished.
    pub complete: bool,
    /// Everything a reader of the text should know.
    pub warnings: Vec<Warning>,
    /// Where the time went.
    pub timings: Timings,
}

/// One piece of audio that was decoded as one prompt, and its text.
#[derive(Debug, Clone)]
pub struct Segment {
    /// First sample, counted from the start of the recording as given (before trimming by `--offset`).
    pub start: SampleIndex,
    /// One past the last sample.
    pub end: SampleIndex,
    /// Model name of the language ("English"), `None` when the model heard no speech or named none.
    pub language: Option<String>,
    /// The parsed text (docs/MODEL.md).
    pub text: String,
    /// The generated token ids, end token not included.
    pub tokens: Vec<u32>,
    /// False when the new-token limit ended the text.
    pub complete: bool,
    /// The channel it was heard in, counted from 0, where channels were recognized one by one.
    pub channel: Option<u16>,
}

/// Something worth telling about a result that is not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Stable, for programs: `token_limit`, `repetition_repaired`, `too_short`, `audio_damaged`, ...
    pub code: &'static str,
    /// For people: what happened, where, and what to do.
    pub message: String,
}

/// Wall time per stage, summed over segments. Prefill and decode are apart because they are different work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// Opening the model files.
    pub load: Duration,
    /// Reading, decoding and resampling the recording.
    pub audio: Duration,
    /// Log-mel features.
    pub mel: Duration,
    /// Audio encoder.
    pub encode: Duration,
    /// Prompt through the decoder.
    pub prefill: Duration,
    /// Token by token.
    pub decode: Duration,
    /// Audio tokens that went through the decoder.
    pub audio_tokens: usize,
    /// Tokens generated.
    pub new_tokens: usize,
}
