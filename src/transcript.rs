//! The result of a transcription: text with its segments, warnings and timings.

use crate::error::Remedy;
use crate::mel;
use crate::text::joining;
use crate::units::SampleIndex;
use serde::{Deserialize, Serialize};
use std::fmt;
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

/// The separator between the texts of two utterances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joining {
    /// A space, where the script has spaces between words.
    ByScript,
    /// Nothing, as in the official package, which joins once in 20 minutes.
    Nothing,
}

impl Transcript {
    /// Adds an utterance: its text, its language unless it is that of the one before, its warnings with their place.
    pub(crate) fn add(&mut self, segment: Segment, warnings: &[Warning], audio_tokens: usize, joining: Joining) {
        if let Some(language) = &segment.language
            && self.languages.last() != Some(language)
        {
            self.languages.push(language.clone());
        }
        match joining {
            Joining::ByScript => joining::append(&mut self.text, &segment.text),
            Joining::Nothing => self.text.push_str(&segment.text),
        }
        self.complete &= segment.complete;
        self.warnings.extend(warnings.iter().map(|warning| {
            let (start, end) = (segment.start.seconds(), segment.end.seconds());
            Warning { message: format!("{start:.1}-{end:.1} s: {}", warning.message), ..*warning }
        }));
        self.timings.audio_tokens += audio_tokens;
        self.timings.new_tokens += segment.tokens.len();
        self.segments.push(segment);
    }

    /// Says first why there is no text, where there was nothing to recognize.
    pub(crate) fn explain_missing_text(&mut self) {
        let samples = self.duration.0;
        let warning = if samples <= mel::TOO_SHORT as u64 {
            let message = format!(
                "the recording has {samples} samples (at 16 kHz); more than {} are needed, so there is no text",
                mel::TOO_SHORT
            );
            Some(Warning { code: WarningCode::TooShort, message })
        } else {
            let message = "no speech was found, so nothing was transcribed".into();
            self.segments.is_empty().then_some(Warning { code: WarningCode::NoSpeech, message })
        };
        self.warnings.splice(0..0, warning);
    }
}

/// One piece of audio that was decoded as one prompt, and its text.
#[derive(Debug, Clone)]
pub struct Segment {
    /// First sample, counted from the start of the recording as given, before it was cut to the part that was asked for.
    pub start: SampleIndex,
    /// One past the last sample.
    pub end: SampleIndex,
    /// Model name of the language ("English"), `None` when the model heard no speech or named none.
    pub language: Option<String>,
    /// The parsed text (docs/MODEL.md).
    pub text: String,
    /// The generated token ids, end token not included.
    pub tokens: Vec<u32>,
    /// For every token, the natural logarithm of its probability after the tokens before it. Empty where the model failed
    /// at the end of a live utterance.
    pub log_probabilities: Vec<f32>,
    /// False when the new-token limit ended the text.
    pub complete: bool,
    /// The channel it was heard in, counted from 0, where channels were recognized one by one.
    pub channel: Option<u16>,
}

impl Segment {
    /// Mean log-probability of the generated tokens: 0 is certain, below -1 is doubtful. `None` without tokens.
    pub fn mean_log_probability(&self) -> Option<f64> {
        let sum: f64 = self.log_probabilities.iter().map(|value| f64::from(*value)).sum();
        (!self.log_probabilities.is_empty()).then(|| sum / self.log_probabilities.len() as f64)
    }
}

/// A fact about a result that a reader of it should know and that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// For programs.
    pub code: WarningCode,
    /// For people: what happened, and where. How it can be helped is in [`WarningCode::remedy`].
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.code.remedy().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

/// The subject of a [`Warning`]. Serialized as [`WarningCode::as_str`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WarningCode {
    /// The limit of new tokens cut a text.
    TokenLimit,
    /// The model repeated itself, and the repeats were reduced to one.
    RepetitionRepaired,
    /// The recording is too short to be recognized.
    TooShort,
    /// No speech was found.
    NoSpeech,
    /// The model failed during an utterance.
    Failed,
    /// The transcription was not finished.
    Interrupted,
    /// Part of the recording cannot be read.
    AudioDamaged,
    /// Part of the recording is missing and is silence in the result.
    AudioGap,
    /// The recording has samples beyond full scale.
    AudioClipped,
    /// Another program decoded the recording.
    AudioDecoder,
    /// The file has several tracks of audio.
    AudioTracks,
    /// The device lost samples before the program got them.
    DeviceOverrun,
    /// The recording ends before the part that was asked for.
    OffsetBeyondEnd,
    /// The channels cancel out when they are averaged.
    ChannelsCancel,
}

impl WarningCode {
    /// The stable name, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenLimit => "token_limit",
            Self::RepetitionRepaired => "repetition_repaired",
            Self::TooShort => "too_short",
            Self::NoSpeech => "no_speech",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::AudioDamaged => "audio_damaged",
            Self::AudioGap => "audio_gap",
            Self::AudioClipped => "audio_clipped",
            Self::AudioDecoder => "audio_decoder",
            Self::AudioTracks => "audio_tracks",
            Self::DeviceOverrun => "device_overrun",
            Self::OffsetBeyondEnd => "offset_beyond_end",
            Self::ChannelsCancel => "channels_cancel",
        }
    }

    /// How the fault can be helped, where it depends on the program how to do that.
    pub fn remedy(self) -> Option<Remedy> {
        match self {
            Self::TokenLimit => Some(Remedy::MoreTokens),
            Self::NoSpeech => Some(Remedy::NoDetector),
            _ => None,
        }
    }
}

impl fmt::Display for WarningCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Wall time per stage, summed over segments. Prefill and decode are counted separately because they are different work.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_one_name() {
        for code in [WarningCode::TokenLimit, WarningCode::AudioGap, WarningCode::OffsetBeyondEnd] {
            assert_eq!(serde_json::to_string(&code).expect("JSON"), format!("\"{code}\""));
        }
        let warning = Warning { code: WarningCode::NoSpeech, message: "no speech".into() };
        assert_eq!(warning.to_string(), "no speech; without a detector everything is transcribed");
    }
}
