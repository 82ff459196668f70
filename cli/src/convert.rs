//! `qasr convert`: from a published checkpoint to a pair of model files.

use super::args::ConvertArgs;
use super::exit::Exit;
use super::messages::{self, Messages};
use super::{real_model, types};
use qasr_convert::{Arch, ConvertError, ConvertOptions, Progress, Stage, convert};

/// Runs the subcommand.
pub fn run(args: &ConvertArgs) -> Exit {
    let messages = Messages::new(args.run.no_prints, false);
    if let Some(repository) = real_model::repository(&args.checkpoint) {
        messages.error(real_model::not_downloaded(repository));
        return Exit::BadModel;
    }
    if args.decoder_type.is_none() && args.types.recipe.is_none() {
        messages
            .note(format_args!("no --type given: writing {}; smaller: --type balanced", types::DEFAULT_TYPE.name()));
    }
    let mut show =
        |progress: Progress<'_>| messages.progress(stage_name(progress.stage), progress.done, progress.total);
    let result = options(args).and_then(|options| convert(&options, &mut show));
    messages.clear_progress();
    match result {
        Ok(report) if args.run.dry_run => {
            types::tell_quality(&report, &messages);
            messages::print_result(&report.describe(args.run.verbose))
        }
        Ok(report) => {
            types::tell(&report, &messages);
            if report.licence.is_none() {
                messages.warning("the checkpoint names no licence, so none was recorded; say it with --licence");
            }
            Exit::Success
        }
        Err(error) => types::failure(&error, &messages),
    }
}

fn options(args: &ConvertArgs) -> Result<ConvertOptions, ConvertError> {
    let types = args.types.plan(args.decoder_type.as_ref())?;
    let mut options = ConvertOptions::new(&args.checkpoint, &args.output_dir, types);
    options.importance = args.types.imatrix.clone();
    // The parser lets only known names through.
    options.arch = Arch::find(&args.arch).unwrap_or_default();
    options.name = args.name.clone();
    options.dry_run = args.run.dry_run;
    options.threads = args.run.threads.map(|threads| threads as usize);
    options.licence = args.licence.clone();
    options.segment_seconds = args.segment_seconds;
    Ok(options)
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Hash => "reading the checkpoint's hash",
        Stage::Decoder => "writing the decoder file",
        Stage::Encoder => "writing the audio encoder file",
        Stage::Verify => "comparing with the checkpoint",
        _ => "working",
    }
}
