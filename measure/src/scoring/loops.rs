//! A model that is caught in a loop says one phrase over and over. People repeat themselves too, so the truth, where it
//! is known, is asked first.

use super::{Normalizer, Unit};

/// A cycle has to come this many times in a row.
const FEWEST_REPEATS: usize = 4;

/// And be this many units longer in all than any cycle of the truth.
const FEWEST_UNITS: usize = 8;

/// Whether the text holds a phrase, of 1 to 8 words or 1 to 24 characters, that stands at least four times in a row and
/// is by eight units longer, with its repeats, than anything that repeats in the truth. Case and punctuation do not
/// count. Without a truth, eight times the same word is a loop.
pub fn is_loop(heard: &str, truth: Option<&str>, unit: Unit) -> bool {
    let cycle = |text: &str, fewest_repeats| {
        let text = Normalizer::Basic.apply(text);
        longest_cycle(&unit.split(&text), longest_phrase(unit), fewest_repeats)
    };
    let said = truth.map_or(0, |truth| cycle(truth, 2));
    cycle(heard, FEWEST_REPEATS) >= said + FEWEST_UNITS
}

fn longest_phrase(unit: Unit) -> usize {
    match unit {
        Unit::Words => 8,
        Unit::Characters => 24,
    }
}

/// Units in the longest stretch that is one phrase, `fewest_repeats` times or more; 0 without one.
fn longest_cycle(units: &[&str], longest_phrase: usize, fewest_repeats: usize) -> usize {
    let mut longest = 0;
    for phrase in 1..=longest_phrase.min(units.len()) {
        let mut equal = 0;
        for (one, next) in units.iter().zip(&units[phrase..]) {
            equal = if one == next { equal + 1 } else { 0 };
            let repeats = equal / phrase + 1;
            if repeats >= fewest_repeats {
                longest = longest.max(repeats * phrase);
            }
        }
    }
    longest
}
