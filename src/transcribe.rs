//! Offline: the same utterances, recognized by the same steps as live, each asked for once.
//!
//! ```text
//! Pcm16k ─ endpoint ─▶ utterances;  each: recognizer (mel, encoder, prompt, decoder) ─▶ text ─▶ Segment
//! ```

use crate::audio::Pcm16k;
use crate::audio::split::split;
use crate::endpoint::{Cut, Detector, EndpointOptions, Endpointer};
use crate::error::Result;
use crate::mel;
use crate::model::Model;
use crate::options::{Options, PeakPolicy};
use crate::recognizer::{Joining, Recognizer, Script, StepCost, add_segment, without_text};
use crate::transcript::{Segment, Transcript};
use crate::units::{SAMPLE_RATE, SampleIndex};
use std::ops::Range;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The official package's longest utterance, in samples: 1200 s.
const OFFICIAL_LIMIT: usize = 1200 * SAMPLE_RATE as usize;

/// How far a transcription has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Samples transcribed.
    pub done: SampleIndex,
    /// Samples in all.
    pub total: SampleIndex,
    /// The segment just finished.
    pub segment: &'a Segment,
}

/// Transcribes a whole recording. `progress` is called after each utterance.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] for options out of range; [`crate::ErrorKind::Model`] when the model gives no numbers.
pub fn transcribe(
    model: &Model,
    audio: &Pcm16k,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Transcript> {
    let longest = options.longest(model)?;
    let samples = audio.samples();
    let mut transcript = Transcript { duration: audio.duration(), complete: true, ..Transcript::default() };
    let (utterances, joining) = if samples.len() <= mel::TOO_SHORT {
        (Vec::new(), Joining::ByScript)
    } else {
        cut(samples, options.detector, longest)
    };
    transcript.warnings.extend(without_text(samples.len() as u64, utterances.is_empty()));
    let mut options = options.clone();
    if joining == Joining::Nothing {
        options.peak = PeakPolicy::Utterance;
    }
    let mut recognizer = Recognizer::new(model, &options, longest.min(samples.len()), Some(since_first_use))?;
    let mut cost = StepCost::default();
    for place in utterances {
        recognizer.begin(SampleIndex(place.start as u64), &transcript.text)?;
        let is_recording = place == (0..samples.len());
        let recognized = recognizer.recognize(&samples[place.clone()], is_recording, Script::default(), usize::MAX)?;
        let warnings = recognizer.warnings(&recognized);
        let segment = Segment {
            start: options.origin + place.start as u64,
            end: options.origin + place.end as u64,
            language: Some(recognized.answer.language.clone()).filter(|language| !language.is_empty()),
            text: recognized.answer.text.clone(),
            tokens: recognized.tokens.clone(),
            complete: recognized.complete,
        };
        progress(Progress { done: SampleIndex(place.end as u64), total: transcript.duration, segment: &segment });
        add_segment(&mut transcript, segment, &warnings, &recognized, joining);
        cost += recognized.cost;
    }
    let timings = &mut transcript.timings;
    (timings.mel, timings.encode, timings.prefill, timings.decode) = (cost.mel, cost.encode, cost.prefill, cost.decode);
    Ok(transcript)
}

/// The utterances of a recording. Without a detector and at the official package's limit, its rule cuts, which looks
/// ahead, and its pieces know nothing of each other; otherwise the live rule.
fn cut(samples: &[f32], detector: Detector, longest: usize) -> (Vec<Range<usize>>, Joining) {
    if detector == Detector::Off && longest >= OFFICIAL_LIMIT {
        return (split(samples, longest), Joining::Nothing);
    }
    let mut cuts = Vec::new();
    let mut endpointer = Endpointer::new(&EndpointOptions { detector, longest });
    endpointer.append(samples, &mut cuts);
    endpointer.finish(&mut cuts);
    let mut utterances = Vec::new();
    let mut start = 0;
    for cut in cuts {
        match cut {
            Cut::Begin(at) => start = at.0 as usize,
            Cut::End { at, .. } => utterances.push(start..at.0 as usize),
        }
    }
    (utterances, Joining::ByScript)
}

/// A clock for the timings.
fn since_first_use() -> Duration {
    static FIRST_USE: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST_USE.elapsed()
}
