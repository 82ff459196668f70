//! `qasr compare`: this engine and others on the same recordings, each run a process of its own.
//!
//! `args` → `recordings` and `engines` (what and who) → `schedule` (when) → `run` (one process, a line of the
//! journal) → `results` and `sanity` (what it says) → `page`, `words` and JSON.

pub mod args;
mod engines;
mod page;
mod recordings;
mod results;
mod run;
mod sanity;
mod schedule;
mod verdict;
mod words;

pub use page::counted;
pub use verdict::listed;

use super::exit::Exit;
use super::interrupt;
use super::messages::{self, Messages};
use super::output;
use super::places::Places;
use args::CompareArgs;
use engines::Engine;
use qasr::error::{Error, Result};
use qasr_measure::command;
use qasr_measure::identity::Identities;
use qasr_measure::journal::{Fault, Identity, Journal, JournalError};
use qasr_measure::machine::{self, Machine};
use qasr_measure::process;
use qasr_measure::scoring::Unit;
use recordings::{Converted, Recording};
use results::{EngineResult, Finished, Measure, rate_name};
use run::{Outcome, Run};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The round of the runs on silence.
const STARTUP: usize = 0;

/// Runs the subcommand.
pub fn run(args: &CompareArgs) -> Exit {
    let messages = Messages::new(args.no_prints, false);
    let result = compare(args, &messages);
    messages.clear_progress();
    match result {
        Ok(exit) => exit,
        Err(error) => messages.failure(&error),
    }
}

fn compare(args: &CompareArgs, messages: &Messages) -> Result<Exit> {
    // Everything that can be wrong with the command line is said before the first run.
    let journal_path = beside(&args.output, ".runs.jsonl");
    for path in [Some(&args.output), json_file(args)].into_iter().flatten() {
        check_output(path)?;
    }
    let engines = engines::gather(args)?;
    let recordings = recordings::gather(&args.recordings)?;
    check_distinct(args, &journal_path, &engines, &recordings)?;
    let threads = args.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        |threads| threads as usize,
    );
    let language = args.language.0.map_or("auto", |language| language.code());
    messages.note(format_args!(
        "{}, {}; reading their files",
        page::counted(engines.len(), "engine"),
        page::counted(recordings.len(), "recording")
    ));
    let set_up = set_up(args, &engines, &recordings, threads, language)?;
    // A folder of our own, removed with this name: one that is there already is somebody's.
    let parent = folder_of(&args.output);
    let folder = tempfile::Builder::new().prefix(".qasr-").tempdir_in(parent).map_err(|error| {
        Error::output(format!("{}: no folder can be made in it: {error}; give another -o", parent.display()))
    })?;
    // Absolute: a command may change its folder.
    let temporary = fs::canonicalize(folder.path())
        .map_err(|error| Error::output(format!("{}: went away: {error}; try again", folder.path().display())))?;
    let silence = temporary.join("silence.wav");
    recordings::write_wav(&silence, &[0.0; 16_000])?;
    // Before the journal is begun: a recording that cannot be read leaves no files.
    interrupt::install_with(process::end_all)?;
    let Some(converted) = convert(&recordings, &temporary)? else { return Ok(Exit::Interrupted) };
    let open = if args.restart { Journal::restart } else { Journal::open };
    let mut journal = open(&journal_path, &set_up).map_err(unusable)?;
    let passed = (threads, language);
    if !measure(args, &engines, &recordings, &converted, passed, &mut journal, messages)?
        || !measure_startups(args, &engines, &silence, passed, &mut journal)?
    {
        messages.note(format_args!(
            "interrupted: {} of {} runs are kept in {}; type the same command again{} to go on",
            journal.lines().iter().filter(|run| (1..=args.repeat as usize).contains(&run.round)).count(),
            args.repeat as usize * recordings.len() * engines.len(),
            journal_path.display(),
            if args.restart { " without --restart" } else { "" }
        ));
        return Ok(Exit::Interrupted);
    }

    let measure_of = |recording: &Recording| Measure::of(recording, args.language.0, args.normalizer);
    let measures: Vec<Measure> = recordings.iter().map(measure_of).collect();
    // An earlier comparison with the same output may have had more rounds.
    let rounds = 1..=args.repeat as usize;
    let runs: Vec<Run> = journal.lines().iter().filter(|run| rounds.contains(&run.round)).cloned().collect();
    let startups: Vec<Run> = journal.lines().iter().filter(|run| run.round == STARTUP).cloned().collect();
    let finished = Finished {
        engines: &engines,
        recordings: &recordings,
        converted: &converted,
        measures: &measures,
        runs: &runs,
        startups: &startups,
        sanity_percent: args.sanity_wer,
    };
    let results = finished.results();
    let written = write(args, &finished, &results, &set_up, (threads, language))?;
    tell(&results, messages);
    page::verdicts(&finished, &results).iter().for_each(|sentence| messages.note(sentence));
    messages.note(format_args!("wrote {}", args.output.display()));
    let is_all_failed = runs.iter().all(|run| run.outcome.failure.is_some());
    Ok(if is_all_failed { Exit::Failure } else { written })
}

/// The error of a journal, with the remedy.
fn unusable(error: JournalError) -> Error {
    let remedy = match error.fault {
        Fault::Other(_) => "give another -o, or measure anew with --restart",
        Fault::Damaged { .. } => "remove the file, or measure anew with --restart",
        _ => "give another -o",
    };
    Error::new(error.kind(), format!("{error}: {remedy}"))
}

fn check_output(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    if path.as_os_str() == "-" {
        return Err(Error::usage("-o -: the runs are kept beside the page; name a file"));
    }
    if !folder.is_dir() {
        return Err(Error::output(format!(
            "{}: there is no folder {}; make it first",
            path.display(),
            folder.display()
        )));
    }
    match path.is_dir() {
        true => Err(Error::output(format!("{} is a folder; name a file in it", path.display()))),
        false => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where the JSON goes when it goes to a file.
fn json_file(args: &CompareArgs) -> Option<&PathBuf> {
    args.output_json.as_ref().filter(|path| path.as_os_str() != "-")
}

/// Refuses to write over what is read, or two things to one place.
fn check_distinct(args: &CompareArgs, journal: &Path, engines: &[Engine], recordings: &[Recording]) -> Result<()> {
    let mut places = Places::default();
    places.take(&args.recordings, "the list of recordings");
    recordings.iter().for_each(|recording| places.take(&recording.file, "a recording"));
    recordings.iter().filter_map(|recording| recording.text_file.as_ref()).for_each(|file| places.take(file, "a text"));
    engines.iter().flat_map(|engine| &engine.model_files).for_each(|file| places.take(file, "a model"));
    places.write(&args.output, "-o")?;
    json_file(args).map_or(Ok(()), |path| places.write(path, "--output-json"))?;
    places.write(journal, "the file of runs beside -o,")
}

/// Settings that decide about the runs. The judgement of their texts does not: it can change without a new run.
fn set_up(
    args: &CompareArgs,
    engines: &[Engine],
    recordings: &[Recording],
    threads: usize,
    language: &str,
) -> Result<Identity> {
    let files = Identities::default();
    let identities = engines.iter().map(|engine| engine.identity(&files)).collect::<Result<Vec<_>>>()?;
    let recordings: Vec<Value> =
        recordings.iter().map(|recording| json!({"name": recording.name, "file": recording.identity})).collect();
    Ok(Identity::default()
        .with("version", qasr::BUILD)
        .with("engines", identities)
        .with("recordings", recordings)
        .with("threads", threads)
        .with("language", language)
        .with("timeout", args.timeout))
}

/// Makes the file of every recording; `None` when it is interrupted.
fn convert(recordings: &[Recording], folder: &Path) -> Result<Option<Vec<Converted>>> {
    let mut converted = Vec::with_capacity(recordings.len());
    for (index, recording) in recordings.iter().enumerate() {
        if interrupt::is_wanted() {
            return Ok(None);
        }
        converted.push(recording.convert(folder.join(format!("{:05}.wav", index + 1)))?);
    }
    Ok(Some(converted))
}

/// Does every run that the journal does not have; false when it is interrupted.
fn measure(
    args: &CompareArgs,
    engines: &[Engine],
    recordings: &[Recording],
    converted: &[Converted],
    (threads, language): (usize, &str),
    journal: &mut Journal<Run>,
    messages: &Messages,
) -> Result<bool> {
    let rounds = args.repeat as usize;
    let total = (rounds * recordings.len() * engines.len()) as u64;
    if !journal.lines().is_empty() {
        messages.note(format_args!("going on: {} runs are finished", journal.lines().len()));
    }
    for (done, planned) in schedule::plan(engines.len(), recordings.len(), rounds).enumerate() {
        let (engine, recording) = (&engines[planned.engine], &recordings[planned.recording]);
        let is_planned =
            |run: &Run| (run.round, &run.recording, &run.engine) == (planned.round + 1, &recording.name, &engine.name);
        if journal.lines().iter().any(is_planned) {
            continue;
        }
        if interrupt::is_wanted() {
            return Ok(false);
        }
        messages.progress("comparing", done as u64, total);
        let audio = &converted[planned.recording];
        let timeout = Duration::from_secs_f64(args.timeout.unwrap_or(60.0 + 30.0 * audio.seconds));
        let load_before = machine::load();
        let outcome = Outcome::of(&engine.command(&audio.file, threads, language), timeout)
            .map_err(|why| Error::usage(format!("{}: {why}", engine.name)))?;
        // We killed it: that says nothing about it.
        if interrupt::is_wanted() {
            return Ok(false);
        }
        if let Some(failure) = &outcome.failure {
            let line = failure.lines().collect::<Vec<_>>().join(" ");
            messages.warning(format_args!("{}, {}: {line}", engine.name, recording.name));
        }
        let run = Run {
            round: planned.round + 1,
            recording: recording.name.clone(),
            engine: engine.name.clone(),
            turn: planned.turn + 1,
            load_before,
            outcome,
        };
        journal.append(run).map_err(unusable)?;
    }
    Ok(true)
}

/// Times every engine that can do its work on a second of silence: its start, apart from its work. False when it is
/// interrupted.
fn measure_startups(
    args: &CompareArgs,
    engines: &[Engine],
    silence: &Path,
    (threads, language): (usize, &str),
    journal: &mut Journal<Run>,
) -> Result<bool> {
    let timeout = Duration::from_secs_f64(args.timeout.unwrap_or(90.0));
    for engine in engines {
        let of_engine = || journal.lines().iter().filter(|run| run.engine == engine.name);
        if of_engine().any(|run| run.round == STARTUP) || of_engine().all(|run| run.outcome.failure.is_some()) {
            continue;
        }
        let load_before = machine::load();
        let outcome = Outcome::of(&engine.command(silence, threads, language), timeout)
            .map_err(|why| Error::usage(format!("{}: {why}", engine.name)))?;
        if interrupt::is_wanted() {
            return Ok(false);
        }
        let (recording, engine) = ("a second of silence".to_owned(), engine.name.clone());
        journal.append(Run { round: STARTUP, recording, engine, turn: 1, load_before, outcome }).map_err(unusable)?;
    }
    Ok(true)
}

fn write(
    args: &CompareArgs,
    finished: &Finished<'_>,
    results: &[EngineResult],
    set_up: &Identity,
    (threads, language): (usize, &str),
) -> Result<Exit> {
    let machine = Machine::look();
    let recordings: Vec<Value> = finished
        .recordings
        .iter()
        .enumerate()
        .map(|(index, recording)| {
            let measure = finished.measures[index];
            let errors = |result: &EngineResult| result.texts[index].scored.as_ref().map(|scored| scored.errors);
            let engines: Vec<Value> = results
                .iter()
                .map(
                    |result| json!({"engine": result.name, "text": result.texts[index].text, "errors": errors(result)}),
                )
                .collect();
            json!({
                "name": recording.name,
                "seconds": finished.converted[index].seconds,
                "truth": recording.truth,
                "normalizer": measure.normalizer.name(),
                "unit": measure.unit,
                "engines": engines,
            })
        })
        .collect();
    let json = json!({
        "machine": machine,
        "set_up": set_up,
        "sanity_percent": finished.sanity_percent,
        "engines": results,
        "recordings": recordings,
        "runs": finished.runs,
    });
    let context = page::Context {
        machine: &machine,
        finished: now(),
        threads,
        rounds: args.repeat as usize,
        language,
        typed: typed(),
    };
    write_file(&args.output, &page::page(&context, finished, results, &json))?;
    let json = format!("{json:#}\n");
    match json_file(args) {
        Some(path) => write_file(path, &json).map(|()| Exit::Success),
        None if args.output_json.is_some() => Ok(messages::print_result(&json)),
        None => Ok(Exit::Success),
    }
}

fn write_file(path: &Path, content: &str) -> Result<()> {
    output::write_whole(path, "choose another place for it", &|out| out.write_all(content.as_bytes()))
}

fn tell(results: &[EngineResult], messages: &Messages) {
    for result in results {
        let rate = |unit| Some(format!("{} {:.1} %", rate_name(unit), 100.0 * result.score(unit)?.rate?));
        let rates: Vec<String> = [Unit::Words, Unit::Characters].into_iter().filter_map(rate).collect();
        let error = if rates.is_empty() { "error –".to_owned() } else { rates.join(", ") };
        let time = result.real_time_factor.map_or("–".to_owned(), |factor| format!("{:.3}", factor.median));
        let rank = match (&result.speed_only, result.rank) {
            (Some(_), _) => "speed only".to_owned(),
            (None, Some(rank)) => format!("speed rank {rank}"),
            (None, None) => format!("not ranked: {}", result.not_ranked.join("; ")),
        };
        messages.note(format_args!("{}: {error}, time per audio second {time} ({rank})", result.name));
    }
}

/// `NAME` with an addition: `page.html` gives `page.html.part`.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}

/// The command line as it was typed, with quotes where a shell needs them.
fn typed() -> String {
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    command::quote(std::iter::once("qasr").chain(words.iter().map(String::as_str)))
}

/// Date and time, UTC, to the minute.
fn now() -> String {
    jiff::Timestamp::now().strftime("%F %H:%M UTC").to_string()
}
