//! What two texts may differ in without an error being counted. Every way has a name, so that a rate can say it.

use super::numbers;
use qasr::text::Language;
use serde::{Deserialize, Serialize};
use std::fmt;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A way to write texts alike before they are compared.
///
/// - `none`: the text as it is.
/// - `basic`: Unicode NFKC, upper and lower case alike, punctuation and symbols taken for white space, apostrophes kept
///   inside words, white space collapsed. Diacritics count, in every script.
/// - `english`: `basic`, then contractions written out (`don't`, `we're`, `it's`, `gonna`), `mr`, `mrs`, `dr` and `ok`
///   as they are spoken, and numbers as single digits: `twenty-one`, `21` and `2 1` are alike, and so are `nineteen
///   eighty-four` and `1984`. Limits: `'s` is `is` after pronouns and the like, and a possessive after every other
///   word; `'d` is always `would`; ordinals, decimals, sums of money, clock times and Roman numbers stay as they are
///   written; British and American spelling differ. A wrong number counts once per digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalizer {
    /// `none`.
    None,
    /// `basic`.
    Basic,
    /// `english`.
    English,
}

impl Normalizer {
    /// Every one there is.
    pub const ALL: [Self; 3] = [Self::None, Self::Basic, Self::English];

    /// The name to be written beside every rate.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "basic",
            Self::English => "english",
        }
    }

    /// The one of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|normalizer| normalizer.name() == name)
    }

    /// `english` for English, `basic` for all others and where the language is not known.
    pub fn for_language(language: Option<Language>) -> Self {
        match language {
            Some(language) if language.code() == "en" => Self::English,
            _ => Self::Basic,
        }
    }

    /// The text as this one writes it.
    pub fn apply(self, text: &str) -> String {
        match self {
            Self::None => text.to_owned(),
            Self::Basic => basic(text),
            Self::English => english(text),
        }
    }
}

impl fmt::Display for Normalizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn basic(text: &str) -> String {
    // The acute accent would become a space with a mark under NFKC, so apostrophes are made alike first.
    let straight = text.chars().map(|letter| if is_apostrophe(letter) { '\'' } else { letter });
    let composed: String = straight.nfkc().collect();
    // By way of upper case, ß and ss become alike; case mapping can decompose letters.
    let letters: Vec<char> =
        composed.to_uppercase().to_lowercase().nfkc().filter(|letter| !is_invisible(*letter)).collect();
    let is_kept = |at: usize| letters.get(at).is_some_and(|letter| is_word_letter(*letter));
    let mut result = String::with_capacity(letters.len());
    for (at, letter) in letters.iter().enumerate() {
        let is_inside = || at > 0 && is_kept(at - 1) && is_kept(at + 1);
        if is_kept(at) || (*letter == '\'' && is_inside()) {
            result.push(*letter);
        } else if !result.is_empty() && !result.ends_with(' ') {
            result.push(' ');
        }
    }
    result.truncate(result.trim_end().len());
    result
}

/// Characters that people and programs use for an apostrophe.
fn is_apostrophe(letter: char) -> bool {
    matches!(
        letter,
        '\'' | '\u{2018}'
            | '\u{2019}'
            | '\u{201B}'
            | '\u{02BC}'
            | '\u{02B9}'
            | '\u{00B4}'
            | '`'
            | '\u{2032}'
            | '\u{FF07}'
    )
}

/// Letters, digits, and the marks that scripts put on them.
fn is_word_letter(letter: char) -> bool {
    letter.is_alphanumeric() || is_combining_mark(letter)
}

/// Soft hyphens, joiners, direction and byte order marks: inside words, and not to be seen. The dot that lower case
/// leaves on the `i` of a Turkish `İ` goes with them.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{00AD}' | '\u{0307}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
}

fn english(text: &str) -> String {
    let text = basic(&text.replace('%', " percent ").replace('&', " and "));
    let mut words = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        write_out(word, &mut words);
    }
    numbers::as_digits(&words)
}

/// Words whose `'s` is `is` (or `has`; the two cannot be distinguished): after others it is a possessive.
const BEFORE_IS: [&str; 11] = ["it", "he", "she", "that", "this", "there", "here", "what", "where", "who", "how"];

/// One word, contractions expanded.
fn write_out<'a>(word: &'a str, words: &mut Vec<&'a str>) {
    let whole: &[&str] = match word {
        "can't" | "cannot" => &["can", "not"],
        "won't" => &["will", "not"],
        "shan't" => &["shall", "not"],
        "ain't" => &["is", "not"],
        "let's" => &["let", "us"],
        "gonna" => &["going", "to"],
        "wanna" => &["want", "to"],
        "gotta" => &["got", "to"],
        "mr" => &["mister"],
        "mrs" => &["missus"],
        "dr" => &["doctor"],
        "ok" => &["okay"],
        _ => &[],
    };
    if !whole.is_empty() {
        words.extend(whole);
        return;
    }
    const ENDINGS: [(&str, &str); 6] =
        [("n't", "not"), ("'re", "are"), ("'ve", "have"), ("'ll", "will"), ("'m", "am"), ("'d", "would")];
    for (ending, meaning) in ENDINGS {
        // The rest may be a contraction itself: `wouldn't've`.
        if let Some(start) = word.strip_suffix(ending).filter(|start| !start.is_empty()) {
            write_out(start, words);
            words.push(meaning);
            return;
        }
    }
    match word.strip_suffix("'s") {
        Some(start) if BEFORE_IS.contains(&start) => words.extend([start, "is"]),
        _ => words.push(word),
    }
}
