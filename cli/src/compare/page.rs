//! The comparison as a page: what came out, then pictures, words, how it was measured, and what to doubt.

use super::results::{EngineResult, Finished, Spread, rate_name};
use super::verdict::listed;
use super::words;
use qasr_measure::machine::Machine;
use qasr_measure::report::plot::{Axis, Bar, Point, bars, scatter};
use qasr_measure::report::{Cell, Column, Page, Svg, Table};
use qasr_measure::scoring::Unit;
use serde_json::Value;

/// The settings and the machine, as shown on the page.
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
        "{}, {} ({}), {} · {} · {}",
        counted(results.len(), "engine"),
        counted(finished.recordings.len(), "recording"),
        length(seconds),
        counted(context.rounds, "round"),
        context.machine.processor,
        context.finished,
    ));
    results_section(&mut page, finished, results);
    pictures(&mut page, results);
    words::section(&mut page, finished, results);
    method(&mut page, context, finished, results);
    engines(&mut page, context, results);
    failures(&mut page, finished);
    page.data("results", json);
    page.render()
}

/// The conclusions about the errors, in sentences: first for words, then for characters.
pub fn verdicts(finished: &Finished<'_>, results: &[EngineResult]) -> Vec<String> {
    let units = [Unit::Words, Unit::Characters];
    let mut sentences: Vec<String> =
        units.into_iter().filter_map(|unit| finished.contest(results, unit).sentence()).collect();
    let judged = || results.iter().filter(|result| result.speed_only.is_none());
    if sentences.is_empty() && judged().next().is_some() {
        sentences.push(match judged().any(|result| result.failures == 0) {
            true if finished.recordings.iter().any(|recording| recording.truth.is_some()) => {
                "No errors can be counted: nothing is said in any recording.".into()
            }
            true => {
                "No errors can be counted: no recording says what is said in it (put a FILE.txt beside FILE).".into()
            }
            false => "No errors are compared: every engine failed.".into(),
        });
    }
    let failed: Vec<String> = judged()
        .filter(|result| result.failures > 0)
        .map(|result| format!("{} ({} of {} runs failed)", result.name, result.failures, result.runs))
        .collect();
    if !failed.is_empty() {
        sentences.push(format!("Not compared: {}.", listed(&failed)));
    }
    sentences
}

fn results_section(page: &mut Page, finished: &Finished<'_>, results: &[EngineResult]) {
    let (judged, speed_only): (Vec<&EngineResult>, Vec<&EngineResult>) =
        results.iter().partition(|result| result.speed_only.is_none());
    page.body.lead(&verdicts(finished, results));
    if !units(&judged).is_empty() {
        page.body.section("Errors").table(&text_table(&judged, &how_counted(finished)));
    }
    page.body.section("Time and memory");
    if !judged.is_empty() {
        page.body.table(&speed_table(
            &judged,
            "Time / audio is the median of all runs (the smallest – the largest) and decides the speed rank; the start of \
             the program is in it. Start: a run on a second of silence, which is a whole window for an engine that computes \
             windows of fixed length. Work / audio: all runs without as many starts. CPU is user time, memory the peak. \
             1 MB is 10⁶ bytes.",
            "speed rank",
        ));
    }
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for result in judged.iter().filter(|result| !result.not_ranked.is_empty()) {
        let reason = result.not_ranked.join("; ");
        match reasons.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, names)) => names.push(result.name.clone()),
            None => reasons.push((reason, vec![result.name.clone()])),
        }
    }
    for (reason, names) in &reasons {
        page.body.warning(&format!("The speed of {} is not ranked: {reason}.", listed(names)));
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

/// The unit of the error rates.
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
    let first = results.first().map_or("", |result| &result.name);
    for unit in &units {
        let (rate, beside) = (format!("{} %", rate_name(*unit)), format!("vs {first} (points)"));
        columns.extend(["place", &rate, "95 %", &beside, "95 %"].map(Column::right));
    }
    let has_characters = units.contains(&Unit::Characters);
    columns.extend((!has_characters).then(|| Column::right("CER %")));
    let mut table = Table::new(columns).captioned(format!(
        "{caption} Engines whose errors cannot be told from each other share a place (=); green are the first where others \
         come after them."
    ));
    let known = |text: Option<String>| text.map_or(Cell::missing(), Cell::new);
    let between = |low: f64, high: f64| format!("{low:.1} to {high:.1}");
    let mut sorted = results.to_vec();
    let rate = |result: &EngineResult, unit| result.score(unit).and_then(|score| score.rate);
    let key = |result: &EngineResult| units.first().and_then(|unit| rate(result, *unit)).unwrap_or(f64::INFINITY);
    sorted.sort_by(|a, b| (a.failures > 0).cmp(&(b.failures > 0)).then(key(a).total_cmp(&key(b))));
    for result in sorted {
        let mut cells = vec![Cell::new(&result.name)];
        for unit in &units {
            let score = result.score(*unit);
            let place = score.and_then(|score| score.place);
            let places = || results.iter().filter_map(|one| one.score(*unit)?.place);
            let is_shared = place.is_some() && places().filter(|other| Some(*other) == place).count() > 1;
            let shown = known(place.map(|place| format!("{place}{}", if is_shared { " =" } else { "" })));
            let is_first = place == Some(1) && places().any(|other| other > 1);
            let difference = score.and_then(|score| score.difference);
            cells.extend([
                if is_first { shown.best() } else { shown },
                known(rate(result, *unit).map(percent)),
                known(score.and_then(|one| one.interval).map(|one| between(100.0 * one.low, 100.0 * one.high))),
                known(difference.map(|difference| format!("{:+.1}", difference.points))),
                known(difference.map(|difference| between(difference.low, difference.high))),
            ]);
        }
        if !has_characters {
            cells.push(known(result.character_error_rate.map(percent)));
        }
        table.row(cells);
    }
    table
}

/// The second column is the place by speed, or why there is none.
fn speed_table(results: &[&EngineResult], caption: &str, second: &str) -> Table {
    let headings =
        ["time / audio", "start (s)", "work / audio", "first text (s)", "CPU / audio", "memory (MB)", "model (MB)"];
    // A column of nothing but "0 of 8" says nothing; cells beyond the last column are left out.
    let failed = results.iter().any(|result| result.failures > 0).then_some("failed runs");
    let columns = [Column::left("engine"), Column::right(second)].into_iter();
    let columns = columns.chain(headings.into_iter().chain(failed).map(Column::right));
    let mut table = Table::new(columns).captioned(caption);
    let mut sorted = results.to_vec();
    sorted.sort_by_key(|result| result.rank.unwrap_or(usize::MAX));
    for result in sorted {
        let rank = match (&result.speed_only, result.rank) {
            (Some(why), _) => Cell::new(why),
            (None, Some(rank)) => Cell::new(rank.to_string()),
            (None, None) => Cell::new("not ranked").bad(),
        };
        table.row([Cell::new(&result.name), rank].into_iter().chain(speed_cells(result)));
    }
    table
}

fn speed_cells(result: &EngineResult) -> Vec<Cell> {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or(Cell::missing(), |value| Cell::new(format!("{value:.digits$}")))
    };
    let megabytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / 1e6);
    let failed = Cell::new(format!("{} of {}", result.failures, result.runs));
    vec![
        spread(result.real_time_factor, 3),
        number(result.startup_seconds, 2),
        number(result.work_real_time_factor, 3),
        number(result.first_text_seconds.map(|spread| spread.median), 2),
        number(result.user_seconds_per_audio_second, 3),
        number(megabytes(result.peak_bytes), 0),
        number(megabytes(result.model_bytes), 1),
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

/// Error rates in percent above which bars are cut: nothing is known of a text with more errors than words.
const MOST_SHOWN_PERCENT: f64 = 100.0;

fn pictures_of(results: &[EngineResult], unit: Unit) -> Vec<(Svg, String)> {
    let name = rate_name(unit);
    let rate = |result: &EngineResult| result.score(unit).and_then(|score| score.rate);
    let mut with_error: Vec<(&EngineResult, f64)> =
        results.iter().filter_map(|result| Some((result, 100.0 * rate(result)?))).collect();
    with_error.sort_by(|a, b| a.1.total_cmp(&b.1));
    let interval = |result: &EngineResult| {
        let interval = result.score(unit)?.interval?;
        Some((100.0 * interval.low, 100.0 * interval.high))
    };
    let is_first = |result: &EngineResult| result.score(unit).is_some_and(|score| score.place == Some(1));
    let label = format!("{name}, %");
    let error = Axis::new(&label).from_zero();
    // A single point compares nothing, and one engine that talks nonsense would press the others into a line.
    let against = |x: Axis, what: &str, value: &dyn Fn(&EngineResult) -> Option<f64>| {
        let shown = with_error.iter().filter(|(_, error)| *error <= MOST_SHOWN_PERCENT);
        let points: Vec<Point> = shown
            .filter_map(|(result, error)| {
                let (name, is_filled) = (result.name.clone(), is_first(result));
                Some(Point { name, x: value(result)?, y: *error, interval: interval(result), is_filled })
            })
            .collect();
        let caption =
            format!("{name} against {what}. Filled: no other engine makes fewer errors, as far as can be told.");
        (points.len() > 1).then(|| (scatter(&format!("{name} against {what}"), &x, &error, &points), caption))
    };
    let size = |result: &EngineResult| result.model_bytes.map(|bytes| bytes as f64 / 1e6);
    let time = |result: &EngineResult| result.rank.and(result.real_time_factor).map(|factor| factor.median);
    let mut figures: Vec<(Svg, String)> = Vec::new();
    figures.extend(against(Axis::new("model files, MB").from_zero(), "the size of the model", &size));
    figures.extend(against(Axis::new("time / audio").from_zero(), "time, of the engines that are ranked", &time));
    let rows: Vec<Bar> = with_error
        .iter()
        .map(|(result, error)| Bar { name: result.name.clone(), value: *error, interval: interval(result) })
        .collect();
    if rows.len() > 1 {
        let axis = error.clone().up_to(MOST_SHOWN_PERCENT);
        let caption = format!("{name} with its 95 % interval. Bars are cut at {MOST_SHOWN_PERCENT} %.");
        figures.push((bars(&format!("{name} of each engine"), &axis, &rows), caption));
    }
    figures
}

fn method(page: &mut Page, context: &Context<'_>, finished: &Finished<'_>, results: &[EngineResult]) {
    let has_whisper = finished.engines.iter().any(|engine| engine.name.starts_with("whisper.cpp "));
    let beam = "whisper.cpp decodes with a beam of five and tries again at higher temperatures, unless --whisper-args says \
                otherwise; qasr decodes greedily, once.";
    let doubts = [
        "We wrote one of these engines. The choice of flags for the others is ours too; the commands are below.",
        "Models differ in size, in what they were trained on, and in what they may have heard of these recordings.",
        "Each run is a process of its own and loads its model: short recordings count that more than a server would.",
        "Model files are read once before the first run, so that no engine waits for the disk in its turn.",
        if has_whisper { beam } else { "" },
        "Peak memory counts pages of a mapped model file, which the system can take back; an engine that reads its file cannot give them back. None is below that of this program itself.",
        "The same normaliser for all texts: what it does not know (numbers in words, spellings) counts as an error for whoever writes it the other way.",
        "Time to the first text is when the first letter came out of the process. An engine that writes only at the end is not slower for it.",
        "The interval is over recordings, from the recordings that are here. It knows nothing of others.",
    ];
    page.body.section("What to doubt").list(&doubts.into_iter().filter(|doubt| !doubt.is_empty()).collect::<Vec<_>>());
    page.body.section("How it was measured").list(&[
        format!(
            "Each recording was made into a 16-bit mono WAV at 16 kHz once, and every engine got that file. {} {}",
            passed(results, |one| one.gets_threads, &counted(context.threads, "thread")),
            passed(results, |one| one.gets_language, &format!("the language `{}`", context.language)),
        ),
        format!(
            "{} of {} recordings say what is said in them. {} runs; who begins changes from recording to recording and from round to round.",
            finished.recordings.iter().filter(|recording| recording.truth.is_some()).count(),
            finished.recordings.len(),
            finished.runs.len()
        ),
        "Wall time is from before the start of the process to its end; user time and peak memory are what the system says when it has ended. Median (smallest – largest) of all runs that did not fail; the text of a recording is the worst of them.".to_owned(),
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

/// Which engines were given a value: a command without a place for it was not.
fn passed(results: &[EngineResult], is_given: impl Fn(&EngineResult) -> bool, value: &str) -> String {
    let (given, others): (Vec<&EngineResult>, Vec<&EngineResult>) = results.iter().partition(|one| is_given(one));
    let names = |results: &[&EngineResult]| listed(&results.iter().map(|one| one.name.clone()).collect::<Vec<_>>());
    match (given.is_empty(), others.is_empty()) {
        (_, true) => format!("Every engine was given {value}."),
        (true, _) => format!("No engine was given {value}."),
        _ => format!("{} got {value}; the command of {} has no place for it.", names(&given), names(&others)),
    }
}

fn engines(page: &mut Page, context: &Context<'_>, results: &[EngineResult]) {
    page.body.section("Engines");
    for result in results {
        let version = result.version.as_deref().unwrap_or("not known");
        let if_passed = |is_given, value: String| if is_given { value } else { "not passed to this engine".into() };
        page.body.subsection(&result.name).lines(&format!(
            "version   {version}\ncommand   {}\nthreads   {}\nlanguage  {}",
            result.command.join(" "),
            if_passed(result.gets_threads, context.threads.to_string()),
            if_passed(result.gets_language, context.language.to_owned()),
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
