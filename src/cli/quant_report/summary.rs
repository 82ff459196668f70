//! Every type in a line: the page's first part, and what is printed.

use super::measure::{Report, TypeReport};
use qasr::report::plot::{Axis, Point, pareto};
use qasr::report::{Cell, Column, Content, Table};

/// The reference and all types, the reference first.
pub fn all(report: &Report) -> impl Iterator<Item = &TypeReport> {
    std::iter::once(&report.reference).chain(&report.types)
}

fn megabytes(report: &TypeReport) -> f64 {
    report.file_bytes as f64 / 1e6
}

/// A rate in percent: WER, or CER where the language is counted by character.
fn error_rate(report: &TypeReport) -> Option<(f64, Option<(f64, f64)>)> {
    let all = &report.cost.summary.all;
    let score = all.words.as_ref().or(all.characters.as_ref())?;
    let interval = score.interval.map(|interval| (100.0 * interval.low, 100.0 * interval.high));
    score.rate.map(|rate| (100.0 * rate, interval))
}

/// The summary as plain text.
pub fn text(report: &Report) -> String {
    let widest = all(report).map(|one| one.name.chars().count()).max().unwrap_or(0).max(4);
    let mut text = format!(
        "{:<widest$}  {:>7}  {:>9}  {:>9}  {:>7}  {:>10}  {:>22}  {:>24}  {:>5}\n",
        "type", "MB", "KL, nats", "KL 99 %", "flips %", "perplexity", "error rate %", "to f16, points", "loops"
    );
    for one in all(report) {
        let rate =
            error_rate(one).map_or_else(String::new, |(rate, interval)| format!("{rate:.2}{}", bracket(interval)));
        let difference = one.cost.comparison.words.or(one.cost.comparison.characters);
        let difference = difference
            .map_or_else(String::new, |one| format!("{:+.2}{}", one.points, bracket(Some((one.low, one.high)))));
        text.push_str(&format!(
            "{:<widest$}  {:>7.1}  {:>9}  {:>9}  {:>7}  {:>10.4}  {rate:>22}  {difference:>24}  {:>5}\n",
            one.name,
            megabytes(one),
            short(one.cost.kl.mean),
            short(one.cost.kl.p99),
            percent(one.cost.flip_rate),
            one.cost.perplexity,
            one.cost.summary.all.loops.count,
        ));
    }
    text + &format!(
        "\n{} recordings, {} tokens of their texts; KL per token from f16; brackets: 95 %, bootstrap over recordings\n",
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
    let mut table = Table::new([
        Column::left("type"),
        Column::right("MB"),
        Column::right("KL, nats"),
        Column::right("flips %"),
        Column::right("perplexity"),
        Column::right("error rate %"),
        Column::right("95 %"),
        Column::right("to f16, points"),
        Column::right("95 %"),
        Column::right("loops"),
    ])
    .captioned(
        "Less is better in every column. KL: divergence per token from f16; flips: another token is the most likely.",
    );
    let least = |value: &dyn Fn(&TypeReport) -> f64| report.types.iter().map(value).fold(f64::INFINITY, f64::min);
    let (smallest, nearest) = (least(&megabytes), least(&|one| one.cost.kl.mean));
    let marked = |text: String, is_best: bool| if is_best { Cell::new(text).best() } else { Cell::new(text) };
    for one in all(report) {
        let (rate, interval) = error_rate(one).unzip();
        let difference = one.cost.comparison.words.or(one.cost.comparison.characters);
        let loops = one.cost.summary.all.loops;
        table.row([
            Cell::new(&one.name),
            marked(format!("{:.1}", megabytes(one)), megabytes(one) == smallest),
            marked(short(one.cost.kl.mean), one.cost.kl.mean == nearest),
            Cell::new(percent(one.cost.flip_rate)),
            Cell::new(format!("{:.4}", one.cost.perplexity)),
            rate.map_or_else(Cell::missing, |rate| Cell::new(format!("{rate:.2}"))),
            range(interval.flatten()),
            difference.map_or_else(Cell::missing, |one| Cell::new(format!("{:+.2}", one.points))),
            range(difference.map(|one| (one.low, one.high))),
            if loops.count > 0 { Cell::new(loops.count.to_string()).bad() } else { Cell::new("0") },
        ]);
    }
    let points = |value: &dyn Fn(&TypeReport) -> Option<(f64, Option<(f64, f64)>)>| -> Vec<Point> {
        let point = |one: &TypeReport| {
            value(one).map(|(y, interval)| Point { name: one.name.clone(), x: megabytes(one), y, interval })
        };
        all(report).filter_map(point).collect()
    };
    let size = Axis::new("both files, MB").logarithmic();
    // f16 is the reference: its divergence is nothing, which a logarithm does not show.
    let divergence = points(&|one| (one.cost.kl.mean > 0.0).then_some((one.cost.kl.mean, None)));
    body.section("In short").table(&table).figures(&[
        (
            pareto("Divergence against size", &size, &Axis::new("KL per token, nats").logarithmic(), &divergence),
            "Divergence from f16 against size. Filled: nothing is both smaller and nearer.".to_owned(),
        ),
        (
            pareto("Error rate against size", &size, &Axis::new("error rate, %"), &points(&error_rate)),
            "Word (or character) error rate against size, with 95 % intervals.".to_owned(),
        ),
    ]);
}

fn range(interval: Option<(f64, f64)>) -> Cell {
    interval.map_or_else(Cell::missing, |(low, high)| Cell::new(format!("{low:.2} – {high:.2}")))
}
