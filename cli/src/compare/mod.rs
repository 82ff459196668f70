//! `qasr compare`: this engine and others on the same recordings, each run a process of its own.
//!
//! `args` → `recordings` and `engines` (what and who) → `schedule` (when) → `child` (one run) → `journal` (what is
//! finished) → `results` and `sanity` (what it says) → `page`, `words` and JSON.

pub mod args;
mod child;
mod engines;
mod journal;
mod machine;
mod page;
mod recordings;
mod results;
mod sanity;
mod schedule;
mod template;
mod verdict;
mod words;

pub use page::counted;
pub use verdict::listed;

use super::exit::Exit;
use super::messages::{self, Messages};
use super::output;
use args::CompareArgs;
use engines::Engine;
use journal::Run;
use machine::Machine;
use qasr::error::{Error, Result};
use qasr_measure::identity::Identities;
use qasr_measure::journal::{Fault, Identity, Journal, JournalError};
use qasr_measure::scoring::Unit;
use recordings::{Converted, Recording};
use results::{EngineResult, Finished, Measure, rate_name};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    // Before the journal is begun: a recording that cannot be read leaves nothing behind.
    child::take_care_of_interrupts()?;
    let Some(converted) = convert(&recordings, folder.path())? else { return Ok(Exit::Interrupted) };
    let open = if args.restart { Journal::restart } else { Journal::open };
    let mut journal = open(&journal_path, &set_up).map_err(unusable)?;
    if !measure(args, &engines, &recordings, &converted, (threads, language), &mut journal, messages)? {
        messages.note(format_args!(
            "interrupted: {} of {} runs are kept in {}; type the same command again{} to go on",
            journal.lines().iter().filter(|run| run.round <= args.repeat as usize).count(),
            args.repeat as usize * recordings.len() * engines.len(),
            journal_path.display(),
            if args.restart { " without --restart" } else { "" }
        ));
        return Ok(Exit::Interrupted);
    }

    let measure_of = |recording: &Recording| Measure::of(recording, args.language.0, args.normalizer);
    let measures: Vec<Measure> = recordings.iter().map(measure_of).collect();
    // An earlier comparison with the same output may have had more rounds.
    let runs: Vec<Run> = journal.lines().iter().filter(|run| run.round <= args.repeat as usize).cloned().collect();
    let finished = Finished {
        engines: &engines,
        recordings: &recordings,
        converted: &converted,
        measures: &measures,
        runs: &runs,
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
    // A file that is not there yet is where its folder is.
    let place = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        fs::canonicalize(path).or_else(|_| fs::canonicalize(folder_of(path)).map(|folder| folder.join(name))).ok()
    };
    let mut taken: Vec<(Option<PathBuf>, &str)> = vec![(place(&args.recordings), "the list of recordings")];
    taken.extend(recordings.iter().map(|recording| (place(&recording.file), "a recording")));
    taken.extend(recordings.iter().filter_map(|recording| Some((place(recording.text_file.as_ref()?), "a text"))));
    let models = engines.iter().flat_map(|engine| &engine.model_files);
    taken.extend(models.map(|file| (place(file), "a model")));
    let outputs = [(Some(&args.output), "-o"), (json_file(args), "--output-json")];
    let outputs = outputs.into_iter().filter_map(|(path, flag)| Some((path?.as_path(), flag)));
    for (path, flag) in outputs.chain([(journal, "the file of runs beside -o")]) {
        let place = place(path);
        if let Some((_, what)) = taken.iter().find(|(other, _)| *other == place) {
            return Err(Error::usage(format!("{flag}: {} is {what} already; give another place", path.display())));
        }
        taken.push((place, flag));
    }
    Ok(())
}

/// What decides about the runs. The judgement of their texts does not: it can change without a new run.
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
    let failed = |error| Error::output(format!("{}: went away: {error}; try again", folder.display()));
    // Absolute: a command may change its folder.
    let folder = fs::canonicalize(folder).map_err(failed)?;
    let mut converted = Vec::with_capacity(recordings.len());
    for (index, recording) in recordings.iter().enumerate() {
        if child::is_interrupted() {
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
    machine::forget_peak_memory();
    for (done, planned) in schedule::plan(engines.len(), recordings.len(), rounds).enumerate() {
        let (engine, recording) = (&engines[planned.engine], &recordings[planned.recording]);
        let is_planned =
            |run: &Run| (run.round, &run.recording, &run.engine) == (planned.round + 1, &recording.name, &engine.name);
        if journal.lines().iter().any(is_planned) {
            continue;
        }
        if child::is_interrupted() {
            return Ok(false);
        }
        messages.progress("comparing", done as u64, total);
        let audio = &converted[planned.recording];
        let timeout = Duration::from_secs_f64(args.timeout.unwrap_or(60.0 + 30.0 * audio.seconds));
        let load_before = machine::load();
        let outcome = child::run(&engine.command(&audio.file, threads, language), timeout)
            .map_err(|why| Error::usage(format!("{}: {why}", engine.name)))?;
        // We killed it: that says nothing about it.
        if child::is_interrupted() {
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

/// `NAME` with something behind it: `page.html` gives `page.html.part`.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}

/// The command line as it was typed, with quotes where a shell needs them.
fn typed() -> String {
    let quoted = |word: OsString| {
        let word = word.to_string_lossy().into_owned();
        let is_plain = word.chars().all(|letter| letter.is_alphanumeric() || "-_./=,:+%@".contains(letter));
        if is_plain && !word.is_empty() { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    let words: Vec<String> = std::env::args_os().skip(1).map(quoted).collect();
    format!("qasr {}", words.join(" "))
}

/// Date and time, UTC, to the minute.
fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

/// Year, month and day of the so-manieth day since 1970.
fn date(days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while month < 11 && left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    (year, month as u64 + 1, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!([0, 59, 11_016, 20_779].map(date), [(1970, 1, 1), (1970, 3, 1), (2000, 2, 29), (2026, 11, 22)]);
    }
}
