//! No output may replace what is measured, what was kept, or another output.

use super::Plan;
use super::args::EvalArgs;
use super::models::Chosen;
use qasr::error::{Error, Result};
use std::path::{Path, PathBuf};

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
    let mut taken = vec![(place(&args.manifest), "the manifest")];
    let files = models.iter().filter_map(|chosen| chosen.files.as_ref());
    taken.extend(files.flat_map(|files| [&files.decoder, &files.encoder]).map(|file| (place(file), "a model's file")));
    let given = args.model.iter().chain(&args.mmproj).chain(&args.source).chain(&args.imatrix);
    taken.extend(given.map(|file| (place(file), "a file that is read")));
    taken.extend(plan.manifest.entries.iter().map(|entry| (place(&entry.file), "a recording")));
    taken.push((place(&plan.folder.join("summary.json")), "the summary"));
    taken.extend(models.iter().map(|chosen| (place(&plan.journal(chosen)), "the results that are kept")));
    let outputs = [("--output-json", args.output_json.as_ref()), ("--details", args.details.as_ref())];
    for (flag, path) in outputs.into_iter().filter_map(|(flag, path)| Some((flag, path?))) {
        let at = place(path);
        if let Some((_, what)) = taken.iter().find(|(other, _)| *other == at) {
            return Err(Error::usage(format!("{flag} {} would replace {what}: choose another name", path.display())));
        }
        taken.push((at, "the other output"));
    }
    Ok(())
}

/// Where a file lies or would lie, whatever the spelling.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    path.canonicalize().unwrap_or_else(|_| match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_path_buf(),
    })
}
