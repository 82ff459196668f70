//! JSON in the shape of OpenAI's `verbose_json`, with our fields added and none renamed.
//!
//! `language` is the ISO code of the first language heard (OpenAI writes a lower-case name), `language_name` the
//! model's own names, joined with commas; both are null where nothing was said. Times are seconds, except where
//! the name says `_ms`. Fields of OpenAI's that this model has no value for (log probabilities, temperature) are
//! left out rather than invented.

use super::Report;
use crate::cost;
use crate::messages::warning_sentence;
use qasr::model::ModelInfo;
use qasr::text::Language;
use qasr::{ModelFiles, Segment, Timings, Transcript};
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// Which model made the text.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ModelSummary {
    /// The name in the decoder file; `demo` for the embedded one.
    name: String,
    /// How the decoder's weights are stored.
    quant: String,
    /// How the audio encoder's weights are stored.
    encoder_quant: String,
    /// Null for the embedded demo model.
    decoder_file: Option<String>,
    /// Null for the embedded demo model.
    encoder_file: Option<String>,
}

impl ModelSummary {
    /// From what the model says and, where it is not the embedded one, its files.
    pub fn new(info: &ModelInfo, files: Option<&ModelFiles>) -> Self {
        Self {
            name: info.name.clone(),
            quant: info.decoder_type.clone(),
            encoder_quant: info.encoder_type.clone(),
            decoder_file: files.map(|files| files.decoder.display().to_string()),
            encoder_file: files.map(|files| files.encoder.display().to_string()),
        }
    }
}

#[derive(Serialize)]
struct Verbose<'a> {
    task: &'static str,
    language: Option<&'static str>,
    language_name: Option<String>,
    duration: f64,
    text: &'a str,
    segments: Vec<VerboseSegment<'a>>,
    complete: bool,
    warnings: Vec<VerboseWarning>,
    timing: Timing,
    peak_rss_bytes: Option<u64>,
    model: &'a ModelSummary,
}

#[derive(Serialize)]
struct VerboseSegment<'a> {
    id: usize,
    start: f64,
    end: f64,
    text: &'a str,
    tokens: &'a [u32],
    language: Option<&'static str>,
    complete: bool,
    /// Counted from 1, where channels were recognized one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<u32>,
}

#[derive(Serialize)]
struct VerboseWarning {
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
    let verbose = Verbose {
        task: "transcribe",
        language: names.first().and_then(|name| code(name)),
        language_name: (!names.is_empty()).then(|| names.join(",")),
        duration: transcript.duration.seconds(),
        text: &transcript.text,
        segments: transcript.segments.iter().enumerate().map(segment).collect(),
        complete: transcript.complete,
        warnings: transcript
            .warnings
            .iter()
            .map(|warning| VerboseWarning { code: warning.code.as_str(), message: warning_sentence(warning) })
            .collect(),
        timing: timing(transcript),
        peak_rss_bytes: report.peak_rss_bytes,
        model: report.model,
    };
    serde_json::to_writer_pretty(&mut *out, &verbose)?;
    writeln!(out)
}

fn code(name: &str) -> Option<&'static str> {
    Language::find(name).map(|language| language.code())
}

fn segment((id, segment): (usize, &Segment)) -> VerboseSegment<'_> {
    VerboseSegment {
        id,
        start: segment.start.seconds(),
        end: segment.end.seconds(),
        text: &segment.text,
        tokens: &segment.tokens,
        language: segment.language.as_deref().and_then(code),
        complete: segment.complete,
        channel: segment.channel.map(|channel| u32::from(channel) + 1),
    }
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
        rtf: cost::real_time_factor(transcript),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
