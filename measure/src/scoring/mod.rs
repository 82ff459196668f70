//! How far a text is from the truth: normalising, aligning, counting, and how sure one can be of a count.
//!
//! ```text
//! text ─ Normalizer ─▶ words or characters (Unit) ─ align ─▶ edits ─▶ Errors ─ interval, paired ─▶ how sure
//! ```
//!
//! Nothing here knows a model or a file. A number made here means something only beside the name of its
//! [`Normalizer`] and its [`Unit`].

mod alignment;
mod bootstrap;
mod loops;
mod normalizer;
mod numbers;

pub use alignment::{Edit, align};
pub use bootstrap::{Bootstrap, Difference, FEWEST_RECORDINGS, Interval, interval, mean_interval, paired};
pub use loops::is_loop;
pub use normalizer::Normalizer;

use qasr::text::{Language, joining};
use serde::{Deserialize, Serialize};
use std::iter::Sum;
use std::ops::Add;
use unicode_segmentation::UnicodeSegmentation;

/// The unit that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Words: text between white space.
    Words,
    /// Characters as a reader sees them (graphemes), without white space.
    Characters,
}

impl Unit {
    /// Characters for Chinese, Cantonese, Japanese, Korean and Thai, words for every other language. Where the language
    /// is not known, characters for a truth that is mostly in a script without spaces.
    pub fn choose(language: Option<Language>, truth: &str) -> Self {
        let is_by_character = match language {
            Some(language) => ["zh", "yue", "ja", "ko", "th"].contains(&language.code()),
            None => {
                let letters = truth.chars().filter(|character| character.is_alphabetic());
                let (without, with): (Vec<_>, Vec<_>) =
                    letters.partition(|letter| joining::is_written_without_spaces(*letter));
                without.len() > with.len()
            }
        };
        if is_by_character { Unit::Characters } else { Unit::Words }
    }

    /// The units of a text that is normalised already.
    pub fn split(self, text: &str) -> Vec<&str> {
        match self {
            Unit::Words => text.split_whitespace().collect(),
            Unit::Characters => text.graphemes(true).filter(|unit| !unit.trim().is_empty()).collect(),
        }
    }
}

/// Errors of one text, or of many together, and what they are counted against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Errors {
    /// Units of the truth for which another was heard.
    pub substitutions: usize,
    /// Units heard that the truth does not have.
    pub insertions: usize,
    /// Units of the truth that were not heard.
    pub deletions: usize,
    /// Units of the truth.
    pub reference: usize,
}

impl Errors {
    /// Counts what an alignment holds.
    pub fn count(edits: &[Edit]) -> Self {
        let mut errors = Self::default();
        for edit in edits {
            match edit {
                Edit::Same(_) => errors.reference += 1,
                Edit::Substituted { .. } => {
                    (errors.substitutions, errors.reference) = (errors.substitutions + 1, errors.reference + 1)
                }
                Edit::Deleted(_) => (errors.deletions, errors.reference) = (errors.deletions + 1, errors.reference + 1),
                Edit::Inserted(_) => errors.insertions += 1,
            }
        }
        errors
    }

    /// All three kinds together: the Levenshtein distance.
    pub fn total(&self) -> usize {
        self.substitutions + self.insertions + self.deletions
    }

    /// Errors per unit of the truth; can exceed 1. `None` without a truth to count against.
    pub fn rate(&self) -> Option<f64> {
        (self.reference > 0).then(|| self.total() as f64 / self.reference as f64)
    }
}

impl Add for Errors {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            substitutions: self.substitutions + other.substitutions,
            insertions: self.insertions + other.insertions,
            deletions: self.deletions + other.deletions,
            reference: self.reference + other.reference,
        }
    }
}

impl Sum for Errors {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// A distance whose kinds nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Distance {
    /// Substitutions, insertions and deletions together.
    pub errors: usize,
    /// Units of the truth.
    pub reference: usize,
}

impl Distance {
    /// Errors per unit of the truth. `None` without a truth to count against.
    pub fn rate(&self) -> Option<f64> {
        (self.reference > 0).then(|| self.errors as f64 / self.reference as f64)
    }
}

impl Sum for Distance {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, next| Self {
            errors: sum.errors + next.errors,
            reference: sum.reference + next.reference,
        })
    }
}

/// One text held against its truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scored {
    /// How many errors of which kind.
    pub errors: Errors,
    /// Every unit of both texts, in order.
    pub edits: Vec<Edit>,
}

/// Normalises both texts, aligns them and counts.
pub fn score(truth: &str, heard: &str, normalizer: Normalizer, unit: Unit) -> Scored {
    let (truth, heard) = (normalizer.apply(truth), normalizer.apply(heard));
    let edits = align(&unit.split(&truth), &unit.split(&heard));
    Scored { errors: Errors::count(&edits), edits }
}

/// As [`score`] by character, without the kinds of errors: what a CER is made of.
pub fn character_distance(truth: &str, heard: &str, normalizer: Normalizer) -> Distance {
    let (truth, heard) = (normalizer.apply(truth), normalizer.apply(heard));
    let (truth, heard) = (Unit::Characters.split(&truth), Unit::Characters.split(&heard));
    Distance { errors: strsim::generic_levenshtein(&truth, &heard), reference: truth.len() }
}
