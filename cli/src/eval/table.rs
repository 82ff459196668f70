//! The results for reading: one row per model, differences to the first, and the languages where there are several.

use super::report::Measured;
use qasr_measure::evaluation::{Group, Score, Share, compare};
use qasr_measure::scoring::Difference;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

const HEADER: [&str; 13] = [
    "model", "type", "files", "WER %", "CER %", "S/I/D", "language", "loops", "missing", "RTF", "CPU s", "peak MB",
    "file MB",
];

/// Everything that is printed.
pub fn all(measured: &[Measured]) -> String {
    let mut rows = vec![HEADER.map(str::to_owned).to_vec()];
    rows.extend(measured.iter().map(row));
    let width = columns_of_terminal();
    let mut text = fitted(&rows, 2, width);
    text.push('\n');
    let mut normalizers = BTreeMap::new();
    for result in measured.iter().take(1).flat_map(|one| &one.results).filter(|result| result.errors.is_some()) {
        *normalizers.entry(result.normalizer.name()).or_insert(0) += 1;
    }
    let normalizers: Vec<String> = normalizers.iter().map(|(name, files)| format!("{name} ({files} files)")).collect();
    let _ = match normalizers.is_empty() {
        true => writeln!(text, "no recording has a truth to count against"),
        false => writeln!(text, "normaliser: {}; brackets: 95 %, bootstrap over files", normalizers.join(", ")),
    };
    if measured.iter().any(|one| !one.has_whole_cost() && !one.has_others_cost()) {
        let _ = writeln!(text, ">: a process that was killed is not counted");
    }
    if measured.iter().any(Measured::has_others_cost) {
        let _ = writeln!(text, "CPU s and peak MB `-`: measured over other recordings too; --restart measures anew");
    }
    for one in measured.iter().skip(1) {
        text.push_str(&difference(&measured[0], one));
    }
    text.push_str(&languages(measured));
    text
}

fn row(one: &Measured) -> Vec<String> {
    let all = &one.summary.all;
    let at_least = if one.has_whole_cost() { "" } else { ">" };
    let of_these = |number: String| if one.has_others_cost() { "-".into() } else { format!("{at_least}{number}") };
    let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
    let mut row = vec![one.chosen.name.clone(), one.type_name()];
    row.extend(rates(all));
    row.extend([
        share(all.language_agreement),
        all.loops.count.to_string(),
        all.missing.count.to_string(),
        all.rtf.map_or("-".into(), |rtf| format!("{rtf:.4}")),
        of_these(format!("{:.1}", one.cost.user_seconds)),
        of_these(megabytes(one.cost.peak_bytes)),
        megabytes(one.model.file_bytes),
    ]);
    row
}

/// Files, WER, CER and the kinds of errors.
fn rates(group: &Group) -> [String; 4] {
    let files = match group.failed {
        0 => group.files.to_string(),
        failed => format!("{} ({failed} failed)", group.files),
    };
    // Where nothing is counted by word, the interval belongs to the characters.
    let characters = match (&group.words, &group.characters) {
        (None, Some(score)) => rate(score),
        _ => group.cer.map_or("-".into(), percent),
    };
    let kinds = group.words.or(group.characters).map_or("-".into(), |score| {
        format!("{}/{}/{}", score.errors.substitutions, score.errors.insertions, score.errors.deletions)
    });
    [files, group.words.as_ref().map_or("-".into(), rate), characters, kinds]
}

fn rate(score: &Score) -> String {
    match (score.rate, score.interval) {
        (None, _) => "-".into(),
        (Some(rate), None) => percent(rate),
        (Some(rate), Some(interval)) => {
            format!("{} [{}-{}]", percent(rate), percent(interval.low), percent(interval.high))
        }
    }
}

fn percent(rate: f64) -> String {
    format!("{:.2}", 100.0 * rate)
}

fn share(share: Share) -> String {
    share.rate().map_or("-".into(), |rate| format!("{:.1} %", 100.0 * rate))
}

/// One line: how a model differs from the first.
fn difference(first: &Measured, one: &Measured) -> String {
    let comparison = compare(&first.results, &one.results);
    let points = |name: &str, difference: Option<Difference>| {
        let Difference { points, low, high } = difference?;
        Some(format!("{points:+.2} points of {name} [{low:+.2} to {high:+.2}]"))
    };
    let parts: Vec<String> =
        [points("WER", comparison.words), points("CER", comparison.characters)].into_iter().flatten().collect();
    let parts = if parts.is_empty() { "too few recordings to tell".to_owned() } else { parts.join(", ") };
    format!(
        "{} against {}: {parts}; {} of {} texts alike\n",
        one.chosen.name, first.chosen.name, comparison.same_text.count, comparison.same_text.of
    )
}

/// The rates by language, where the manifest names more than one.
fn languages(measured: &[Measured]) -> String {
    let codes: BTreeSet<&String> = measured.iter().flat_map(|one| one.summary.languages.keys()).collect();
    if codes.len() < 2 {
        return String::new();
    }
    let mut rows = vec![["language", "model", "files", "WER %", "CER %", "S/I/D"].map(str::to_owned).to_vec()];
    for code in codes {
        for one in measured {
            if let Some(group) = one.summary.languages.get(code) {
                let mut row = vec![code.clone(), one.chosen.name.clone()];
                row.extend(rates(group));
                rows.push(row);
            }
        }
    }
    format!("\n{}", fitted(&rows, 2, columns_of_terminal()))
}

/// Columns as wide as their widest cell: the first `left` to the left, numbers to the right. Columns that do not fit into
/// `width` follow below, after the first column again.
fn fitted(rows: &[Vec<String>], left: usize, width: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width_of).collect();
    let mut blocks: Vec<Vec<usize>> = vec![Vec::new()];
    let mut used = 0;
    for column in 0..columns {
        if used + widths[column] > width && blocks.last().is_some_and(|block| block.len() > 1) {
            blocks.push(vec![0]);
            used = widths[0] + 2;
        }
        used += widths[column] + 2;
        if let Some(block) = blocks.last_mut() {
            block.push(column);
        }
    }
    blocks.iter().map(|block| aligned(rows, left, &widths, block)).collect::<Vec<_>>().join("\n")
}

/// Some columns of a table.
fn aligned(rows: &[Vec<String>], left: usize, widths: &[usize], columns: &[usize]) -> String {
    let mut text = String::new();
    for row in rows {
        let cells = columns.iter().filter_map(|column| Some((*column, row.get(*column)?)));
        let cells = cells.map(|(column, cell)| {
            let space = " ".repeat(widths[column] - cell.width());
            if column < left { format!("{cell}{space}") } else { format!("{space}{cell}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Columns of the terminal; 80 where standard output is none.
fn columns_of_terminal() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(80, |(width, _)| width.0.into())
}

#[cfg(test)]
mod tests {
    use super::fitted;

    #[test]
    fn columns_are_aligned_by_what_is_seen_and_follow_below_where_they_do_not_fit() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["name", "x", "files"]), row(["模型", "long", "7"])];
        assert_eq!(fitted(&rows, 2, 80), "name  x     files\n模型  long      7\n");
        assert_eq!(fitted(&rows, 2, 17), fitted(&rows, 2, 80));
        assert_eq!(fitted(&rows, 2, 16), "name  x\n模型  long\n\nname  files\n模型      7\n");
        // A column that is too wide alone is still shown.
        assert_eq!(fitted(&rows, 2, 3), fitted(&rows, 2, 10));
    }
}
