//! Commands as lists of words: filling placeholders, splitting what was typed, quoting for a report. No shell takes
//! part: its start would be timed with the work, and its rules would be part of the method.

use crate::failure::Failure;

/// Replaces each `{name}` by its value. Values are not looked through again; braces around anything that could not
/// be a name (capitals, spaces, quotes) stay as they are.
pub fn fill(template: &[String], values: &[(&str, String)]) -> Result<Vec<String>, Failure> {
    template.iter().map(|word| fill_word(word, values)).collect()
}

fn fill_word(word: &str, values: &[(&str, String)]) -> Result<String, Failure> {
    let mut filled = String::new();
    let mut rest = word;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        let name = after.split('}').next().unwrap_or_default();
        let is_name =
            name.len() < after.len() && !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        if !is_name {
            filled.push('{');
            rest = after;
            continue;
        }
        let Some((_, value)) = values.iter().find(|(known, _)| *known == name) else {
            let known: Vec<String> = values.iter().map(|(name, _)| format!("{{{name}}}")).collect();
            return Err(Failure::usage(format!(
                "`{word}`: nothing is called {{{name}}}; there are {}",
                known.join(", ")
            )));
        };
        filled.push_str(value);
        rest = &after[name.len() + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Splits a typed command at blanks. Single quotes keep everything, double quotes all but `\"` and `\\`; outside of
/// quotes a backslash keeps the next character.
pub fn split(text: &str) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') if matches!(characters.peek(), Some('"' | '\\')) => {
                word.get_or_insert_default().extend(characters.next())
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(Failure::usage(format!("`{text}` opens {open} and does not close it")));
    }
    words.extend(word);
    if words.is_empty() {
        return Err(Failure::usage("the command after --vs or --vs-version is empty"));
    }
    Ok(words)
}

/// The command as one would type it in a shell.
pub fn quote(words: &[String]) -> String {
    let plain = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "-_./=:,@%+".contains(c));
    let quoted = |word: &String| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| word.to_string()).collect()
    }

    #[test]
    fn placeholders_are_filled_once_and_unknown_ones_refused() {
        let values = [("audio", "{model}".to_owned()), ("max-new-tokens", "8".to_owned())];
        let template = list(&["{max-new-tokens}", "a={audio},{audio}", "{\"json\": 1}", "{", "{}", "${HOME}"]);
        let filled = fill(&template, &values).unwrap();
        assert_eq!(filled, ["8", "a={model},{model}", "{\"json\": 1}", "{", "{}", "${HOME}"]);
        let message = fill(&list(&["{audoi}"]), &values).unwrap_err().to_string();
        assert!(message.contains("{audoi}") && message.contains("{max-new-tokens}"), "{message}");
    }

    #[test]
    fn typed_commands_split_as_in_a_shell() {
        let cases: [(&str, &[&str]); 5] = [
            ("a  b\tc", &["a", "b", "c"]),
            (r#"sh -c 'x "y" \z' ''"#, &["sh", "-c", r#"x "y" \z"#, ""]),
            (r#"a"b c"d "\"\\\n""#, &["ab cd", r#""\\n"#]),
            (r"two\ words", &["two words"]),
            (" lone ", &["lone"]),
        ];
        for (text, words) in cases {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        assert!(split("a 'b").unwrap_err().to_string().contains("does not close"));
        assert!(split("  ").is_err());
    }

    #[test]
    fn quoting_is_undone_by_splitting() {
        let words = list(&["a b", "it's", "", "plain/x.wav", "{audio}", "\"", "Ölpumpe", "a\\b"]);
        assert_eq!(split(&quote(&words)).unwrap(), words);
        assert_eq!(quote(&list(&["target/release/qasr", "-t", "2"])), "target/release/qasr -t 2");
    }
}
