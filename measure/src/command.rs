//! Commands as lists of words: split as a shell does, with places to fill in, quoted for a report. No shell runs them: its
//! start would be timed with the work.

/// The names in braces in a word, as far as they could be those of places: small letters and hyphens.
pub fn places(word: &str) -> impl Iterator<Item = &str> {
    word.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name)).filter(|name| is_place(name))
}

fn is_place(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
}

/// The first place in these words that is none of `known`, as an error that names it and them.
///
/// # Errors
/// That sentence.
pub fn check_places(words: &[String], known: &[&str]) -> Result<(), String> {
    match words.iter().flat_map(|word| places(word)).find(|place| !known.contains(place)) {
        None => Ok(()),
        Some(place) => {
            let known: Vec<String> = known.iter().map(|place| format!("{{{place}}}")).collect();
            Err(format!("`{{{place}}}` is not known: {} are filled in", known.join(", ")))
        }
    }
}

/// The word with each place filled where `value` has something for it. Values are not looked through again, and braces
/// around anything else stay.
pub fn fill(word: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let (mut filled, mut rest) = (String::new(), word);
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let place = after.split_once('}').filter(|(name, _)| is_place(name));
        match place.and_then(|(name, behind)| value(name).map(|value| (value, behind))) {
            Some((value, behind)) => {
                filled.push_str(&value);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
}

/// The words of a typed command, as a shell makes them.
///
/// # Errors
/// A sentence: no program, a quote without end, or a letter outside of quotes that only means something to a shell.
pub fn split(typed: &str) -> Result<Vec<String>, String> {
    if let Some(letter) = outside_of_quotes(typed).find(|letter| "|&;<>()`$#".contains(*letter)) {
        return Err(format!("`{letter}` means something to a shell, but none runs it: quote it, or write sh -c '…'"));
    }
    shlex::split(typed).ok_or_else(|| "a quote or a backslash in it has no end".to_owned())
}

/// The letters that a shell would interpret.
fn outside_of_quotes(typed: &str) -> impl Iterator<Item = char> {
    let mut quote = None;
    let mut is_escaped = false;
    typed.chars().filter(move |letter| {
        let is_plain = quote.is_none() && !is_escaped;
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if quote != Some('\'') => is_escaped = true,
            '\'' | '"' if quote.is_none() => quote = Some(*letter),
            letter if quote == Some(*letter) => quote = None,
            _ => {}
        }
        is_plain
    })
}

/// The command as one would type it in a shell.
pub fn quote<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    // A NUL, which is the only letter that cannot be quoted, cannot be in a command's word either.
    shlex::Quoter::new().allow_nul(true).join(words).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(typed: &str) -> Vec<String> {
        split(typed).unwrap()
    }

    #[test]
    fn words_are_those_a_shell_would_make_and_quoting_is_undone() {
        assert_eq!(words("  a  b\tc\n"), ["a", "b", "c"]);
        assert_eq!(words(r#"'a b' "c d" e\ f a'b'"c"d '' """#), ["a b", "c d", "e f", "abcd", "", ""]);
        assert_eq!(words(r#"'\n$' "\"\\\$" \'\""#), [r"\n$", r#""\$"#, r#"'""#]);
        assert_eq!(words("'a | b' \\> \"&\""), ["a | b", ">", "&"]);
        let all = ["a b", "it's", "", "plain/x.wav", "{audio}", "\"", "Ölpumpe", "a\\b", "$HOME"];
        assert_eq!(words(&quote(all)), all);
        assert_eq!(quote(["target/release/qasr", "-t", "2"]), "target/release/qasr -t 2");
    }

    #[test]
    fn what_has_no_end_or_needs_a_shell_is_refused() {
        for typed in ["'a", "\"a", "\"a\\", "a\\", "a | b", "a > b", "a; b", "a & b", "$HOME", "`a`", "(a)", "a #b"] {
            assert!(split(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn places_are_filled_once_and_braces_of_other_meaning_stay() {
        let value = |place: &str| (place != "other").then(|| format!("<{{{place}}}>"));
        let filled = |word: &str| fill(word, &value);
        assert_eq!(filled("--in={file},{max-new-tokens}x"), "--in=<{file}>,<{max-new-tokens}>x");
        for word in ["{\"a\": {}}", "{FILE}", "{", "{}", "${HOME}", "{-}", "{other}"] {
            assert_eq!(filled(word), word);
        }
        let known = |word: &str| check_places(&[word.to_owned()], &["file", "threads"]);
        assert!(known("{file}{FILE}{threads}").is_ok());
        assert_eq!(known("a={flie}").unwrap_err(), "`{flie}` is not known: {file}, {threads} are filled in");
    }
}
