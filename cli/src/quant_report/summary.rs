//! Every type in a line: the page's first part, and what is printed.
//!
//! Errors by word and errors by character (Chinese, Japanese, Korean, …) stand apart: a rate of both would hide what
//! happens to the rarer kind.

use super::measure::{Report, TypeReport};
use qasr_measure::evaluation::Score;
use qasr_measure::report::plot::{Axis, Point, pareto};
use qasr_measure::report::{Cell, Column, Content, Table};
use qasr_measure::scoring::{Difference, Unit};

/// The reference and all types, the reference first.
pub fn all(report: &Report) -> impl Iterator<Item = &TypeReport> {
    std::iter::once(&report.reference).chain(&report.types)
}

fn megabytes(report: &TypeReport) -> f64 {
    report.file_bytes as f64 / 1e6
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

/// The summary as plain text.
pub fn text(report: &Report) -> String {
    let units = units(report);
    let widest = all(report).map(|one| one.name.chars().count()).max().unwrap_or(0).max(4);
    let mut text = format!(
        "{:<widest$}  {:>7}  {:>26}  {:>9}  {:>7}  {:>10}",
        "type", "MB", "KL, nats", "KL 99 %", "flips %", "perplexity"
    );
    for unit in &units {
        text.push_str(&format!("  {:>22}  {:>24}", rate_name(*unit), "to f16, points"));
    }
    text.push_str("  loops\n");
    for one in all(report) {
        let interval =
            one.cost.kl_interval.map(|interval| format!(" [{} to {}]", short(interval.low), short(interval.high)));
        text.push_str(&format!(
            "{:<widest$}  {:>7.1}  {:>26}  {:>9}  {:>7}  {:>10.4}",
            one.name,
            megabytes(one),
            short(one.cost.kl.mean) + &interval.unwrap_or_default(),
            short(one.cost.kl.p99),
            percent(one.cost.flip_rate),
            one.cost.perplexity,
        ));
        for unit in &units {
            let rate = rate(one, *unit).map(|(rate, interval)| format!("{rate:.2}{}", bracket(interval)));
            let difference = difference(one, *unit);
            let points = difference.map(|one| format!("{:+.2}{}", one.points, bracket(Some((one.low, one.high)))));
            text.push_str(&format!("  {:>22}  {:>24}", rate.unwrap_or_default(), points.unwrap_or_default()));
        }
        text.push_str(&format!("  {:>5}\n", one.cost.summary.all.loops.count));
    }
    text + &format!(
        "\n{} recordings, {} tokens (their texts, the language before and the end after them); KL per token from f16; \
         brackets: 95 %, bootstrap over recordings\n",
        report.recordings, report.reference.cost.tokens
    )
}

fn bracket(interval: Option<(f64, f64)>) -> String {
    interval.map_or_else(String::new, |(low, high)| format!(" [{low:.2} to {high:.2}]"))
}

/// A rate in percent.
pub fn percent(rate: f64) -> String {
    format!("{:.2}", 100.0 * rate)
}

/// Few figures, small ones in powers of ten.
pub fn short(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value.abs() < 1e-3 {
        format!("{value:.1e}")
    } else {
        format!("{value:.4}")
    }
}

/// The page's first part.
pub fn section(body: &mut Content, report: &Report) {
    let units = units(report);
    let mut columns = vec![
        Column::left("type"),
        Column::right("MB"),
        Column::right("KL, nats"),
        Column::right("95 %"),
        Column::right("flips %"),
        Column::right("perplexity"),
    ];
    for unit in &units {
        columns.extend([rate_name(*unit), "95 %", "to f16, points", "95 %"].map(Column::right));
    }
    columns.push(Column::right("loops"));
    let mut table = Table::new(columns).captioned(
        "Less is better in every column. KL: divergence per token from f16; flips: another token is the most likely.",
    );
    let least = |value: &dyn Fn(&TypeReport) -> f64| report.types.iter().map(value).fold(f64::INFINITY, f64::min);
    let (smallest, nearest) = (least(&megabytes), least(&|one| one.cost.kl.mean));
    let marked = |text: String, is_best: bool| if is_best { Cell::new(text).best() } else { Cell::new(text) };
    for one in all(report) {
        let interval = one.cost.kl_interval;
        let mut cells = vec![
            Cell::new(&one.name),
            marked(format!("{:.1}", megabytes(one)), megabytes(one) == smallest),
            marked(short(one.cost.kl.mean), one.cost.kl.mean == nearest),
            interval.map_or_else(Cell::missing, |one| Cell::new(format!("{} – {}", short(one.low), short(one.high)))),
            Cell::new(percent(one.cost.flip_rate)),
            Cell::new(format!("{:.4}", one.cost.perplexity)),
        ];
        for unit in &units {
            let (rate, interval) = rate(one, *unit).unzip();
            let difference = difference(one, *unit);
            cells.extend([
                rate.map_or_else(Cell::missing, |rate| Cell::new(format!("{rate:.2}"))),
                range(interval.flatten()),
                difference.map_or_else(Cell::missing, |one| Cell::new(format!("{:+.2}", one.points))),
                range(difference.map(|one| (one.low, one.high))),
            ]);
        }
        let loops = one.cost.summary.all.loops;
        cells.push(if loops.count > 0 { Cell::new(loops.count.to_string()).bad() } else { Cell::new("0") });
        table.row(cells);
    }
    let points = |value: &dyn Fn(&TypeReport) -> Option<Estimate>| -> Vec<Point> {
        let point = |one: &TypeReport| {
            value(one).map(|(y, interval)| Point { name: one.name.clone(), x: megabytes(one), y, interval })
        };
        all(report).filter_map(point).collect()
    };
    let size = Axis::new("both files, MB").logarithmic();
    // f16 is the reference: its divergence is nothing, which a logarithm does not show.
    let divergence = points(&|one| (one.cost.kl.mean > 0.0).then_some((one.cost.kl.mean, None)));
    let mut figures = vec![(
        pareto("Divergence against size", &size, &Axis::new("KL per token, nats").logarithmic(), &divergence),
        "Divergence from f16 against size. Filled: nothing is both smaller and nearer.".to_owned(),
    )];
    for unit in units {
        let name = rate_name(unit);
        let drawn = pareto(&format!("{name} against size"), &size, &Axis::new(name), &points(&|one| rate(one, unit)));
        figures.push((drawn, format!("{name} against size, with 95 % intervals.")));
    }
    body.section("In short").table(&table).figures(&figures);
}

fn range(interval: Option<(f64, f64)>) -> Cell {
    interval.map_or_else(Cell::missing, |(low, high)| Cell::new(format!("{low:.2} – {high:.2}")))
}
