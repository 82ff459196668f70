//! Checkpoint in, pair of GGUF files out; or a pair in, and the same in other types out ([`quantize`]).
//!
//! Everything is planned by name before any weight is read ([`plan`]); then the files are written one strip of rows
//! at a time, read back, compared with the checkpoint, and only then given their names ([`convert`]).
//! Memory is a few strips, whatever the size of the checkpoint. [`inspect`] prints what a file holds.

#![warn(missing_docs)]

mod checkpoint;
mod config;
pub mod distance;
mod error;
mod file_type;
mod folder;
mod header;
mod importance;
mod inspect;
mod map;
mod numbers;
mod pair;
mod plan;
mod quantize;
pub mod random;
mod recipe;
mod safetensors;
pub mod sha256;
mod store;
pub mod tiny;
mod verify;
mod vocabulary;
mod write;

use std::fs;
use std::path::{Path, PathBuf};

pub use error::{ConvertError, ConvertErrorKind, Result};
pub use file_type::{Choice, FileType};
pub use importance::ImportanceUse;
pub use inspect::inspect;
pub use map::{Target, map_name};
pub use numbers::SourceType;
pub use plan::{FilePlan, Plan, Source, TensorPlan};
pub use qasr_format::schema::Arch;
use qasr_format::schema::own;
use qasr_format::schema::tensors::{OUTPUT, TOKEN_EMBD};
pub use quantize::{Destination, QuantizeOptions, quantize};
pub use recipe::{Override, Recipe, WRITABLE};
pub use store::SourceTensor;
pub use verify::TensorError;

use checkpoint::Checkpoint;
use config::ModelConfig;
use header::{Facts, Making};
use store::Store;
use vocabulary::Vocabulary;

/// Source, destination and types of a conversion.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConvertOptions {
    /// Directory with `config.json`, the weights and the tokenizer.
    pub checkpoint: PathBuf,
    /// Where both files go; made if missing.
    pub out_dir: PathBuf,
    /// Types of both files.
    pub types: Recipe,
    /// File that says which columns count how much.
    pub importance: Option<PathBuf>,
    /// Architecture the decoder file claims.
    pub arch: Arch,
    /// Model name, for file names and metadata; the checkpoint directory's if not given.
    pub name: Option<String>,
    /// Plan only, write nothing.
    pub dry_run: bool,
    /// Threads that quantize; all cores if not given.
    pub threads: Option<usize>,
    /// Licence to record, if the model card does not say it.
    pub licence: Option<String>,
    /// Longest stretch of audio the model should be given at once, in seconds (1 to 1200), to record for the runtime;
    /// `segment_seconds:` of the model card if not given.
    pub segment_seconds: Option<f32>,
}

impl ConvertOptions {
    /// Options for converting `checkpoint` into `out_dir`; a [`FileType`] alone goes for both files.
    pub fn new(checkpoint: impl Into<PathBuf>, out_dir: impl Into<PathBuf>, types: impl Into<Recipe>) -> Self {
        Self {
            checkpoint: checkpoint.into(),
            out_dir: out_dir.into(),
            types: types.into(),
            importance: None,
            arch: Arch::default(),
            name: None,
            dry_run: false,
            threads: None,
            licence: None,
            segment_seconds: None,
        }
    }
}

/// The current stage of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Hashing the checkpoint; counted in bytes.
    Hash,
    /// Writing the decoder file; counted in bytes of the source.
    Decoder,
    /// Writing the mmproj file; counted likewise.
    Encoder,
    /// Comparing both files with their source; counted in tensors.
    Verify,
}

/// How far a stage has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The stage.
    pub stage: Stage,
    /// Done so far, in the stage's unit.
    pub done: u64,
    /// All there is to do in this stage.
    pub total: u64,
    /// Name of the file or tensor at hand; may be empty.
    pub name: &'a str,
}

/// How the source's own output head was treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// There was none.
    Absent,
    /// It equalled the token table and was dropped.
    Dropped,
    /// It differed from the token table and was dropped all the same: the checkpoint's settings put the table there.
    Replaced,
    /// It differs from the token table and was written.
    Written,
}

/// The result of a conversion, or of a dry run.
#[derive(Debug, Clone)]
pub struct Report {
    /// Every tensor, as planned; without the head if that was dropped.
    pub plan: Plan,
    /// How the output head was treated.
    pub head: Head,
    /// Whether files were written.
    pub is_written: bool,
    /// Sizes of decoder file and mmproj file in bytes; in a dry run as they would be.
    pub file_bytes: [u64; 2],
    /// Whether decoder file and mmproj file took the place of files of the same name.
    pub is_replacement: [bool; 2],
    /// Fingerprint of the checkpoint; empty in a dry run, and for a pair that does not carry one.
    pub source_sha256: String,
    /// Licence recorded.
    pub licence: Option<String>,
    /// Good to know about the source: names that were read differently, files and tensors that were not used.
    pub notes: Vec<String>,
    /// Unused files beside the source's weights that could change the model's output.
    pub warnings: Vec<String>,
    /// How far each tensor is from its source; empty in a dry run.
    pub errors: Vec<TensorError>,
    /// How the importance matrix was used, if one was given.
    pub importance: Option<ImportanceUse>,
    /// Tensors that are stored in fewer than 16 bits in the source and get another type, counted by type: their
    /// values are rounded a second time. Empty for checkpoints.
    pub rounded_twice: String,
}

/// A checkpoint that was read and planned.
struct Prepared {
    importance: Option<ImportanceUse>,
    checkpoint: Checkpoint,
    config: ModelConfig,
    vocabulary: Vocabulary,
    plan: Plan,
}

/// Plans the conversion without reading any weight.
///
/// # Errors
/// When the checkpoint is incomplete or not a Qwen3-ASR recogniser, listing every tensor that does not fit; or when
/// the options make no sense.
pub fn plan(options: &ConvertOptions) -> Result<Plan> {
    prepare(options).map(|prepared| prepared.plan)
}

fn prepare(options: &ConvertOptions) -> Result<Prepared> {
    let name = match &options.name {
        Some(name) => name.clone(),
        None => directory_name(&options.checkpoint)?,
    };
    check_name(&name)?;
    let checkpoint = Checkpoint::open(&options.checkpoint)?;
    let mut config = ModelConfig::read(&options.checkpoint)?;
    config.segment_seconds = options.segment_seconds.or(config.segment_seconds);
    if let Some(seconds) = config.segment_seconds.filter(|seconds| !own::SEGMENT_SECONDS_RANGE.contains(seconds)) {
        let (least, most) = (own::SEGMENT_SECONDS_RANGE.start(), own::SEGMENT_SECONDS_RANGE.end());
        return Err(ConvertError::usage(format!("segments of {seconds} s: give {least} to {most} seconds")));
    }
    let wanted = plan::Wanted { name: &name, out_dir: &options.out_dir, arch: options.arch, types: &options.types };
    let mut plan = plan::make(&checkpoint, &config, wanted)?;
    let importance = options.importance.as_deref().map(|path| importance::apply(path, &mut plan)).transpose()?;
    let vocabulary = Vocabulary::read(&options.checkpoint, config.decoder.vocabulary)?;
    Ok(Prepared { importance, checkpoint, config, vocabulary, plan })
}

/// # Errors
/// When the name cannot be part of a file name.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
        return Err(ConvertError::usage(format!("'{name}' cannot be part of a file name; give another --name")));
    }
    Ok(())
}

/// The last part of the path, with `.` and links resolved; for a snapshot in a Hugging Face cache
/// (`models--Qwen--Qwen3-ASR-0.6B/snapshots/HASH`) the repository's name.
fn directory_name(dir: &Path) -> Result<String> {
    let path = fs::canonicalize(dir).map_err(|e| ConvertError::unreadable(dir, &e))?;
    let part = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let repository = path.parent().filter(|parent| part(parent) == "snapshots").and_then(Path::parent).map(part);
    let repository = repository.as_deref().and_then(|folder| folder.strip_prefix("models--"));
    let name = repository.and_then(|owner_and_name| owner_and_name.rsplit("--").next()).filter(|name| !name.is_empty());
    Ok(name.map_or_else(|| part(&path), str::to_owned))
}

/// Converts a checkpoint. Both files get their names only when both are complete and were compared with the
/// checkpoint; whatever fails before leaves nothing under those names.
///
/// # Errors
/// As [`plan`]; and when a value is not finite or too large for its type, or a file cannot be written.
pub fn convert(options: &ConvertOptions, progress: &mut dyn FnMut(Progress)) -> Result<Report> {
    let Prepared { importance, checkpoint, config, vocabulary, mut plan } = prepare(options)?;
    let threads = thread_count(options.threads)?;
    let licence = options.licence.clone().or_else(|| config.licence.clone());
    let notes = [checkpoint.notes(), &plan.notes, &vocabulary.notes].concat();
    let warnings = checkpoint.warnings().to_vec();
    let store = checkpoint.store();
    let total = store.bytes();
    let (source_sha256, source_files) = match options.dry_run {
        true => checkpoint.blank_fingerprint(&vocabulary.rare_files),
        false => checkpoint.fingerprint(&vocabulary.rare_files, &mut |done| {
            progress(Progress { stage: Stage::Hash, done: done.min(total), total, name: "" })
        })?,
    };
    let head = drop_equal_head(store, &mut plan)?;
    let facts = Facts {
        config: &config,
        vocabulary: &vocabulary,
        source_sha256: &source_sha256,
        source_files: &source_files,
        licence: licence.as_deref(),
        making: Making { types: &options.types, importance: importance.as_ref() },
    };
    let keys = [header::decoder_keys(&plan, &facts), header::encoder_keys(&plan, &facts)];
    let importance = importance.clone();
    let report = Report { licence, importance, notes, warnings, ..Report::planned(plan, head, &keys)? };
    if options.dry_run {
        return Ok(report);
    }
    let report = Report { source_sha256, ..report };
    write_pair(store, keys, threads, report, progress)
}

impl Report {
    /// Before anything was written.
    fn planned(plan: Plan, head: Head, keys: &[Vec<(String, qasr_format::Value)>; 2]) -> Result<Self> {
        let file_bytes =
            [write::header(&plan.decoder, &keys[0])?.file_len(), write::header(&plan.encoder, &keys[1])?.file_len()];
        Ok(Self {
            plan,
            head,
            is_written: false,
            file_bytes,
            is_replacement: [false; 2],
            source_sha256: String::new(),
            licence: None,
            notes: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
            importance: None,
            rounded_twice: String::new(),
        })
    }

    /// What is or would be written, as text with a line for each group of equal tensors, or for every tensor: types,
    /// shapes, and the sizes of both files.
    pub fn describe(&self, every_tensor: bool) -> String {
        self.plan.describe(self.file_bytes, every_tensor)
    }
}

fn thread_count(asked: Option<usize>) -> Result<usize> {
    match asked {
        Some(0) => Err(ConvertError::usage("at least one thread is needed")),
        Some(threads) => Ok(threads),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}

/// Writes both planned files, compares them with their source and gives them their names.
fn write_pair(
    store: &Store,
    keys: [Vec<(String, qasr_format::Value)>; 2],
    threads: usize,
    mut report: Report,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report> {
    if let Some(used) = report.importance.as_mut().filter(|_| matches!(report.head, Head::Dropped | Head::Replaced)) {
        used.missing.retain(|name| name != OUTPUT);
    }
    let files = [&report.plan.decoder, &report.plan.encoder];
    refuse_what_cannot_be_replaced(files)?;
    for dir in files.iter().filter_map(|file| file.path.parent()) {
        fs::create_dir_all(dir)
            .map_err(|e| ConvertError::io(format!("{}: cannot make the directory: {e}", dir.display())))?;
    }
    let mut unfinished = Vec::new();
    for ((stage, file), keys) in [Stage::Decoder, Stage::Encoder].into_iter().zip(files).zip(keys) {
        let total = source_bytes(file);
        unfinished.push(write::write_file(store, file, &keys, threads, &mut |done, name| {
            progress(Progress { stage, done, total, name });
        })?);
    }
    let total = report.plan.tensors().count() as u64;
    for (file, written) in files.into_iter().zip(&unfinished) {
        let before = report.errors.len() as u64;
        report.errors.extend(verify::verify(store, file, written.path(), &mut |done, name| {
            progress(Progress { stage: Stage::Verify, done: before + done, total, name });
        })?);
    }
    // Once more, since minutes may have passed: after the first file has its name, it is too late to refuse.
    refuse_what_cannot_be_replaced(files)?;
    let mut named: Option<PathBuf> = None;
    let sizes = report.file_bytes.iter_mut().zip(&mut report.is_replacement);
    for ((bytes, replaces), written) in sizes.zip(unfinished) {
        let target = written.target().to_path_buf();
        *replaces = fs::symlink_metadata(&target).is_ok();
        written.publish(named.as_deref())?;
        *bytes = fs::metadata(&target).map(|meta| meta.len()).unwrap_or(0);
        named = Some(target);
    }
    report.is_written = true;
    Ok(report)
}

/// # Errors
/// When something other than a file has the name of one that is to be written.
fn refuse_what_cannot_be_replaced(files: [&FilePlan; 2]) -> Result<()> {
    match files.into_iter().find(|file| fs::metadata(&file.path).is_ok_and(|meta| !meta.is_file())) {
        Some(file) => Err(ConvertError::io(format!(
            "{}: is no file that could be replaced; move it away, or give another folder or name",
            file.path.display()
        ))),
        None => Ok(()),
    }
}

/// Bytes of the source that go into a file.
fn source_bytes(file: &FilePlan) -> u64 {
    let bytes = |tensor: &TensorPlan| match &tensor.source {
        Source::Stored(source) => source.bytes(),
        Source::Positions => 0,
    };
    file.tensors.iter().map(bytes).sum()
}

/// Takes the output head out of the plan if it holds the same numbers as the token table, or the table replaces it.
fn drop_equal_head(store: &Store, plan: &mut Plan) -> Result<Head> {
    let source = |name: &str| {
        plan.decoder.tensors.iter().find(|tensor| tensor.target.name == name).and_then(|tensor| match &tensor.source {
            Source::Stored(source) => Some(source),
            Source::Positions => None,
        })
    };
    let (Some(table), Some(head)) = (source(TOKEN_EMBD), source(OUTPUT)) else {
        return Ok(Head::Absent);
    };
    let outcome = match write::are_equal(store, table, head)? {
        true => Head::Dropped,
        false if plan.ties_head => Head::Replaced,
        false => return Ok(Head::Written),
    };
    plan.decoder.tensors.retain(|tensor| tensor.target.name != OUTPUT);
    Ok(outcome)
}
