//! The comparison of the types: the page's first part, and the printed text.
//!
//! Errors by word and errors by character (Chinese, Japanese, Korean, …) are separate: a rate of both would hide what
//! happens to the rarer kind.

use super::measure::{Report, TypeReport};
use super::verdict::{self, Standing};
use crate::compare::{counted, listed};
use qasr_measure::evaluation::{FileResult, Score};
use qasr_measure::report::plot::{Axis, Point, Svg, scatter};
use qasr_measure::report::{Cell, Column, Content, Table};
use qasr_measure::scoring::{Difference, Unit};
use std::cmp::Ordering;

/// The reference and all types, from the largest to the smallest; the reference first among equals.
pub fn all(report: &Report) -> Vec<&TypeReport> {
    let mut all: Vec<&TypeReport> = std::iter::once(&report.reference).chain(&report.types).collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.file_bytes));
    all
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The units that the recordings' errors are counted in.
fn units(report: &Report) -> Vec<Unit> {
    let units = [Unit::Words, Unit::Characters];
    units.into_iter().filter(|unit| score(&report.reference, *unit).is_some()).collect()
}

fn rate_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Words => "WER %",
        Unit::Characters => "CER %",
    }
}

fn score(report: &TypeReport, unit: Unit) -> Option<&Score> {
    let all = &report.cost.summary.all;
    match unit {
        Unit::Words => all.words.as_ref(),
        Unit::Characters => all.characters.as_ref(),
    }
}

/// A value and its interval.
type Estimate = (f64, Option<(f64, f64)>);

/// A rate in percent.
fn rate(report: &TypeReport, unit: Unit) -> Option<Estimate> {
    let score = score(report, unit)?;
    let interval = score.interval.map(|interval| (100.0 * interval.low, 100.0 * interval.high));
    score.rate.map(|rate| (100.0 * rate, interval))
}

fn difference(report: &TypeReport, unit: Unit) -> Option<Difference> {
    match unit {
        Unit::Words => report.cost.comparison.words,
        Unit::Characters => report.cost.comparison.characters,
    }
}

/// Recordings that the errors in a unit are counted on.
fn recordings(report: &Report, unit: Unit) -> usize {
    let counted = |result: &&FileResult| {
        result.unit == unit && result.failure.is_none() && result.errors.is_some_and(|errors| errors.reference > 0)
    };
    report.reference.cost.results.iter().filter(counted).count()
}

/// Whether a type makes more errors than the reference (`Greater`) or fewer; `Equal` where no difference can be told,
/// `None` where there are too few recordings. Loops that the reference does not have are more errors, however few.
fn verdict_of(report: &Report, one: &TypeReport) -> Option<Ordering> {
    let loops = |one: &TypeReport| one.cost.summary.all.loops.count;
    let of_unit = |unit: &Unit| difference(one, *unit)?.verdict(recordings(report, *unit));
    let verdicts: Vec<Ordering> = units(report).iter().filter_map(of_unit).collect();
    if loops(one) > loops(&report.reference) {
        return Some(Ordering::Greater);
    }
    [Ordering::Greater, Ordering::Less, Ordering::Equal].into_iter().find(|verdict| verdicts.contains(verdict))
}

fn standings(report: &Report) -> Vec<Standing<'_>> {
    let units = units(report);
    let types = report.types.iter().map(|one| Standing {
        name: &one.name,
        bytes: one.file_bytes,
        verdict: verdict_of(report, one),
        points: units.iter().filter_map(|unit| difference(one, *unit)).collect(),
        kl: one.cost.kl.mean,
        flip_rate: one.cost.flip_rate,
    });
    types.collect()
}

/// The conclusions about the types.
pub fn sentences(report: &Report) -> Vec<String> {
    let sizes = units(report).into_iter().filter_map(|unit| {
        let spoken = score(&report.reference, unit)?.errors.reference;
        Some((recordings(report, unit), spoken, if unit == Unit::Words { "word" } else { "character" }))
    });
    let sizes: Vec<(usize, usize, &str)> = sizes.collect();
    let counts: Vec<String> = sizes.iter().map(|(_, spoken, name)| counted(*spoken, name)).collect();
    let these = match sizes.iter().map(|(recordings, ..)| recordings).sum() {
        1 => "this recording".to_owned(),
        many => format!("these {many} recordings"),
    };
    let on = format!("on {these} ({})", listed(&counts));
    let fewest = sizes.iter().map(|(_, spoken, _)| *spoken).min();
    verdict::sentences(&standings(report), report.reference.file_bytes, fewest.map(|fewest| (on.as_str(), fewest)))
}

/// Width of the text that is printed.
const COLUMNS: usize = 80;

/// The summary as plain text.
pub fn text(report: &Report) -> String {
    let mut text = sentences(report).iter().map(|sentence| wrapped(sentence)).collect::<String>();
    let widest = all(report).iter().map(|one| one.name.chars().count()).max().unwrap_or(0).max(4);
    text.push_str(&format!(
        "\n{:<widest$}  {:>7}  {:>9}  {:>10}  {:>8}  {:>7}  {:>5}\n",
        "type", "MB", "memory MB", "time/audio", "KL 10^-3", "flips %", "loops"
    ));
    for one in all(report) {
        text.push_str(&format!(
            "{:<widest$}  {:>7.1}  {:>9}  {:>10}  {:>8}  {:>7}  {:>5}\n",
            one.name,
            megabytes(one.file_bytes),
            one.peak_bytes.map_or_else(String::new, |bytes| format!("{:.0}", megabytes(bytes))),
            one.cost.summary.all.rtf.map_or_else(String::new, |rtf| format!("{rtf:.3}")),
            thousandths(1e3 * one.cost.kl.mean),
            percent(one.cost.flip_rate),
            one.cost.summary.all.loops.count,
        ));
    }
    for unit in units(report) {
        text.push_str(&format!(
            "\n{:<widest$}  {:>6}  {:>14}  {:>6}  {:>15}  errors\n",
            "type",
            rate_name(unit),
            "95 %",
            "vs f16",
            "95 %"
        ));
        for one in all(report) {
            let (rate, interval) = rate(one, unit).unzip();
            let difference = difference(one, unit);
            let line = format!(
                "{:<widest$}  {:>6}  {:>14}  {:>6}  {:>15}  {}",
                one.name,
                rate.map_or_else(String::new, |rate| format!("{rate:.2}")),
                range(interval.flatten()),
                difference.map_or_else(String::new, |one| format!("{:+.2}", one.points)),
                range(difference.map(|one| (one.low, one.high))),
                match verdict_of(report, one) {
                    _ if std::ptr::eq(one, &report.reference) => "",
                    None => "too few",
                    Some(Ordering::Equal) => "as f16",
                    Some(Ordering::Greater) => "more",
                    Some(Ordering::Less) => "fewer",
                }
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text + "\n"
        + &wrapped(&format!(
            "{}, {} tokens of text. MB: both files, 10^6 bytes. memory MB: peak of a process that transcribes one recording. \
         KL per token from f16, in 10^-3 nats. vs f16: points. 95 %: bootstrap over recordings.",
            counted(report.recordings, "recording"),
            report.reference.cost.tokens
        ))
}

/// Lines of at most [`COLUMNS`] letters, the last with its end.
fn wrapped(text: &str) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > 0 {
            let fits = column + 1 + width <= COLUMNS;
            wrapped.push(if fits { ' ' } else { '\n' });
            column = if fits { column + 1 } else { 0 };
        }
        wrapped.push_str(word);
        column += width;
    }
    wrapped + "\n"
}

fn range(interval: Option<(f64, f64)>) -> String {
    interval.map_or_else(String::new, |(low, high)| format!("{low:.2} to {high:.2}"))
}

/// A rate in percent.
pub fn percent(rate: f64) -> String {
    format!("{:.2}", 100.0 * rate)
}

/// Three decimals, in one notation for all sizes.
pub fn thousandths(value: f64) -> String {
    if value > 0.0 && value < 0.0005 { "< 0.001".to_owned() } else { format!("{value:.3}") }
}

/// The page's first part.
pub fn section(body: &mut Content, report: &Report) {
    body.lead(&sentences(report)).section("Errors, size, memory and speed").table(&decisive(report));
    let figures: Vec<(Svg, String)> =
        units(report).into_iter().filter_map(|unit| errors_by_size(report, unit)).collect();
    body.figures(&figures).section("Distance from f16").paragraph(
        "Finer than errors: it shows a difference between types whose texts are all the same, and says nothing about \
         which of them anybody would notice.",
    );
    body.table(&distances(report)).figures(&divergence_by_size(report).into_iter().collect::<Vec<_>>());
}

fn decisive(report: &Report) -> Table {
    let units = units(report);
    let mut columns = vec![Column::left("type"), Column::left("beside f16")];
    for unit in &units {
        columns.extend([rate_name(*unit), "95 %", "vs f16 (points)", "95 %"].map(Column::right));
    }
    columns.extend(["loops", "files (MB)", "memory (MB)", "time / audio"].map(Column::right));
    let mut table = Table::new(columns).captioned(
        "From the largest to the smallest. Green: the smallest type that makes no more errors than f16, as far as can be \
         told. Memory is the peak of a process that transcribes one recording, with the pages of its model files; \
         time / audio is over all recordings of this run. 1 MB is 10⁶ bytes.",
    );
    let standings = standings(report);
    let smallest = verdict::smallest(&standings).map(|one| one.name);
    let known = |text: String| if text.is_empty() { Cell::missing() } else { Cell::new(text) };
    for one in all(report) {
        let mut cells = vec![
            Cell::new(&one.name),
            match verdict_of(report, one) {
                _ if std::ptr::eq(one, &report.reference) => Cell::new("reference"),
                None => Cell::new("too few recordings"),
                Some(Ordering::Equal) => Cell::new("no difference"),
                Some(Ordering::Greater) => Cell::new("more errors").bad(),
                Some(Ordering::Less) => Cell::new("fewer errors").best(),
            },
        ];
        for unit in &units {
            let (rate, interval) = rate(one, *unit).unzip();
            let difference = difference(one, *unit);
            cells.extend([
                known(rate.map_or_else(String::new, |rate| format!("{rate:.2}"))),
                known(range(interval.flatten())),
                known(difference.map_or_else(String::new, |one| format!("{:+.2}", one.points))),
                known(range(difference.map(|one| (one.low, one.high)))),
            ]);
        }
        let loops = one.cost.summary.all.loops.count;
        let size = Cell::new(format!("{:.1}", megabytes(one.file_bytes)));
        cells.extend([
            if loops > 0 { Cell::new(loops.to_string()).bad() } else { Cell::new("0") },
            if smallest == Some(&one.name) { size.best() } else { size },
            known(one.peak_bytes.map_or_else(String::new, |bytes| format!("{:.0}", megabytes(bytes)))),
            known(one.cost.summary.all.rtf.map_or_else(String::new, |rtf| format!("{rtf:.3}"))),
        ]);
        table.row(cells);
    }
    table
}

fn distances(report: &Report) -> Table {
    let headings = ["KL", "95 %", "KL 99 %", "flips %", "perplexity"];
    let columns = [Column::left("type")].into_iter().chain(headings.map(Column::right));
    let mut table = Table::new(columns).captioned(
        "KL: mean divergence per token from f16, in 10⁻³ nats; one token in a hundred diverges more than KL 99 %. Flips: \
         another token is the most likely. Less is better in every column.",
    );
    for one in all(report) {
        let interval = one.cost.kl_interval;
        table.row([
            Cell::new(&one.name),
            Cell::new(thousandths(1e3 * one.cost.kl.mean)),
            interval.map_or_else(Cell::missing, |one| {
                Cell::new(format!("{} to {}", thousandths(1e3 * one.low), thousandths(1e3 * one.high)))
            }),
            Cell::new(thousandths(1e3 * one.cost.kl.p99)),
            Cell::new(percent(one.cost.flip_rate)),
            Cell::new(format!("{:.4}", one.cost.perplexity)),
        ]);
    }
    table
}

/// A picture of a value of every type against its size; `None` where a single point would compare nothing.
fn by_size(
    report: &Report,
    (name, y): (&str, Axis),
    value: &dyn Fn(&TypeReport) -> Option<Estimate>,
    caption: &str,
) -> Option<(Svg, String)> {
    let point = |one: &TypeReport| {
        let is_filled = std::ptr::eq(one, &report.reference) || verdict_of(report, one) != Some(Ordering::Greater);
        value(one).map(|(y, interval)| Point {
            name: one.name.clone(),
            x: megabytes(one.file_bytes),
            y,
            interval,
            is_filled,
        })
    };
    let points: Vec<Point> = all(report).into_iter().filter_map(point).collect();
    let size = Axis::new("both files, MB").logarithmic();
    let drawn = || scatter(&format!("{name} against size"), &size, &y, &points);
    (points.len() > 1).then(|| (drawn(), format!("{name} against size{caption}")))
}

fn errors_by_size(report: &Report, unit: Unit) -> Option<(Svg, String)> {
    let (name, value) = (rate_name(unit), |one: &TypeReport| rate(one, unit));
    let caption = ", with 95 % intervals. A ring: more errors than f16 can be told.";
    by_size(report, (name, Axis::new(name).from_zero()), &value, caption)
}

/// f16 is the reference: its divergence is nothing, which a logarithm does not show.
fn divergence_by_size(report: &Report) -> Option<(Svg, String)> {
    let value = |one: &TypeReport| (one.cost.kl.mean > 0.0).then_some((1e3 * one.cost.kl.mean, None));
    by_size(report, ("KL", Axis::new("KL per token, 10⁻³ nats").logarithmic()), &value, ".")
}
