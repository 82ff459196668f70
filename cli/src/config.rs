//! Settings that need not be typed: the variable `QASR_MODEL` and the configuration file. Flags beat the variable, the
//! variable beats the file.
//!
//! The file is TOML, one `flag = value` a line, with the long names of flags as keys. What a setting means and which
//! values it takes is the parser's to say: every setting is put into the command line as a flag.

use super::args::Cli;
use super::exit::Exit;
use super::real_model;
use super::shared::DEMO;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Names the configuration file; empty for none.
const FILE: &str = "QASR_CONFIG";
/// Names the model.
const MODEL: &str = "QASR_MODEL";

/// The flags that can be set. `mmproj` is not among them: it belongs to one model.
const KEYS: [&str; 14] = [
    "model",
    "threads",
    "no-mmap",
    "kv-type",
    "language",
    "context",
    "segment-seconds",
    "vad",
    "carry",
    "max-new-tokens",
    "device",
    "step",
    "commit",
    "no-prints",
];

/// The settings that a subcommand takes from here. Measurements take the model alone: their numbers must not depend on a file that
/// the command line does not show.
fn keys_of(subcommand: &str) -> &'static [&'static str] {
    match subcommand {
        "transcribe" | "listen" => &KEYS,
        "eval" | "compare" | "imatrix" => &KEYS[..1],
        _ => &[],
    }
}

/// One setting, and where it was made.
struct Setting {
    key: String,
    /// As it would be typed; `None` for a flag without a value.
    value: Option<OsString>,
    /// `FILE:LINE`, or the variable.
    place: String,
}

/// A command line with the settings in it.
pub struct Completed {
    pub argv: Vec<OsString>,
    /// Which settings came from where, for those who want to know.
    pub notes: Vec<String>,
}

/// Why a command line could not be completed.
pub struct Refused {
    pub sentence: String,
    pub exit: Exit,
}

fn refused(sentence: impl Into<String>) -> Refused {
    Refused { sentence: sentence.into(), exit: Exit::Usage }
}

/// `argv` with a flag for each setting that its subcommand takes and that was not typed.
///
/// # Errors
/// One sentence that names the file and the line, or the variable.
pub fn complete(argv: Vec<OsString>) -> Result<Completed, Refused> {
    let mut completed = Completed { argv, notes: Vec::new() };
    // A command line that is wrong without the settings is reported as it was typed.
    let Ok(matches) = Cli::command().try_get_matches_from(&completed.argv) else { return Ok(completed) };
    let Some((name, typed)) = matches.subcommand() else { return Ok(completed) };
    let keys = keys_of(name);
    if keys.is_empty() {
        return Ok(completed);
    }
    let command = Cli::command();
    let Some(subcommand) = command.find_subcommand(name) else { return Ok(completed) };
    let mut done: Vec<String> = Vec::new();
    for setting in variable().into_iter().chain(in_file()?) {
        let arg = subcommand.get_arguments().find(|arg| arg.get_long() == Some(&setting.key));
        let Some(arg) = arg.filter(|_| keys.contains(&setting.key.as_str())) else { continue };
        let is_typed = typed.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        if is_typed || done.contains(&setting.key) {
            continue;
        }
        let Some(flag) = flag(&setting, matches!(arg.get_action(), ArgAction::SetTrue))? else { continue };
        let mut longer = completed.argv.clone();
        longer.insert(2, flag);
        match Cli::command().try_get_matches_from(&longer) {
            Ok(_) => {}
            // A typed flag excludes it.
            Err(error) if error.kind() == ErrorKind::ArgumentConflict => continue,
            Err(error) => {
                let sentence = super::one_sentence(&error.render().to_string(), &format!("qasr {name}"));
                return Err(refused(format!("{}: {sentence}", setting.place)));
            }
        }
        if setting.key == "model" {
            exists(&setting)?;
        }
        completed.notes.push(format!("--{} from {}", setting.key, setting.place));
        completed.argv = longer;
        done.push(setting.key);
    }
    Ok(completed)
}

/// A setting as a flag; `None` for a flag that is switched off.
fn flag(setting: &Setting, is_switch: bool) -> Result<Option<OsString>, Refused> {
    let Setting { key, value, place } = setting;
    let mut flag = OsString::from(format!("--{key}"));
    match (is_switch, value) {
        (true, None) => {}
        (true, Some(value)) if value == "false" => return Ok(None),
        (false, Some(value)) => {
            flag.push("=");
            flag.push(value);
        }
        (true, Some(_)) => return Err(refused(format!("{place}: {key} is true or false"))),
        (false, None) => return Err(refused(format!("{place}: {key} needs a value"))),
    }
    Ok(Some(flag))
}

fn exists(setting: &Setting) -> Result<(), Refused> {
    let path = Path::new(setting.value.as_deref().unwrap_or_default());
    if path.exists() || path.as_os_str() == DEMO {
        return Ok(());
    }
    let place = &setting.place;
    let sentence = match real_model::repository(path) {
        Some(repository) => format!("{place}: {}", real_model::not_downloaded(repository)),
        None => format!("{place}: the model {} does not exist", path.display()),
    };
    Err(Refused { sentence, exit: Exit::BadModel })
}

fn variable() -> Option<Setting> {
    let value = std::env::var_os(MODEL).filter(|value| !value.is_empty())?;
    Some(Setting { key: "model".to_owned(), value: Some(value), place: MODEL.to_owned() })
}

/// Where the configuration file is looked for, and whether it was named.
fn place() -> Option<(PathBuf, bool)> {
    match std::env::var_os(FILE) {
        Some(named) if named.is_empty() => None,
        Some(named) => Some((named.into(), true)),
        None => Some((dirs::config_dir()?.join("qasr").join("config.toml"), false)),
    }
}

/// Which file is used, and the variable, for `--version`.
pub fn describe() -> String {
    let file = match place() {
        None => "none".to_owned(),
        Some((path, _)) if path.exists() => path.display().to_string(),
        Some((path, _)) => format!("none ({} would be read)", path.display()),
    };
    match variable() {
        Some(Setting { value: Some(model), .. }) => {
            format!("configuration: {file}\n{MODEL}: {}\n", model.to_string_lossy())
        }
        _ => format!("configuration: {file}\n"),
    }
}

/// The settings of the configuration file, if there is one.
fn in_file() -> Result<Vec<Setting>, Refused> {
    let Some((path, is_named)) = place() else { return Ok(Vec::new()) };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => return Ok(Vec::new()),
        Err(error) => {
            let by = if is_named { format!(" (named by {FILE})") } else { String::new() };
            return Err(refused(format!("{}: cannot read the configuration file{by}: {error}", path.display())));
        }
    };
    parse(&text, &path)
}

fn parse(text: &str, path: &Path) -> Result<Vec<Setting>, Refused> {
    let at = |byte: usize| {
        let line = text.get(..byte).unwrap_or(text).matches('\n').count() + 1;
        format!("{}:{line}", path.display())
    };
    let table = DeTable::parse(text).map_err(|error| {
        let place = at(error.span().map_or(0, |span| span.start));
        refused(format!("{place}: {}; a line is `flag = value`, texts in quotes", error.message()))
    })?;
    let mut settings = Vec::new();
    for (key, value) in table.get_ref() {
        let place = at(key.span().start);
        let key = key.get_ref();
        if !KEYS.contains(&key.as_ref()) {
            return Err(refused(format!("{place}: `{key}` cannot be set; these can: {}", KEYS.join(", "))));
        }
        let value = match value.get_ref() {
            DeValue::String(text) if key == "model" => Some(place_of_model(text, path).into()),
            DeValue::String(text) => Some(text.as_ref().into()),
            DeValue::Integer(number) => Some(number.to_string().into()),
            DeValue::Float(number) => Some(number.to_string().into()),
            DeValue::Boolean(true) => None,
            DeValue::Boolean(false) => Some("false".into()),
            _ => return Err(refused(format!("{place}: {key} is a text in quotes, a number, true or false"))),
        };
        settings.push(Setting { key: key.to_string(), value, place });
    }
    Ok(settings)
}

/// A model's place: `~/` is the home folder, and other relative places begin at the configuration file's folder.
fn place_of_model(typed: &str, config: &Path) -> PathBuf {
    match (typed.strip_prefix("~/"), dirs::home_dir()) {
        _ if typed == DEMO => typed.into(),
        (Some(rest), Some(home)) => home.join(rest),
        _ => config.parent().unwrap_or(Path::new("")).join(typed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_a_flag_of_transcribe_or_listen() {
        let command = Cli::command();
        for key in KEYS {
            let has =
                |name| command.find_subcommand(name).unwrap().get_arguments().any(|arg| arg.get_long() == Some(key));
            assert!(has("transcribe") || has("listen"), "{key}");
        }
    }

    #[test]
    fn faults_name_the_file_and_the_line() {
        let sentence =
            |text| parse(text, Path::new("c.toml")).err().map(|refused| refused.sentence).unwrap_or_default();
        assert!(
            sentence("threads = 2\nthread = 3\n").starts_with("c.toml:2: `thread` cannot be set; these can: model")
        );
        assert!(
            sentence("threads = 2\n\nlanguage = de\n").starts_with("c.toml:3: "),
            "{}",
            sentence("\n\nlanguage = de")
        );
        assert!(sentence("threads = 2\nthreads = 3").starts_with("c.toml:2: duplicate key"));
        assert!(sentence("[transcribe]\nthreads = 2").starts_with("c.toml:1: `transcribe` cannot be set"));
        assert!(sentence("context = ['a']").contains("c.toml:1: context is a text"));
    }
}
