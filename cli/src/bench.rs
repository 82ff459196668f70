//! `qasr bench`: how fast a model is on this machine, stage by stage, for every number of utterances at once, and live.

use super::args::{BenchArgs, TableFormat};
use super::cost::peak_rss_bytes;
use super::exit::Exit;
use super::interrupt;
use super::messages::{Messages, print_result, sentence};
use qasr::audio::{Pcm16k, ReadOptions, read_path};
use qasr::endpoint::Detector;
use qasr::error::Result;
use qasr::stream::StreamOptions;
use qasr::units::SAMPLE_RATE;
use qasr::{Model, Options, Stream, Transcript, transcribe};
use qasr_measure::machine::{self, Machine};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Samples from one step of the live run to the next: 2 s.
const STEP: u64 = 2 * SAMPLE_RATE as u64;
/// Longest utterance of sound that was made up, in seconds.
const UTTERANCE_SECONDS: f64 = 12.0;

/// What was measured.
#[derive(Serialize)]
struct Report {
    version: String,
    machine: Machine,
    features: Vec<String>,
    load_average: Option<f64>,
    model: String,
    decoder_type: String,
    encoder_type: String,
    threads: Option<u32>,
    audio_seconds: f64,
    load_seconds: f64,
    peak_bytes: Option<u64>,
    runs: Vec<Row>,
}

/// One way of working, the median of its runs.
#[derive(Debug, Clone, Serialize)]
struct Row {
    /// `offline` or `live`.
    way: &'static str,
    /// Utterances at once.
    batch: usize,
    utterances: usize,
    new_tokens: usize,
    seconds: f64,
    /// Seconds of audio for a second of work.
    times_real_time: f64,
    /// Milliseconds of each stage for a second of audio.
    encode_ms: f64,
    prefill_ms: f64,
    decode_ms: f64,
    /// Milliseconds for a token of text.
    token_ms: f64,
    /// Whether the text is that of the first run.
    same_text: bool,
}

/// Runs the subcommand.
pub fn run(args: &BenchArgs) -> Exit {
    let messages = Messages::new(args.no_prints, true);
    match measure(args, &messages) {
        Ok(report) => print_result(&match args.format {
            TableFormat::Md => markdown(&report),
            TableFormat::Csv => comma_separated(&report),
            TableFormat::Json => serde_json::to_string_pretty(&report).unwrap_or_default(),
        }),
        Err(error) => {
            messages.error(sentence(&error));
            error.kind().into()
        }
    }
}

fn measure(args: &BenchArgs, messages: &Messages) -> Result<Report> {
    interrupt::install()?;
    let opened = args.model.open_quietly()?;
    let (audio, mut options) = match &args.file {
        Some(file) => (read_path(file, &ReadOptions::default())?.pcm, Options::default()),
        None => (noise(args.seconds)?, made_up()),
    };
    options.tokens_per_second = Some(args.tokens_per_second);
    options.cancel = interrupt::cancel();
    let model = &opened.model;
    let mut runs: Vec<Row> = Vec::new();
    let mut text = None;
    let widths = args.batch.iter().map(|width| ("offline", usize::from(*width)));
    for (way, batch) in widths.chain([("live", 1)]) {
        let mut rows = Vec::new();
        for run in 1..=args.runs {
            messages.note(format_args!("{way}, {batch} at once, run {run} of {}", args.runs));
            let start = Instant::now();
            let transcript = match way {
                "live" => live(model, &audio, &options)?,
                _ => {
                    let mut options = options.clone();
                    options.batch = batch;
                    transcribe(model, &audio, &options, &mut |_| {})?
                }
            };
            let text = text.get_or_insert_with(|| transcript.text.clone());
            rows.push(Row::of(way, batch, &transcript, start.elapsed(), *text == transcript.text));
        }
        rows.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        runs.push(rows.swap_remove(rows.len() / 2));
    }
    let info = model.info();
    Ok(Report {
        version: format!("{} ({})", qasr::VERSION, qasr::REVISION),
        machine: Machine::look(),
        features: ggml::cpu_features(),
        load_average: machine::load(),
        model: info.name.clone(),
        decoder_type: info.decoder_type.clone(),
        encoder_type: info.encoder_type.clone(),
        threads: args.model.compute.threads,
        audio_seconds: audio.duration().seconds(),
        load_seconds: model.load_time().as_secs_f64(),
        peak_bytes: peak_rss_bytes(),
        runs,
    })
}

fn live(model: &Model, audio: &Pcm16k, options: &Options) -> Result<Transcript> {
    let mut stream_options = StreamOptions::default();
    stream_options.recognition = options.clone();
    stream_options.step = STEP;
    stream_options.clock = Some(clock);
    let mut stream = Stream::new(model, stream_options)?;
    for block in audio.samples().chunks(SAMPLE_RATE as usize / 10) {
        stream.feed(block)?;
    }
    stream.end()?;
    Ok(stream.finish())
}

/// Time since this was first asked.
fn clock() -> Duration {
    static FIRST: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    FIRST.elapsed()
}

/// Noise: speed does not depend on what is said.
fn noise(seconds: u32) -> Result<Pcm16k> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * 0.1
    };
    Pcm16k::new((0..seconds as usize * SAMPLE_RATE as usize).map(|_| next()).collect())
}

/// Options for noise, which has no pauses.
fn made_up() -> Options {
    let mut options = Options::default();
    options.detector = Detector::Off;
    options.segment_seconds = Some(UTTERANCE_SECONDS);
    options
}

impl Row {
    fn of(way: &'static str, batch: usize, transcript: &Transcript, took: Duration, same_text: bool) -> Self {
        let timings = &transcript.timings;
        let audio = transcript.duration.seconds().max(f64::MIN_POSITIVE);
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        Self {
            way,
            batch,
            utterances: transcript.segments.len(),
            new_tokens: timings.new_tokens,
            seconds: took.as_secs_f64(),
            times_real_time: audio / took.as_secs_f64(),
            encode_ms: milliseconds(timings.mel + timings.encode) / audio,
            prefill_ms: milliseconds(timings.prefill) / audio,
            decode_ms: milliseconds(timings.decode) / audio,
            token_ms: milliseconds(timings.decode) / timings.new_tokens.max(1) as f64,
            same_text,
        }
    }
}

const COLUMNS: [&str; 10] = [
    "way",
    "at once",
    "utterances",
    "tokens",
    "seconds",
    "x real time",
    "encode ms/s",
    "prefill ms/s",
    "decode ms/s",
    "ms/token",
];

fn cells(row: &Row) -> [String; 10] {
    [
        row.way.to_owned(),
        row.batch.to_string(),
        row.utterances.to_string(),
        row.new_tokens.to_string(),
        format!("{:.2}", row.seconds),
        format!("{:.2}", row.times_real_time),
        format!("{:.1}", row.encode_ms),
        format!("{:.1}", row.prefill_ms),
        format!("{:.1}", row.decode_ms),
        format!("{:.2}", row.token_ms),
    ]
}

fn markdown(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "qasr {}\n{}, {} cores, {}, {}\nfeatures in use: {}\n",
        report.version,
        machine.processor,
        machine.cores,
        machine.memory,
        machine.system,
        report.features.join(" ")
    );
    let Report { model, decoder_type, encoder_type, audio_seconds, load_seconds, .. } = report;
    text += &format!(
        "model {model}, decoder {decoder_type}, encoder {encoder_type}; {audio_seconds:.1} s of audio; loaded in {load_seconds:.2} s"
    );
    text += &report.peak_bytes.map_or("\n\n".into(), |bytes| format!("; peak memory {} MiB\n\n", bytes >> 20));
    let rows: Vec<[String; 10]> = report.runs.iter().map(cells).collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].len()).chain([COLUMNS[column].len()]).max().unwrap_or_default()
    };
    let line = |cells: &[String]| -> String {
        let cells = cells.iter().enumerate().map(|(column, cell)| format!(" {:>1$} |", cell, width(column)));
        format!("|{}\n", cells.collect::<String>())
    };
    text += &line(&COLUMNS.map(str::to_owned));
    text += &format!("|{}\n", (0..10).map(|column| format!("{:->1$}:|", "", width(column) + 1)).collect::<String>());
    for row in &rows {
        text += &line(row);
    }
    if report.runs.iter().any(|row| !row.same_text) {
        text += "\nwarning: not all runs gave the same text\n";
    }
    text.trim_end().to_owned()
}

fn comma_separated(report: &Report) -> String {
    let lines = report.runs.iter().map(|row| cells(row).join(","));
    std::iter::once(COLUMNS.join(",")).chain(lines).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_lasts_as_long_as_asked_and_is_the_same_at_every_run() {
        let [one, other] = [noise(3).expect("noise"), noise(3).expect("noise")];
        assert_eq!(one.duration().seconds(), 3.0);
        assert_eq!(one.samples(), other.samples());
        assert!(one.samples().iter().any(|sample| sample.abs() > 0.05));
    }
}
