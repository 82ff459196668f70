//! The most likely tokens of a row of logits, found inside the graph: [`Arena::choices`].

use crate::custom::{Operation, Share, Source, Target};
use crate::graph::{Arena, Node};
use crate::math::{LANES, Lanes, exp2_lanes};
use crate::{Error, Result};
use std::ops::Range;

/// Pieces of a row that are searched apart. Their number does not depend on that of the threads, so that sums do not either.
const PIECES: usize = 16;
/// Values that say what is in a piece: the first largest, where it is, the next largest, the sum of the exponentials of the
/// distances to the largest.
const PART: usize = 4;
/// Values of a choice.
pub const CHOICE: usize = 5;
/// Indices are told as f32, which holds whole numbers up to here.
const MOST_VALUES: usize = 1 << 24;

impl Arena {
    /// For each row of logits, `[vocabulary, rows]`, five values, `[5, rows]`: the index of the largest logit, the first
    /// among equals; that logit; the next largest, minus infinity where there is none; the natural logarithm of the sum of
    /// the exponentials of all distances to the largest; and the logit of the index that `asked` names for the row. Logits
    /// that are no finite number do not count; where all are such, the largest is minus infinity.
    pub fn choices<'a>(&'a self, logits: Node<'a>, asked: Node<'a>) -> Result<Node<'a>> {
        self.need_f32("choice", logits)?;
        let [vocabulary, rows, ..] = logits.dims();
        let fits = logits.dims() == [vocabulary, rows, 1, 1] && asked.dims() == [rows, 1, 1, 1];
        let bound = self.bound(asked).ok_or_else(|| Error::new("a choice asked for by what are no indices"))?;
        if !fits || bound > vocabulary || vocabulary > MOST_VALUES {
            return Err(Error::new(format!("choices among {:?}, asked for {:?}", logits.dims(), asked.dims())));
        }
        let parts = self.custom(Box::new(Search), [PART * PIECES, rows, 1, 1], &[logits])?;
        self.custom(Box::new(Join), [CHOICE, rows, 1, 1], &[parts, logits, asked])
    }
}

/// A piece of a row.
fn piece(number: usize, vocabulary: usize) -> Range<usize> {
    let length = vocabulary.div_ceil(PIECES).next_multiple_of(LANES);
    (number * length).min(vocabulary)..((number + 1) * length).min(vocabulary)
}

/// Searches the pieces.
struct Search;

impl Operation for Search {
    fn compute(&self, sources: &[Source<'_>], result: &Target<'_>, share: Share) {
        let logits = sources[0].f32();
        let rows = result.len() / (PART * PIECES);
        let vocabulary = logits.len() / rows;
        for task in share.tasks(rows * PIECES) {
            let range = piece(task % PIECES, vocabulary);
            let row = &logits[task / PIECES * vocabulary..][..vocabulary];
            // SAFETY: this piece is this thread's alone.
            let part = unsafe { result.part(task * PART..(task + 1) * PART) };
            part.copy_from_slice(&search(&row[range.clone()], range.start));
        }
    }
}

/// Minus infinity for what is no finite number.
#[inline(always)]
fn counted(logit: f32) -> f32 {
    if logit.is_finite() { logit } else { f32::NEG_INFINITY }
}

/// The largest that counts.
fn largest(logits: &[f32]) -> f32 {
    let (lanes, rest) = logits.as_chunks::<LANES>();
    let mut tops = [f32::NEG_INFINITY; LANES];
    for lanes in lanes {
        for (top, logit) in tops.iter_mut().zip(lanes) {
            let logit = counted(*logit);
            *top = if logit > *top { logit } else { *top };
        }
    }
    tops.iter().copied().chain(rest.iter().map(|logit| counted(*logit))).fold(f32::NEG_INFINITY, f32::max)
}

fn search(logits: &[f32], start: usize) -> [f32; PART] {
    let top = largest(logits);
    let Some(at) = logits.iter().position(|logit| *logit == top).filter(|_| top > f32::NEG_INFINITY) else {
        return [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY, 0.0];
    };
    let second = largest(&logits[..at]).max(largest(&logits[at + 1..]));
    let power = |logit: f32| (counted(logit) - top) * std::f32::consts::LOG2_E;
    let (lanes, rest) = logits.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for lanes in lanes {
        let powers: Lanes = exp2_lanes(std::array::from_fn(|lane| power(lanes[lane])));
        for (sum, power) in sums.iter_mut().zip(powers) {
            *sum += power;
        }
    }
    for (sum, logit) in sums.iter_mut().zip(rest) {
        *sum += exp2_lanes([power(*logit); LANES])[0];
    }
    [top, (start + at) as f32, second, sums.iter().sum()]
}

/// Joins the pieces of each row.
struct Join;

impl Operation for Join {
    fn compute(&self, sources: &[Source<'_>], result: &Target<'_>, share: Share) {
        let (parts, logits, asked) = (sources[0].f32(), sources[1].f32(), sources[2].i32());
        let vocabulary = logits.len() / asked.len();
        for row in share.tasks(asked.len()) {
            let (parts, _) = parts[row * PART * PIECES..][..PART * PIECES].as_chunks::<PART>();
            let [mut top, mut at, mut second] = [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
            for [other, place, next, _] in parts {
                if *other > top {
                    second = top.max(*next);
                    (top, at) = (*other, *place);
                } else {
                    second = second.max(*other);
                }
            }
            let sum: f64 = parts.iter().map(|[other, _, _, sum]| f64::from(*sum) * f64::from(other - top).exp()).sum();
            let own = logits[row * vocabulary + usize::try_from(asked[row]).unwrap_or(0)];
            // SAFETY: this row is this thread's alone.
            let choice = unsafe { result.part(row * CHOICE..(row + 1) * CHOICE) };
            choice.copy_from_slice(&[at, top, second, sum.ln() as f32, own]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Plan, Values};
    use crate::weights::Weights;
    use crate::{Backend, UncheckedFile};
    use std::sync::Arc;

    fn choices(logits: &[f32], vocabulary: usize, asked: &[i32], threads: usize) -> Vec<[f32; CHOICE]> {
        let backend = Arc::new(Backend::cpu(threads).expect("a CPU"));
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), [0; 64]).expect("written");
        let checked = UncheckedFile::new(file.path()).and_then(UncheckedFile::vouch).expect("checked");
        let weights = Arc::new(Weights::map(&checked, &[], &backend, false).expect("mapped"));
        let mut plan = Plan::new(&backend, &weights, 8, |arena, _| {
            let logits = arena.input(&[vocabulary, asked.len()])?;
            let asked = arena.indices(asked.len(), vocabulary)?;
            Ok(vec![arena.choices(logits, asked)?])
        })
        .expect("a plan");
        plan.compute(&[Values::F32(logits), Values::Indices(asked)], None, false).expect("computed");
        let mut found = vec![0.0; CHOICE * asked.len()];
        plan.read(0, &mut found).expect("read");
        found.as_chunks::<CHOICE>().0.to_vec()
    }

    #[test]
    fn the_first_of_the_largest_is_found_and_sums_are_those_of_all() {
        let vocabulary = 5003;
        let mut logits: Vec<f32> = (0..2 * vocabulary).map(|at| ((at * 7919) % 1009) as f32 / 50.0 - 10.0).collect();
        logits[17] = f32::NAN;
        logits[vocabulary + 4000] = 30.5;
        logits[vocabulary + 4321] = 30.5;
        for threads in [1, 2] {
            let found = choices(&logits, vocabulary, &[17, 3], threads);
            for (row, [at, top, second, sum, asked]) in found.into_iter().enumerate() {
                let own = &logits[row * vocabulary..][..vocabulary];
                let best = (0..vocabulary)
                    .filter(|at| own[*at].is_finite())
                    .max_by(|a, b| own[*a].total_cmp(&own[*b]).then(b.cmp(a)));
                assert_eq!(at as usize, best.expect("one"), "row {row}");
                assert_eq!(top, own[at as usize]);
                let rest = own.iter().enumerate().filter(|(other, logit)| *other != at as usize && logit.is_finite());
                assert_eq!(second, rest.map(|(_, logit)| *logit).fold(f32::NEG_INFINITY, f32::max));
                let truth: f64 =
                    own.iter().filter(|logit| logit.is_finite()).map(|logit| f64::from(logit - top).exp()).sum();
                assert!((f64::from(sum) - truth.ln()).abs() < 1e-5, "{sum} {}", truth.ln());
                assert_eq!(asked.to_bits(), own[[17, 3][row]].to_bits());
            }
        }
    }

    #[test]
    fn rows_without_numbers_and_with_one_say_so() {
        let [none] = choices(&[f32::NAN; 40], 40, &[0], 1)[..] else { panic!("one row") };
        assert_eq!(none[1], f32::NEG_INFINITY);
        let mut logits = [f32::NEG_INFINITY; 40];
        logits[33] = -2.0;
        let [one] = choices(&logits, 40, &[33], 1)[..] else { panic!("one row") };
        assert_eq!(one, [33.0, -2.0, f32::NEG_INFINITY, 0.0, -2.0]);
        let [single] = choices(&[4.0], 1, &[0], 1)[..] else { panic!("one row") };
        assert_eq!(single, [0.0, 4.0, f32::NEG_INFINITY, 0.0, 4.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let arena = Arena::new(16).expect("arena");
        let logits = arena.input(&[40, 2]).expect("logits");
        for asked in [arena.indices(3, 40), arena.indices(2, 41), arena.input(&[2])] {
            assert!(arena.choices(logits, asked.expect("an input")).is_err());
        }
        assert!(arena.choices(logits, arena.indices(2, 40).expect("an input")).is_ok());
    }
}
