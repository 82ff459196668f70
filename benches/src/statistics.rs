//! Smallest, middle and largest of a handful of numbers, and ratios of neighbours. Nothing that pretends to know the
//! distribution: on a shared machine nobody does.

/// The three numbers a report shows. The mean is left out: one disturbed run moves it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Summary {
    /// Of at least one number; the median of an even count is the mean of the middle two.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
        Some(Self { min, median, max })
    }
}

/// `b ÷ a` for each round. `None` where an `a` is zero (CPU times have a resolution of 10 ms) or the counts differ.
pub fn ratios(a: &[f64], b: &[f64]) -> Option<Vec<f64>> {
    (a.len() == b.len() && a.iter().all(|value| *value > 0.0)).then(|| a.iter().zip(b).map(|(a, b)| b / a).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        let of = |values: &[f64]| Summary::of(values).map(|summary| (summary.min, summary.median, summary.max));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some((3.0, 3.0, 3.0)));
        assert_eq!(of(&[9.0, 1.0, 2.0]), Some((1.0, 2.0, 9.0)));
        assert_eq!(of(&[10.0, 1.0, 4.0, 2.0]), Some((1.0, 3.0, 10.0)));
    }

    #[test]
    fn ratios_pair_the_runs_of_a_round() {
        // Both slow down by the same factor in the second round: the ratio does not see it, the medians would.
        assert_eq!(ratios(&[1.0, 10.0], &[2.0, 20.0]), Some(vec![2.0, 2.0]));
        assert_eq!(ratios(&[1.0, 0.0], &[2.0, 2.0]), None);
        assert_eq!(ratios(&[1.0], &[2.0, 2.0]), None);
    }
}
