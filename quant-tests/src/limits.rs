//! Reads `limits.toml`: how large every measured distance may be, and when and from what that was set.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;

/// How deep one looks. Each names what the next only notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// A round trip through a type.
    Blocks,
    /// Tensors of a file.
    Tensors,
    /// Output rows of the encoder's layers.
    Embeddings,
    /// Token probabilities along a given text.
    Logits,
    /// Words.
    Transcripts,
}

impl Depth {
    /// All of them, the first is the one that explains the others.
    pub const ALL: [Self; 5] = [Self::Blocks, Self::Tensors, Self::Embeddings, Self::Logits, Self::Transcripts];

    /// The section of `limits.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Tensors => "tensors",
            Self::Embeddings => "embeddings",
            Self::Logits => "logits",
            Self::Transcripts => "transcripts",
        }
    }

    /// Where the cause of a value over the limit is found.
    fn look_at(self) -> &'static str {
        match self {
            Self::Blocks => {
                "ggml's rounding to this type is no longer the same: see what the pin in vendor/ggml-sys changed"
            }
            Self::Tensors => {
                "see whether the file is damaged (convert again) and what convert/src/recipe.rs chose for this tensor"
            }
            Self::Embeddings => "see depth 2 for the tensors of the first layer that is over its limit",
            Self::Logits => "see depth 3 for the rows that the decoder was given, then depth 2 for its tensors",
            Self::Transcripts => "see depth 4 for the clips whose words changed",
        }
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "depth {} ({})", *self as usize + 1, self.name())
    }
}

/// One limited number.
#[derive(Debug, Clone, Copy)]
pub struct Measure<'a> {
    /// How deep.
    pub depth: Depth,
    /// Measured on what: a distribution, a model.
    pub subject: &'a str,
    /// The type of both files of the pair, or of the blocks.
    pub kind: &'a str,
    /// The measured value.
    pub name: &'a str,
}

/// The largest value allowed, and what it was set from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Largest allowed value.
    pub limit: f64,
    /// The value that was measured when the limit was set.
    pub measured: f64,
    /// When.
    pub date: String,
    /// On top of which commit.
    pub commit: String,
}

/// Depth, subject, type, measure.
type Tables = BTreeMap<String, BTreeMap<String, BTreeMap<String, BTreeMap<String, Limit>>>>;

/// All limits.
#[derive(Debug)]
pub struct Limits {
    tables: Tables,
}

impl Limits {
    /// Those committed with this package; the error names the file.
    pub fn committed() -> Result<Self, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("limits.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map(|tables| Self { tables }).map_err(|error| error.to_string())
    }

    /// The limit of one measure.
    pub fn get(&self, measure: Measure<'_>) -> Result<&Limit, String> {
        let Measure { depth, subject, kind, name } = measure;
        let subjects = self.tables.get(depth.name());
        let found = subjects.and_then(|subjects| subjects.get(subject)?.get(kind)?.get(name));
        found.ok_or_else(|| {
            let depth = depth.name();
            format!("limits.toml has no {kind}.{name} under [{depth}.{subject}]: run this test with --nocapture and set it from the value printed")
        })
    }

    /// Fails when `measured` is over its limit or not a number. `place` is where it was measured.
    pub fn check(&self, measure: Measure<'_>, measured: f64, place: &str) -> Result<(), String> {
        let Limit { limit, measured: before, date, commit } = self.get(measure)?;
        if measured <= *limit {
            return Ok(());
        }
        let Measure { depth, subject, kind, name } = measure;
        let advice = depth.look_at();
        Err(format!(
            "{depth}, {kind}, {subject}, {place}: {name} is {measured:.3e}, over its limit of {limit:.3e} ({before:.3e} on {date}, commit {commit}): {advice}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURE: Measure<'_> = Measure { depth: Depth::Logits, subject: "digits", kind: "q4_0", name: "mean_kl" };

    fn limits() -> Limits {
        let row = r#"q4_0.mean_kl = { limit = 0.02, measured = 0.015, date = "2026-11-22", commit = "abc" }"#;
        Limits::parse(&format!("[logits.digits]\n{row}\n")).unwrap()
    }

    #[test]
    fn a_value_over_its_limit_says_where_and_what_to_look_at() {
        assert_eq!(limits().check(MEASURE, 0.02, "dev"), Ok(()));
        let message = limits().check(MEASURE, 0.021, "dev").unwrap_err();
        assert_eq!(
            message,
            "depth 4 (logits), q4_0, digits, dev: mean_kl is 2.100e-2, over its limit of 2.000e-2 (1.500e-2 on 2026-11-22, commit abc): \
             see depth 3 for the rows that the decoder was given, then depth 2 for its tensors"
        );
        assert!(limits().check(MEASURE, f64::NAN, "dev").is_err());
    }

    #[test]
    fn a_missing_entry_is_named() {
        let error = limits().get(Measure { name: "flip_rate", ..MEASURE }).unwrap_err();
        assert!(error.contains("q4_0.flip_rate under [logits.digits]"), "{error}");
        assert!(Limits::parse("[logits.digits]\nq4_0.mean_kl = { limit = 1.0 }").unwrap_err().contains("measured"));
    }

    /// A limit far over what was measured would let a mistake pass.
    #[test]
    fn limits_stay_near_what_they_were_set_from() {
        let mut count = 0;
        for (depth, subjects) in Limits::committed().unwrap().tables {
            assert!(Depth::ALL.iter().any(|known| known.name() == depth), "[{depth}] is no depth");
            for (subject, kinds) in subjects {
                for (kind, measures) in kinds {
                    for (name, Limit { limit, measured, .. }) in measures {
                        let place = format!("[{depth}.{subject}] {kind}.{name}");
                        assert!(limit >= measured, "{place}: {limit} is below {measured}");
                        // Words and the most likely tokens change one at a time; to have fewer errors than f16 is luck,
                        // and a limit must not ask for it again.
                        let largest = match (depth.as_str(), name.as_str()) {
                            ("transcripts", _) => measured.max(0.0) + 1.2,
                            (_, "flip_rate") => measured + 0.0105,
                            _ => 2.0 * measured,
                        };
                        assert!(limit <= largest, "{place}: {limit} is far over {measured}");
                        count += 1;
                    }
                }
            }
        }
        assert!(count > 30, "{count} limits");
    }
}
