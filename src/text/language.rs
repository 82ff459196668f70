//! The 30 languages the model was trained to name, and what people type for them.

use crate::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// One language of the model. Small and `Copy`.
#[derive(Clone, Copy)]
pub struct Language(&'static Entry);

struct Entry {
    /// As the model writes it.
    name: &'static str,
    /// ISO 639-1, or 639-3 where there is no two-letter code.
    code: &'static str,
    /// Other codes and names, in lower case: ISO 639-2 and -3, and names in common use.
    aliases: &'static [&'static str],
}

const fn entry(name: &'static str, code: &'static str, aliases: &'static [&'static str]) -> Entry {
    Entry { name, code, aliases }
}

/// In the order in which the model's authors list them.
static LANGUAGES: [Entry; 30] = [
    entry("Chinese", "zh", &["zho", "chi", "cmn", "mandarin"]),
    entry("English", "en", &["eng"]),
    entry("Cantonese", "yue", &["zh-yue"]),
    entry("Arabic", "ar", &["ara"]),
    entry("German", "de", &["deu", "ger"]),
    entry("French", "fr", &["fra", "fre"]),
    entry("Spanish", "es", &["spa", "castilian"]),
    entry("Portuguese", "pt", &["por"]),
    entry("Indonesian", "id", &["ind"]),
    entry("Italian", "it", &["ita"]),
    entry("Korean", "ko", &["kor"]),
    entry("Russian", "ru", &["rus"]),
    entry("Thai", "th", &["tha"]),
    entry("Vietnamese", "vi", &["vie"]),
    entry("Japanese", "ja", &["jpn"]),
    entry("Turkish", "tr", &["tur"]),
    entry("Hindi", "hi", &["hin"]),
    entry("Malay", "ms", &["msa", "may", "zsm"]),
    entry("Dutch", "nl", &["nld", "dut", "flemish"]),
    entry("Swedish", "sv", &["swe"]),
    entry("Danish", "da", &["dan"]),
    entry("Finnish", "fi", &["fin"]),
    entry("Polish", "pl", &["pol"]),
    entry("Czech", "cs", &["ces", "cze"]),
    entry("Filipino", "fil", &["tl", "tgl", "tagalog"]),
    entry("Persian", "fa", &["fas", "per", "farsi"]),
    entry("Greek", "el", &["ell", "gre"]),
    entry("Romanian", "ro", &["ron", "rum", "moldavian"]),
    entry("Hungarian", "hu", &["hun"]),
    entry("Macedonian", "mk", &["mkd", "mac"]),
];

impl Language {
    /// All languages, in the order in which the model's authors list them.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        LANGUAGES.iter().map(Self)
    }

    /// As the model writes it: "English".
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// ISO 639-1 code, or 639-3 where there is none: "en", "yue", "fil".
    pub fn code(self) -> &'static str {
        self.0.code
    }

    /// Finds a language by name or code, in any case: "English", "en", "eng", "en-US", "pt_BR". A region or script
    /// after a hyphen or underscore is ignored, except where it names another language ("zh-yue").
    pub fn find(text: &str) -> Option<Self> {
        let wanted = text.trim().to_ascii_lowercase().replace('_', "-");
        let primary = wanted.split('-').next().unwrap_or_default();
        Self::find_exactly(&wanted).or_else(|| Self::find_exactly(primary))
    }

    fn find_exactly(wanted: &str) -> Option<Self> {
        Self::all().find(|language| {
            let Entry { name, code, aliases } = language.0;
            wanted.eq_ignore_ascii_case(name) || wanted == *code || aliases.contains(&wanted)
        })
    }

    /// As [`find`](Self::find), for text that has to name a language.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) with all accepted names and codes.
    pub fn get(text: &str) -> Result<Self> {
        Self::find(text).ok_or_else(|| {
            Error::usage(format!("the language {text:?} is not one the model knows: use one of {}", Self::list()))
        })
    }

    /// All names with their codes, for help and errors: "Chinese (zh), English (en), …".
    pub fn list() -> String {
        let entries: Vec<String> =
            Self::all().map(|language| format!("{} ({})", language.name(), language.code())).collect();
        entries.join(", ")
    }
}

impl PartialEq for Language {
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code()
    }
}

impl Eq for Language {}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Language({})", self.name())
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// As the model writes it.
impl Serialize for Language {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// From any text that names it.
impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Self::get(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use std::collections::HashSet;

    fn name(text: &str) -> Option<&'static str> {
        Language::find(text).map(Language::name)
    }

    #[test]
    fn names_and_codes_find_their_language_in_any_case() {
        for language in Language::all() {
            for text in [language.name().to_owned(), language.name().to_uppercase(), language.code().to_uppercase()] {
                assert_eq!(Language::find(&text), Some(language), "{text}");
            }
        }
        assert_eq!(Language::all().len(), 30);
    }

    #[test]
    fn common_other_spellings_are_understood() {
        for (text, expected) in [
            ("zh-CN", "Chinese"),
            ("zh_Hant_TW", "Chinese"),
            ("cmn", "Chinese"),
            ("zh-yue", "Cantonese"),
            ("en-US", "English"),
            (" en\n", "English"),
            ("pt_BR", "Portuguese"),
            ("tl", "Filipino"),
            ("Tagalog", "Filipino"),
            ("farsi", "Persian"),
            ("ger", "German"),
        ] {
            assert_eq!(name(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn no_text_means_two_languages() {
        let mut seen = HashSet::new();
        for entry in &LANGUAGES {
            for text in [&entry.name.to_lowercase(), entry.code].into_iter().chain(entry.aliases.iter().copied()) {
                assert!(seen.insert(text.to_owned()), "{text}");
                assert_eq!(text, text.to_lowercase());
            }
        }
    }

    #[test]
    fn others_are_refused_with_the_list() {
        for text in ["", "auto", "klingon", "e", "englis", "-", "None", "uk"] {
            assert_eq!(name(text), None, "{text}");
        }
        let error = Language::get("klingon").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        let message = error.to_string();
        assert!(message.contains("klingon") && message.contains("Chinese (zh)") && message.contains("Macedonian (mk)"));
    }
}
