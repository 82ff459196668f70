//! Breaks text into rows of a terminal, so that what has been broken once stays as it is while the text grows.

use std::ops::Range;
use unicode_width::UnicodeWidthChar;

/// Columns that a character takes: 2 for most of East Asia, 0 for marks on the character before.
pub fn columns(letter: char) -> usize {
    letter.width().unwrap_or(0)
}

/// The rows of `text` at `width` columns (at least 1 is assumed), as byte ranges; there is always one. Rows break at
/// spaces, which then belong to no row, around wide characters, and inside words only where a word is longer than a
/// row.
///
/// A break depends on nothing after the character that did not fit: the rows of a text are, but for the last, the
/// first rows of every text that begins with it.
pub fn rows(text: &str, width: usize) -> Vec<Range<usize>> {
    let width = width.max(1);
    let mut rows = Vec::new();
    // The running row: where it begins, its columns, and where it could be broken: end of row, start of the next.
    let (mut start, mut used) = (0, 0);
    let mut chance: Option<(usize, usize)> = None;
    for (at, letter) in text.char_indices() {
        let wide = columns(letter);
        let next = at + letter.len_utf8();
        if letter == ' ' && used + 1 > width {
            rows.push(start..at);
            (start, used, chance) = (next, 0, None);
            continue;
        }
        if wide == 2 && at > start {
            chance = Some((at, at));
        }
        if used + wide > width && at > start {
            let (end, from) = chance.filter(|(end, _)| *end > start).unwrap_or((at, at));
            rows.push(start..end);
            start = from;
            used = text[start..at].chars().map(columns).sum();
            chance = None;
        }
        used += wide;
        if letter == ' ' {
            chance = Some((at, next));
        } else if wide == 2 {
            chance = Some((next, next));
        }
    }
    rows.push(start..text.len());
    rows
}

/// `text` with every control character as a space: a text must not command the terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str, width: usize) -> Vec<&str> {
        rows(text, width).into_iter().map(|row| &text[row]).collect()
    }

    #[test]
    fn rows_break_at_spaces_and_around_wide_characters() {
        assert_eq!(broken("", 10), [""]);
        assert_eq!(broken("one two three", 8), ["one two", "three"]);
        assert_eq!(broken("one two three", 7), ["one two", "three"]);
        assert_eq!(broken("one two three", 6), ["one", "two", "three"]);
        assert_eq!(broken("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(broken("你好世界", 4), ["你好", "世界"]);
        assert_eq!(broken("你好世界", 5), ["你好", "世界"]);
        assert_eq!(broken("abc你好", 4), ["abc", "你好"]);
        assert_eq!(broken("你好abc", 5), ["你好", "abc"]);
        assert_eq!(broken("ab cd你好", 6), ["ab cd", "你好"]);
        assert_eq!(broken("你好", 1), ["你", "好"]);
    }

    #[test]
    fn marks_stay_with_their_letter() {
        assert_eq!(broken("ae\u{301}b", 2), ["ae\u{301}", "b"]);
    }

    #[test]
    fn no_row_is_wider_than_the_terminal_and_no_letter_is_lost() {
        let text = "seven 六 nine go九九九九九九九 extraordinarilylongword e\u{301} 一二 three  four";
        for width in 2..40 {
            let rows = rows(text, width);
            let mut end = 0;
            for row in &rows {
                assert!(text[end..row.start].chars().all(|gap| gap == ' '), "width {width}");
                assert!(text[row.clone()].chars().map(columns).sum::<usize>() <= width, "width {width}");
                end = row.end;
            }
            assert_eq!(end, text.len());
        }
    }

    #[test]
    fn rows_stay_while_the_text_grows() {
        let text = "seven 六 nine go九九九九九九九 extraordinarilylongword e\u{301} 一二 three  four";
        for width in 2..40 {
            let whole = rows(text, width);
            for (end, _) in text.char_indices() {
                let part = rows(&text[..end], width);
                let settled = part.len() - 1;
                assert_eq!(part[..settled], whole[..settled], "width {width}, {:?}", &text[..end]);
            }
        }
    }

    #[test]
    fn control_characters_become_spaces() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{9b}c"), "a [2J b c");
    }
}
