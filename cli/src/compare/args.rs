//! Flags of `qasr compare`.

use crate::shared::{LanguageChoice, parse_language, parse_normalizer};
use clap::Args;
use qasr_measure::scoring::Normalizer;
use std::path::PathBuf;

const NOTES: &str = "\
Every engine gets the same 16 kHz mono WAV and a process of its own per run; who
begins changes from recording to recording. FILE.txt beside FILE is its text; a
list is TSV or CSV with a header line, or JSON lines (file, text, language).
The page opens with a sentence: which engines make fewer errors, as far as the
recordings can tell (at least six are needed). The speed of an engine whose text
fails is shown, but not ranked. Run it again to go on where it stopped.

Examples:
  qasr compare talks/ -m Q8_0.gguf -m Q4_0.gguf -o page.html
  qasr compare test.tsv -m Q4_0.gguf --whisper-model ggml-small.bin -o page.html
  qasr compare talks/ --command 'other=other-asr --cpu {threads} {file}' -o page.html

In a command, {file}, {model}, {threads} and {language} are filled in; a command
without {threads} decides by itself, and the page says so. Words are split as a
shell does, but no shell runs it. Its text is what it prints to standard output.

Exit codes:
  0 done, also where one engine failed   1 every run failed, or another failure
  2 usage   3 a recording cannot be read   4 bad model   6 output not written
  130 interrupted; type the same command again to go on";

/// Compare this engine with others on the same recordings
#[derive(Debug, Args)]
#[command(after_long_help = NOTES, arg_required_else_help = true)]
pub struct CompareArgs {
    /// A folder of recordings, or a list of them
    #[arg(value_name = "FOLDER|LIST")]
    pub recordings: PathBuf,

    /// Model of qasr, as -m of transcribe; may be repeated
    ///
    /// Where the encoder does not lie beside the decoder: DECODER,ENCODER. Without: the demo model.
    #[arg(short, long = "model", value_name = "MODEL", help_heading = "Engines")]
    pub models: Vec<PathBuf>,

    /// whisper.cpp's command [default: whisper-cli on the path]
    #[arg(long, value_name = "PATH", requires = "whisper_models", help_heading = "Engines")]
    pub whisper_cli: Option<PathBuf>,

    /// Model of whisper.cpp; may be repeated
    #[arg(long = "whisper-model", value_name = "FILE", help_heading = "Engines")]
    pub whisper_models: Vec<PathBuf>,

    /// More flags for whisper.cpp: "-bs 1 -nf" decodes greedily
    #[arg(
        long,
        value_name = "FLAGS",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true,
        help_heading = "Engines"
    )]
    pub whisper_args: String,

    /// Any other engine; may be repeated
    #[arg(long = "command", value_name = "NAME=TEMPLATE", value_parser = parse_named, help_heading = "Engines")]
    pub commands: Vec<(String, String)>,

    /// Model file of such an engine, for {model} and for its size
    #[arg(long = "command-model", value_name = "NAME=FILE", value_parser = parse_named, help_heading = "Engines")]
    pub command_models: Vec<(String, String)>,

    /// Measure only the speed of this engine
    ///
    /// Its text is not judged, as is done where a model's name says `random`.
    #[arg(long, value_name = "NAME", help_heading = "Engines")]
    pub speed_only: Vec<String>,

    /// Threads, for commands with {threads} [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=512), help_heading = "Runs")]
    pub threads: Option<u32>,

    /// How often each engine does each recording
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Runs")]
    pub repeat: u32,

    /// Spoken language: de, German, ..., or auto
    #[arg(short, long, value_name = "LANG", default_value = "auto", value_parser = parse_language, help_heading = "Runs")]
    pub language: LanguageChoice,

    /// Longest time of a run [default: 60 + 30 per second of audio]
    ///
    /// A longer one is ended and counts as failed.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, help_heading = "Runs")]
    pub timeout: Option<f64>,

    /// Forget earlier runs with this output, and measure again
    #[arg(long, help_heading = "Runs")]
    pub restart: bool,

    /// Text normalization before counting errors
    ///
    /// none, basic, english [default: by language].
    #[arg(long, value_name = "NAME", value_parser = parse_normalizer, help_heading = "Judgement")]
    pub normalizer: Option<Normalizer>,

    /// Error above which an engine's speed is not ranked
    #[arg(long, value_name = "PERCENT", default_value_t = 50.0, value_parser = parse_percent, help_heading = "Judgement")]
    pub sanity_wer: f64,

    /// The page to write
    #[arg(short, long, value_name = "HTML", help_heading = "Output files")]
    pub output: PathBuf,

    /// The same as JSON [also -oj]
    #[arg(long, value_name = "FILE", help_heading = "Output files")]
    pub output_json: Option<PathBuf>,

    /// Only warnings and errors [also -np]
    #[arg(long, help_heading = "Messages")]
    pub no_prints: bool,
}

fn parse_named(typed: &str) -> Result<(String, String), String> {
    match typed.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write NAME=VALUE".into()),
    }
}

fn parse_seconds(typed: &str) -> Result<f64, String> {
    let seconds = typed.parse().ok().filter(|seconds| (0.01..=1e6).contains(seconds));
    seconds.ok_or_else(|| "give seconds, from 0.01 to 1000000".into())
}

fn parse_percent(typed: &str) -> Result<f64, String> {
    let percent = typed.parse().ok().filter(|percent| (0.0..=1000.0).contains(percent));
    percent.ok_or_else(|| "give percent, from 0 to 1000".into())
}
