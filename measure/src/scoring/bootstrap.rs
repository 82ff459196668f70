//! How sure one can be of an error rate: the files are drawn again and again, with repeats, and the rate of every draw
//! is noted. Files are drawn, not words, because errors in one recording are not independent of each other.

use super::Errors;
use qasr_convert::random::Random;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// How to draw. The same seed gives the same interval, on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap {
    /// How often.
    pub resamples: usize,
    /// Where the random numbers start.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 10_000, seed: 0x51A5_12ED }
    }
}

/// Where an error rate lies with 95 % confidence (percentiles 2.5 and 97.5). Rates, not percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How much the second of two systems differs from the first, in percentage points: positive is worse.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The difference itself.
    pub points: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Fewest recordings on which two systems are compared. On five, one of two equal systems is ahead on all of them in 6 %
/// of cases (sign test), which is more than the 5 % of an interval.
pub const FEWEST_RECORDINGS: usize = 6;

impl Difference {
    /// Whether the second system makes fewer errors (`Less`) or more (`Greater`) on so many recordings; `Equal` where no
    /// difference can be told, `None` with fewer than [`FEWEST_RECORDINGS`].
    pub fn verdict(&self, recordings: usize) -> Option<Ordering> {
        (recordings >= FEWEST_RECORDINGS).then_some(match () {
            () if self.high < 0.0 => Ordering::Less,
            () if self.low > 0.0 => Ordering::Greater,
            () => Ordering::Equal,
        })
    }
}

/// The interval of the error rate over files, one value of `files` for each. `None` with fewer than two files that have
/// anything in their truth: one recording says nothing about how recordings differ. Draws without any truth are left
/// out.
pub fn interval(files: &[Errors], bootstrap: Bootstrap) -> Option<Interval> {
    if files.iter().filter(|file| file.reference > 0).count() < 2 {
        return None;
    }
    let rate = |draw: &[usize]| draw.iter().map(|at| files[*at]).sum::<Errors>().rate();
    let (low, high) = percentiles(files.len(), bootstrap, rate)?;
    Some(Interval { low, high })
}

/// How `second` differs from `first` on the same files in the same order, drawn together: what makes a file hard for
/// both does not widen the interval. `None` for lists of different length, and where [`interval`] gives none.
pub fn paired(first: &[Errors], second: &[Errors], bootstrap: Bootstrap) -> Option<Difference> {
    let both = first.iter().zip(second).filter(|(one, other)| one.reference > 0 && other.reference > 0);
    if first.len() != second.len() || both.count() < 2 {
        return None;
    }
    let points = |one: Errors, other: Errors| Some(100.0 * (other.rate()? - one.rate()?));
    let of = |draw: &[usize]| points(draw.iter().map(|at| first[*at]).sum(), draw.iter().map(|at| second[*at]).sum());
    let (low, high) = percentiles(first.len(), bootstrap, of)?;
    Some(Difference { points: points(first.iter().copied().sum(), second.iter().copied().sum())?, low, high })
}

/// The interval of a mean over files that count by weight: `files` has a sum and a weight for each. `None` with fewer
/// than two files of any weight.
pub fn mean_interval(files: &[(f64, f64)], bootstrap: Bootstrap) -> Option<Interval> {
    if files.iter().filter(|(_, weight)| *weight > 0.0).count() < 2 {
        return None;
    }
    let mean = |draw: &[usize]| {
        let (sum, weight) = draw.iter().fold((0.0, 0.0), |(s, w), at| (s + files[*at].0, w + files[*at].1));
        (weight > 0.0).then(|| sum / weight)
    };
    let (low, high) = percentiles(files.len(), bootstrap, mean)?;
    Some(Interval { low, high })
}

/// Percentiles 2.5 and 97.5 of a value over draws of `files` places.
fn percentiles(files: usize, bootstrap: Bootstrap, value: impl Fn(&[usize]) -> Option<f64>) -> Option<(f64, f64)> {
    let mut random = Random::new(bootstrap.seed);
    let mut draw = vec![0; files];
    let mut values = Vec::with_capacity(bootstrap.resamples);
    for _ in 0..bootstrap.resamples {
        draw.iter_mut().for_each(|at| *at = random.below(files));
        values.extend(value(&draw));
    }
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |fraction: f64| values[(fraction * last as f64).round() as usize];
    Some((at(0.025), at(0.975)))
}
