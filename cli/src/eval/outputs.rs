//! No output may replace what is measured, what was kept, or another output.

use super::Plan;
use super::args::EvalArgs;
use super::models::Chosen;
use crate::places::Places;
use qasr::error::{Error, Result};
use std::path::Path;

/// Refuses names of outputs that are taken.
///
/// # Errors
/// [`qasr::ErrorKind::Usage`] with the flag and what it would replace.
pub fn check(args: &EvalArgs, plan: &Plan, models: &[Chosen]) -> Result<()> {
    let is_dash = |path: &Path| path.as_os_str() == "-";
    if args.details.as_deref().is_some_and(is_dash) {
        return Err(Error::usage(
            "--details cannot be printed, standard output has the table: give the name of a file",
        ));
    }
    let mut places = Places::default();
    places.take(&args.manifest, "the manifest");
    let files = models.iter().filter_map(|chosen| chosen.files.as_ref());
    files.flat_map(|files| [&files.decoder, &files.encoder]).for_each(|file| places.take(file, "a model's file"));
    let given = args.model.iter().chain(&args.mmproj).chain(&args.source).chain(&args.imatrix);
    given.for_each(|file| places.take(file, "a file that is read"));
    plan.manifest.entries.iter().for_each(|entry| places.take(&entry.file, "a recording"));
    let texts = plan.manifest.entries.iter().filter_map(|entry| entry.text_file.as_ref());
    texts.for_each(|file| places.take(file, "a text"));
    places.take(&plan.folder.join("summary.json"), "the summary");
    models.iter().for_each(|chosen| places.take(&plan.journal(chosen), "the results that are kept"));
    let outputs = [("--output-json", args.output_json.as_ref()), ("--details", args.details.as_ref())];
    let mut outputs = outputs.into_iter().filter_map(|(flag, path)| Some((flag, path?)));
    outputs.try_for_each(|(flag, path)| places.write(path, flag))
}
