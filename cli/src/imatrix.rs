//! `qasr imatrix`: which columns of every matrix matter, from audio.

use super::exit::{Exit, Tally};
use super::interrupt;
use super::messages::{Messages, sentence};
use super::output::{try_place, write_whole};
use super::places::Places;
use super::shared::{ModelArgs, TextArgs};
use clap::Args;
use qasr::error::{Error, Result};
use qasr_measure::evaluation::Manifest;
use qasr_measure::importance::{self, Collected, Progress};
use std::collections::BTreeMap;
use std::path::PathBuf;

const NOTES: &str = "\
Transcribes the recordings and adds up the squares of what every matrix of
encoder and decoder multiplies. `qasr quantize --imatrix` and `convert --imatrix`
then spend the bits of every matrix where they count. The file is llama.cpp's own
imatrix format, which llama-quantize reads too.

Take a model of 16 bits, and recordings like those to come: several languages,
long ones, noisy ones. An importance matrix from one language harms the others.

Example:
  qasr imatrix calibration.tsv -m Qwen3-ASR-0.6B-bf16.gguf -o Qwen3-ASR-0.6B.imatrix.gguf";

/// Collect from recordings which weights matter, for quantization
#[derive(Debug, Args)]
#[command(after_long_help = NOTES, arg_required_else_help = true)]
pub struct ImatrixArgs {
    /// Lists of recordings (TSV or JSON lines); texts are not used
    #[arg(value_name = "MANIFEST", required = true)]
    pub manifests: Vec<PathBuf>,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub text: TextArgs,

    /// File to write
    #[arg(short = 'o', long, value_name = "GGUF", required = true)]
    pub output: PathBuf,

    /// Only warnings and errors
    #[arg(long, help_heading = "Messages")]
    pub no_prints: bool,

    /// Show progress also without a terminal [also -pp]
    #[arg(long, alias = "print-progress", help_heading = "Messages")]
    pub progress: bool,
}

/// The remedy for a file that cannot be written.
const PLACE: &str = "choose another place with -o";

/// Runs the subcommand.
pub fn run(args: &ImatrixArgs) -> Exit {
    let messages = Messages::new(args.no_prints, args.progress);
    match collect(args, &messages) {
        Ok(collected) if collected.failed.is_empty() => Exit::Success,
        Ok(collected) => {
            let mut tally = Tally::default();
            collected.failed.iter().for_each(|error| tally.add(error.kind().into()));
            tally.exit()
        }
        Err(error) => {
            messages.clear_progress();
            messages.failure(&error)
        }
    }
}

fn collect(args: &ImatrixArgs, messages: &Messages) -> Result<Collected> {
    try_place(&args.output, PLACE)?;
    let mut places = Places::default();
    args.manifests.iter().for_each(|path| places.take(path, "a list of recordings"));
    let files = args.model.files()?;
    files.iter().flat_map(|files| [&files.decoder, &files.encoder]).for_each(|path| places.take(path, "the model"));
    let manifests = args.manifests.iter().map(|path| Manifest::read(path)).collect::<Result<Vec<_>>>()?;
    let entries = || manifests.iter().flat_map(|manifest| &manifest.entries);
    entries().for_each(|entry| places.take(&entry.file, "a recording"));
    places.write(&args.output, "-o")?;
    interrupt::install_ending("nothing was written".to_owned(), || {})?;
    let mut show = |progress: Progress<'_>| messages.progress("listening", progress.done as u64, progress.total as u64);
    let model = args.model.open_quietly()?.model;
    let collected = importance::collect(&model, &manifests, &args.text.options(), &mut show)?;
    messages.clear_progress();
    for error in &collected.failed {
        messages.error(sentence(error));
    }
    let bytes = collected.importance.to_bytes().map_err(Error::model)?;
    write_whole(&args.output, PLACE, &|out| out.write_all(&bytes))?;
    let mut languages: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries() {
        *languages.entry(entry.language.map_or("of unnamed language", |language| language.name())).or_default() += 1;
    }
    let languages: Vec<String> = languages.iter().map(|(name, count)| format!("{count} {name}")).collect();
    messages.note(format_args!(
        "wrote {}: {} matrices, from {} recordings of {:.0} s together ({})",
        args.output.display(),
        collected.importance.matrices.len(),
        collected.recordings,
        collected.seconds,
        languages.join(", "),
    ));
    if let [_] = &languages[..] {
        messages.note("recordings in one language: quantizing with them can harm others that the model knows");
    }
    Ok(collected)
}
