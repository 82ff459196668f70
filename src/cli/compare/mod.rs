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
mod words;

use super::exit::Exit;
use super::messages::Messages;
use args::CompareArgs;
use engines::Engine;
use journal::{Journal, Run, SetUp};
use machine::Machine;
use qasr::error::{Error, Result};
use recordings::{Converted, Recording};
use results::{EngineResult, Finished, Measure};
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
    for path in [Some(&args.output), args.output_json.as_ref()].into_iter().flatten() {
        check_output(path)?;
    }
    let engines = engines::gather(args)?;
    let recordings = recordings::gather(&args.recordings)?;
    let threads = args.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        |threads| threads as usize,
    );
    let language = args.language.0.map_or("auto", |language| language.code());
    messages.note(format_args!("{} engines, {} recordings; reading their files", engines.len(), recordings.len()));
    let set_up = set_up(args, &engines, &recordings, threads, language)?;
    let mut journal = Journal::open(&beside(&args.output, ".runs.jsonl"), &set_up, args.restart)?;

    let folder = beside(&args.output, ".recordings");
    let converted = convert(&recordings, &folder)?;
    measure(args, &engines, &recordings, &converted, (threads, language), &mut journal, messages)?;

    let measures: Vec<Measure> = recordings.iter().map(|recording| Measure::of(recording, args.normalizer)).collect();
    let finished = Finished {
        engines: &engines,
        recordings: &recordings,
        converted: &converted,
        measures: &measures,
        runs: &journal.runs,
        sanity_percent: args.sanity_wer,
    };
    let results = finished.results();
    write(args, &finished, &results, &set_up, (threads, language))?;
    // Only now: until here an interrupted comparison goes on with them.
    let _ = fs::remove_dir_all(&folder);
    tell(&results, messages);
    messages.note(format_args!("wrote {}", args.output.display()));
    let is_all_failed = journal.runs.iter().all(|run| run.outcome.failure.is_some());
    Ok(if is_all_failed { Exit::Failure } else { Exit::Success })
}

fn check_output(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
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

/// What decides about the runs. The judgement of their texts does not: it can change without a new run.
fn set_up(
    args: &CompareArgs,
    engines: &[Engine],
    recordings: &[Recording],
    threads: usize,
    language: &str,
) -> Result<SetUp> {
    let identities = engines.iter().map(Engine::identity).collect::<Result<Vec<_>>>()?;
    let recordings: Vec<Value> =
        recordings.iter().map(|recording| json!({"name": recording.name, "file": recording.identity})).collect();
    let mut set_up = SetUp::new();
    set_up.insert("version".into(), json!(concat!(env!("CARGO_PKG_VERSION"), " ", env!("QASR_REVISION"))));
    set_up.insert("engines".into(), json!(identities));
    set_up.insert("recordings".into(), Value::Array(recordings));
    set_up.insert("threads".into(), json!(threads));
    set_up.insert("language".into(), json!(language));
    set_up.insert("timeout".into(), json!(args.timeout));
    Ok(set_up)
}

/// Makes the file of every recording anew: one that a kill left half is never used.
fn convert(recordings: &[Recording], folder: &Path) -> Result<Vec<Converted>> {
    let failed = |error| Error::output(format!("{}: cannot be made: {error}; give another -o", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    // Absolute: a command may change its folder.
    let folder = fs::canonicalize(folder).map_err(failed)?;
    let converted = recordings.iter().enumerate();
    converted.map(|(index, recording)| recording.convert(folder.join(format!("{:05}.wav", index + 1)))).collect()
}

/// Does every run that the journal does not have.
fn measure(
    args: &CompareArgs,
    engines: &[Engine],
    recordings: &[Recording],
    converted: &[Converted],
    (threads, language): (usize, &str),
    journal: &mut Journal,
    messages: &Messages,
) -> Result<()> {
    let rounds = args.repeat as usize;
    let total = (rounds * recordings.len() * engines.len()) as u64;
    if !journal.runs.is_empty() {
        messages.note(format_args!("going on: {} runs are finished", journal.runs.len()));
    }
    machine::forget_peak_memory();
    for (done, planned) in schedule::plan(engines.len(), recordings.len(), rounds).enumerate() {
        let (engine, recording) = (&engines[planned.engine], &recordings[planned.recording]);
        if journal.has(planned.round + 1, &recording.name, &engine.name) {
            continue;
        }
        messages.progress("comparing", done as u64, total);
        let audio = &converted[planned.recording];
        let timeout = Duration::from_secs_f64(args.timeout.unwrap_or(60.0 + 30.0 * audio.seconds));
        let load_before = machine::load();
        let outcome = child::run(&engine.command(&audio.file, threads, language), timeout)
            .map_err(|why| Error::usage(format!("{}: {why}", engine.name)))?;
        if let Some(failure) = &outcome.failure {
            let line = failure.lines().collect::<Vec<_>>().join(" ");
            messages.warning(format_args!("{}, {}: {line}", engine.name, recording.name));
        }
        journal.add(Run {
            round: planned.round + 1,
            recording: recording.name.clone(),
            engine: engine.name.clone(),
            turn: planned.turn + 1,
            load_before,
            outcome,
        })?;
    }
    Ok(())
}

fn write(
    args: &CompareArgs,
    finished: &Finished<'_>,
    results: &[EngineResult],
    set_up: &SetUp,
    (threads, language): (usize, &str),
) -> Result<()> {
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
    write_whole(&args.output, &page::page(&context, finished, results, &json))?;
    match &args.output_json {
        Some(path) => write_whole(path, &format!("{json:#}\n")),
        None => Ok(()),
    }
}

/// Under another name first: what is there is the whole file of before or the whole new one.
fn write_whole(path: &Path, content: &str) -> Result<()> {
    let part = beside(path, ".part");
    let written = fs::write(&part, content).and_then(|()| fs::rename(&part, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&part);
        Error::output(format!("cannot write {}: {error}; give another place", path.display()))
    })
}

fn tell(results: &[EngineResult], messages: &Messages) {
    for result in results {
        let error = result.error_rate.map_or("–".to_owned(), |rate| format!("{:.1} %", 100.0 * rate));
        let time = result.real_time_factor.map_or("–".to_owned(), |factor| format!("{:.3}", factor.median));
        let rank = match (&result.speed_only, result.rank) {
            (Some(_), _) => "speed only".to_owned(),
            (None, Some(rank)) => format!("rank {rank}"),
            (None, None) => format!("not ranked: {}", result.not_ranked.join("; ")),
        };
        messages.note(format_args!("{}: error {error}, time per audio second {time} ({rank})", result.name));
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
