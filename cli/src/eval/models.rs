//! Which models are measured, and under which names.

use super::args::EvalArgs;
use crate::shared::{ModelArgs, OpenModel};
use qasr::ModelFiles;
use qasr::error::{Error, Result};
use qasr_measure::variants::{Source, Spec, Variants};
use std::path::Path;

/// One model of a run.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Name of its row and of its journal.
    pub name: String,
    /// `None` is the embedded demo model.
    pub files: Option<ModelFiles>,
}

/// The models asked for, in the order in which they were typed, each under a name of its own. Types are made in
/// `folder`, where they are not there already.
pub fn chosen(args: &EvalArgs, folder: &Path) -> Result<Vec<Chosen>> {
    if let Some(source) = &args.source {
        return made(args, source, &folder.join("models"));
    }
    if args.model.is_empty() {
        return Ok(vec![Chosen { name: "demo".into(), files: None }]);
    }
    if !(args.mmproj.len() <= 1 || args.mmproj.len() == args.model.len()) {
        return Err(Error::usage(format!(
            "--mmproj was given {} times for {} models: give it once for each, or once for all",
            args.mmproj.len(),
            args.model.len()
        )));
    }
    let mut files = Vec::new();
    for (index, model) in args.model.iter().enumerate() {
        files.push(match args.mmproj.get(index).or(args.mmproj.last()) {
            Some(mmproj) => ModelFiles::with_encoder(model, mmproj)?,
            None => ModelFiles::find(model)?,
        });
    }
    let names = names(&files)?;
    Ok(names.into_iter().zip(files).map(|(name, files)| Chosen { name, files: Some(files) }).collect())
}

/// Types of one model.
fn made(args: &EvalArgs, source: &Path, folder: &Path) -> Result<Vec<Chosen>> {
    let specs = args.types.iter().map(|typed| Spec::parse(typed)).collect::<Result<Vec<_>>>()?;
    if let Some((_, twice)) = args.types.iter().enumerate().find(|(index, name)| args.types[..*index].contains(name)) {
        return Err(Error::usage(format!("the type `{twice}` is asked for twice: give each once")));
    }
    let variants = Variants::new(Source::find(Some(source))?, folder, args.imatrix.clone())?;
    let one = |spec: &Spec| {
        let variant = variants.files(spec)?;
        Ok(Chosen { name: variant.name, files: Some(variant.files) })
    };
    let made = specs.iter().map(one).collect::<Result<Vec<Chosen>>>()?;
    // The same types have many spellings: q8_0, Q8_0, q8_0/q8_0.
    for (index, later) in made.iter().enumerate() {
        if let Some(first) = made[..index].iter().find(|first| first.files == later.files) {
            let (first, later) = (&first.name, &later.name);
            return Err(Error::usage(format!("the types `{first}` and `{later}` are the same model: give it once")));
        }
    }
    Ok(made)
}

/// The decoder files' names, after their folders' names where two would be alike.
fn names(files: &[ModelFiles]) -> Result<Vec<String>> {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let stem = |files: &ModelFiles| text(files.decoder.file_stem());
    let in_folder = |files: &ModelFiles| {
        let path = files.decoder.canonicalize().unwrap_or_else(|_| files.decoder.clone());
        format!("{}-{}", text(path.parent().and_then(Path::file_name)), stem(files))
    };
    let names: Vec<String> = files
        .iter()
        .map(|one| {
            let is_only = files.iter().filter(|other| stem(other) == stem(one)).count() == 1;
            if is_only { stem(one) } else { in_folder(one) }
        })
        .collect();
    match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        None => Ok(names),
        Some((_, name)) => Err(Error::usage(format!(
            "two models would be called `{name}`: give each model once, or evaluate them one by one with folders of \
             their own (-o)"
        ))),
    }
}

impl Chosen {
    /// Opens the model as the flags say.
    pub fn open(&self, args: &EvalArgs) -> Result<OpenModel> {
        let typed = ModelArgs {
            model: self.files.as_ref().map(|files| files.decoder.clone()),
            mmproj: self.files.as_ref().map(|files| files.encoder.clone()),
            compute: args.compute.clone(),
        };
        typed.open_quietly()
    }
}
