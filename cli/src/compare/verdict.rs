//! Which engines make fewer errors than others, as far as the recordings can tell.

use super::page::counted;
use qasr_measure::scoring::{Bootstrap, Difference, Errors, FEWEST_RECORDINGS, Unit, interval, paired};
use std::cmp::Ordering;

/// Engines that finished all runs, with the errors of each recording that is counted in one unit. All have the same
/// recordings in the same order.
pub struct Contest<'a> {
    pub unit: Unit,
    pub engines: Vec<(&'a str, Vec<Errors>)>,
}

impl Contest<'_> {
    /// Recordings with something in their truth: the others say nothing about an error rate.
    fn recordings(&self) -> usize {
        self.engines.first().map_or(0, |(_, files)| files.iter().filter(|file| file.reference > 0).count())
    }

    fn total(&self, engine: usize) -> Errors {
        self.engines[engine].1.iter().copied().sum()
    }

    /// How an engine differs from another, and what that means.
    fn difference(&self, from: usize, engine: usize) -> Option<(Difference, Ordering)> {
        let difference = paired(&self.engines[from].1, &self.engines[engine].1, Bootstrap::default())?;
        Some((difference, difference.verdict(self.recordings())?))
    }

    /// The place of every engine: one more than the number of engines that make fewer errors. Engines whose errors
    /// cannot be told from each other can share a place. `None` where there are too few recordings.
    pub fn places(&self) -> Vec<Option<usize>> {
        let is_beaten = |engine: usize, by: usize| {
            self.difference(by, engine).map(|(_, verdict)| usize::from(verdict == Ordering::Greater))
        };
        let all = 0..self.engines.len();
        let place = |engine: usize| {
            let others = all.clone().filter(|other| *other != engine);
            others.map(|by| is_beaten(engine, by)).sum::<Option<usize>>().map(|count| count + 1)
        };
        let is_alone = self.engines.len() < 2;
        all.clone().map(|engine| if is_alone { None } else { place(engine) }).collect()
    }

    /// The conclusions; `None` without engines or without reference texts.
    pub fn sentence(&self) -> Option<String> {
        let mut order: Vec<usize> = (0..self.engines.len()).collect();
        order.sort_by_key(|engine| self.total(*engine).total());
        let (best, others) = order.split_first()?;
        let best_rate = self.total(*best).rate()?;
        let name = |engine: &usize| self.engines[*engine].0.to_owned();
        let unit = match self.unit {
            Unit::Words => "word",
            Unit::Characters => "character",
        };
        let count = self.total(*best).reference;
        let recordings = self.recordings();
        let these = if recordings == 1 { "this recording".into() } else { format!("these {recordings} recordings") };
        let on = format!("on {these} ({})", counted(count, unit));
        if others.is_empty() {
            let known = interval(&self.engines[*best].1, Bootstrap::default());
            let known = known.map(|one| format!(" (95 %: {:.1} to {:.1} %)", 100.0 * one.low, 100.0 * one.high));
            let (name, known) = (name(best), known.unwrap_or_default());
            return Some(format!("{name} makes {:.1} % {unit} errors{known} {on}.", 100.0 * best_rate));
        }
        if recordings < FEWEST_RECORDINGS {
            let errors: Vec<String> =
                order.iter().map(|engine| format!("{} {}", name(engine), self.total(*engine).total())).collect();
            return Some(format!(
                "No difference in errors can be told {on}: at least {FEWEST_RECORDINGS} recordings are needed. \
                 Errors: {}.",
                listed(&errors)
            ));
        }
        let compared: Vec<(&usize, Difference, Ordering)> = others
            .iter()
            .filter_map(|other| self.difference(*other, *best).map(|(points, verdict)| (other, points, verdict)))
            .collect();
        let beaten = compared.iter().filter(|(_, _, verdict)| *verdict == Ordering::Less).map(|(other, one, _)| {
            format!("{} ({:+.1} points [{:.1} to {:.1}])", name(other), one.points, one.low, one.high)
        });
        let beaten: Vec<String> = beaten.collect();
        let equal = compared.iter().filter(|(_, _, verdict)| *verdict != Ordering::Less).map(|(other, ..)| name(other));
        let equal: Vec<String> = std::iter::once(name(best)).chain(equal).collect();
        Some(match (beaten.is_empty(), equal.len()) {
            (true, _) => format!("No difference in errors can be told between {} {on}.", listed(&equal)),
            (false, 1) => format!("{} makes fewer errors than {} {on}.", name(best), listed(&beaten)),
            (false, _) => format!(
                "{} makes fewer errors than {} {on}; no difference can be told between {}.",
                name(best),
                listed(&beaten),
                listed(&equal)
            ),
        })
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Engines by the number of wrong words of ten in each recording.
    fn contest(engines: &[(&'static str, &[usize])]) -> Contest<'static> {
        let errors = |wrong: &usize| Errors { substitutions: *wrong, reference: 10, ..Errors::default() };
        let engines = engines.iter().map(|(name, files)| (*name, files.iter().map(errors).collect()));
        Contest { unit: Unit::Words, engines: engines.collect() }
    }

    #[test]
    fn a_tie_is_a_tie_however_the_rates_are_ordered() {
        let tie = contest(&[("x", &[1, 0, 2, 0, 1, 0]), ("y", &[0, 2, 1, 0, 0, 1]), ("z", &[1, 1, 1, 0, 1, 0])]);
        assert_eq!(tie.places(), [Some(1), Some(1), Some(1)]);
        assert_eq!(
            tie.sentence().unwrap(),
            "No difference in errors can be told between x, y and z on these 6 recordings (60 words)."
        );
    }

    #[test]
    fn who_makes_fewer_errors_is_named_with_the_difference() {
        let won = contest(&[("x", &[5, 4, 6, 5, 5, 6]), ("y", &[1, 0, 1, 0, 1, 1])]);
        assert_eq!(won.places(), [Some(2), Some(1)]);
        let sentence = won.sentence().unwrap();
        assert!(sentence.starts_with("y makes fewer errors than x (-45.0 points ["), "{sentence}");
        assert!(sentence.ends_with("on these 6 recordings (60 words)."), "{sentence}");
        let lost = contest(&[("x", &[1, 0, 1, 0, 1, 1]), ("y", &[5, 4, 6, 5, 5, 6])]);
        assert!(lost.sentence().unwrap().starts_with("x makes fewer errors than y (-45.0 points ["));
    }

    #[test]
    fn some_are_beaten_and_some_are_not() {
        let mixed = contest(&[("x", &[5, 4, 6, 5, 5, 6]), ("y", &[1, 0, 1, 0, 1, 1]), ("z", &[0, 1, 2, 0, 1, 1])]);
        assert_eq!(mixed.places(), [Some(3), Some(1), Some(1)]);
        let sentence = mixed.sentence().unwrap();
        assert!(sentence.starts_with("y makes fewer errors than x ("), "{sentence}");
        assert!(sentence.ends_with("; no difference can be told between y and z."), "{sentence}");
    }

    #[test]
    fn few_recordings_tell_nothing_and_one_engine_is_no_contest() {
        let one = contest(&[("x", &[0]), ("y", &[9])]);
        assert_eq!(one.places(), [None, None]);
        assert_eq!(
            one.sentence().unwrap(),
            "No difference in errors can be told on this recording (10 words): at least 6 recordings are needed. \
             Errors: x 0 and y 9."
        );
        let alone = contest(&[("x", &[1, 0, 1])]);
        assert_eq!(alone.places(), [None]);
        let sentence = alone.sentence().unwrap();
        assert!(sentence.starts_with("x makes 6.7 % word errors (95 %: "), "{sentence}");
        assert!(contest(&[]).sentence().is_none());
    }

    #[test]
    fn recordings_without_words_do_not_count() {
        let silence = Errors { insertions: 3, ..Errors::default() };
        let silent =
            Contest { unit: Unit::Characters, engines: vec![("x", vec![silence; 9]), ("y", vec![silence; 9])] };
        assert_eq!((silent.sentence(), silent.places()), (None, vec![None, None]));
    }
}
