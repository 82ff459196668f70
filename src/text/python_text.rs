//! Python's idea of white space and of lines, where it is wider than Rust's: the official package parses with it.

/// The characters that Python's `str.strip()` removes: Unicode white space and the four ASCII separators 1C..1F.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1C}'..='\u{1F}')
}

/// `str.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.splitlines()`, except that "\r\n" gives an empty line between: callers skip empty lines.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character| matches!(character, '\n'..='\r' | '\u{1C}'..='\u{1E}' | '\u{85}' | '\u{2028}' | '\u{2029}'))
}

/// First character in upper case, the rest in lower case, after stripping: how the model's own language names are
/// written.
pub(super) fn capitalize(text: &str) -> String {
    let text = strip(text);
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters.as_str().to_lowercase().chars()).collect(),
        None => String::new(),
    }
}
