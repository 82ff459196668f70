//! A pair of model files in other types.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use qasr_format::GgmlType;
use qasr_format::schema::{general, own};

use crate::error::{ConvertError, Result};
use crate::file_type::FileType;
use crate::header::{self, Making};
use crate::pair::Pair;
use crate::plan::{Plan, Source, TensorPlan, Wanted};
use crate::recipe::{Chooser, Recipe};
use crate::{Progress, Report, check_name, drop_equal_head, importance, thread_count, write_pair};

/// Source, destination and types of a quantization.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QuantizeOptions {
    /// The decoder file.
    pub decoder: PathBuf,
    /// Its mmproj file.
    pub encoder: PathBuf,
    /// Where both files go.
    pub destination: Destination,
    /// Types of both files.
    pub types: Recipe,
    /// File that says which columns count how much.
    pub importance: Option<PathBuf>,
    /// Model name for the metadata, and for file names in a folder; the source's if not given.
    pub name: Option<String>,
    /// Plan only, write nothing.
    pub dry_run: bool,
    /// Threads that quantize; all cores if not given.
    pub threads: Option<usize>,
}

/// Where the two files of a pair go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Into this folder, made if missing, as `NAME-TYPE.gguf` and `mmproj-NAME-TYPE.gguf`.
    Folder(PathBuf),
    /// Under these names.
    Files {
        /// The decoder file.
        decoder: PathBuf,
        /// The mmproj file.
        encoder: PathBuf,
    },
}

impl QuantizeOptions {
    /// Options for writing the pair `decoder`, `encoder` in other types; a [`FileType`] alone goes for both files.
    pub fn new(
        decoder: impl Into<PathBuf>,
        encoder: impl Into<PathBuf>,
        destination: Destination,
        types: impl Into<Recipe>,
    ) -> Self {
        Self {
            decoder: decoder.into(),
            encoder: encoder.into(),
            destination,
            types: types.into(),
            importance: None,
            name: None,
            dry_run: false,
            threads: None,
        }
    }
}

/// Writes a pair of model files in other types: ours, those of llama.cpp's converter or of llama-quantize. Tensors that
/// have their type already are copied; everything else is as with [`crate::convert`].
///
/// # Errors
/// When a file cannot be read, the two are no Qwen3-ASR model, the options make no sense (a target that is a source
/// among them), a value is not finite or too large for its type, or a file cannot be written.
pub fn quantize(options: &QuantizeOptions, progress: &mut dyn FnMut(Progress)) -> Result<Report> {
    let threads = thread_count(options.threads)?;
    let pair = Pair::open(&options.decoder, &options.encoder)?;
    let mut plan = plan(options, &pair)?;
    refuse_sources_as_targets(options, &plan)?;
    let importance = options.importance.as_deref().map(|path| importance::apply(path, &mut plan)).transpose()?;
    let [decoder_file, encoder_file] = &pair.headers;
    let text = |key| decoder_file.str(key).ok().map(str::to_owned);
    let head = drop_equal_head(&pair.store, &mut plan)?;
    let making = Making { types: &options.types, importance: importance.as_ref() };
    let name = options.name.as_deref();
    let keys = [
        header::copied_keys(decoder_file, &plan.decoder, name, making),
        header::copied_keys(encoder_file, &plan.encoder, name, making),
    ];
    let report = Report {
        licence: text(general::LICENSE),
        source_sha256: text(own::SOURCE_SHA256).unwrap_or_default(),
        importance: importance.clone(),
        rounded_twice: rounded_twice(&plan),
        ..Report::planned(plan, head, &keys)?
    };
    if options.dry_run {
        return Ok(report);
    }
    write_pair(&pair.store, keys, threads, report, progress)
}

fn plan(options: &QuantizeOptions, pair: &Pair) -> Result<Plan> {
    let name = options.name.clone().unwrap_or_else(|| model_name(&options.decoder));
    check_name(&name)?;
    let mut chooser = Chooser::new(&options.types);
    let mut planned = |file: usize| -> Vec<TensorPlan> {
        let tensors = pair.tensors[file].iter().cloned();
        tensors
            .map(|(name, dims, source)| {
                TensorPlan::new(name, dims, Source::Stored(source), pair.layers[file], &mut chooser)
            })
            .collect()
    };
    let (decoder, encoder) = (planned(0), planned(1));
    chooser.finish()?;
    let out_dir = match &options.destination {
        Destination::Folder(folder) => folder.as_path(),
        Destination::Files { .. } => Path::new(""),
    };
    let mut plan = Plan::new(Wanted { name: &name, out_dir, arch: pair.arch, types: &options.types }, decoder, encoder);
    if let Destination::Files { decoder, encoder } = &options.destination {
        plan.decoder.path = decoder.clone();
        plan.encoder.path = encoder.clone();
    }
    Ok(plan)
}

/// The decoder's file name without its extension and without the type at its end: "Qwen3-ASR-0.6B-bf16.gguf" gives
/// "Qwen3-ASR-0.6B".
fn model_name(decoder: &Path) -> String {
    let stem = decoder.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let end = |separator| stem.rsplit_once(separator).filter(|(name, kind)| !name.is_empty() && is_type(kind));
    match end('-').or_else(|| end('.')) {
        Some((name, _)) => name.to_owned(),
        None => stem,
    }
}

fn is_type(word: &str) -> bool {
    FileType::find(word).is_some() || Recipe::shipped_names().iter().any(|name| name.eq_ignore_ascii_case(word))
}

/// # Errors
/// When a target is one of the sources, by whatever path.
fn refuse_sources_as_targets(options: &QuantizeOptions, plan: &Plan) -> Result<()> {
    let real = |path: &Path| fs::canonicalize(path).ok();
    for target in [&plan.decoder.path, &plan.encoder.path] {
        let is_source = [&options.decoder, &options.encoder]
            .into_iter()
            .any(|source| target == source || real(target).is_some_and(|target| Some(target) == real(source)));
        if is_source {
            return Err(ConvertError::usage(format!(
                "{}: is the file that is read; give another folder or name for the result",
                target.display()
            )));
        }
    }
    if plan.decoder.path == plan.encoder.path {
        return Err(ConvertError::usage(format!("{}: cannot be both files of the pair", plan.decoder.path.display())));
    }
    Ok(())
}

/// Which types below 16 bits are read and not just copied: "140 q4_0, 3 q6_k".
fn rounded_twice(plan: &Plan) -> String {
    let mut counts: BTreeMap<GgmlType, usize> = BTreeMap::new();
    for tensor in plan.tensors() {
        if let Source::Stored(source) = &tensor.source
            && source.kind.is_quantized()
            && source.kind != tensor.target.kind
        {
            *counts.entry(source.kind).or_default() += 1;
        }
    }
    counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_name_is_what_stands_before_the_type() {
        for (path, name) in [
            ("m/Qwen3-ASR-0.6B-bf16.gguf", "Qwen3-ASR-0.6B"),
            ("tiny-Q4_K_M.gguf", "tiny"),
            ("tiny.f16.gguf", "tiny"),
            ("tiny-balanced.gguf", "tiny"),
            ("Qwen3-ASR-0.6B.gguf", "Qwen3-ASR-0.6B"),
            ("q8_0.gguf", "q8_0"),
        ] {
            assert_eq!(model_name(Path::new(path)), name, "{path}");
        }
    }
}
