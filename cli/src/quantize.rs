//! `qasr quantize`: a pair of model files in other types.

use super::exit::Exit;
use super::messages::{self, Messages};
use super::real_model;
use super::types::{self, RunArgs, TypeArgs, Wanted, parse_wanted};
use clap::Args;
use qasr::ModelFiles;
use qasr_convert::{Destination, Progress, QuantizeOptions, Stage, quantize};
use std::path::{Path, PathBuf};

const NOTES: &str = "\
IN is the decoder file; its audio encoder (mmproj) is found beside it and written
too. OUT is a folder (an existing one, or a name that ends in /) or the name of the
new decoder file (*.gguf), whose encoder then is mmproj-NAME beside it. Pairs from
llama.cpp's converter and llama-quantize are taken as well. Best start from f32,
bf16 or f16: every type below rounds a second time.

A recipe file is text: `qasr-recipe 1`, then lines `name NAME`, `decoder TYPE`,
`encoder TYPE`, `tensor REGEX TYPE`, `cost WHAT VALUE`; # starts a comment.

Examples:
  qasr quantize m/asr-bf16.gguf m/ q4_k_m --encoder-type q8_0
  qasr quantize m/asr-bf16.gguf m/ --recipe balanced --imatrix importance.gguf
  qasr quantize m/asr-f16.gguf small.gguf Q4_0 --tensor-type ffn_down=q6_k";

/// Write a pair of model files in other types
#[derive(Debug, Args)]
#[command(after_long_help = NOTES, arg_required_else_help = true)]
pub struct QuantizeArgs {
    /// A model: its folder, or the decoder file
    #[arg(value_name = "IN")]
    pub input: PathBuf,

    /// A folder, or the name of the new decoder file
    #[arg(value_name = "OUT")]
    pub output: PathBuf,

    /// Type of the weights, or a recipe
    ///
    /// Types: f32, f16, bf16, q8_0, q6_k, q5_k_m, q5_0, q4_k_m, q4_0, iq4_nl. Recipes: small, balanced, safe, or a file.
    #[arg(value_name = "TYPE|RECIPE", value_parser = parse_wanted, required_unless_present = "recipe")]
    pub decoder_type: Option<Wanted>,

    #[command(flatten)]
    pub types: TypeArgs,

    /// Audio encoder, where it does not lie beside the decoder
    #[arg(long, value_name = "FILE")]
    pub mmproj: Option<PathBuf>,

    /// Name of the model and its files [default: from IN]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    #[command(flatten)]
    pub run: RunArgs,
}

/// Runs the subcommand.
pub fn run(args: &QuantizeArgs) -> Exit {
    let messages = Messages::new(args.run.no_prints, false);
    let options = match options(args, &messages) {
        Ok(options) => options,
        Err(exit) => return exit,
    };
    let mut show =
        |progress: Progress<'_>| messages.progress(stage_name(progress.stage), progress.done, progress.total);
    let result = quantize(&options, &mut show);
    messages.clear_progress();
    match result {
        Ok(report) if args.run.dry_run => {
            types::tell_quality(&report, &messages);
            messages::print_result(&report.describe(args.run.verbose))
        }
        Ok(report) => {
            types::tell(&report, &messages);
            Exit::Success
        }
        Err(error) => types::failure(&error, &messages),
    }
}

fn options(args: &QuantizeArgs, messages: &Messages) -> Result<QuantizeOptions, Exit> {
    let Some(destination) = destination(&args.output) else {
        messages.error(format_args!(
            "{}: is no folder and does not end in .gguf; end the name of a new folder with /",
            args.output.display()
        ));
        return Err(Exit::Usage);
    };
    if let Some(repository) = real_model::repository(&args.input) {
        messages.error(real_model::not_downloaded(repository));
        return Err(Exit::BadModel);
    }
    let files = match &args.mmproj {
        Some(encoder) => ModelFiles::with_encoder(&args.input, encoder),
        None => ModelFiles::find(&args.input),
    };
    let files = files.map_err(|error| messages.failure(&error))?;
    let types = args.types.plan(args.decoder_type.as_ref()).map_err(|error| types::failure(&error, messages))?;
    let mut options = QuantizeOptions::new(files.decoder, files.encoder, destination, types);
    options.importance = args.types.imatrix.clone();
    options.name = args.name.clone();
    options.threads = args.run.threads.map(|threads| threads as usize);
    options.dry_run = args.run.dry_run;
    Ok(options)
}

/// A folder that exists or is meant as one, or the names of both files.
fn destination(output: &Path) -> Option<Destination> {
    let is_meant_as_folder = output.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
    if output.is_dir() || is_meant_as_folder {
        return Some(Destination::Folder(output.to_path_buf()));
    }
    let name = output
        .file_name()
        .filter(|_| output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")))?;
    let encoder = output.with_file_name(format!("mmproj-{}", name.to_string_lossy()));
    Some(Destination::Files { decoder: output.to_path_buf(), encoder })
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Decoder => "writing the decoder file",
        Stage::Encoder => "writing the audio encoder file",
        Stage::Verify => "comparing with the source",
        _ => "working",
    }
}
