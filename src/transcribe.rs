//! Offline: the pipeline in order, once per utterance.
//!
//! ```text
//! Pcm16k ─ split ─▶ utterances;  each: mel ─▶ encoder ─▶ prompt ─▶ decoder ─▶ text ─▶ Segment
//! ```

use crate::audio::Pcm16k;
use crate::audio::split::{pad_piece, split};
use crate::error::{Error, Result};
use crate::mel::{self, log_mel};
use crate::model::decoder::{DecoderSession, Input, most_likely};
use crate::model::config::SEGMENT_SECONDS as SEGMENT_SECONDS_RANGE;
use crate::model::{AudioEmbeddings, Model};
use crate::text::{ControlTokens, Language, Prompt, answer, joining};
use crate::transcript::{Segment, Timings, Transcript, Warning};
use crate::units::{SAMPLE_RATE, SampleIndex};
use std::time::{Duration, Instant};

/// Longest utterance when neither the caller nor the model says otherwise, in seconds. The official limit is 1200;
/// a decode step slows down with every position, and memory grows, so small machines cut sooner.
pub const SEGMENT_SECONDS: f64 = 30.0;

/// The official package's longest utterance, in samples: 1200 s.
const OFFICIAL_LIMIT: usize = 1200 * SAMPLE_RATE as usize;

/// Tokens allowed per utterance when the caller does not say: three times what speech gives (about 4 per second), so
/// that only a model caught in a loop meets it.
fn default_new_tokens(seconds: f64) -> usize {
    128 + (12.0 * seconds).ceil() as usize
}

/// Most tokens an utterance may be given, unless [`default_new_tokens`] is more: the attention cache is made for all of
/// them in advance, and no minute of speech has so many.
const MOST_NEW_TOKENS: usize = 4096;

/// What to transcribe and how. All fields have sensible defaults.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The language spoken, when known; the model then writes text only. Otherwise it names the language itself.
    pub language: Option<Language>,
    /// Words given to bias recognition. Plain text: control tokens in it are not obeyed.
    pub context_text: String,
    /// Longest utterance in seconds; cuts fall on quiet places within 5 s of it. 1 to 1200.
    pub segment_seconds: Option<f64>,
    /// Most tokens generated per utterance; beyond 4096 only where the utterance is long enough to need them. Meeting
    /// it is reported as incomplete text, never passed over.
    pub max_new_tokens: Option<usize>,
    /// Where the recording given begins in the file it was cut from: added to all times.
    pub origin: SampleIndex,
}

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

/// One decode: the ids it gave and whether it ended by itself.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// Generated ids, end token not included.
    pub tokens: Vec<u32>,
    /// False when the limit ended it.
    pub complete: bool,
    /// Time for the prompt.
    pub prefill: Duration,
    /// Time for the steps.
    pub steps: Duration,
}

/// Transcribes a whole recording. `progress` is called after each utterance.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] for options out of range; [`crate::ErrorKind::Model`] when the model gives no numbers.
pub fn transcribe(model: &Model, audio: &Pcm16k, options: &Options, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Transcript> {
    let limit = segment_limit(model, options)?;
    let samples = audio.samples();
    let mut transcript = Transcript { duration: audio.duration(), complete: true, ..Transcript::default() };
    if samples.len() <= mel::TOO_SHORT {
        transcript.warnings.push(Warning {
            code: "too_short",
            message: format!("the recording has {} samples (at 16 kHz); more than {} are needed, so there is no text", samples.len(), mel::TOO_SHORT),
        });
        return Ok(transcript);
    }
    let mut session = None;
    let pieces = split(samples, limit);
    for piece in &pieces {
        let audio = pad_piece(&samples[piece.clone()], pieces.len() > 1);
        let (segment, warnings) = utterance(model, &audio, options, &mut session, &mut transcript.timings)?;
        let segment = Segment { start: options.origin + piece.start as u64, end: options.origin + piece.end as u64, ..segment };
        transcript.complete &= segment.complete;
        transcript.warnings.extend(warnings.into_iter().map(|warning| placed(warning, &segment)));
        progress(Progress { done: SampleIndex(piece.end as u64), total: transcript.duration, segment: &segment });
        join(&mut transcript, segment, limit);
    }
    Ok(transcript)
}

fn segment_limit(model: &Model, options: &Options) -> Result<usize> {
    let own = model.decoder_config().segment_seconds.map(f64::from);
    let seconds = options.segment_seconds.or(own).unwrap_or(SEGMENT_SECONDS);
    if !SEGMENT_SECONDS_RANGE.contains(&(seconds as f32)) {
        return Err(Error::usage(format!("segments of {seconds} s: give 1 to 1200 seconds")));
    }
    Ok((seconds * f64::from(SAMPLE_RATE)) as usize)
}

fn placed(warning: Warning, segment: &Segment) -> Warning {
    Warning { message: format!("{:.1}-{:.1} s: {}", segment.start.seconds(), segment.end.seconds(), warning.message), ..warning }
}

/// Joins languages without repeats, and texts with a space where their script has one between words. The official
/// package puts nothing between texts, which it does once in 20 minutes; so do we at its limit.
fn join(transcript: &mut Transcript, segment: Segment, limit: usize) {
    if let Some(language) = &segment.language
        && transcript.languages.last() != Some(language)
    {
        transcript.languages.push(language.clone());
    }
    if limit >= OFFICIAL_LIMIT {
        transcript.text.push_str(&segment.text);
    } else {
        joining::append(&mut transcript.text, &segment.text);
    }
    transcript.segments.push(segment);
}

/// One utterance, from samples to text. Times and the segment's place are the caller's to fill in.
fn utterance(model: &Model, samples: &[f32], options: &Options, session: &mut Option<Box<dyn DecoderSession>>, timings: &mut Timings) -> Result<(Segment, Vec<Warning>)> {
    let start = Instant::now();
    let mel = log_mel(samples);
    timings.mel += start.elapsed();

    let start = Instant::now();
    let audio = model.encoder().encode(&mel)?;
    timings.encode += start.elapsed();
    timings.audio_tokens += audio.rows();

    let prompt = Prompt::build(model.tokenizer(), &options.context_text, options.language.as_ref())?;
    let seconds = samples.len() as f64 / f64::from(SAMPLE_RATE);
    let default = default_new_tokens(seconds);
    let budget = options.max_new_tokens.unwrap_or(default).min(default.max(MOST_NEW_TOKENS));
    let decoded = decode(model, &prompt, &audio, &[], budget, session)?;
    timings.prefill += decoded.prefill;
    timings.decode += decoded.steps;
    timings.new_tokens += decoded.tokens.len();

    let raw = model.tokenizer().decode(&decoded.tokens);
    let answer = answer::parse(&raw, options.language.as_ref());
    let mut warnings = Vec::new();
    if !decoded.complete {
        warnings.push(Warning {
            code: "token_limit",
            message: format!("the text was cut at the limit of {budget} new tokens and may lack its end; allow more with --max-new-tokens or cut sooner with --segment-seconds"),
        });
    }
    if answer.repaired {
        warnings.push(Warning { code: "repetition_repaired", message: "the model repeated itself; the repeats were reduced to one".into() });
    }
    let language = Some(answer.language).filter(|language| !language.is_empty());
    let segment = Segment { start: SampleIndex(0), end: SampleIndex(0), language, text: answer.text, tokens: decoded.tokens, complete: decoded.complete };
    Ok((segment, warnings))
}

/// The one decode step: prompt and `prefix` in one pass, then greedily until an end token or `budget` new tokens.
/// `session` is reused when it is large enough.
///
/// # Errors
/// When the prompt is longer than the model's positions allow.
pub fn decode(model: &Model, prompt: &Prompt, audio: &AudioEmbeddings, prefix: &[u32], budget: usize, session: &mut Option<Box<dyn DecoderSession>>) -> Result<Decoded> {
    let start = Instant::now();
    let needed = prompt.positions(audio.rows()) + prefix.len();
    let max = model.decoder_config().max_positions;
    if needed >= max {
        return Err(Error::usage(format!("context text and audio need {needed} positions and the model has {max}: shorten --context or lower --segment-seconds")));
    }
    let budget = budget.min(max - needed);
    let session = prepare(model, session, needed + budget)?;
    session.append(&[Input::Tokens(&prompt.before), Input::Rows(&audio.data), Input::Tokens(&prompt.after), Input::Tokens(prefix)])?;
    let prefill = start.elapsed();

    let start = Instant::now();
    let ends = end_tokens(model)?;
    let mut decoded = Decoded { prefill, ..Decoded::default() };
    loop {
        let next = most_likely(session.logits())?;
        if ends.contains(&next) {
            decoded.complete = true;
            break;
        }
        if decoded.tokens.len() >= budget {
            break;
        }
        decoded.tokens.push(next);
        session.append(&[Input::Tokens(&[next])])?;
    }
    decoded.steps = start.elapsed();
    Ok(decoded)
}

/// An empty session of at least `capacity` positions: the one there if it is large enough, else a new one.
fn prepare<'s>(model: &Model, session: &'s mut Option<Box<dyn DecoderSession>>, capacity: usize) -> Result<&'s mut Box<dyn DecoderSession>> {
    if session.as_ref().is_none_or(|session| session.capacity() < capacity) {
        // The old one goes first: two would double the peak.
        *session = None;
        *session = Some(model.session(capacity)?);
    }
    let session = session.as_mut().ok_or_else(|| Error::internal("a session that was just opened is gone"))?;
    session.truncate(0);
    Ok(session)
}

/// Ids that end generation: what the file names, and the two the architecture always has.
fn end_tokens(model: &Model) -> Result<Vec<u32>> {
    let control = ControlTokens::find(model.tokenizer())?;
    let mut ends = model.decoder_config().end_tokens.clone();
    ends.extend([control.im_end, control.end_of_text]);
    Ok(ends)
}
