//! Flags of `qasr eval`.

use crate::shared::{ComputeArgs, TextArgs, parse_normalizer};
use clap::Args;
use qasr_measure::scoring::Normalizer;
use std::path::PathBuf;

const NOTES: &str = "\
The list is a table with a header line (TSV without quotes, or CSV), or one JSON
object per line. `file` (or `audio_filepath`) is required, relative to the list;
`text` (or `transcript`) is the spoken text, empty where nobody speaks; `language`
and `category` are optional. With a column `transcript_source`, only `human`,
`reference` and `script` count as truth; recordings without truth count for speed,
loops and language. In a folder, FILE.txt beside FILE is its text.

The table goes to standard output. Every finished result is kept at once in the
output folder, in MODEL.jsonl: type the same command again to go on after Ctrl-C
or a crash, or to see the table again. Another manifest, model file, version or
option is refused there: give another folder, or --restart. summary.json beside
it has the numbers of the table and more.

WER counts words, CER characters; Chinese, Cantonese, Japanese, Korean and Thai
are counted by character only. Normalisers: `english` (numbers as digits,
contractions written out) for English, `basic` (case, punctuation) for others,
`none`. Brackets: 95 %, bootstrap over files. Each model runs in a process of its
own: CPU time and peak memory are those of that process, loading included; RTF
(smaller is better) is of reading and transcribing.

Examples:
  qasr eval strings.tsv
  qasr eval talks/
  qasr eval strings.tsv --source Qwen3-ASR-0.6B/ --types f16,q8_0,q4_k_m/q8_0,balanced
  qasr eval talks.jsonl -m f16.gguf -m q8_0.gguf -m q4_0.gguf -t 4 -o talks.eval
  qasr eval clips.tsv -m model.gguf --manifest-language --details clips.details.tsv

Exit codes:
  0 done             1 other failure    2 usage, bad manifest, another run's results
  3 some recording cannot be read       4 bad model        5 a text is incomplete
  6 output not written                  130 interrupted
  With 3 and 5 all other results are there.";

/// Measure models on recordings with known text
#[derive(Debug, Args)]
#[command(override_usage = "qasr eval [OPTIONS] <LIST|FOLDER>", after_long_help = NOTES, arg_required_else_help = true)]
pub struct EvalArgs {
    /// Recordings with texts (TSV, CSV, JSON lines), or a folder
    #[arg(value_name = "LIST|FOLDER")]
    pub manifest: PathBuf,

    /// Model: its folder, or the .gguf file; may be repeated
    ///
    /// Differences are to the first. Without: the demo model.
    #[arg(short, long, value_name = "MODEL", help_heading = "Model")]
    pub model: Vec<PathBuf>,

    /// Audio encoder, for each model or once for all
    ///
    /// Needed where it does not lie beside the decoder file.
    #[arg(long, value_name = "GGUF", requires = "model", help_heading = "Model")]
    pub mmproj: Vec<PathBuf>,

    /// Source of --types: a checkpoint, or a model of 16 or 32 bits
    #[arg(long, value_name = "PATH", conflicts_with = "model", requires = "types", help_heading = "Model")]
    pub source: Option<PathBuf>,

    /// Types to make from --source and measure: q8_0,balanced,...
    ///
    /// A type, two for decoder and encoder (q4_k_m/q8_0), or a recipe; with +imatrix after it for importance.
    #[arg(long, value_name = "TYPES", value_delimiter = ',', requires = "source", help_heading = "Model")]
    pub types: Vec<String>,

    /// Importance matrix for types with +imatrix
    #[arg(long, value_name = "FILE", requires = "types", help_heading = "Model")]
    pub imatrix: Option<PathBuf>,

    #[command(flatten)]
    pub compute: ComputeArgs,

    #[command(flatten)]
    pub text: TextArgs,

    /// Use the manifest's language instead of detecting it
    ///
    /// Where the manifest names none, that of -l.
    #[arg(long, help_heading = "Text")]
    pub manifest_language: bool,

    /// Text normalization before counting errors
    ///
    /// none, basic, english [default: english for English, else basic].
    #[arg(long, value_name = "NAME", value_parser = parse_normalizer, help_heading = "Text")]
    pub normalizer: Option<Normalizer>,

    /// Only the first N recordings
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Run")]
    pub limit: Option<u32>,

    /// Folder for finished results [default: MANIFEST.eval, here]
    #[arg(short = 'o', long, value_name = "DIR", help_heading = "Run")]
    pub output_dir: Option<PathBuf>,

    /// Measure again what the folder already has
    #[arg(long, help_heading = "Run")]
    pub restart: bool,

    /// Write the numbers as JSON; `-`: instead of the table [also -oj]
    #[arg(long, value_name = "FILE", help_heading = "Output files")]
    pub output_json: Option<PathBuf>,

    /// Write a line per model and recording (TSV)
    #[arg(long, value_name = "FILE", help_heading = "Output files")]
    pub details: Option<PathBuf>,

    /// Only the table, warnings and errors [also -np]
    #[arg(long, help_heading = "Messages")]
    pub no_prints: bool,

    /// Show progress also without a terminal [also -pp]
    #[arg(long, alias = "print-progress", help_heading = "Messages")]
    pub progress: bool,

    /// For the process that the command starts for a model: the name of its row
    #[arg(long, hide = true)]
    pub worker: Option<String>,

    /// For that process: the decoder file of its model, as the command found or made it; without: the demo model
    #[arg(long, hide = true)]
    pub worker_decoder: Option<PathBuf>,

    /// For that process: the audio encoder file
    #[arg(long, hide = true)]
    pub worker_encoder: Option<PathBuf>,
}
