//! `qasr recipe`: finds the types that cost least under a budget, and writes them down.

use super::exit::Exit;
use super::messages::Messages;
use super::output::{try_place, write_whole};
use super::work::{Work, WorkArgs};
use clap::{ArgGroup, Args};
use qasr::ModelFiles;
use qasr::error::{Error, Result};
use qasr_convert::{Recipe, WRITABLE};
use qasr_format::GgmlType;
use qasr_measure::depths::clips;
use qasr_measure::evaluation::Manifest;
use qasr_measure::identity::Identities;
use qasr_measure::journal::Identity;
use qasr_measure::tuning::{
    Budget, Found, Group, Measured, ModelTrial, ResumedTrial, Sensitivity, recipe, search, sensitivities,
};
use qasr_measure::variants::{Source, Spec, Variants};
use std::fmt::Write;
use std::path::{Path, PathBuf};

const NOTES: &str = "\
Quantizes one group of tensors at a time to each type, all others being f16, and
measures how far the model's expectations move along the recordings' texts (mean
KL divergence per token, in nats; f16 is the reference). Then it chooses the types
that are best under the budget, measures them together, and writes the recipe that
`qasr quantize --recipe FILE` and `convert --recipe FILE` take. With --work an
interrupted search goes on where it stopped.

Examples:
  qasr recipe Qwen3-ASR-0.6B/ calibration.tsv --target-size 520M -o mine.recipe
  qasr recipe m/asr-bf16.gguf calibration.tsv --max-kl 0.02 --imatrix asr.imatrix.gguf -o mine.recipe
  qasr recipe Qwen3-ASR-0.6B/ held-out.tsv --measure balanced -o balanced.recipe";

const USAGE: &str = "qasr recipe [OPTIONS] --target-size <SIZE> -o <FILE> <SOURCE> <MANIFEST>";

/// Search the best quantization for a size
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_long_help = NOTES, arg_required_else_help = true, group = ArgGroup::new("budget").required(true))]
pub struct RecipeArgs {
    /// A checkpoint, or a model of 16 or 32 bits
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,

    /// Recordings with texts (TSV or JSON lines)
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,

    /// Most bytes of both files together: 520M, 1.5G
    ///
    /// Bytes, or with k, M, G (decimal) or Ki, Mi, Gi.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, group = "budget")]
    pub target_size: Option<u64>,

    /// Largest divergence from f16, in nats per token
    #[arg(long, value_name = "NATS", value_parser = parse_divergence, group = "budget")]
    pub max_kl: Option<f64>,

    /// No search: measure this recipe and write it with its cost
    ///
    /// small, balanced, safe or a file.
    #[arg(long, value_name = "NAME|FILE", group = "budget")]
    pub measure: Option<PathBuf>,

    /// Types to choose from [default: all]
    ///
    /// f16, q8_0, q6_k, q5_k, q5_0, q4_k, q4_0, iq4_nl.
    #[arg(long, hide_default_value = true, value_name = "TYPES", value_delimiter = ',', value_parser = parse_kind,
          default_value = "f16,q8_0,q6_k,q5_k,q5_0,q4_k,q4_0,iq4_nl")]
    pub types: Vec<GgmlType>,

    #[command(flatten)]
    pub work: WorkArgs,

    /// Name of the recipe [default: from the output file's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// File to write
    #[arg(short = 'o', long, value_name = "FILE", required = true)]
    pub output: PathBuf,
}

/// The remedy for a file that cannot be written.
const PLACE: &str = "choose another place with -o";

/// Runs the subcommand.
pub fn run(args: &RecipeArgs) -> Exit {
    args.work.finish(|messages| find(args, messages))
}

fn find(args: &RecipeArgs, messages: &Messages) -> Result<String> {
    let manifest = Manifest::read(&args.manifest)?;
    try_place(&args.output, PLACE)?;
    let measured_recipe = args.measure.as_deref().map(Recipe::find).transpose();
    let mut measured_recipe = measured_recipe.map_err(|error| Error::usage(error.to_string()))?;
    let name = match &mut measured_recipe {
        Some(plan) if args.name.is_none() => plan.name.clone().unwrap_or_default(),
        _ => recipe_name(args)?,
    };
    let work = Work::open(&args.work)?;
    let variants = Variants::new(Source::find(Some(&args.source))?, work.path(), args.work.imatrix.clone())?;
    if let Some(note) = variants.note()? {
        messages.warning(note);
    }
    let exact = variants.files(&Spec::parse("f16")?)?;
    let (clips, longer) = clips::read(&manifest, args.work.longest)?;
    if clips.is_empty() {
        let path = args.manifest.display();
        return Err(Error::usage(format!("{path}: no recording is short enough: raise --longest or add shorter ones")));
    }
    if !longer.is_empty() {
        messages.note(format_args!("{} recordings are longer than {} s and left out", longer.len(), args.work.longest));
    }
    let options = args.work.model_options();
    let mut show = |done: usize| messages.progress("measuring f16", done as u64, clips.len() as u64);
    let identity = identity(&exact.files, args, &manifest, variants.identities())?;
    let trial = ModelTrial::new(exact.files, args.work.imatrix.clone(), options, &clips, work.path(), &mut show)?;
    let tokens = trial.positions();
    if let Some(mut plan) = measured_recipe {
        let measured = trial.measure_plan(&plan)?;
        plan.name = Some(name);
        plan.cost = cost_lines(&measured, None, tokens, args);
        write_recipe(&plan, &args.output, messages)?;
        return Ok(plan.to_text());
    }
    let mut trial = ResumedTrial::new(trial, work.journal("trials", &identity)?);
    if trial.finished() > 0 {
        messages.note(format_args!("{} trials are known from an earlier run", trial.finished()));
    }
    let mut show = |done: usize, total: usize| messages.progress("measuring groups", done as u64, total as u64);
    let measured = sensitivities(&mut trial, &args.types, &mut show)?;
    let budget = match (args.target_size, args.max_kl) {
        (Some(bytes), _) => Budget::Size(bytes),
        (None, kl) => Budget::Divergence(kl.unwrap_or(f64::MAX)),
    };
    messages.clear_progress();
    messages.note("measuring the best combinations");
    let found = search(&mut trial, &measured, budget)?;
    let mut plan = recipe(&found.types)?;
    plan.name = Some(name);
    plan.cost = cost_lines(&found.measured, Some(found.predicted), tokens, args);
    write_recipe(&plan, &args.output, messages)?;
    Ok(tables(&measured, &found, &args.types, &plan))
}

/// Everything that a trial's result depends on, beside the types.
fn identity(exact: &ModelFiles, args: &RecipeArgs, manifest: &Manifest, files: &Identities) -> Result<Identity> {
    Ok(Identity::default()
        .with("version", qasr::BUILD)
        .with("reference", files.of_model(exact)?)
        .with("recordings", manifest.fingerprint()?)
        .with("longest", args.work.longest)
        .with("importance", args.work.imatrix.as_deref().map(|path| files.of(path)).transpose()?))
}

fn recipe_name(args: &RecipeArgs) -> Result<String> {
    let from_file = || args.output.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = args.name.clone().or_else(from_file).unwrap_or_default();
    // A name that the recipe's reader would refuse is found out before hours of measuring.
    let mut plan = recipe(&[])?;
    plan.name = Some(name.clone());
    match Recipe::parse(&plan.to_text(), &args.output) {
        Ok(_) => Ok(name),
        Err(_) => Err(Error::usage(format!(
            "'{name}' cannot be a recipe's name (letters, digits, '-', '_' and '.' only): give another with --name"
        ))),
    }
}

fn cost_lines(measured: &Measured, predicted: Option<f64>, tokens: usize, args: &RecipeArgs) -> Vec<String> {
    // Names go into the files' metadata: no folders of this machine, and nothing that ends a line.
    let file_name = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect::<String>()
    };
    let sum = predicted.map(|sum| format!(", the groups' own costs add up to {sum:.6}")).unwrap_or_default();
    let mut lines = vec![
        format!("model {}", file_name(&args.source)),
        format!("kl {:.6} nats per token{sum}", measured.kl),
        format!("flips {:.2} % of the most likely tokens", 100.0 * measured.flip_rate),
        format!("perplexity {:.4}", measured.perplexity),
        format!("size {} bytes, both files", measured.bytes),
        format!(
            "measured along {tokens} tokens of {}, against f16, by qasr {}",
            file_name(&args.manifest),
            qasr::VERSION
        ),
    ];
    lines.extend(args.work.imatrix.iter().map(|path| format!("imatrix {}", file_name(path))));
    lines
}

fn write_recipe(plan: &Recipe, path: &Path, messages: &Messages) -> Result<()> {
    write_whole(path, PLACE, &|out| out.write_all(plan.to_text().as_bytes()))?;
    messages.note(format_args!("wrote {}", path.display()));
    Ok(())
}

/// The measurement as text.
fn tables(measured: &[Sensitivity], found: &Found, kinds: &[GgmlType], plan: &Recipe) -> String {
    let mut text = String::from(
        "Divergence from f16 that each group causes alone, in thousandths of a nat per token (and its MB):\n\n",
    );
    let _ = write!(text, "{:<18}", "");
    for kind in kinds {
        let _ = write!(text, "{:>18}", kind.name());
    }
    text.push('\n');
    for group in Group::ALL {
        let _ = write!(text, "{:<18}", group.name());
        for one in measured.iter().filter(|one| one.group == group) {
            let cell = format!("{:.3} ({:.1})", 1000.0 * one.measured.kl, one.bytes as f64 / 1e6);
            let _ = write!(text, "{cell:>18}");
        }
        text.push('\n');
    }
    text.push_str("\nChosen:\n");
    for (group, kind) in &found.types {
        let _ = writeln!(text, "  {:<18} {kind}", group.name());
    }
    for line in &plan.cost {
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn parse_kind(typed: &str) -> std::result::Result<GgmlType, String> {
    let known = || WRITABLE.map(GgmlType::name).join(", ");
    GgmlType::find(typed).filter(|kind| WRITABLE.contains(kind)).ok_or_else(|| format!("use some of: {}", known()))
}

fn parse_size(typed: &str) -> std::result::Result<u64, String> {
    let wrong = || "write a number of bytes, or one with k, M, G, Ki, Mi or Gi, such as 450M".to_owned();
    let end = typed.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(typed.len());
    let (number, unit) = typed.split_at(end);
    let factor = match unit.trim_end_matches(['B', 'b']).to_ascii_lowercase().as_str() {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "ki" => 1024.0,
        "mi" => 1024.0 * 1024.0,
        "gi" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * factor;
    if (1.0..1e15).contains(&bytes) { Ok(bytes as u64) } else { Err(wrong()) }
}

fn parse_divergence(typed: &str) -> std::result::Result<f64, String> {
    match typed.parse::<f64>() {
        Ok(nats) if nats > 0.0 && nats.is_finite() => Ok(nats),
        _ => Err("write a number above 0, such as 0.02".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_decimal_unless_said_otherwise() {
        for (typed, bytes) in
            [("450M", 450_000_000), ("450MB", 450_000_000), ("1.5Gi", 1_610_612_736), ("77", 77), ("2k", 2000)]
        {
            assert_eq!(parse_size(typed), Ok(bytes), "{typed}");
        }
        for typed in ["", "M", "-5M", "5X", "0", "1e99"] {
            assert!(parse_size(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn divergences_are_above_nothing() {
        assert_eq!(parse_divergence("0.02"), Ok(0.02));
        assert!(["0", "-1", "nan", "inf", "x"].iter().all(|typed| parse_divergence(typed).is_err()));
    }
}
