//! Putting the texts of neighbouring segments together, as their script writes words.

/// Appends `next` to `text`, with a space between where both sides are written with spaces between words. Nothing is
/// put between characters of scripts without them (Chinese, Japanese, Thai, ...), before closing punctuation, or where
/// there is white space already.
pub fn append(text: &mut String, next: &str) {
    if let (Some(before), Some(after)) = (text.chars().next_back(), next.chars().next())
        && needs_space(before)
        && needs_space(after)
        && !".,;:!?%)]}".contains(after)
    {
        text.push(' ');
    }
    text.push_str(next);
}

/// Whether a word that ends or begins with this character is set off by a space.
fn needs_space(character: char) -> bool {
    !character.is_whitespace() && !is_written_without_spaces(character)
}

/// Scripts that put no spaces between words, and the full-width punctuation that goes with them. Korean has spaces.
pub fn is_written_without_spaces(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0EFF      // Thai, Lao
        | 0x1000..=0x109F    // Burmese
        | 0x1780..=0x17FF    // Khmer
        | 0x2E80..=0x312F    // CJK radicals and punctuation, Hiragana, Katakana, Bopomofo
        | 0x3190..=0x9FFF    // CJK marks and ideographs
        | 0xF900..=0xFAFF    // CJK compatibility ideographs
        | 0xFF00..=0xFF9F    // full-width forms, half-width Katakana
        | 0x20000..=0x3FFFF) // CJK extensions
}

#[cfg(test)]
mod tests {
    use super::append;

    fn joined(parts: &[&str]) -> String {
        parts.iter().fold(String::new(), |mut text, part| {
            append(&mut text, part);
            text
        })
    }

    #[test]
    fn words_do_not_grow_together_and_chinese_is_not_torn_apart() {
        assert_eq!(joined(&["one two", "three"]), "one two three");
        assert_eq!(joined(&["for your country.", "Ask"]), "for your country. Ask");
        assert_eq!(joined(&["今天", "天气"]), "今天天气");
        assert_eq!(joined(&["今天。", "Today"]), "今天。Today");
        assert_eq!(joined(&["Today", "今天"]), "Today今天");
        assert_eq!(joined(&["오늘", "날씨"]), "오늘 날씨");
        assert_eq!(joined(&["สวัสดี", "ครับ"]), "สวัสดีครับ");
        assert_eq!(joined(&["one", "", "two"]), "one two");
        assert_eq!(joined(&["", "two"]), "two");
        assert_eq!(joined(&["one ", "two"]), "one two");
        assert_eq!(joined(&["one", ", two"]), "one, two");
    }
}
