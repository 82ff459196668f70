//! The five depths, type after type; what is finished lies in the working folder.

use super::QuantReportArgs;
use crate::messages::Messages;
use crate::work::Work;
use qasr::ModelFiles;
use qasr::error::{Error, Result};
use qasr_convert::{FileType, WRITABLE, distance};
use qasr_format::GgmlType;
use qasr_measure::depths::types::{Baseline, Material, TypeCost};
use qasr_measure::evaluation::{EvaluationOptions, Manifest};
use qasr_measure::identity::{Identities, ModelIdentity};
use qasr_measure::journal::{Identity, Journal, Line};
use qasr_measure::variants::{Source, Spec, Variant, Variants};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};

/// Everything that the page shows.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub program: String,
    pub source: String,
    pub manifest: String,
    /// SHA-256 of the manifest.
    pub manifest_sha256: String,
    pub recordings: usize,
    /// Depth 1.
    pub blocks: Vec<BlockRow>,
    /// The reference, and what it hears.
    pub reference: TypeReport,
    pub types: Vec<TypeReport>,
}

/// A type and what a round trip costs, for each distribution of values.
#[derive(Debug, Clone, Serialize)]
pub struct BlockRow {
    pub kind: String,
    pub bits_per_value: f64,
    /// Name of a distribution and the relative error.
    pub errors: Vec<(String, f64)>,
}

/// A type at depths 2 to 5.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TypeReport {
    pub name: String,
    pub file_bytes: u64,
    /// Most memory of a process that transcribes one recording with it; `None` where the system does not say.
    pub peak_bytes: Option<u64>,
    pub tensors: Vec<TensorRow>,
    pub cost: TypeCost,
}

/// A tensor at depth 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TensorRow {
    pub name: String,
    pub kind: String,
    pub bytes: u64,
    pub relative_rms: f64,
    pub cosine: f64,
}

pub fn measure(args: &QuantReportArgs, work: &Work, messages: &Messages) -> Result<Report> {
    let specs = args.types.iter().map(|typed| Spec::parse(typed)).collect::<Result<Vec<_>>>()?;
    let manifest = Manifest::read(&args.manifest)?;
    let variants = Variants::new(Source::find(Some(&args.source))?, work.path(), args.work.imatrix.clone())?;
    if let Some(note) = variants.note()? {
        messages.warning(note);
    }
    let options = args.work.model_options();
    let exact = variants.files(&Spec::parse(FileType::F16.name())?)?;
    let mut evaluation = EvaluationOptions::default();
    evaluation.transcribe.segment_seconds = args.segment_seconds;
    let material = Material::read(&manifest, args.work.longest, evaluation)?;
    let identity = identity(&exact, args, &manifest, variants.identities())?;
    let mut journal: Journal<TypeLine> = work.journal("measured", &identity)?;
    let mut baseline = None;
    let mut one = |variant: &Variant, messages: &Messages| -> Result<TypeReport> {
        let model = variants.identities().of_model(&variant.files)?;
        if let Some(line) = journal.lines().iter().find(|line| line.model == model) {
            return Ok(TypeReport { name: variant.name.clone(), ..line.report.clone() });
        }
        let baseline = match &baseline {
            Some(baseline) => baseline,
            None => {
                messages.note("measuring the reference, f16");
                let mut show = |done, total| messages.progress("f16", done as u64, total as u64);
                baseline.insert(Baseline::measure(&exact.files, &options, &material, &mut show)?)
            }
        };
        messages.note(format_args!("measuring {}", variant.name));
        let mut show = |done, total| messages.progress(&variant.name, done as u64, total as u64);
        let report = TypeReport {
            name: variant.name.clone(),
            file_bytes: variant.file_bytes,
            tensors: tensors(&exact, variant)?,
            peak_bytes: peak_memory(args, &variant.files, &manifest),
            cost: baseline.compare(&variant.files, &options, &material, &mut show)?,
        };
        journal.append(TypeLine { model, report: report.clone() })?;
        Ok(report)
    };
    let reference = one(&exact, messages)?;
    let mut types = Vec::with_capacity(specs.len());
    for spec in &specs {
        let variant = variants.files(spec)?;
        if variant.files != exact.files {
            types.push(one(&variant, messages)?);
        }
    }
    Ok(Report {
        program: format!("qasr {} ({})", qasr::VERSION, qasr::REVISION),
        source: args.source.display().to_string(),
        manifest: args.manifest.display().to_string(),
        manifest_sha256: manifest.identity.sha256.clone(),
        recordings: manifest.entries.len(),
        blocks: WRITABLE.into_iter().filter(|kind| *kind != GgmlType::F32).map(blocks).collect::<Result<_>>()?,
        reference,
        types,
    })
}

/// Everything that a type's result depends on, beside its files.
fn identity(exact: &Variant, args: &QuantReportArgs, manifest: &Manifest, files: &Identities) -> Result<Identity> {
    Ok(Identity::default()
        .with("version", qasr::BUILD)
        .with("reference", files.of_model(&exact.files)?)
        .with("recordings", manifest.fingerprint()?)
        .with("longest", args.work.longest)
        .with("segment_seconds", args.segment_seconds))
}

/// The finished result of a type, by its files.
#[derive(Serialize, Deserialize)]
struct TypeLine {
    model: ModelIdentity,
    report: TypeReport,
}

impl Line for TypeLine {
    const MEASUREMENT: &'static str = "a quantization report";
}

/// The peak memory of a process that transcribes the longest file of the manifest. A process of its own, because this one
/// holds the reference too.
fn peak_memory(args: &QuantReportArgs, files: &ModelFiles, manifest: &Manifest) -> Option<u64> {
    let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let longest = manifest.entries.iter().max_by_key(|entry| size(&entry.file))?;
    let mut command = Command::new(std::env::current_exe().ok()?);
    // The settings of this command line and no others.
    command.env("QASR_CONFIG", "").env_remove("QASR_MODEL");
    command.args(["transcribe", "-np", "-ojson", "-of", "-", "-m"]).arg(&files.decoder);
    command.arg("--mmproj").arg(&files.encoder);
    command.args(args.work.threads.iter().flat_map(|threads| ["-t".to_owned(), threads.to_string()]));
    command.args(args.segment_seconds.iter().map(|seconds| format!("--segment-seconds={seconds}")));
    let output = command.arg("--").arg(&longest.file).stdin(Stdio::null()).output().ok()?;
    serde_json::from_slice::<serde_json::Value>(&output.stdout).ok()?["peak_rss_bytes"].as_u64()
}

/// Depth 1 of a type.
fn blocks(kind: GgmlType) -> Result<BlockRow> {
    let errors = distance::blocks(kind, None).map_err(|error| Error::internal(error.to_string()))?;
    // Zeros and constants come back as they are, or the tests of this program fail.
    let told = errors.iter().filter(|one| one.relative_rms > 0.0 && one.shape != distance::Shape::Constant);
    Ok(BlockRow {
        kind: kind.name().to_owned(),
        bits_per_value: kind.bits_per_value(),
        errors: told.map(|one| (one.shape.name().to_owned(), one.relative_rms)).collect(),
    })
}

/// Depth 2 of a type.
fn tensors(exact: &Variant, variant: &Variant) -> Result<Vec<TensorRow>> {
    let paths = |variant: &Variant| [variant.files.decoder.clone(), variant.files.encoder.clone()];
    let (one, other) = (paths(exact), paths(variant));
    let distances = distance::tensors([&one[0], &one[1]], [&other[0], &other[1]], &mut |_, _, _| {});
    let row = |one: distance::TensorDistance| TensorRow {
        name: one.name,
        kind: one.kind.name().to_owned(),
        bytes: one.bytes,
        relative_rms: one.relative_rms,
        cosine: one.cosine,
    };
    Ok(distances.map_err(|error| Error::model(error.to_string()))?.into_iter().map(row).collect())
}
