//! The model's raw output → language and text, in the order of the official package's parsing.

use super::language::Language;
use super::python_text::{capitalize, is_space, lines, strip};
use super::repetition;

/// The user-defined token between the language header and the text.
const TEXT_TAG: &str = "<asr_text>";

/// Start of the header line, in any case.
const LANGUAGE_PREFIX: &str = "language ";

/// The header's language where there is no speech, in any case.
const NO_LANGUAGE: &str = "language none";

/// The parsed output of one decode.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The language as the model wrote it, first letter upper, rest lower case ("English"); usually one of
    /// [`Language::all`]. `None` when the model heard no speech or named no language.
    pub language: Option<String>,
    /// The transcribed text.
    pub text: String,
    /// Whether repetition repair took text away: the model was in a loop.
    pub repaired: bool,
}

/// Parses the decoded text of all generated ids. `forced` is the language that the prompt already announced, which
/// means that the model wrote text only. `is_whole` says that the model ended the text itself: one that was cut inside
/// its header has no text, while the official package would show the header.
pub fn parse(raw: &str, forced: Option<&Language>, is_whole: bool) -> Answer {
    let stripped = strip(raw);
    if stripped.is_empty() {
        return Answer::default();
    }
    let whole = repetition::repair(stripped);
    let repaired = whole != stripped;
    let answer = |language: Option<String>, text: &str| Answer { language, text: text.to_owned(), repaired };

    if let Some(language) = forced {
        return answer(Some(language.name().to_owned()), &whole);
    }
    let Some((header, text)) = whole.split_once(TEXT_TAG) else {
        let text = if !is_whole && is_begun_header(&whole) { "" } else { strip(&whole) };
        return answer(None, text);
    };
    if header.to_lowercase().contains(NO_LANGUAGE) {
        return answer(None, strip(text));
    }
    answer(language_in(header), strip(text))
}

/// The language named by the first line of the header that announces one.
fn language_in(header: &str) -> Option<String> {
    lines(header).map(strip).find_map(after_prefix).map(capitalize).filter(|name| !name.is_empty())
}

/// Whether a text without white space around it could become a header, if it went on: it is the beginning of
/// "language ", or its first line is that and one word, as all languages have. A longer line that begins so is what a
/// model says that writes no header.
fn is_begun_header(text: &str) -> bool {
    match lines(text).next().and_then(after_prefix) {
        Some(name) => !strip(name).contains(is_space),
        None => LANGUAGE_PREFIX.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text)),
    }
}

fn after_prefix(line: &str) -> Option<&str> {
    let (prefix, rest) = line.split_at_checked(LANGUAGE_PREFIX.len())?;
    prefix.eq_ignore_ascii_case(LANGUAGE_PREFIX).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(raw: &str) -> (String, String) {
        let answer = parse(raw, None, true);
        (answer.language.unwrap_or_default(), answer.text)
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
    fn a_header_that_was_cut_is_no_text() {
        let cut = |raw: &str| {
            let answer = parse(raw, None, false);
            (answer.language.unwrap_or_default(), answer.text)
        };
        let header = "language Portuguese";
        for end in 1..=header.len() {
            assert_eq!(cut(&header[..end]), pair("", ""), "{end}");
        }
        for raw in [
            "language None",
            " LANGUAGE  eng\n",
            "language Fran\u{FFFD}",
            "language Ukrainian",
            "language\t",
            "language English\nx",
        ] {
            assert_eq!(cut(raw), pair("", ""), "{raw}");
        }
        // Cut after the tag, or by a model that writes no header: the text so far.
        assert_eq!(cut("language English<asr_text>Hel"), pair("English", "Hel"));
        assert_eq!(cut("language English<asr_text>language"), pair("English", "language"));
        assert_eq!(cut("<asr_text>lang"), pair("", "lang"));
        for raw in ["languages", "hello", "language models are", "land", "long way", "a language", "Hello.\nl"] {
            assert_eq!(cut(raw), pair("", raw));
        }
        // With a forced language there is no header to be cut.
        let english = Language::find("en").unwrap();
        assert_eq!(parse("language", Some(&english), false).text, "language");
    }

    #[test]
    fn a_forced_language_takes_everything_as_text() {
        let english = Language::find("en").unwrap();
        let answer = parse(" language French<asr_text>oui ", Some(&english), true);
        assert_eq!(answer.language.as_deref(), Some("English"));
        assert_eq!(answer.text, "language French<asr_text>oui");
        assert_eq!(parse("  ", Some(&english), true), Answer::default());
    }

    #[test]
    fn repair_comes_first_and_is_told() {
        let answer = parse(&format!("language English<asr_text>{}", "no ".repeat(30)), None, true);
        assert_eq!(answer.language.as_deref(), Some("English"));
        assert!(answer.repaired);
        assert!(answer.text.chars().count() < 10, "{}", answer.text);
        assert!(!parse("language English<asr_text>no no no", None, true).repaired);
        // Twenty-one tags are a loop too, and the repair leaves the one that separates.
        let answer = parse(&format!("language English{}hi", TEXT_TAG.repeat(21)), None, true);
        assert_eq!((answer.language.as_deref(), answer.text.as_str()), (Some("English"), "hi"));
    }
}
