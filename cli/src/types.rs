//! Flags that say in which types model files are written.

use super::exit::Exit;
use super::messages::Messages;
use clap::Args;
use qasr_convert::{ConvertError, ConvertErrorKind, FilePlan, FileType, Head, Override, Recipe, Report};
use std::path::PathBuf;

/// Beside the decoder's type, which each subcommand takes in its own way, as `decoder_type`.
#[derive(Debug, Args)]
pub struct TypeArgs {
    /// Type of the audio encoder [default: the decoder's]
    #[arg(long, value_name = "TYPE", value_parser = parse_file_type)]
    pub encoder_type: Option<FileType>,

    /// Type of the matrices whose names match; may be repeated
    ///
    /// The first expression that matches counts.
    #[arg(long, value_name = "REGEX=TYPE", value_parser = parse_override)]
    pub tensor_type: Vec<Override>,

    /// Recipe of types: small, balanced, safe or a file
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = ["decoder_type", "encoder_type"])]
    pub recipe: Option<PathBuf>,

    /// Importance matrix from `qasr imatrix`, for better rounding
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,
}

/// How files are written, or only planned.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Threads to quantize with [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=512))]
    pub threads: Option<u32>,

    /// Print what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// With --dry-run: a line for every tensor
    ///
    /// With its source and the reason for its type.
    #[arg(short, long, requires = "dry_run")]
    pub verbose: bool,

    /// Only warnings and errors
    #[arg(long)]
    pub no_prints: bool,
}

impl TypeArgs {
    /// The requested types; exceptions that were typed come before those of a recipe.
    pub fn plan(&self, decoder: Option<&Wanted>) -> Result<Recipe, ConvertError> {
        let recipe = self.recipe.as_ref().or(match decoder {
            Some(Wanted::Recipe(recipe)) => Some(recipe),
            _ => None,
        });
        let mut plan = match (recipe, decoder) {
            (Some(recipe), _) => Recipe::find(recipe)?,
            (None, Some(Wanted::Type(decoder))) => Recipe::pair(*decoder, *decoder),
            (None, _) => Recipe::pair(DEFAULT_TYPE, DEFAULT_TYPE),
        };
        let is_changed = recipe.is_some() && self.encoder_type.is_some() || !self.tensor_type.is_empty();
        plan.encoder = self.encoder_type.unwrap_or(plan.encoder);
        plan.overrides.splice(..0, self.tensor_type.iter().cloned());
        if is_changed {
            // The measurements and the name belong to the recipe as it stands.
            plan.name = plan.name.map(|name| format!("{name}-custom"));
            plan.cost.clear();
        }
        Ok(plan)
    }
}

/// The default type: more bits are the safer choice.
pub const DEFAULT_TYPE: FileType = FileType::Q8_0;

/// One word for the types of a pair.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// One type for both files.
    Type(FileType),
    /// A recipe's name or file.
    Recipe(PathBuf),
}

/// A type, or a recipe, by its name or file.
pub fn parse_wanted(typed: &str) -> Result<Wanted, String> {
    if let Some(file_type) = FileType::find(typed) {
        return Ok(Wanted::Type(file_type));
    }
    let path = PathBuf::from(typed);
    if Recipe::shipped(typed).is_some() || path.is_file() {
        return Ok(Wanted::Recipe(path));
    }
    let types = FileType::ALL.map(FileType::name).join(", ");
    Err(format!("use a type ({types}) or a recipe ({} or a file)", Recipe::shipped_names().join(", ")))
}

/// A type by its name.
pub fn parse_file_type(typed: &str) -> Result<FileType, String> {
    FileType::find(typed).ok_or_else(|| format!("use one of: {}", FileType::ALL.map(FileType::name).join(", ")))
}

fn parse_override(typed: &str) -> Result<Override, String> {
    Override::parse(typed).map_err(|error| error.to_string())
}

/// Why no files were written, and the exit code for it.
pub fn failure(error: &ConvertError, messages: &Messages) -> Exit {
    messages.error(error);
    match error.kind() {
        ConvertErrorKind::Checkpoint => Exit::BadModel,
        ConvertErrorKind::Io => Exit::BadOutput,
        ConvertErrorKind::Usage => Exit::Usage,
        _ => Exit::Failure,
    }
}

/// The written files, and every deviation from the type's name.
pub fn tell(report: &Report, messages: &Messages) {
    let plan = &report.plan;
    for line in plan.decoder.fallbacks().iter().chain(&plan.encoder.fallbacks()) {
        messages.note(format_args!("fallback: {line}"));
    }
    tell_quality(report, messages);
    let sizes = report.file_bytes.into_iter().zip(report.is_replacement);
    for (file, (bytes, is_replacement)) in [&plan.decoder, &plan.encoder].into_iter().zip(sizes) {
        let end = if is_replacement { ", replacing the file of that name" } else { "" };
        let megabytes = bytes as f64 / 1e6;
        messages.note(format_args!("wrote {}: {megabytes:.1} MB ({}){end}", file.path.display(), file.types()));
        if let Some((name, relative)) = worst(file, report) {
            let percent = 100.0 * relative;
            let percent = if percent < 0.05 { "under 0.1".into() } else { format!("{percent:.1}") };
            messages.note(format_args!("  largest rounding error: {percent} % ({name})"));
        }
    }
}

/// How the source was read, and what makes the values better or worse than the types alone would.
pub fn tell_quality(report: &Report, messages: &Messages) {
    match report.head {
        Head::Dropped => messages.note("the output head equals the token table and is left out"),
        Head::Written => messages.note("the output head differs from the token table and is written"),
        Head::Replaced => messages.warning(
            "the checkpoint's own output head is left out: text_config.tie_word_embeddings in config.json puts the token \
             table in its place, which the official code does too",
        ),
        Head::Absent => {}
    }
    report.notes.iter().for_each(|note| messages.note(note));
    report.warnings.iter().for_each(|warning| messages.warning(warning));
    if !report.rounded_twice.is_empty() {
        messages.warning(format_args!(
            "the source has fewer than 16 bits ({}), so quality is lost twice; start from f32, bf16 or f16 if there is such a pair",
            report.rounded_twice
        ));
    }
    let Some(used) = &report.importance else { return };
    messages.note(format_args!("importance from {}: used for {} matrices", used.file, used.used));
    if let Some(first) = used.missing.first() {
        messages.warning(format_args!(
            "{} says nothing about {} of the quantized matrices, such as {first}: all columns count the same there",
            used.file,
            used.missing.len()
        ));
    }
}

/// The tensor of a file whose values lost most, with its relative error.
fn worst<'a>(file: &FilePlan, report: &'a Report) -> Option<(&'a str, f64)> {
    let errors =
        report.errors.iter().filter(|error| file.tensors.iter().any(|tensor| tensor.target.name == error.name));
    errors.max_by(|a, b| a.relative.total_cmp(&b.relative)).map(|error| (error.name.as_str(), error.relative))
}
