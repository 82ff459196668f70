//! Definitions: files that say what to time, what it is for and how it can mislead.

use crate::failure::usage;
use crate::verify::Agreement;
use anyhow::Result;
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// The places of a command.
pub const PLACES: [&str; 5] = ["qasr", "model", "audio", "threads", "max-new-tokens"];

/// One file of the folder of definitions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Definition {
    /// The file's name without `.toml`.
    pub name: String,
    /// Its purpose and how it can mislead, in a paragraph.
    pub analysis: String,
    /// Contender A, word by word, with placeholders.
    pub command: Vec<String>,
    /// For `{threads}`.
    pub threads: u32,
    /// For `{max-new-tokens}`; a limit per segment.
    pub max_new_tokens: u32,
    /// How long the recording lasts.
    pub audio_seconds: f64,
    pub verify: Verify,
}

/// Conditions for a valid run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Verify {
    pub equal_to: Agreement,
    /// The expected text, where the definition knows model and recording.
    pub text: Option<String>,
    pub exit_codes: Vec<i32>,
}

impl Definition {
    /// Reads `NAME.toml` in a folder.
    pub fn get(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(format!("{name}.toml"));
        let text = fs::read_to_string(&path).map_err(|error| {
            usage(format!(
                "definition `{name}` cannot be read from {} ({error}): `qasr-bench list` shows what there is",
                path.display()
            ))
        })?;
        Self::parse(&text, name).map_err(|reason| usage(format!("{}: {reason}", path.display())))
    }

    fn parse(text: &str, name: &str) -> Result<Self, String> {
        let definition: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if definition.name != name {
            return Err(format!("it calls itself `{}`: name and file name have to be equal", definition.name));
        }
        if definition.analysis.trim().is_empty() {
            return Err("the analysis is empty: say what it is for and how it can mislead".into());
        }
        if definition.command.is_empty() || definition.verify.exit_codes.is_empty() {
            return Err("`command` and `verify.exit-codes` need at least one entry".into());
        }
        if !(definition.audio_seconds > 0.0 && definition.audio_seconds.is_finite()) {
            return Err(format!("audio-seconds = {} is no length", definition.audio_seconds));
        }
        Ok(definition)
    }
}

/// Prints every definition of a folder with its analysis.
pub fn list(folder: &Path) -> Result<()> {
    for name in names(folder)? {
        let definition = Definition::get(folder, &name)?;
        println!("{name}\n  {}\n", definition.analysis.trim().replace('\n', "\n  "));
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let unreadable = |error: std::io::Error| usage(format!("{} cannot be read: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use qasr_measure::command;

    const GOOD: &str = "name = 'n'\nanalysis = 'a'\ncommand = ['{qasr}']\nthreads = 2\nmax-new-tokens = 8\naudio-seconds = 1.0\n\
                        [verify]\nequal-to = 'every-run'\nexit-codes = [0]\n";

    #[test]
    fn a_definition_is_read_and_faults_are_named() {
        let good = Definition::parse(GOOD, "n").unwrap();
        assert_eq!((good.threads, good.max_new_tokens, good.verify.equal_to), (2, 8, Agreement::EveryRun));
        let cases = [
            (GOOD.replace("'n'", "'m'"), "calls itself `m`"),
            (GOOD.replace("analysis = 'a'", "analysis = ' '"), "analysis is empty"),
            (GOOD.replace("['{qasr}']", "[]"), "at least one entry"),
            (GOOD.replace("1.0", "nan"), "is no length"),
            (GOOD.replace("threads", "treads"), "unknown field `treads`"),
            (GOOD.replace("every-run", "anything"), "unknown variant `anything`"),
            (GOOD.replace("max-new-tokens = 8\n", ""), "missing field `max-new-tokens`"),
        ];
        for (text, reason) in cases {
            let found = Definition::parse(&text, "n").unwrap_err();
            assert!(found.contains(reason), "{reason}: {found}");
        }
    }

    #[test]
    fn the_definitions_here_are_complete() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("definitions");
        let names = names(&folder).unwrap();
        assert!(names.iter().any(|name| name == "start-1s"), "{names:?}");
        for name in names {
            let definition = Definition::get(&folder, &name).unwrap_or_else(|failure| panic!("{failure}"));
            command::check_places(&definition.command, &PLACES).unwrap();
            for place in PLACES {
                assert!(definition.command.contains(&format!("{{{place}}}")), "{name} does not use {{{place}}}");
            }
        }
    }
}
