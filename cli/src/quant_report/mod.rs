//! `qasr quant-report`: what each type costs, at five depths, as one page.

mod measure;
mod page;
mod summary;
mod verdict;

use super::exit::Exit;
use super::messages::Messages;
use super::output::{try_place, write_whole};
use super::work::{Work, WorkArgs};
use clap::Args;
use measure::Report;
use qasr::error::{Error, Result};
use std::path::PathBuf;

const NOTES: &str = "\
Makes every type from the source and measures it beside f16: errors, size, memory
and speed first, then blocks, tensors, encoder rows by length of the clip, logits
along the texts. It opens with the smallest type whose errors cannot be told from
those of f16 (at least six recordings are needed). The page needs no network and
carries its numbers as JSON; its summary goes to standard output. With --work an
interrupted run goes on where it stopped.

A type is a name (q4_0), decoder and encoder (q4_k_m/q8_0), a recipe (balanced or
a file *.recipe) or a finished *.gguf; +imatrix behind it asks for importance.

Examples:
  qasr quant-report Qwen3-ASR-0.6B/ held-out.tsv -o report.html
  qasr quant-report asr-bf16.gguf held-out.tsv --types q8_0,q4_0,q4_0+imatrix,balanced \\
      --imatrix asr.imatrix.gguf --work /tmp/types -o report.html";

/// Measure what each type costs, and write a page about it
#[derive(Debug, Args)]
#[command(after_long_help = NOTES, arg_required_else_help = true)]
pub struct QuantReportArgs {
    /// A checkpoint, or a model of 16 or 32 bits
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,

    /// Recordings with texts (TSV or JSON lines)
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,

    /// Types to measure, separated by commas [default: all]
    ///
    /// f32, bf16, q8_0, q6_k, q5_k_m, q5_0, q4_k_m, q4_0, iq4_nl, safe, balanced, small.
    #[arg(
        long,
        hide_default_value = true,
        value_name = "TYPES",
        value_delimiter = ',',
        default_value = "f32,bf16,q8_0,q6_k,q5_k_m,q5_0,q4_k_m,q4_0,iq4_nl,safe,balanced,small"
    )]
    pub types: Vec<String>,

    /// Longest utterance [default: the model's own, else 30]
    #[arg(long, value_name = "SECONDS")]
    pub segment_seconds: Option<f64>,

    #[command(flatten)]
    pub work: WorkArgs,

    /// The page
    #[arg(short = 'o', long, value_name = "HTML", required = true)]
    pub output: PathBuf,

    /// The numbers as a file of their own [also -oj]
    #[arg(long, value_name = "FILE")]
    pub output_json: Option<PathBuf>,
}

/// The remedy for a file that cannot be written.
const PLACE: &str = "choose another place with -o";
const JSON_PLACE: &str = "choose another place with -oj";

/// Runs the subcommand.
pub fn run(args: &QuantReportArgs) -> Exit {
    args.work.finish(|messages| report(args, messages))
}

/// Measures, writes the page, and gives its summary as text.
fn report(args: &QuantReportArgs, messages: &Messages) -> Result<String> {
    let places = [Some((args.output.as_path(), PLACE)), args.output_json.as_deref().map(|path| (path, JSON_PLACE))];
    places.into_iter().flatten().try_for_each(|(path, remedy)| try_place(path, remedy))?;
    let work = Work::open(&args.work)?;
    let report: Report = measure::measure(args, &work, messages)?;
    let unwritable = |error: serde_json::Error| Error::internal(error.to_string());
    let value = serde_json::to_value(&report).map_err(unwritable)?;
    if let Some(path) = &args.output_json {
        let text = serde_json::to_string_pretty(&value).map_err(unwritable)?;
        write_whole(path, JSON_PLACE, &|out| writeln!(out, "{text}"))?;
        messages.note(format_args!("wrote {}", path.display()));
    }
    let html = page::page(&report, &value).render();
    write_whole(&args.output, PLACE, &|out| out.write_all(html.as_bytes()))?;
    messages.note(format_args!("wrote {}", args.output.display()));
    Ok(summary::text(&report))
}
