//! Putting utterances together into one transcript, the same for both drivers.

use super::Recognized;
use crate::mel;
use crate::text::joining;
use crate::transcript::{Segment, Transcript, Warning, WarningCode};

/// What stands between the texts of two utterances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joining {
    /// A space, where the script has spaces between words.
    ByScript,
    /// Nothing, as in the official package, which joins once in 20 minutes.
    Nothing,
}

/// Adds an utterance: its text, its language unless it is that of the one before, its warnings with their place.
pub(crate) fn add_segment(
    transcript: &mut Transcript,
    segment: Segment,
    warnings: &[Warning],
    recognized: &Recognized,
    joining: Joining,
) {
    if let Some(language) = &segment.language
        && transcript.languages.last() != Some(language)
    {
        transcript.languages.push(language.clone());
    }
    match joining {
        Joining::ByScript => joining::append(&mut transcript.text, &segment.text),
        Joining::Nothing => transcript.text.push_str(&segment.text),
    }
    transcript.complete &= segment.complete;
    transcript.warnings.extend(warnings.iter().map(|warning| placed(warning, &segment)));
    transcript.timings.audio_tokens += recognized.audio_tokens;
    transcript.timings.new_tokens += recognized.tokens.len();
    transcript.segments.push(segment);
}

/// Why there is no text, where there was nothing to recognize.
pub(crate) fn without_text(samples: u64, no_utterances: bool) -> Option<Warning> {
    if samples <= mel::TOO_SHORT as u64 {
        let message = format!(
            "the recording has {samples} samples (at 16 kHz); more than {} are needed, so there is no text",
            mel::TOO_SHORT
        );
        return Some(Warning { code: WarningCode::TooShort, message });
    }
    let message = "no speech was found, so nothing was transcribed".into();
    no_utterances.then_some(Warning { code: WarningCode::NoSpeech, message })
}

fn placed(warning: &Warning, segment: &Segment) -> Warning {
    let message = format!("{:.1}-{:.1} s: {}", segment.start.seconds(), segment.end.seconds(), warning.message);
    Warning { message, ..*warning }
}
