//! Commands as they are typed: split into words as a shell does, with places to fill in. No shell runs them.

/// The names of the places.
pub const PLACES: [&str; 4] = ["file", "model", "threads", "language"];

/// A command whose places are not filled yet. The first word is the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<String>);

impl Template {
    /// Splits what was typed.
    ///
    /// # Errors
    /// A sentence: no word at all, a quote without end, what only a shell understands, a place that is not known.
    pub fn parse(typed: &str) -> Result<Self, String> {
        let words = split(typed)?;
        if words.first().is_none_or(|program| program.is_empty()) {
            return Err("it names no program".into());
        }
        if let Some(place) = words.iter().flat_map(|word| places(word)).find(|place| !PLACES.contains(place)) {
            let known = PLACES.map(|place| format!("{{{place}}}")).join(", ");
            return Err(format!("`{{{place}}}` is not known: {known} are filled in"));
        }
        Ok(Self(words))
    }

    /// A command whose words are known already. Braces in them are places.
    pub fn from_words(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().collect())
    }

    /// Whether a place stands in it.
    pub fn has(&self, place: &str) -> bool {
        self.0.iter().any(|word| places(word).any(|found| found == place))
    }

    /// The words before anything is filled in.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// The words with each place filled by what belongs there. What is filled in is never looked at again.
    pub fn fill(&self, value: &dyn Fn(&str) -> String) -> Vec<String> {
        // The program is taken as it is: its path may have braces of its own.
        let (program, arguments) = self.0.split_at(self.0.len().min(1));
        program.iter().cloned().chain(arguments.iter().map(|word| fill(word, value))).collect()
    }
}

/// The names in braces, as far as they could be those of places: letters alone.
fn places(word: &str) -> impl Iterator<Item = &str> {
    word.split('{').skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        (!name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase())).then_some(name)
    })
}

fn fill(word: &str, value: &dyn Fn(&str) -> String) -> String {
    let (mut filled, mut rest) = (String::new(), word);
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}').filter(|(name, _)| PLACES.contains(name)) {
            Some((name, behind)) => {
                filled.push_str(&value(name));
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

/// Words between white space. Single quotes keep everything, double quotes everything but `\"`, `\\` and `\$`; outside,
/// a backslash keeps the next letter.
///
/// # Errors
/// A sentence about a quote without end, or about a letter that only means something to a shell.
pub fn split(typed: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    // `Some` as soon as a word has begun: quotes can hold an empty one.
    let mut word: Option<String> = None;
    let mut letters = typed.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            _ if letter.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('\'') => break,
                        Some(letter) => word.push(letter),
                        None => return Err("a quote (') has no end".into()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some('"') => break,
                        Some('\\') => match letters.next() {
                            Some(letter @ ('"' | '\\' | '$' | '`')) => word.push(letter),
                            Some(letter) => word.extend(['\\', letter]),
                            None => return Err("a quote (\") has no end".into()),
                        },
                        Some(letter) => word.push(letter),
                        None => return Err("a quote (\") has no end".into()),
                    }
                }
            }
            '\\' => match letters.next() {
                Some(letter) => word.get_or_insert_default().push(letter),
                None => return Err("a backslash stands at its end".into()),
            },
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '`' | '$' => {
                return Err(format!(
                    "`{letter}` means something to a shell, but none runs it: quote it, or write sh -c '…'"
                ));
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(typed: &str) -> Vec<String> {
        split(typed).unwrap()
    }

    #[test]
    fn words_are_those_a_shell_would_make() {
        assert_eq!(words("  a  b\tc\n"), ["a", "b", "c"]);
        assert_eq!(words(r#"'a b' "c d" e\ f"#), ["a b", "c d", "e f"]);
        assert_eq!(words(r#"a'b'"c"d"#), ["abcd"]);
        assert_eq!(words(r#"'' "" x"#), ["", "", "x"]);
        assert_eq!(words(r#"'\n$' "\"\\\$\n" \'\""#), [r"\n$", r#""\$\n"#, r#"'""#]);
        assert_eq!(words(""), Vec::<String>::new());
    }

    #[test]
    fn what_has_no_end_or_needs_a_shell_is_refused() {
        for typed in ["'a", "\"a", "\"a\\", "a\\", "a | b", "a > b", "a; b", "a & b", "$HOME", "`a`", "(a)"] {
            assert!(split(typed).is_err(), "{typed}");
        }
        assert_eq!(words("'a | b' \\> \"&\""), ["a | b", ">", "&"]);
    }

    #[test]
    fn places_are_filled_once_and_braces_of_other_meaning_stay() {
        let template = Template::parse("run --in={file} {threads}x{language} '{\"a\": {}}' {FILE}").unwrap();
        assert!(template.has("file") && template.has("language") && !template.has("model"));
        let filled = template.fill(&|place| format!("<{{{place}}}>"));
        assert_eq!(filled, ["run", "--in=<{file}>", "<{threads}>x<{language}>", "{\"a\": {}}", "{FILE}"]);
    }

    #[test]
    fn an_unknown_place_and_an_empty_command_are_refused() {
        assert!(Template::parse("run {flie}").unwrap_err().contains("{flie}"));
        assert!(Template::parse(" ").unwrap_err().contains("no program"));
        assert!(Template::parse("''").unwrap_err().contains("no program"));
    }
}
