//! JSON in the shape of OpenAI's `verbose_json`: what its Python package reads as `TranscriptionVerbose`. Our own fields
//! have names that OpenAI does not use.
//!
//! Times are seconds, except where the name says `_ms`. `segments` are the utterances, whose times are measured; `cues`
//! are the same text cut for reading, and say where their times are estimates. `no_speech_prob` is always 0.0: this model
//! gives no such probability, and clients compare it with a threshold.

use super::Report;
use super::model::ModelSummary;
use crate::cost;
use crate::messages::warning_sentence;
use crate::shared::DEMO_WARNING;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use qasr::text::Language;
use qasr::{Segment, Timings, Transcript};
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

#[derive(Serialize)]
struct Verbose<'a> {
    task: &'static str,
    /// In lower case, as OpenAI names them; the first that was heard. Empty where none was.
    language: String,
    duration: f64,
    text: &'a str,
    segments: Vec<VerboseSegment<'a>>,
    cues: Vec<VerboseCue>,
    /// The model's own names of all languages heard, joined with commas.
    language_name: Option<String>,
    /// ISO code of the first.
    language_code: Option<&'static str>,
    complete: bool,
    warnings: Vec<WarningForm>,
    timing: Timing,
    peak_rss_bytes: Option<u64>,
    model: &'a ModelSummary,
}

#[derive(Serialize)]
struct VerboseSegment<'a> {
    id: usize,
    /// The start in hundredths of a second.
    seek: u64,
    start: f64,
    end: f64,
    text: &'a str,
    tokens: &'a [u32],
    /// Nothing is sampled.
    temperature: f64,
    avg_logprob: f64,
    /// Bytes of the text by bytes of the text compressed: repetitions make it large.
    compression_ratio: f64,
    no_speech_prob: f64,
    language: Option<String>,
    complete: bool,
    /// Counted from 1, where channels were recognized one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<u32>,
}

#[derive(Serialize)]
struct VerboseCue {
    start: f64,
    end: f64,
    text: String,
    /// The times are shares of the utterance's by the length of the text.
    estimated: bool,
    /// The `id` of its segment.
    segment: usize,
}

/// A warning, for programs and for people.
#[derive(Serialize)]
pub struct WarningForm {
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Timing {
    load_ms: f64,
    audio_ms: f64,
    mel_ms: f64,
    encode_ms: f64,
    prefill_ms: f64,
    decode_ms: f64,
    audio_tokens: usize,
    new_tokens: usize,
    /// Processing time (all of the above but `load_ms`) by audio time: smaller is better. Null for no audio.
    rtf: Option<f64>,
}

/// The whole result as one object, indented.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let transcript = report.transcript;
    let names = &transcript.languages;
    let cues = report.cues().into_iter().map(|cue| VerboseCue {
        start: seconds(cue.start),
        end: seconds(cue.end),
        text: cue.text,
        estimated: cue.is_estimated,
        segment: cue.segment,
    });
    let verbose = Verbose {
        task: "transcribe",
        language: names.first().map_or(String::new(), |name| name.to_lowercase()),
        duration: rounded(transcript.duration.seconds(), 3),
        text: &transcript.text,
        segments: transcript.segments.iter().enumerate().map(segment).collect(),
        cues: cues.collect(),
        language_name: (!names.is_empty()).then(|| names.join(",")),
        language_code: names.first().and_then(|name| code(name)),
        complete: transcript.complete,
        warnings: warnings(report),
        timing: timing(transcript),
        peak_rss_bytes: report.peak_rss_bytes,
        model: report.model,
    };
    serde_json::to_writer_pretty(&mut *out, &verbose)?;
    writeln!(out)
}

/// The ISO code of a language by the model's name.
pub fn code(name: &str) -> Option<&'static str> {
    Language::find(name).map(|language| language.code())
}

/// The warnings about a text, with the flags that help.
pub fn warnings(report: &Report<'_>) -> Vec<WarningForm> {
    let demo = WarningForm { code: "demo_model", message: DEMO_WARNING.to_owned() };
    let own = report.transcript.warnings.iter();
    let own = own.map(|warning| WarningForm { code: warning.code.as_str(), message: warning_sentence(warning) });
    Some(demo).filter(|_| report.is_demo_by_default).into_iter().chain(own).collect()
}

/// Rounded to this number of digits after the point: more would only look exact.
pub fn rounded(value: f64, digits: i32) -> f64 {
    let unit = 10f64.powi(digits);
    (value * unit).round() / unit
}

fn seconds(milliseconds: u64) -> f64 {
    rounded(milliseconds as f64 / 1000.0, 3)
}

fn segment((id, segment): (usize, &Segment)) -> VerboseSegment<'_> {
    VerboseSegment {
        id,
        seek: segment.start.milliseconds() / 10,
        start: rounded(segment.start.seconds(), 3),
        end: rounded(segment.end.seconds(), 3),
        text: &segment.text,
        tokens: &segment.tokens,
        temperature: 0.0,
        avg_logprob: rounded(segment.mean_log_probability().unwrap_or(0.0).max(LEAST), 4),
        compression_ratio: rounded(compression_ratio(&segment.text), 3),
        no_speech_prob: 0.0,
        language: segment.language.as_deref().map(str::to_lowercase),
        complete: segment.complete,
        channel: segment.channel.map(|channel| u32::from(channel) + 1),
    }
}

/// JSON has no infinite numbers.
const LEAST: f64 = -1000.0;

/// As OpenAI computes it. A text that is empty has 0.
fn compression_ratio(text: &str) -> f64 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    // Writing to memory does not fail.
    compressed.map_or(0.0, |bytes| text.len() as f64 / bytes.len() as f64)
}

fn timing(transcript: &Transcript) -> Timing {
    let Timings { load, audio, mel, encode, prefill, decode, audio_tokens, new_tokens } = transcript.timings;
    Timing {
        load_ms: milliseconds(load),
        audio_ms: milliseconds(audio),
        mel_ms: milliseconds(mel),
        encode_ms: milliseconds(encode),
        prefill_ms: milliseconds(prefill),
        decode_ms: milliseconds(decode),
        audio_tokens,
        new_tokens,
        rtf: cost::real_time_factor(transcript).map(|factor| rounded(factor, 4)),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
