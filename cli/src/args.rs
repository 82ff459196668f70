//! The flags. The file of each subcommand gives them their meaning.

use super::compare::args::CompareArgs;
use super::eval::args::EvalArgs;
use super::imatrix::ImatrixArgs;
use super::listen::args::{ListenArgs, ReplayArgs};
use super::output::Format;
use super::quant_report::QuantReportArgs;
use super::quantize::QuantizeArgs;
use super::real_model;
use super::recipe::RecipeArgs;
use super::shared::{ModelArgs, RawArgs, TextArgs};
use super::types::{RunArgs, TypeArgs, Wanted, parse_wanted};
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use qasr::audio::{Channel, Decoder};
use std::path::PathBuf;

/// Speech to text with Qwen3-ASR, on the CPU, offline.
#[derive(Debug, Parser)]
#[command(name = "qasr", disable_version_flag = true, after_help = EXAMPLES, after_long_help = notes(), max_term_width = 100)]
pub struct Cli {
    /// Print version, revision, CPU features and the configuration file
    #[arg(short = 'V', short_alias = 'v', long, action = ArgAction::SetTrue)]
    pub version: bool,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Transcribe(Box<TranscribeArgs>),
    Listen(Box<ListenArgs>),
    Convert(ConvertArgs),
    Inspect(InspectArgs),
    Quantize(QuantizeArgs),
    Eval(Box<EvalArgs>),
    Compare(Box<CompareArgs>),
    Bench(BenchArgs),
    QuantReport(QuantReportArgs),
    Imatrix(ImatrixArgs),
    Recipe(RecipeArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    Replay(ReplayArgs),
}

impl Command {
    /// Whether details were asked for.
    pub fn is_verbose(&self) -> bool {
        match self {
            Self::Transcribe(args) => args.verbose,
            Self::Listen(args) => args.verbose,
            _ => false,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  qasr talk.wav                                     short for `qasr transcribe talk.wav`
  qasr transcribe -m models/Qwen3-ASR-0.6B-Q8_0.gguf -osrt talk.mp3
  qasr listen -m models/Qwen3-ASR-0.6B-Q8_0.gguf
  qasr convert Qwen3-ASR-0.6B/ --type q8_0 -o models/
  qasr quantize models/Qwen3-ASR-0.6B-bf16.gguf models/ --recipe balanced
  qasr inspect models/Qwen3-ASR-0.6B-Q8_0.gguf
  qasr eval recordings.tsv -m models/Qwen3-ASR-0.6B-Q8_0.gguf";

const TRANSCRIBE_NOTES: &str = "\
The text goes to standard output, one line per recording; everything else goes
to standard error. Each utterance is printed as soon as it is finished, on a
terminal with its times before it.

Recordings and films: WAV, FLAC, MP3, OGG (Vorbis, Opus), M4A, MP4, MOV and AAC
files, MKV, WebM, AIFF, CAF, AU, at any rate; other codecs by ffmpeg, if --decoder
auto allows it. Of a folder its recordings are taken, sorted by name. `qasr inspect
FILE` lists the audio tracks of a recording.

FILE is the whole name of the recording, as in whisper-cli: talk.wav.txt. Subtitles
(SRT, VTT, LRC) lose its extension, because players look for film.srt beside
film.mp4, unless two recordings of a run would share a file.

Pieces of text with times (SRT, VTT, LRC, TSV, CSV, JSON) are cut at sentence ends,
then clauses, then words. The model gives times of utterances only: the times of
their pieces are estimated by the length of the text, and marked so in JSON. With
noise or music between the words, --vad neural gives truer times.

The flags of whisper-cli can be typed as they are there (-otxt, -of, -ot, -np, ...);
those that cannot be honoured are refused.

Examples:
  qasr transcribe talk.wav
  qasr transcribe -m model.gguf -l de --context \"Ölpumpe, Ximenez\" call.m4a
  qasr transcribe -m model.gguf -osrt film.mkv
  qasr transcribe -m model.gguf -otxt -o texts/ --recursive --skip-existing talks/
  qasr transcribe -m model.gguf --split-channels -osrt call.wav
  qasr transcribe -np -ojson -of - talk.wav | jq .text
  arecord -t raw -f S16_LE -r 16000 -d 5 | qasr transcribe --raw-rate 16000 -

Exit codes:
  0 done             1 other failure    2 usage              3 bad audio
  4 bad model        5 incomplete text  6 output not written
  130 interrupted: what was finished is printed and written
  With several files: that of the first that failed; 5 only where none failed.";

const CONVERT_NOTES: &str = "\
Reads the directory as published (config.json, *.safetensors, vocab.json,
merges.txt, ...) and writes a decoder file and an audio encoder file (mmproj).
The pair also opens in llama.cpp's own tools.

Examples:
  qasr convert Qwen3-ASR-0.6B/ --type q4_k_m --encoder-type q8_0 -o models/
  qasr convert Qwen3-ASR-0.6B/ --recipe balanced --imatrix importance.gguf -o models/";

fn convert_notes() -> String {
    format!("{}\n\n{CONVERT_NOTES}", real_model::help())
}

const SETTINGS: &str = "\
Settings: QASR_MODEL names the model where -m is not given. A file does so too, and
sets other flags of transcribe and listen (on Linux ~/.config/qasr/config.toml;
`qasr --version` says where it is looked for, QASR_CONFIG names another):
  model = \"~/models\"
  language = \"de\"
  segment-seconds = 20
Flags beat QASR_MODEL, QASR_MODEL beats the file; -v says what came from where.
eval, compare and imatrix take the model alone.";

fn notes() -> String {
    format!("{EXAMPLES}\n\n{}\n\n{SETTINGS}", real_model::help())
}

/// Turn recordings into text
#[derive(Debug, Args)]
#[command(
    override_usage = "qasr transcribe [OPTIONS] <FILE>...",
    after_long_help = TRANSCRIBE_NOTES,
    arg_required_else_help = true
)]
pub struct TranscribeArgs {
    /// Recordings, films, or folders of them; `-`: standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["files_by_flag", "list_languages"])]
    pub files: Vec<PathBuf>,

    /// A recording, as whisper-cli takes it; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE", help_heading = "Input")]
    pub files_by_flag: Vec<PathBuf>,

    /// Take the folders inside folders too
    #[arg(short, long, help_heading = "Input")]
    pub recursive: bool,

    /// Leave out this many milliseconds at the start [also -ot]
    #[arg(
        long,
        alias = "offset-t",
        value_name = "MS",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "Input"
    )]
    pub offset: u64,

    /// Stop after this many milliseconds [default: everything]
    #[arg(short, long, value_name = "MS", default_value_t = 0, hide_default_value = true, help_heading = "Input")]
    pub duration: u64,

    /// left, right, a number from 1, or the mean of all
    #[arg(long, value_name = "CHANNEL", default_value = "mix", value_parser = parse_channel, help_heading = "Input")]
    pub channel: ChannelChoice,

    /// Recognize every channel by itself, as in calls
    ///
    /// The utterances are merged by time and marked with their channel.
    #[arg(long, conflicts_with = "channel", help_heading = "Input")]
    pub split_channels: bool,

    /// Audio track, from 1 [default: the marked one, else the first]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Input")]
    pub audio_track: Option<u32>,

    /// Decoder of recordings: builtin, ffmpeg, auto [default: builtin]
    ///
    /// builtin is qasr itself, ffmpeg the program of that name on the path, auto ffmpeg for codecs that qasr cannot
    /// decode, with a warning.
    #[arg(long, value_name = "DECODER", value_enum, default_value_t = DecoderName::Builtin, hide_default_value = true, hide_possible_values = true, help_heading = "Input")]
    pub decoder: DecoderName,

    #[command(flatten)]
    pub raw: RawArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Most utterances decoded at once, 1 to 16
    ///
    /// Default: up to 4, as long as their attention caches fit into 128 MiB. More are faster and need more memory; the text
    /// stays the same.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16), help_heading = "Model")]
    pub batch: Option<u8>,

    #[command(flatten)]
    pub text: TextArgs,

    /// Print the languages of the model and end
    #[arg(long, help_heading = "Text")]
    pub list_languages: bool,

    /// Write FILE.txt, one line for the recording [also -otxt]
    #[arg(long, help_heading = "Output files")]
    pub output_txt: bool,

    /// Write FILE.srt: subtitles of at most 7 s and two lines [also -osrt]
    #[arg(long, help_heading = "Output files")]
    pub output_srt: bool,

    /// Write FILE.vtt: the same for the web [also -ovtt]
    #[arg(long, help_heading = "Output files")]
    pub output_vtt: bool,

    /// Write FILE.json as OpenAI's `verbose_json` [also -ojson]
    #[arg(long, help_heading = "Output files")]
    pub output_verbose_json: bool,

    /// Write FILE.json in whisper-cli's form [also -oj]
    #[arg(long, conflicts_with = "output_verbose_json", help_heading = "Output files")]
    pub output_json: bool,

    /// The same with every token and its probability [also -ojf]
    #[arg(long, conflicts_with = "output_verbose_json", help_heading = "Output files")]
    pub output_json_full: bool,

    /// Write FILE.tsv: start and end in ms, text [also -otsv]
    #[arg(long, help_heading = "Output files")]
    pub output_tsv: bool,

    /// Write FILE.csv: start and end in ms, text [also -ocsv]
    #[arg(long, help_heading = "Output files")]
    pub output_csv: bool,

    /// Write FILE.lrc: lyrics with times [also -olrc]
    #[arg(long, help_heading = "Output files")]
    pub output_lrc: bool,

    /// The same by name: txt,srt,vtt,json,tsv,csv,lrc or all
    ///
    /// json is OpenAI's verbose_json; whisper_json and whisper_json_full are whisper-cli's. all is every one but these.
    #[arg(long, value_name = "FORMATS", alias = "output_format", value_delimiter = ',', value_parser = parse_formats, help_heading = "Output files")]
    pub output_format: Vec<FormatSet>,

    /// Folder for output files [default: that of each recording]
    #[arg(short, long, value_name = "DIR", alias = "output_dir", value_parser = PathBufValueParser::new().try_map(folder), help_heading = "Output files")]
    pub output_dir: Option<PathBuf>,

    /// Name of output files without extension [also -of]
    ///
    /// Once for each recording. With a slash at its end it is a folder; `-` is standard output.
    #[arg(long = "output-file", value_name = "BASE", help_heading = "Output files")]
    pub output_base: Vec<PathBuf>,

    /// Leave out recordings whose output files are all there
    ///
    /// So a folder goes on where an earlier run stopped.
    #[arg(long, help_heading = "Output files")]
    pub skip_existing: bool,

    /// A line for each utterance, in FILE.txt and standard output
    #[arg(long, help_heading = "Form of the text")]
    pub lines: bool,

    /// No times before the text on a terminal [also -nt]
    #[arg(long, help_heading = "Form of the text")]
    pub no_timestamps: bool,

    /// Most characters of a subtitle; 0: whole utterances [also -ml]
    ///
    /// Of every piece of text with a time. Without it: 7 s and two lines of 42 characters.
    #[arg(long, value_name = "N", help_heading = "Form of the text")]
    pub max_len: Option<usize>,

    /// With --max-len, do not cut longer words [also -sow]
    #[arg(long, help_heading = "Form of the text")]
    pub split_on_word: bool,

    /// Only the text, warnings and errors [also -np]
    #[arg(long, help_heading = "Messages")]
    pub no_prints: bool,

    /// Times of every stage, every warning, and settings in use
    #[arg(short, long, conflicts_with = "no_prints", help_heading = "Messages")]
    pub verbose: bool,

    /// Show progress also without a terminal [also -pp]
    #[arg(long, alias = "print-progress", help_heading = "Messages")]
    pub progress: bool,
}

/// Turn a published checkpoint into a pair of model files
#[derive(Debug, Args)]
#[command(after_long_help = convert_notes(), arg_required_else_help = true)]
pub struct ConvertArgs {
    /// The checkpoint's directory
    #[arg(value_name = "CHECKPOINT_DIR")]
    pub checkpoint: PathBuf,

    /// Type of the weights, or a recipe [default: q8_0]
    ///
    /// Types: f32, f16, bf16, q8_0, q6_k, q5_k_m, q5_0, q4_k_m, q4_0, iq4_nl. Recipes: small, balanced, safe, or a file.
    #[arg(long = "type", value_name = "TYPE|RECIPE", value_parser = parse_wanted)]
    pub decoder_type: Option<Wanted>,

    #[command(flatten)]
    pub types: TypeArgs,

    /// Folder for both files, made if there is none
    #[arg(short = 'o', long, value_name = "DIR")]
    pub output_dir: PathBuf,

    /// Architecture name to write: qwen3 or qwen3vl [default: qwen3]
    ///
    /// qwen3 has one position for each row; qwen3vl is the name that llama.cpp's converter writes.
    #[arg(long, value_name = "NAME", default_value = "qwen3", hide_default_value = true, hide_possible_values = true, value_parser = ["qwen3", "qwen3vl"])]
    pub arch: String,

    /// Name of the model and its files [default: the directory's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Licence to record, where the checkpoint names none
    #[arg(long, value_name = "NAME")]
    pub licence: Option<String>,

    /// Longest utterance to record as the model's own, 1 to 1200
    ///
    /// Default: `segment_seconds:` at the top of the checkpoint's README.md, else none.
    #[arg(long, value_name = "SECONDS")]
    pub segment_seconds: Option<f32>,

    #[command(flatten)]
    pub run: RunArgs,
}

/// Measure how fast a model is on this machine
#[derive(Debug, Args)]
#[command(after_help = BENCH_NOTES)]
pub struct BenchArgs {
    /// A recording [default: noise, as speed does not depend on what is said]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Utterances at once to try, 1 to 16
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 2, 4, 8], value_parser = clap::value_parser!(u8).range(1..=16))]
    pub batch: Vec<u8>,

    /// Runs of each; the median is shown
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub runs: u32,

    /// Length of the noise
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600), conflicts_with = "file")]
    pub seconds: u32,

    /// Tokens of text for a second of audio
    #[arg(long, value_name = "N", default_value_t = 3.5)]
    pub tokens_per_second: f64,

    /// md, csv or json
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = TableFormat::Md, hide_default_value = true, hide_possible_values = true)]
    pub format: TableFormat,

    /// Only warnings and errors
    #[arg(long)]
    pub no_prints: bool,
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    Md,
    Csv,
    Json,
}

const BENCH_NOTES: &str = "\
A row for every number of utterances at once, and one for live recognition at steps
of 2 s: seconds, seconds of audio for a second of work, milliseconds of every stage
for a second of audio, milliseconds for a token. Texts are compared: they are the
same in all rows. The peak memory is that of all runs together.

Example:
  qasr bench -m models/Qwen3-ASR-0.6B-Q8_0.gguf --format csv > speed.csv";

/// Describe a model, or a recording and its audio tracks
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct InspectArgs {
    /// A model's folder or file (GGUF), or a recording
    #[arg(value_name = "FILE|FOLDER")]
    pub file: PathBuf,

    /// All keys and tensors of a model too
    #[arg(short = 'v', long, alias = "verbose")]
    pub tensors: bool,
}

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_NOTES, arg_required_else_help = true)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

const COMPLETIONS_NOTES: &str = "\
Examples:
  qasr completions bash > ~/.local/share/bash-completion/completions/qasr
  qasr completions zsh > ~/.zfunc/_qasr              # ~/.zfunc in fpath
  qasr completions fish > ~/.config/fish/completions/qasr.fish";

/// Print a page for man
#[derive(Debug, Args)]
#[command(after_help = MAN_NOTES)]
pub struct ManArgs {
    /// A subcommand [default: the command as a whole]
    #[arg(value_name = "COMMAND")]
    pub subcommand: Option<String>,
}

const MAN_NOTES: &str = "\
Examples:
  qasr man > ~/.local/share/man/man1/qasr.1
  qasr man transcribe | man -l -";

/// The decoder of recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DecoderName {
    /// qasr itself, and for other codecs ffmpeg, with a warning
    Auto,
    /// qasr itself
    Builtin,
    /// ffmpeg
    Ffmpeg,
}

impl From<DecoderName> for Decoder {
    fn from(name: DecoderName) -> Self {
        match name {
            DecoderName::Auto => Decoder::Auto,
            DecoderName::Builtin => Decoder::Builtin,
            DecoderName::Ffmpeg => Decoder::Ffmpeg,
        }
    }
}

/// A channel as it is typed.
#[derive(Debug, Clone, Copy)]
pub struct ChannelChoice(pub Channel);

fn parse_channel(typed: &str) -> Result<ChannelChoice, String> {
    match (typed, typed.parse::<u16>()) {
        ("mix", _) => Ok(ChannelChoice(Channel::Mix)),
        ("left", _) => Ok(ChannelChoice(Channel::Only(0))),
        ("right", _) => Ok(ChannelChoice(Channel::Only(1))),
        (_, Ok(number @ 1..)) => Ok(ChannelChoice(Channel::Only(number - 1))),
        _ => Err("use a number from 1, left, right or mix".to_owned()),
    }
}

/// The folder for output files: the name of a file is refused, since other tools take one after `-o`.
fn folder(path: PathBuf) -> Result<PathBuf, String> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match Format::ALL.iter().find(|format| format.extension() == extension) {
        Some(format) if !path.is_dir() && !path.to_string_lossy().ends_with(std::path::is_separator) => {
            let base = path.with_extension("");
            Err(format!("this names a folder; for one file: `-o{} -of {}`", format.extension(), base.display()))
        }
        _ => Ok(path),
    }
}

/// One word of `--output-format`.
#[derive(Debug, Clone)]
pub struct FormatSet(pub Vec<Format>);

fn parse_formats(typed: &str) -> Result<FormatSet, String> {
    match typed {
        // One JSON only: both would write the same file.
        "all" => {
            let is_whispers = |format: &Format| matches!(format, Format::Whisper | Format::WhisperFull);
            return Ok(FormatSet(Format::ALL.into_iter().filter(|format| !is_whispers(format)).collect()));
        }
        "json" => return Ok(FormatSet(vec![Format::OpenAi])),
        _ => {}
    }
    match Format::ALL.iter().find(|format| format.name() == typed) {
        Some(format) => Ok(FormatSet(vec![*format])),
        None => {
            let known = Format::ALL.map(Format::name);
            Err(format!("use all, json or some of: {}", known.join(",")))
        }
    }
}
