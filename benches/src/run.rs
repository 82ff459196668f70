//! The command `run`, from the definition to the filed record.

use crate::arguments::RunRequest;
use crate::clip;
use crate::command;
use crate::date::Moment;
use crate::definition::Definition;
use crate::failure::Failure;
use crate::gnu_time::GnuTime;
use crate::machine::Machine;
use crate::provenance;
use crate::record;
use crate::report::{self, Context};
use crate::schedule::{self, Contender, FIRST, Run, SECOND};
use crate::verify::{Agreement, Verification};
use std::fs;
use std::path::Path;

/// Measures, prints the tables and files the record. `typed` is the command line, for the report's first line.
pub fn run(request: &RunRequest, typed: &[String]) -> Result<(), Failure> {
    let definition = Definition::get(&request.definitions, &request.definition)?;
    let audio_seconds = clip::check(Path::new(&request.audio), &definition.name, definition.audio_seconds)?;
    let contenders = contenders(request, &definition)?;
    let verification = verification(request, &definition)?;
    let mut executor = GnuTime::find()?;
    let now = Moment::now();
    // Versions, commit and checksums come before the runs: nothing of ours works beside them, and what is reported
    // is what they started from.
    let context = Context {
        versions: versions(request)?,
        started: now.date_and_time(),
        commit: provenance::commit(),
        machine: Machine::look(),
        timer: executor.description(),
        inputs: provenance::inputs(Path::new(&request.model), Path::new(&request.audio))?,
        definition: &definition,
        verification: &verification,
        contenders: &contenders,
        typed,
        audio_seconds,
    };
    let runs =
        schedule::measure(&mut executor, &contenders, request.runs, &verification, &mut |run| tell(run, request.runs))?;
    let name = request.name.as_deref().unwrap_or(&definition.name);
    let filed =
        record::file(&request.record, &now.date(), name, &runs, |csv_name| report::page(&context, &runs, csv_name))?;
    println!("{}", report::tables(&context, &runs));
    println!("Filed: {0}.csv and {0}.md", filed.display());
    Ok(())
}

fn contenders(request: &RunRequest, definition: &Definition) -> Result<Vec<Contender>, Failure> {
    let values = [
        ("qasr", request.qasr.clone()),
        ("model", request.model.clone()),
        ("audio", request.audio.clone()),
        ("threads", request.threads.unwrap_or(definition.threads).to_string()),
        ("max-new-tokens", definition.max_new_tokens.to_string()),
    ];
    let mut contenders = vec![Contender { label: FIRST, command: command::fill(&definition.command, &values)? }];
    if let Some(other) = &request.vs {
        contenders.push(Contender { label: SECOND, command: command::fill(&command::split(other)?, &values)? });
    }
    Ok(contenders)
}

fn verification(request: &RunRequest, definition: &Definition) -> Result<Verification, Failure> {
    let expected = match &request.expect {
        Some(path) => Some(fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("the expected text {} cannot be read: {error}", path.display()))
        })?),
        None => definition.verify.text.clone(),
    };
    let agreement =
        if request.vs_text_may_differ { Agreement::RunsOfTheSameCommand } else { definition.verify.equal_to };
    Ok(Verification { expected, agreement, exit_codes: definition.verify.exit_codes.clone() })
}

/// What each contender says it is. Only `{qasr}` is known to understand `--version`.
fn versions(request: &RunRequest) -> Result<Vec<String>, Failure> {
    let ours = provenance::version(&[request.qasr.clone(), "--version".into()]);
    let mut versions = vec![ours.unwrap_or_else(|| "unknown: --version failed".into())];
    if request.vs.is_some() {
        versions.push(match &request.vs_version {
            Some(command) => {
                let words = command::fill(&command::split(command)?, &[("qasr", request.qasr.clone())])?;
                provenance::version(&words).ok_or_else(|| {
                    Failure::usage(format!("`{command}` after --vs-version failed: try it in a shell"))
                })?
            }
            None => "not asked for (--vs-version)".into(),
        });
    }
    Ok(versions)
}

/// One line of progress per finished run.
fn tell(run: &Run, rounds: usize) {
    let round = if run.is_timed() { format!("run {} of {rounds}", run.round) } else { "warm-up".into() };
    let usage = &run.execution.usage;
    eprintln!(
        "{round}, {}: {:.3} s wall, {:.2} s user, {:.1} MiB",
        run.label,
        run.execution.wall.as_secs_f64(),
        usage.user_s,
        usage.peak_rss_kib as f64 / 1024.0
    );
}
