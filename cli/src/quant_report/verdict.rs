//! The sentences that a report begins with: which types make no more errors than the reference, and which is smallest.

use crate::compare::listed;
use qasr_measure::scoring::{Difference, FEWEST_RECORDINGS};
use std::cmp::Ordering;

/// A type beside the reference.
pub struct Standing<'a> {
    pub name: &'a str,
    pub bytes: u64,
    /// Whether it makes more errors than the reference (`Greater`) or fewer; `Equal` where no difference can be told,
    /// `None` where there are too few recordings.
    pub verdict: Option<Ordering>,
    /// By how much, by word, by character or both.
    pub points: Vec<Difference>,
    /// Mean divergence per token from the reference, in nats.
    pub kl: f64,
    /// Share of tokens for which it finds another one the most likely.
    pub flip_rate: f64,
}

impl Standing<'_> {
    /// Whether it makes no more errors than the reference, as far as can be told.
    fn is_as_good(&self) -> bool {
        matches!(self.verdict, Some(Ordering::Equal | Ordering::Less))
    }
}

/// The smallest of those that make no more errors than the reference, as far as can be told.
pub fn smallest<'s, 'a>(standings: &'s [Standing<'a>]) -> Option<&'s Standing<'a>> {
    standings.iter().filter(|one| one.is_as_good()).min_by_key(|one| one.bytes)
}

/// The conclusions. `measured_on` says how many recordings and words the errors are of, and the number of
/// words, or characters where those are fewer; `None` where no truth is known.
pub fn sentences(standings: &[Standing<'_>], reference_bytes: u64, measured_on: Option<(&str, usize)>) -> Vec<String> {
    let mut sentences = Vec::new();
    match measured_on {
        None => sentences.push("No errors can be counted: no recording says what is said in it.".to_owned()),
        Some((on, words)) => sentences.extend(about_errors(standings, reference_bytes, on, words)),
    }
    let by_kl = |a: &&Standing, b: &&Standing| a.kl.total_cmp(&b.kl);
    if let (Some(nearest), Some(furthest)) = (standings.iter().min_by(by_kl), standings.iter().max_by(by_kl))
        && nearest.kl < furthest.kl
    {
        let [nearest, furthest] = [nearest, furthest]
            .map(|one| (one.name, format!("{:.3}·10⁻³ nats, {:.2} %", 1e3 * one.kl, 100.0 * one.flip_rate)));
        sentences.push(format!(
            "Token by token, {} is nearest to f16 and {} furthest (KL {} and {} of tokens flipped).",
            nearest.0, furthest.0, nearest.1, furthest.1
        ));
    }
    sentences
}

fn about_errors(standings: &[Standing<'_>], reference_bytes: u64, on: &str, words: usize) -> Vec<String> {
    let points = |one: &Standing| {
        let points: Vec<String> = one
            .points
            .iter()
            .map(|one| format!("{:+.1} points [{:.1} to {:.1}]", one.points, one.low, one.high))
            .collect();
        format!("{} ({})", one.name, points.join(", "))
    };
    let worse = standings.iter().filter(|one| one.verdict == Some(Ordering::Greater));
    let worse = listed(&worse.map(points).collect::<Vec<_>>());
    let Some(smallest) = smallest(standings) else {
        return vec![match worse.is_empty() {
            true => {
                format!("No difference in errors can be told {on}: at least {FEWEST_RECORDINGS} recordings are needed.")
            }
            false => format!("Every type makes more errors than f16 {on}: {worse}."),
        }];
    };
    let as_good: Vec<String> = standings.iter().filter(|one| one.is_as_good()).map(|one| one.name.to_owned()).collect();
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let sizes = format!("{:.1} MB instead of {:.1} MB", megabytes(smallest.bytes), megabytes(reference_bytes));
    let which = match as_good.len() {
        1 => format!(" ({sizes})"),
        _ => format!("; the smallest of them is {} ({sizes})", smallest.name),
    };
    let worse = if worse.is_empty() { String::new() } else { format!(" More errors: {worse}.") };
    let mut sentences = vec![format!("{} cannot be told from f16 by errors {on}{which}.{worse}", listed(&as_good))];
    // The rule of three: what did not happen in n words happens in less than 3/n of them, with 95 % confidence. The
    // interval is narrower where all texts are alike, because draws of equal texts are equal.
    let most = smallest.points.iter().map(|one| one.high).fold(300.0 / words.max(1) as f64, f64::max);
    sentences.push(format!(
        "With {} a loss of up to {most:.1} points cannot be excluded; more recordings would narrow this.",
        smallest.name
    ));
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: Option<(&str, usize)> = Some(("on these 8 recordings (61 words)", 61));

    fn standing(name: &'static str, bytes: u64, verdict: Option<Ordering>, low: f64, high: f64) -> Standing<'static> {
        let points = vec![Difference { points: (low + high) / 2.0, low, high }];
        Standing { name, bytes, verdict, points, kl: 1e4 / bytes as f64, flip_rate: 0.01 }
    }

    #[test]
    fn a_tie_names_the_smallest_and_the_loss_that_is_possible() {
        let types = [
            standing("q8_0", 20_000_000, Some(Ordering::Equal), 0.0, 0.0),
            standing("balanced", 15_000_000, Some(Ordering::Equal), -8.2, 5.2),
            standing("q4_0", 11_000_000, Some(Ordering::Greater), 1.0, 14.0),
        ];
        let sentences = sentences(&types, 40_000_000, ON);
        assert_eq!(
            sentences[..2],
            [
                "q8_0 and balanced cannot be told from f16 by errors on these 8 recordings (61 words); the smallest of \
                 them is balanced (15.0 MB instead of 40.0 MB). More errors: q4_0 (+7.5 points [1.0 to 14.0]).",
                "With balanced a loss of up to 5.2 points cannot be excluded; more recordings would narrow this.",
            ]
        );
        assert_eq!(
            sentences[2],
            "Token by token, q8_0 is nearest to f16 and q4_0 furthest (KL 0.500·10⁻³ nats, 1.00 % and 0.909·10⁻³ nats, \
             1.00 % of tokens flipped)."
        );
        assert_eq!(smallest(&types).unwrap().name, "balanced");
    }

    #[test]
    fn one_type_is_enough_for_a_sentence() {
        let sentences = sentences(&[standing("q8_0", 2_000_000, Some(Ordering::Less), -3.0, -1.0)], 4_000_000, ON);
        assert_eq!(
            sentences,
            [
                "q8_0 cannot be told from f16 by errors on these 8 recordings (61 words) (2.0 MB instead of 4.0 MB).",
                "With q8_0 a loss of up to 4.9 points cannot be excluded; more recordings would narrow this.",
            ]
        );
    }

    #[test]
    fn where_every_type_loses_none_is_recommended() {
        let types = [standing("q4_0", 2_000_000, Some(Ordering::Greater), 1.0, 3.0)];
        assert_eq!(
            sentences(&types, 4_000_000, ON),
            [
                "Every type makes more errors than f16 on these 8 recordings (61 words): q4_0 (+2.0 points [1.0 to 3.0])."
            ]
        );
        assert!(smallest(&types).is_none());
    }

    #[test]
    fn few_recordings_and_no_truth_decide_nothing() {
        let types = [standing("q4_0", 2_000_000, None, -1.0, 3.0)];
        let few = sentences(&types, 4_000_000, Some(("on this recording (6 words)", 6)));
        assert_eq!(
            few,
            ["No difference in errors can be told on this recording (6 words): at least 6 recordings are needed."]
        );
        assert!(sentences(&types, 4_000_000, None)[0].starts_with("No errors can be counted"));
    }
}
