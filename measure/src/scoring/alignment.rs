//! Which unit of one text stands for which of the other, at the least number of errors.
//!
//! Among alignments with equally few errors, those with the fewest substitutions count, that is, with most units the
//! same: then the numbers of substitutions, insertions and deletions do not depend on how the search went. Memory grows
//! with the length of the texts, not with their product: what is too large for a table is halved (Hirschberg) until it
//! is not.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What became of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edit {
    /// It was heard.
    Same(String),
    /// Another was heard.
    Substituted {
        /// What was said.
        truth: String,
        /// What was heard.
        heard: String,
    },
    /// It was heard, but not said.
    Inserted(String),
    /// It was said, but not heard.
    Deleted(String),
}

/// Aligns what was heard with the truth: every unit of both, in order.
pub fn align(truth: &[&str], heard: &[&str]) -> Vec<Edit> {
    align_within(truth, heard, TABLE_CELLS)
}

/// Cells up to which a table is used, one byte each.
const TABLE_CELLS: usize = 1 << 20;

/// Cost of an insertion or a deletion; a substitution costs one more. Far more than any text has units.
const ERROR: u64 = 1 << 32;
const SUBSTITUTION: u64 = ERROR + 1;

pub(super) fn align_within(truth: &[&str], heard: &[&str], table_cells: usize) -> Vec<Edit> {
    // Numbers compare faster than words.
    let mut numbers = HashMap::new();
    let mut number = |unit| {
        let next = numbers.len();
        *numbers.entry(unit).or_insert(next)
    };
    let truth_numbers: Vec<usize> = truth.iter().map(|unit| number(*unit)).collect();
    let heard_numbers: Vec<usize> = heard.iter().map(|unit| number(*unit)).collect();
    let mut steps = Vec::with_capacity(truth.len().max(heard.len()));
    search(&truth_numbers, &heard_numbers, table_cells.max(4), &mut steps);

    let (mut truth, mut heard) = (truth.iter(), heard.iter());
    let mut take_truth = || truth.next().map_or(String::new(), |unit| (*unit).to_owned());
    let mut take_heard = || heard.next().map_or(String::new(), |unit| (*unit).to_owned());
    let mut edits = Vec::with_capacity(steps.len());
    for step in steps {
        edits.push(match step {
            Step::Both => {
                let (truth, heard) = (take_truth(), take_heard());
                if truth == heard { Edit::Same(truth) } else { Edit::Substituted { truth, heard } }
            }
            Step::Truth => Edit::Deleted(take_truth()),
            Step::Heard => Edit::Inserted(take_heard()),
        });
    }
    edits
}

/// Which of the two texts a step goes on in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Both,
    Truth,
    Heard,
}

/// Appends the steps of a cheapest alignment.
fn search(truth: &[usize], heard: &[usize], table_cells: usize, steps: &mut Vec<Step>) {
    let same_start = truth.iter().zip(heard).take_while(|(one, other)| one == other).count();
    steps.extend(std::iter::repeat_n(Step::Both, same_start));
    let (truth, heard) = (&truth[same_start..], &heard[same_start..]);
    let cells = (truth.len() + 1).saturating_mul(heard.len() + 1);
    if truth.is_empty() || heard.is_empty() {
        steps.extend(truth.iter().map(|_| Step::Truth));
        steps.extend(heard.iter().map(|_| Step::Heard));
    } else if truth.len() == 1 || cells <= table_cells {
        search_table(truth, heard, steps);
    } else {
        let middle = truth.len() / 2;
        let before = costs(truth[..middle].iter(), heard.len(), || heard.iter());
        let after = costs(truth[middle..].iter().rev(), heard.len(), || heard.iter().rev());
        let through = |at: &usize| before[*at] + after[heard.len() - at];
        let at = (0..=heard.len()).min_by_key(through).unwrap_or(0);
        search(&truth[..middle], &heard[..at], table_cells, steps);
        search(&truth[middle..], &heard[at..], table_cells, steps);
    }
}

/// The cost of aligning all of `truth` with the first 0, 1, 2, … units of what was heard.
fn costs<'a, H: Iterator<Item = &'a usize>>(
    truth: impl Iterator<Item = &'a usize>,
    heard_length: usize,
    heard: impl Fn() -> H,
) -> Vec<u64> {
    let mut row: Vec<u64> = (0..=heard_length as u64).map(|count| count * ERROR).collect();
    for said in truth {
        let mut diagonal = row[0];
        row[0] += ERROR;
        for (at, unit) in heard().enumerate() {
            let both = diagonal + if said == unit { 0 } else { SUBSTITUTION };
            diagonal = row[at + 1];
            row[at + 1] = both.min(diagonal + ERROR).min(row[at] + ERROR);
        }
    }
    row
}

/// The same with a table of where every cell's cost came from.
fn search_table(truth: &[usize], heard: &[usize], steps: &mut Vec<Step>) {
    let width = heard.len() + 1;
    let mut table = vec![Step::Heard; (truth.len() + 1) * width];
    let mut row: Vec<u64> = (0..width as u64).map(|count| count * ERROR).collect();
    for (line, said) in truth.iter().enumerate() {
        let cells = &mut table[(line + 1) * width..(line + 2) * width];
        let mut diagonal = row[0];
        row[0] += ERROR;
        cells[0] = Step::Truth;
        for (at, unit) in heard.iter().enumerate() {
            let both = diagonal + if said == unit { 0 } else { SUBSTITUTION };
            let (deleted, inserted) = (row[at + 1] + ERROR, row[at] + ERROR);
            diagonal = row[at + 1];
            row[at + 1] = both.min(deleted).min(inserted);
            cells[at + 1] = match row[at + 1] {
                cost if cost == both => Step::Both,
                cost if cost == deleted => Step::Truth,
                _ => Step::Heard,
            };
        }
    }
    let (mut line, mut at, start) = (truth.len(), heard.len(), steps.len());
    while line > 0 || at > 0 {
        let step = table[line * width + at];
        line -= usize::from(step != Step::Heard);
        at -= usize::from(step != Step::Truth);
        steps.push(step);
    }
    steps[start..].reverse();
}

#[cfg(test)]
mod tests {
    use super::super::{Bootstrap, Errors};
    use super::*;

    #[test]
    fn halving_gives_the_same_counts_as_one_table() {
        let mut random = qasr_convert::random::Random::new(Bootstrap::default().seed);
        for round in 0..400 {
            let mut text =
                |length: usize| -> Vec<&str> { (0..length).map(|_| ["a", "b", "c", "d"][random.below(4)]).collect() };
            let (truth, heard) = (text(60), text(55));
            let (truth, heard) = (&truth[..truth.len() - round % 50], &heard[..heard.len() - round % 37]);
            let whole = align_within(truth, heard, usize::MAX);
            let in_parts = align_within(truth, heard, 16);
            assert_eq!(Errors::count(&whole), Errors::count(&in_parts), "{truth:?} {heard:?}");
        }
    }
}
