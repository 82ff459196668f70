//! `qasr convert`: from a published checkpoint to a pair of model files.

use super::args::ConvertArgs;
use super::exit::Exit;
use super::messages::{self, Messages};
use qasr_convert::{Arch, ConvertErrorKind, ConvertOptions, FilePlan, Head, Progress, Report, Stage, convert};

/// Runs the subcommand.
pub fn run(args: &ConvertArgs) -> Exit {
    let messages = Messages::new(args.no_prints, false);
    let mut show =
        |progress: Progress<'_>| messages.progress(stage_name(progress.stage), progress.done, progress.total);
    let result = convert(&options(args), &mut show);
    messages.clear_progress();
    match result {
        Ok(report) if args.dry_run => messages::print_result(&report.plan.to_string()),
        Ok(report) => {
            tell(&report, &messages);
            Exit::Success
        }
        Err(error) => {
            messages.error(&error);
            match error.kind() {
                ConvertErrorKind::Checkpoint => Exit::BadModel,
                ConvertErrorKind::Io => Exit::BadOutput,
                ConvertErrorKind::Usage => Exit::Usage,
                _ => Exit::Failure,
            }
        }
    }
}

fn options(args: &ConvertArgs) -> ConvertOptions {
    let mut options = ConvertOptions::new(&args.checkpoint, &args.output_dir, args.decoder_type);
    options.encoder_type = args.encoder_type.unwrap_or(args.decoder_type);
    // The parser lets only known names through.
    options.arch = Arch::find(&args.arch).unwrap_or_default();
    options.name = args.name.clone();
    options.dry_run = args.dry_run;
    options.threads = args.threads.map(|threads| threads as usize);
    options.licence = args.licence.clone();
    options.segment_seconds = args.segment_seconds;
    options
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

/// What was written, and everything in it that is not as the type's name alone would say.
fn tell(report: &Report, messages: &Messages) {
    let plan = &report.plan;
    match report.head {
        Head::Dropped => messages.note("the output head equals the token table and was left out"),
        Head::Written => messages.note("the output head differs from the token table and was written"),
        Head::Absent | Head::NotCompared => {}
    }
    for line in plan.decoder.fallbacks().iter().chain(&plan.encoder.fallbacks()) {
        messages.note(format_args!("fallback: {line}"));
    }
    if report.licence.is_none() {
        messages.warning("the checkpoint names no licence, so none was recorded; say it with --licence");
    }
    let sizes = report.file_bytes.into_iter().zip(report.is_replacement);
    for (file, (bytes, is_replacement)) in [&plan.decoder, &plan.encoder].into_iter().zip(sizes) {
        let end = if is_replacement { ", replacing the file of that name" } else { "" };
        let megabytes = bytes as f64 / 1e6;
        messages.note(format_args!("wrote {}: {megabytes:.1} MB ({}){end}", file.path.display(), file.types()));
        if let Some((name, relative)) = worst(file, report) {
            messages.note(format_args!(
                "  furthest from the checkpoint: {name}, {:.3} % (root mean square)",
                100.0 * relative
            ));
        }
    }
}

/// The tensor of a file whose values lost most, with its relative error.
fn worst<'a>(file: &FilePlan, report: &'a Report) -> Option<(&'a str, f64)> {
    let errors =
        report.errors.iter().filter(|error| file.tensors.iter().any(|tensor| tensor.target.name == error.name));
    errors.max_by(|a, b| a.relative.total_cmp(&b.relative)).map(|error| (error.name.as_str(), error.relative))
}
