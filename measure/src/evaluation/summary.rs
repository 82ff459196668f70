//! Many results in a few numbers, and two lists of results against each other.

use super::FileResult;
use crate::scoring::{Bootstrap, Difference, Distance, Errors, Interval, Unit, interval, paired};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Errors over files, the rate and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Recordings with a truth.
    pub files: usize,
    /// Errors over all of them.
    pub errors: Errors,
    /// Errors per unit of the truth; `None` when nobody says anything.
    pub rate: Option<f64>,
    /// 95 %, over files; `None` for fewer than two files with a truth.
    pub interval: Option<Interval>,
}

/// How many of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Share {
    /// How many.
    pub count: usize,
    /// Of how many.
    pub of: usize,
}

impl Share {
    /// `None` of none.
    pub fn rate(&self) -> Option<f64> {
        (self.of > 0).then(|| self.count as f64 / self.of as f64)
    }
}

/// The results of some recordings together. Recordings that failed count in `files` and `failed` only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Group {
    /// Recordings.
    pub files: usize,
    /// Could not be read, or the model gave no numbers.
    pub failed: usize,
    /// Of all recordings that were read.
    pub audio_seconds: f64,
    /// Recordings whose errors are counted by word: the rate is the WER.
    pub words: Option<Score>,
    /// Recordings whose errors are counted by character, because of their language: the rate is their CER.
    pub characters: Option<Score>,
    /// By character over all recordings with truth.
    pub character_errors: Distance,
    /// `character_errors` as a rate.
    pub cer: Option<f64>,
    /// The model named the language that the manifest names, where both name one.
    pub language_agreement: Share,
    /// Texts in which the model repeated itself.
    pub loops: Share,
    /// No word where words were said.
    pub missing: Share,
    /// Words where nothing was said.
    pub invented: Share,
    /// Texts cut by the limit of new tokens.
    pub incomplete: Share,
    /// Tokens generated.
    pub new_tokens: usize,
    /// From opening each recording to its text, summed.
    pub wall_seconds: f64,
    /// Wall time by audio time: smaller is better. `None` without audio.
    pub rtf: Option<f64>,
}

/// All results, and the same by language and by category where the manifest names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// All recordings.
    pub all: Group,
    /// By code.
    pub languages: BTreeMap<String, Group>,
    /// By name.
    pub categories: BTreeMap<String, Group>,
}

impl Summary {
    /// Of these results.
    pub fn new(results: &[FileResult]) -> Self {
        Self {
            all: Group::new(results),
            languages: by_name(results, |result| result.language_expected.as_ref()),
            categories: by_name(results, |result| result.category.as_ref()),
        }
    }
}

fn by_name<'a>(
    results: &'a [FileResult],
    name: impl Fn(&'a FileResult) -> Option<&'a String>,
) -> BTreeMap<String, Group> {
    let mut groups: BTreeMap<String, Vec<&FileResult>> = BTreeMap::new();
    for result in results {
        if let Some(name) = name(result) {
            groups.entry(name.clone()).or_default().push(result);
        }
    }
    groups.into_iter().map(|(name, results)| (name, Group::new(results))).collect()
}

impl Group {
    /// Of these results.
    pub fn new<'a>(results: impl IntoIterator<Item = &'a FileResult>) -> Self {
        let results: Vec<&FileResult> = results.into_iter().collect();
        let read: Vec<&FileResult> = results.iter().copied().filter(|result| result.failure.is_none()).collect();
        let share = |of: &dyn Fn(&FileResult) -> bool, counts: &dyn Fn(&FileResult) -> bool| {
            let of: Vec<_> = read.iter().filter(|result| of(result)).collect();
            Share { count: of.iter().filter(|result| counts(result)).count(), of: of.len() }
        };
        let says = |result: &FileResult, words: bool| {
            result.character_errors.is_some_and(|errors| (errors.reference > 0) == words)
        };
        let names_both = |result: &FileResult| result.language_expected.is_some() && result.language_heard.is_some();
        let character_errors: Distance = read.iter().filter_map(|result| result.character_errors).sum();
        let audio_seconds: f64 = read.iter().map(|result| result.seconds).sum();
        let wall_seconds = read.iter().map(|result| result.times.wall_ms).sum::<f64>() / 1000.0;
        Self {
            files: results.len(),
            failed: results.len() - read.len(),
            audio_seconds,
            words: Score::new(&read, Unit::Words),
            characters: Score::new(&read, Unit::Characters),
            character_errors,
            cer: character_errors.rate(),
            language_agreement: share(&names_both, &|result| result.language_expected == result.language_heard),
            loops: share(&|_| true, &|result| result.is_loop),
            missing: share(&|result| says(result, true), &|result| result.is_missing),
            invented: share(&|result| says(result, false), &|result| result.is_invented),
            incomplete: share(&|_| true, &|result| !result.complete),
            new_tokens: read.iter().map(|result| result.new_tokens).sum(),
            wall_seconds,
            rtf: (audio_seconds > 0.0).then(|| wall_seconds / audio_seconds),
        }
    }
}

impl Score {
    /// Of the recordings that are counted this way; `None` without any.
    fn new(results: &[&FileResult], unit: Unit) -> Option<Self> {
        let counted: Vec<Errors> =
            results.iter().filter(|result| result.unit == unit).filter_map(|result| result.errors).collect();
        let errors: Errors = counted.iter().copied().sum();
        (!counted.is_empty()).then(|| Self {
            files: counted.len(),
            errors,
            rate: errors.rate(),
            interval: interval(&counted, Bootstrap::default()),
        })
    }
}

/// How a second list of results differs from a first, over the recordings that both have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Recordings that both have and that were scored.
    pub files: usize,
    /// In percentage points of WER, over recordings counted by word.
    pub words: Option<Difference>,
    /// In percentage points of CER, over recordings counted by character.
    pub characters: Option<Difference>,
    /// Recordings whose text, made alike, is the same from both.
    pub same_text: Share,
}

/// Compares the results of two systems for the same recordings.
pub fn compare(first: &[FileResult], second: &[FileResult]) -> Comparison {
    let seconds: HashMap<&str, &FileResult> = second.iter().map(|result| (result.file.as_str(), result)).collect();
    let are_alike = |one: &FileResult, other: &FileResult| one.identity == other.identity && one.unit == other.unit;
    let pairs: Vec<(&FileResult, &FileResult)> = first
        .iter()
        .filter_map(|one| seconds.get(one.file.as_str()).map(|other| (one, *other)))
        .filter(|(one, other)| one.failure.is_none() && other.failure.is_none() && are_alike(one, other))
        .collect();
    let difference = |unit: Unit| {
        let counted = pairs.iter().filter(|(one, _)| one.unit == unit);
        let (one, other): (Vec<Errors>, Vec<Errors>) =
            counted.filter_map(|(one, other)| Some((one.errors?, other.errors?))).unzip();
        paired(&one, &other, Bootstrap::default())
    };
    let is_same =
        |one: &FileResult, other: &FileResult| one.normalizer.apply(&one.heard) == other.normalizer.apply(&other.heard);
    Comparison {
        files: pairs.iter().filter(|(one, other)| one.errors.is_some() && other.errors.is_some()).count(),
        words: difference(Unit::Words),
        characters: difference(Unit::Characters),
        same_text: Share { count: pairs.iter().filter(|(one, other)| is_same(one, other)).count(), of: pairs.len() },
    }
}
