//! The command `run`, from the definition to the filed record: one warm-up of each contender, then A B A B, and every run
//! is verified before the next.

use crate::RunArgs;
use crate::definition::Definition;
use crate::failure::{usage, void};
use crate::provenance;
use crate::record;
use crate::report::{self, Context};
use crate::verify::{Agreement, Verification};
use anyhow::Result;
use qasr_measure::command;
use qasr_measure::machine::{self, Machine};
use qasr_measure::process::{self, Execution};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The contender of a definition, and the one given with `--vs`.
pub const FIRST: &str = "A";
pub const SECOND: &str = "B";

/// How far a recording may be from the definition's length, as a share of it.
const TOLERANCE: f64 = 0.05;

/// One side of a comparison.
#[derive(Debug, Clone)]
pub struct Contender {
    /// [`FIRST`] or [`SECOND`].
    pub label: &'static str,
    /// Filled and ready to run.
    pub command: Vec<String>,
}

/// One run of one contender.
#[derive(Debug, Clone)]
pub struct Run {
    /// 0 is the warm-up, 1 the first timed round.
    pub round: usize,
    pub label: &'static str,
    /// 1-minute load average just before the start, where the system reports it.
    pub load_before: Option<f64>,
    pub execution: Execution,
}

impl Run {
    /// Whether its numbers count.
    pub fn is_timed(&self) -> bool {
        self.round > 0
    }
}

/// Measures, prints the tables and files the record. `typed` is the command line, for the report's first line.
pub fn run(args: &RunArgs, typed: &[String]) -> Result<()> {
    let definition = Definition::get(&args.folder.definitions, &args.definition)?;
    let audio_seconds = check_length(Path::new(&args.audio), &definition)?;
    let contenders = contenders(args, &definition)?;
    let verification = verification(args, &definition)?;
    let now = jiff::Timestamp::now();
    // Versions, commit and checksums come before the runs: nothing of ours works beside them, and the report names the
    // files as they were at the start.
    let context = Context {
        versions: versions(args)?,
        started: now.strftime("%F %T UTC").to_string(),
        commit: provenance::commit(),
        machine: Machine::look(),
        inputs: provenance::inputs(Path::new(&args.model), Path::new(&args.audio))?,
        definition: &definition,
        verification: &verification,
        contenders: &contenders,
        typed,
        audio_seconds,
    };
    let never = Duration::MAX;
    let mut execute = |command: &[String]| process::run(command, never);
    let runs = measure(&mut execute, &contenders, args.runs as usize, &verification, &mut |run| {
        print_progress(run, args.runs)
    })?;
    let name = args.name.as_deref().unwrap_or(&definition.name);
    let date = now.strftime("%F").to_string();
    let filed = record::file(&args.record, &date, name, &runs, |csv_name| report::page(&context, &runs, csv_name))?;
    println!("{}", report::tables(&context, &runs));
    println!("Filed: {0}.csv and {0}.md", filed.display());
    Ok(())
}

/// The length of the recording, where it can be read here; other containers are for the contenders. Refuses one of
/// another length than the definition's: it would be timed just as happily.
fn check_length(path: &Path, definition: &Definition) -> Result<Option<f64>> {
    if !path.is_file() {
        return Err(usage(format!("the recording {} is not there", path.display())));
    }
    let Ok(recording) = qasr::audio::read_path(path, &Default::default()) else { return Ok(None) };
    let seconds = recording.pcm.len() as f64 / f64::from(qasr::units::SAMPLE_RATE);
    let expected = definition.audio_seconds;
    match (seconds - expected).abs() > TOLERANCE * expected {
        true => Err(usage(format!(
            "{} lasts {seconds:.2} s, and `{}` is for {expected} s: give it such a recording, or another definition",
            path.display(),
            definition.name
        ))),
        false => Ok(Some(seconds)),
    }
}

fn contenders(args: &RunArgs, definition: &Definition) -> Result<Vec<Contender>> {
    let (threads, tokens) = (args.threads.unwrap_or(definition.threads), definition.max_new_tokens);
    let value = |place: &str| {
        Some(match place {
            "qasr" => args.qasr.clone(),
            "model" => args.model.clone(),
            "audio" => args.audio.clone(),
            "threads" => threads.to_string(),
            "max-new-tokens" => tokens.to_string(),
            _ => return None,
        })
    };
    let fill = |label, words: &[String]| -> Result<Contender> {
        command::check_places(words, &crate::definition::PLACES).map_err(usage)?;
        Ok(Contender { label, command: words.iter().map(|word| command::fill(word, &value)).collect() })
    };
    let mut contenders = vec![fill(FIRST, &definition.command)?];
    if let Some(other) = &args.vs {
        contenders.push(fill(SECOND, &split("--vs", other)?)?);
    }
    Ok(contenders)
}

fn split(option: &str, typed: &str) -> Result<Vec<String>> {
    match command::split(typed) {
        Ok(words) if !words.is_empty() => Ok(words),
        Ok(_) => Err(usage(format!("the command after {option} is empty"))),
        Err(why) => Err(usage(format!("{option} `{typed}`: {why}"))),
    }
}

fn verification(args: &RunArgs, definition: &Definition) -> Result<Verification> {
    let unreadable =
        |path: &Path, error| usage(format!("the expected text {} cannot be read: {error}", path.display()));
    let expected = match &args.expect {
        Some(path) => Some(fs::read_to_string(path).map_err(|error| unreadable(path, error))?),
        None => definition.verify.text.clone(),
    };
    let agreement = if args.vs_text_may_differ { Agreement::RunsOfTheSameCommand } else { definition.verify.equal_to };
    Ok(Verification { expected, agreement, exit_codes: definition.verify.exit_codes.clone() })
}

/// The version of each contender, as it prints it. Only `{qasr}` is known to understand `--version`.
fn versions(args: &RunArgs) -> Result<Vec<String>> {
    let ours = provenance::printed(&[args.qasr.clone(), "--version".into()]);
    let mut versions = vec![ours.unwrap_or_else(|| "unknown: --version failed".into())];
    if args.vs.is_some() {
        versions.push(match &args.vs_version {
            Some(typed) => {
                let qasr = |place: &str| (place == "qasr").then(|| args.qasr.clone());
                let words: Vec<String> =
                    split("--vs-version", typed)?.iter().map(|word| command::fill(word, &qasr)).collect();
                provenance::printed(&words)
                    .ok_or_else(|| usage(format!("`{typed}` after --vs-version failed: try it in a shell")))?
            }
            None => "not asked for (--vs-version)".into(),
        });
    }
    Ok(versions)
}

/// Runs everything in turn. Contenders alternate within a round, so that a slow minute of the machine meets both.
///
/// # Errors
/// The first run that fails its verification voids the whole set: the runs before it are not returned.
fn measure(
    execute: &mut dyn FnMut(&[String]) -> Result<Execution, String>,
    contenders: &[Contender],
    rounds: usize,
    verification: &Verification,
    finished: &mut dyn FnMut(&Run),
) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for round in 0..=rounds {
        for Contender { label, command } in contenders {
            let load_before = machine::load();
            let execution = execute(command).map_err(|why| void(format!("{label}: {why}")))?;
            let run = Run { round, label, load_before, execution };
            verification.check(&run, &runs)?;
            finished(&run);
            runs.push(run);
        }
    }
    Ok(runs)
}

/// One line per finished run.
fn print_progress(run: &Run, rounds: u32) {
    let round = if run.is_timed() { format!("run {} of {rounds}", run.round) } else { "warm-up".into() };
    let Execution { wall, usage, .. } = &run.execution;
    eprintln!(
        "{round}, {}: {:.3} s wall, {:.2} s user, {:.1} MiB",
        run.label,
        wall.as_secs_f64(),
        usage.user_seconds,
        usage.peak_bytes as f64 / 1_048_576.0
    );
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use qasr_measure::process::Usage;
    use std::collections::VecDeque;
    use std::process::ExitStatus;

    /// An execution of `milliseconds` that printed `text`.
    pub fn execution(milliseconds: u64, text: &str) -> Execution {
        Execution {
            text: text.into(),
            is_utf8: true,
            complaint: String::new(),
            wall: Duration::from_millis(milliseconds),
            first_text: None,
            usage: Usage {
                user_seconds: milliseconds as f64 / 500.0,
                system_seconds: 0.0,
                peak_bytes: milliseconds << 20,
            },
            disturbances: Some([0, 0]),
            status: Some(ExitStatus::default()),
        }
    }

    pub fn run_of(round: usize, label: &'static str, execution: Execution) -> Run {
        Run { round, label, load_before: Some(0.5), execution }
    }

    /// Measures with answers from a list instead of processes; also the commands that were asked for.
    fn scripted(texts: &[&str], labels: &[&'static str], rounds: usize) -> (Result<Vec<Run>>, Vec<String>) {
        let contender = |label: &&'static str| Contender { label, command: vec![format!("command {label}")] };
        let contenders: Vec<Contender> = labels.iter().map(contender).collect();
        let equal_everywhere = Verification { expected: None, agreement: Agreement::EveryRun, exit_codes: vec![0] };
        let mut answers: VecDeque<_> = texts.iter().zip(1..).map(|(text, number)| execution(number, text)).collect();
        let mut asked = Vec::new();
        let mut execute = |command: &[String]| {
            asked.push(command.join(" "));
            answers.pop_front().ok_or_else(|| "the script has no answer left".to_owned())
        };
        let runs = measure(&mut execute, &contenders, rounds, &equal_everywhere, &mut |_| {});
        (runs, asked)
    }

    #[test]
    fn contenders_take_turns_after_one_warm_up_each() {
        let (runs, asked) = scripted(&["text"; 6], &["A", "B"], 2);
        assert_eq!(asked.join(", "), "command A, command B, command A, command B, command A, command B");
        let seen: Vec<_> = runs
            .unwrap()
            .iter()
            .map(|run| (run.round, run.label, run.is_timed(), run.execution.wall.as_millis()))
            .collect();
        let (warm_ups, timed) = seen.split_at(2);
        assert_eq!(warm_ups, [(0, "A", false, 1), (0, "B", false, 2)]);
        assert_eq!(timed, [(1, "A", true, 3), (1, "B", true, 4), (2, "A", true, 5), (2, "B", true, 6)]);
        let (runs, _) = scripted(&["text"; 4], &["A"], 3);
        assert_eq!(runs.unwrap().iter().map(|run| run.round).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_different_text_voids_the_set_and_ends_it() {
        // The fourth run, B's first timed one, prints another text; two rounds were asked for.
        let (runs, asked) = scripted(&["text", "text", "text", "tent", "text", "text"], &["A", "B"], 2);
        let error = runs.unwrap_err();
        assert_eq!((crate::failure::exit_code(&error), asked.len()), (3, 4));
        assert!(error.to_string().contains('B') && error.to_string().contains("tent"), "{error}");
        let (warm_up, _) = scripted(&["text", "tent"], &["A", "B"], 1);
        assert_eq!(crate::failure::exit_code(&warm_up.unwrap_err()), 3);
    }
}
