//! The words of a line of text, and how a text may be cut between them.

use qasr::text::joining::is_written_without_spaces;
use unicode_linebreak::linebreaks;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A stretch of text that is not cut: a word with its punctuation, a character of a script without spaces, or a part of a
/// word that is longer than a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    pub text: &'a str,
    pub columns: usize,
    pub is_after_space: bool,
    pub end: End,
}

/// How good a place the end of a word is for a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Sentence,
    Clause,
    Word,
    /// It belongs to the next word: `Dr.`, `3.`
    Bound,
    /// The next part belongs to the same word.
    Inside,
}

/// Columns that a text takes: a full-width character has two.
pub fn columns(text: &str) -> usize {
    text.width()
}

pub fn is_wide(letter: char) -> bool {
    letter.width() == Some(2)
}

/// The words of a line. One longer than `longest` is cut into parts; `longest` is in characters or in columns.
pub fn words(text: &str, longest: usize, in_characters: bool) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut is_after_space = false;
    for (at, _) in linebreaks(text) {
        let (before, after) = (text[..at].chars().next_back(), text[at..].chars().next());
        let is_cut = |letter: Option<char>| letter.is_none_or(|letter| letter.is_whitespace() || has_no_spaces(letter));
        // Inside a word with hyphens or slashes a cue would begin with a part of a word.
        if !is_cut(before) && !is_cut(after) {
            continue;
        }
        let whole = &text[start..at];
        let word = whole.trim();
        if !word.is_empty() {
            let next = text[at..].split_whitespace().next().unwrap_or_default();
            push(&mut words, word, is_after_space, end_of(word, next), longest, in_characters);
            is_after_space = false;
        }
        is_after_space |= whole.ends_with(char::is_whitespace);
        start = at;
    }
    words
}

fn has_no_spaces(letter: char) -> bool {
    is_written_without_spaces(letter)
}

/// Adds a word, in parts where it is too long.
fn push<'a>(
    words: &mut Vec<Word<'a>>,
    word: &'a str,
    is_after_space: bool,
    end: End,
    longest: usize,
    in_characters: bool,
) {
    let length = |part: &str| if in_characters { part.chars().count() } else { columns(part) };
    let (mut start, mut is_after_space) = (0, is_after_space);
    let mut add = |part: &'a str, end| {
        words.push(Word { text: part, columns: columns(part), is_after_space, end });
        is_after_space = false;
    };
    if length(word) > longest {
        for (at, grapheme) in word.grapheme_indices(true) {
            if at > start && length(&word[start..at + grapheme.len()]) > longest {
                add(&word[start..at], End::Inside);
                start = at;
            }
        }
    }
    add(&word[start..], end);
}

/// Marks that end a sentence, and a clause.
const SENTENCE: &str = ".!?…。！？｡．؟۔।॥";
const CLAUSE: &str = ",;:，、；：､،؛–—";
/// Marks that may stand after them.
const CLOSING: &str = "\"'”’»›)]}」』）】》〉";
/// Marks that may stand before a word.
const OPENING: &str = "\"'“‘„‚«‹([{¿¡";
/// Words whose point ends no sentence.
const ABBREVIATIONS: [&str; 42] = [
    "dr", "mr", "mrs", "ms", "prof", "st", "sr", "sra", "jr", "mme", "mlle", "vs", "no", "nr", "fig", "vol", "gen",
    "col", "sgt", "capt", "lt", "rev", "hon", "mt", "ca", "approx", "bzw", "str", "hr", "fr", "art", "cf", "dept",
    "ed", "est", "gov", "pp", "sen", "rep", "ing", "dott", "sig",
];

fn end_of(word: &str, next: &str) -> End {
    let bare = word.trim_end_matches(|letter| CLOSING.contains(letter));
    let Some(mark) = bare.chars().next_back() else { return End::Word };
    if CLAUSE.contains(mark) {
        return End::Clause;
    }
    if !SENTENCE.contains(mark) {
        return End::Word;
    }
    if mark != '.' {
        return End::Sentence;
    }
    let stem = bare.trim_end_matches('.').trim_start_matches(|letter| OPENING.contains(letter));
    let is_ordinal = stem.len() <= 2 && !stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit());
    // J. (an initial), z.B., e.g., U.S.
    let is_letters = !stem.is_empty() && stem.split('.').all(|part| part.chars().count() == 1);
    let is_letters = is_letters && stem.chars().all(|letter| letter.is_alphabetic() || letter == '.');
    if is_ordinal || is_letters || ABBREVIATIONS.contains(&stem.to_lowercase().as_str()) {
        return End::Bound;
    }
    let goes_on = next.chars().next().is_some_and(char::is_lowercase);
    if goes_on { End::Word } else { End::Sentence }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<&str> {
        words(text, 42, false).iter().map(|word| word.text).collect()
    }

    fn ends(text: &str) -> Vec<End> {
        words(text, 42, false).iter().map(|word| word.end).collect()
    }

    #[test]
    fn words_keep_their_marks_and_numbers() {
        assert_eq!(parts("He said: \"3.5 per-cent\", no?"), ["He", "said:", "\"3.5", "per-cent\",", "no?"]);
        assert_eq!(parts("今天，天气好。"), ["今", "天，", "天", "气", "好。"]);
        assert_eq!(parts("「はい」と言う"), ["「は", "い」", "と", "言", "う"]);
        assert_eq!(parts("Der Bus kommt"), ["Der", "Bus", "kommt"]);
        assert_eq!(parts(""), Vec::<&str>::new());
    }

    #[test]
    fn a_point_ends_a_sentence_only_where_it_does() {
        use End::{Bound, Clause, Sentence, Word};
        assert_eq!(ends("Dr. Smith came. He left"), [Bound, Word, Sentence, Word, Word]);
        assert_eq!(ends("am 3. Mai, z.B. in Bonn."), [Word, Bound, Clause, Bound, Word, Sentence]);
        assert_eq!(ends("J. F. Kennedy spoke (twice.) So"), [Bound, Bound, Word, Word, Sentence, Word]);
        assert_eq!(ends("it ended in 1984. Then"), [Word, Word, Word, Sentence, Word]);
        assert_eq!(ends("well... maybe"), [Word, Word]);
    }

    #[test]
    fn a_word_longer_than_a_line_is_cut_between_graphemes() {
        let word = "e\u{301}".repeat(50);
        let cut = words(&word, 42, false);
        assert_eq!((cut.len(), cut[0].columns, cut[0].end, cut[1].end), (2, 42, End::Inside, End::Word));
        assert_eq!(cut.iter().map(|word| word.text).collect::<String>(), word);
        assert_eq!(words("abcdef", 4, true).iter().map(|word| word.text).collect::<Vec<_>>(), ["abcd", "ef"]);
    }
}
