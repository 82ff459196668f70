//! What the model said → language and text, in the order of the official package's parsing.

use super::language::Language;
use super::python_text::{capitalize, lines, strip};
use super::repetition;

/// The user-defined token between the language header and the text.
const TEXT_TAG: &str = "<asr_text>";

/// What the header line begins with, in any case.
const LANGUAGE_PREFIX: &str = "language ";

/// What the header says when there is no speech, in any case.
const NO_LANGUAGE: &str = "language none";

/// The parsed output of one decode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The language as the model wrote it, first letter upper, rest lower case ("English"); usually one of
    /// [`Language::all`]. Empty when the model heard no speech or named no language.
    pub language: String,
    /// The transcribed text.
    pub text: String,
    /// Whether repetition repair took text away: the model was in a loop.
    pub repaired: bool,
}

/// Parses the decoded text of all generated ids. `forced` is the language that the prompt already announced, which
/// means that the model wrote text only.
pub fn parse(raw: &str, forced: Option<&Language>) -> Answer {
    let stripped = strip(raw);
    if stripped.is_empty() {
        return Answer::default();
    }
    let whole = repetition::repair(stripped);
    let repaired = whole != stripped;
    let answer = |language: String, text: &str| Answer { language, text: text.to_owned(), repaired };

    if let Some(language) = forced {
        return answer(language.name().to_owned(), &whole);
    }
    let Some((header, text)) = whole.split_once(TEXT_TAG) else {
        return answer(String::new(), strip(&whole));
    };
    if header.to_lowercase().contains(NO_LANGUAGE) {
        return answer(String::new(), strip(text));
    }
    answer(language_in(header), strip(text))
}

/// The language named by the first line of the header that announces one; empty if none does.
fn language_in(header: &str) -> String {
    lines(header).map(strip).find_map(after_prefix).map(capitalize).unwrap_or_default()
}

fn after_prefix(line: &str) -> Option<&str> {
    let (prefix, rest) = line.split_at_checked(LANGUAGE_PREFIX.len())?;
    prefix.eq_ignore_ascii_case(LANGUAGE_PREFIX).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(raw: &str) -> (String, String) {
        let answer = parse(raw, None);
        (answer.language, answer.text)
    }

    fn pair(language: &str, text: &str) -> (String, String) {
        (language.to_owned(), text.to_owned())
    }

    #[test]
    fn header_and_text_are_separated() {
        assert_eq!(parsed("language English<asr_text>Hello there."), pair("English", "Hello there."));
        assert_eq!(parsed(" LANGUAGE eNGLISH \n x<asr_text> a <asr_text>b\n"), pair("English", "a <asr_text>b"));
        assert_eq!(parsed("\r\nnoise\nlanguage  french<asr_text>oui"), pair("French", "oui"));
        assert_eq!(parsed("language\u{1C}language Thai<asr_text>x"), pair("Thai", "x"));
    }

    #[test]
    fn no_speech_has_no_language_and_keeps_stray_text() {
        assert_eq!(parsed("language None<asr_text>"), pair("", ""));
        assert_eq!(parsed("Language NONE<asr_text> hm "), pair("", "hm"));
        assert_eq!(parsed(" \n\u{1F}"), pair("", ""));
    }

    #[test]
    fn without_a_tag_everything_is_text() {
        assert_eq!(parsed(" language English "), pair("", "language English"));
        assert_eq!(parsed("language <asr_text>x"), pair("", "x"));
        assert_eq!(parsed("<asr_text>x"), pair("", "x"));
    }

    #[test]
    fn a_forced_language_takes_everything_as_text() {
        let english = Language::find("en").unwrap();
        let answer = parse(" language French<asr_text>oui ", Some(&english));
        assert_eq!(answer.language, "English");
        assert_eq!(answer.text, "language French<asr_text>oui");
        assert_eq!(parse("  ", Some(&english)), Answer::default());
    }

    #[test]
    fn repair_comes_first_and_is_told() {
        let answer = parse(&format!("language English<asr_text>{}", "no ".repeat(30)), None);
        assert_eq!(answer.language, "English");
        assert!(answer.repaired);
        assert!(answer.text.chars().count() < 10, "{}", answer.text);
        assert!(!parse("language English<asr_text>no no no", None).repaired);
        // Twenty-one tags are a loop too, and the repair leaves the one that separates.
        let answer = parse(&format!("language English{}hi", TEXT_TAG.repeat(21)), None);
        assert_eq!((answer.language.as_str(), answer.text.as_str()), ("English", "hi"));
    }
}
