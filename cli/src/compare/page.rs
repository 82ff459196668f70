//! The comparison as a page: what came out, then pictures, words, how it was measured, and what to doubt.

use super::machine::Machine;
use super::results::{EngineResult, Finished, Spread, rate_name};
use super::words;
use qasr_measure::report::plot::{Axis, Bar, Point, bars, pareto};
use qasr_measure::report::{Cell, Column, Page, Svg, Table};
use qasr_measure::scoring::Unit;
use serde_json::Value;

/// What was asked for and on what it ran, as far as the page says it.
pub struct Context<'a> {
    pub machine: &'a Machine,
    /// Date and time of the end, UTC.
    pub finished: String,
    pub threads: usize,
    pub rounds: usize,
    pub language: &'a str,
    /// The command line that makes the page again.
    pub typed: String,
}

/// The page, with the numbers themselves in it.
pub fn page(context: &Context<'_>, finished: &Finished<'_>, results: &[EngineResult], json: &Value) -> String {
    let mut page = Page::new("Speech recognition on the same recordings");
    let seconds: f64 = finished.converted.iter().map(|converted| converted.seconds).sum();
    page.subtitle(format!(
        "{}, {} ({}), {}, {} · {} · {}",
        counted(results.len(), "engine"),
        counted(finished.recordings.len(), "recording"),
        length(seconds),
        counted(context.threads, "thread"),
        counted(context.rounds, "round"),
        context.machine.processor,
        context.finished,
    ));
    results_section(&mut page, finished, results);
    pictures(&mut page, results);
    words::section(&mut page, finished, results);
    method(&mut page, context, finished);
    engines(&mut page, context, results);
    failures(&mut page, finished);
    page.data("results", json);
    page.render()
}

fn results_section(page: &mut Page, finished: &Finished<'_>, results: &[EngineResult]) {
    let (judged, speed_only): (Vec<&EngineResult>, Vec<&EngineResult>) =
        results.iter().partition(|result| result.speed_only.is_none());
    page.body.section("Results");
    if !judged.is_empty() {
        page.body.table(&text_table(&judged, &how_counted(finished)));
        page.body.table(&speed_table(
            &judged,
            "Time and memory. The middle of all runs (the smallest – the largest).",
            "rank",
        ));
    }
    for result in &judged {
        if !result.not_ranked.is_empty() {
            page.body.warning(&format!(
                "The speed of {} is not ranked: {}.",
                result.name,
                result.not_ranked.join("; ")
            ));
        }
    }
    for result in results.iter().filter(|result| result.text_varies) {
        page.body.note(&format!("{} gave different texts in different rounds; the worst counts.", result.name));
    }
    if !speed_only.is_empty() {
        page.body
            .subsection("Speed only")
            .warning("The text of these means nothing and is not looked at: they are here for time and memory alone.");
        page.body.table(&speed_table(&speed_only, "", "why"));
    }
}

/// What the error rates are counted in.
fn how_counted(finished: &Finished<'_>) -> String {
    let counted = finished.recordings.iter().zip(finished.measures).filter(|(recording, _)| recording.truth.is_some());
    let mut ways: Vec<String> = counted
        .map(|(_, measure)| {
            format!("{:?} after the normaliser {}", measure.unit, measure.normalizer.name()).to_lowercase()
        })
        .collect();
    ways.sort();
    ways.dedup();
    match ways.as_slice() {
        [] => "No recording says what is said in it.".into(),
        ways => format!(
            "Errors are counted in {}. Intervals hold 95 % of repeated draws of the recordings.",
            ways.join(", and in ")
        ),
    }
}

/// The units that recordings are counted in.
fn units(results: &[&EngineResult]) -> Vec<Unit> {
    let units = [Unit::Words, Unit::Characters];
    units.into_iter().filter(|unit| results.iter().any(|result| result.score(*unit).is_some())).collect()
}

fn text_table(results: &[&EngineResult], caption: &str) -> Table {
    let units = units(results);
    let mut columns = vec![Column::left("engine")];
    for unit in &units {
        let rate = format!("{} %", rate_name(*unit));
        columns.extend([&*rate, "its interval", "points to the first", "their interval"].map(Column::right));
    }
    columns.push(Column::right("characters, all %"));
    let mut table = Table::new(columns).captioned(caption);
    let known = |text: Option<String>| text.map_or(Cell::missing(), Cell::new);
    let between = |low: f64, high: f64| format!("{low:.1} – {high:.1}");
    for result in results {
        let mut cells = vec![Cell::new(&result.name)];
        for unit in &units {
            let rate = |result: &EngineResult| result.score(*unit).and_then(|score| score.rate);
            let best = results.iter().filter_map(|result| rate(result)).fold(f64::INFINITY, f64::min);
            let error = known(rate(result).map(percent));
            let interval = result.score(*unit).and_then(|score| score.interval);
            let difference = result.score(*unit).and_then(|score| score.difference);
            cells.extend([
                if rate(result) == Some(best) { error.best() } else { error },
                known(interval.map(|interval| between(100.0 * interval.low, 100.0 * interval.high))),
                known(difference.map(|difference| format!("{:+.1}", difference.points))),
                known(difference.map(|difference| between(difference.low, difference.high))),
            ]);
        }
        cells.push(known(result.character_error_rate.map(percent)));
        table.row(cells);
    }
    table
}

/// The last column is the place by speed, or why there is none.
fn speed_table(results: &[&EngineResult], caption: &str, last: &str) -> Table {
    let columns = speed_columns().into_iter().chain([Column::right(last)]);
    let mut table = Table::new([Column::left("engine")].into_iter().chain(columns)).captioned(caption);
    for result in results {
        let mut cells = vec![Cell::new(&result.name)];
        cells.extend(speed_cells(result));
        cells.push(match (&result.speed_only, result.rank) {
            (Some(why), _) => Cell::new(why),
            (None, Some(1)) => Cell::new("1").best(),
            (None, Some(rank)) => Cell::new(rank.to_string()),
            (None, None) => Cell::new("not ranked").bad(),
        });
        table.row(cells);
    }
    table
}

fn speed_columns() -> [Column; 6] {
    let headings = ["time / audio", "first text, s", "user CPU / audio", "peak MiB", "model MB", "failed"];
    headings.map(Column::right)
}

fn speed_cells(result: &EngineResult) -> Vec<Cell> {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or(Cell::missing(), |value| Cell::new(format!("{value:.digits$}")))
    };
    let failed = Cell::new(format!("{} of {}", result.failures, result.runs));
    vec![
        spread(result.real_time_factor, 3),
        spread(result.first_text_seconds, 2),
        number(result.user_seconds_per_audio_second, 3),
        number(result.peak_bytes.map(|bytes| bytes as f64 / 1_048_576.0), 0),
        number(result.model_bytes.map(|bytes| bytes as f64 / 1e6), 1),
        if result.failures > 0 { failed.bad() } else { failed },
    ]
}

fn spread(spread: Option<Spread>, digits: usize) -> Cell {
    spread.map_or(Cell::missing(), |spread| {
        Cell::new(format!("{:.digits$} ({:.digits$} – {:.digits$})", spread.median, spread.low, spread.high))
    })
}

fn pictures(page: &mut Page, results: &[EngineResult]) {
    let mut figures = Vec::new();
    for unit in units(&results.iter().collect::<Vec<_>>()) {
        figures.extend(pictures_of(results, unit));
    }
    if !figures.is_empty() {
        page.body.section("Pictures").figures(&figures);
    }
}

fn pictures_of(results: &[EngineResult], unit: Unit) -> Vec<(Svg, String)> {
    let name = rate_name(unit);
    let rate = |result: &EngineResult| result.score(unit).and_then(|score| score.rate);
    let with_error: Vec<(&EngineResult, f64)> =
        results.iter().filter_map(|result| Some((result, 100.0 * rate(result)?))).collect();
    let mut figures: Vec<(Svg, String)> = Vec::new();
    if with_error.is_empty() {
        return figures;
    }
    let interval = |result: &EngineResult| {
        let interval = result.score(unit)?.interval?;
        Some((100.0 * interval.low, 100.0 * interval.high))
    };
    let points = |x: &dyn Fn(&EngineResult) -> Option<f64>| -> Vec<Point> {
        let points = with_error.iter().filter_map(|(result, error)| {
            Some(Point { name: result.name.clone(), x: x(result)?, y: *error, interval: interval(result) })
        });
        points.collect()
    };
    let label = format!("{name}, %");
    let error = Axis::new(&label).from_zero();
    let sizes = points(&|result| result.model_bytes.map(|bytes| bytes as f64 / 1e6));
    if !sizes.is_empty() {
        let picture = pareto(
            &format!("{name} against the size of the model"),
            &Axis::new("model, MB").from_zero(),
            &error,
            &sizes,
        );
        figures.push((picture, format!("{name} against size. Filled: no other is both smaller and better.")));
    }
    let ranked = |result: &EngineResult| result.rank.and(result.real_time_factor).map(|factor| factor.median);
    let speeds = points(&ranked);
    if !speeds.is_empty() {
        let x = Axis::new("time per audio second").from_zero();
        let picture = pareto(&format!("{name} against time"), &x, &error, &speeds);
        figures.push((
            picture,
            format!("{name} against time, of those that are ranked. Filled: no other is both faster and better."),
        ));
    }
    let rows: Vec<Bar> = with_error
        .iter()
        .map(|(result, error)| Bar { name: result.name.clone(), value: *error, interval: interval(result) })
        .collect();
    figures.push((bars(&format!("{name} of each engine"), &label, &rows), format!("{name} with its 95 % interval.")));
    figures
}

fn method(page: &mut Page, context: &Context<'_>, finished: &Finished<'_>) {
    page.body.section("What to doubt").list(&[
        "We wrote one of these engines. The choice of flags for the others is ours too; the commands are below.",
        "Models differ in size, in what they were trained on, and in what they may have heard of these recordings.",
        "Each run is a process of its own and loads its model: short recordings count that more than a server would.",
        "Model files are read once before the first run, so that no engine waits for the disk in its turn.",
        "whisper.cpp decodes with a beam of five and tries again at higher temperatures, unless --whisper-args says otherwise; qasr decodes greedily, once.",
        "Peak memory counts pages of a mapped model file, which the system can take back; an engine that reads its file cannot give them back. None is below that of this program itself.",
        "The same normaliser for all texts: what it does not know (numbers in words, spellings) counts as an error for whoever writes it the other way.",
        "Time to the first text is when the first letter came out of the process. An engine that writes only at the end is not slower for it.",
        "The interval is over recordings, from the recordings that are here. It knows nothing of others.",
    ]);
    page.body.section("How it was measured").list(&[
        format!(
            "Each recording was made into a 16-bit mono WAV at 16 kHz once; every engine got that file, {}, and the language `{}`.",
            counted(context.threads, "thread"),
            context.language
        ),
        format!(
            "{} of {} recordings say what is said in them. {} runs; who begins changes from recording to recording and from round to round.",
            finished.recordings.iter().filter(|recording| recording.truth.is_some()).count(),
            finished.recordings.len(),
            finished.runs.len()
        ),
        "Wall time is from before the start of the process to its end; user time and peak memory are what the system says when it has ended. Middle value (smallest – largest) of all runs that did not fail; the text of a recording is the worst of them.".to_owned(),
        format!(
            "The speed of an engine is not ranked when a run of it failed, its WER or CER is above {} %, or its text is empty or repeats itself in more than a tenth of the recordings with speech.",
            finished.sanity_percent
        ),
    ]);
    let machine = context.machine;
    page.body.lines(&format!(
        "processor  {}\ncores      {}\nmemory     {}\nsystem     {}\ncommand    {}",
        machine.processor, machine.cores, machine.memory, machine.system, context.typed
    ));
}

fn engines(page: &mut Page, context: &Context<'_>, results: &[EngineResult]) {
    page.body.section("Engines");
    for result in results {
        let version = result.version.as_deref().unwrap_or("not known");
        page.body.subsection(&result.name).lines(&format!(
            "version  {version}\ncommand  {}\nthreads  {}",
            result.command.join(" "),
            context.threads
        ));
    }
}

fn failures(page: &mut Page, finished: &Finished<'_>) {
    let failed: Vec<_> = finished.runs.iter().filter(|run| run.outcome.failure.is_some()).collect();
    if failed.is_empty() {
        return;
    }
    page.body.section("Failed runs");
    for run in failed.iter().take(words::MOST_SHOWN) {
        let mut inner = qasr_measure::report::Content::default();
        inner.lines(run.outcome.failure.as_deref().unwrap_or_default());
        page.body.details(&format!("{}: {}, round {}", run.engine, run.recording, run.round), inner);
    }
    if failed.len() > words::MOST_SHOWN {
        page.body.paragraph(&format!("{} more are in the JSON.", failed.len() - words::MOST_SHOWN));
    }
}

/// `1 engine`, `2 engines`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn percent(rate: f64) -> String {
    format!("{:.1}", 100.0 * rate)
}

fn length(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
