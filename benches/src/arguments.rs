//! What can be typed.

use crate::failure::Failure;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub const USAGE: &str = "\
Times whole processes doing verified work and files the raw numbers by date.

qasr-bench run --definition NAME --qasr PATH --model PATH --audio PATH --runs N --record DIR [OPTIONS]
qasr-bench list [--definitions DIR]

  --definition NAME        What to time: NAME.toml in the folder of definitions
  --qasr PATH              The program for {qasr}: contender A
  --model PATH             The decoder file for {model}; the encoder lies beside it
  --audio PATH             The recording for {audio}
  --runs N                 Timed runs of each contender, after one warm-up each
  --record DIR             Files DIR/<date>/<name>.csv and DIR/<date>/<name>.md
  --vs 'COMMAND'           Contender B, run in turn with A; no shell, quotes group words, the same {placeholders}
  --vs-version 'COMMAND'   Prints contender B's version
  --vs-text-may-differ     B's text needs to agree with B's own runs only, not with A's
  --expect FILE            The text every run has to print; with --vs-text-may-differ, every run of A
  --threads N              Instead of the definition's number
  --name NAME              Name of the record [default: the definition's]
  --definitions DIR        [default: benches/definitions]

Exit codes: 0 filed; 1 another failure; 2 usage; 3 void, a run did not do its work and nothing is filed.
Paths are filed as typed: run it in the repository's root and type relative ones.";

/// What is asked for.
#[derive(Debug)]
pub enum Request {
    Help,
    List { definitions: PathBuf },
    Run(Box<RunRequest>),
}

/// The options of `run`.
#[derive(Debug)]
pub struct RunRequest {
    pub definition: String,
    pub definitions: PathBuf,
    pub qasr: String,
    pub model: String,
    pub audio: String,
    pub runs: usize,
    pub record: PathBuf,
    pub name: Option<String>,
    pub threads: Option<u32>,
    pub vs: Option<String>,
    pub vs_version: Option<String>,
    pub vs_text_may_differ: bool,
    pub expect: Option<PathBuf>,
}

/// The command line as text, the program's own name first.
pub fn words(typed: Vec<OsString>) -> Result<Vec<String>, Failure> {
    typed
        .into_iter()
        .map(|word| word.into_string())
        .collect::<Result<_, _>>()
        .map_err(|word| Failure::usage(format!("{word:?} is not UTF-8, and a report could not repeat it: rename it")))
}

/// Reads the command line; `words[0]` is the program.
pub fn parse(words: &[String]) -> Result<Request, Failure> {
    let rest = words.get(2..).unwrap_or_default();
    match words.get(1).map(String::as_str) {
        _ if words.iter().any(|word| word == "--help" || word == "-h") => Ok(Request::Help),
        Some("list") => {
            let mut options = Options::read(rest, &["--definitions"], &[])?;
            Ok(Request::List { definitions: options.definitions()? })
        }
        Some("run") => Ok(Request::Run(Box::new(parse_run(rest)?))),
        Some(other) => Err(Failure::usage(format!("there is no command `{other}`: `run` or `list`; --help explains"))),
        None => Err(Failure::usage(format!("a command is missing\n\n{USAGE}"))),
    }
}

fn parse_run(words: &[String]) -> Result<RunRequest, Failure> {
    const WITH_VALUE: &[&str] = &[
        "--definition",
        "--definitions",
        "--qasr",
        "--model",
        "--audio",
        "--runs",
        "--record",
        "--name",
        "--threads",
        "--vs",
        "--vs-version",
        "--expect",
    ];
    let mut options = Options::read(words, WITH_VALUE, &["--vs-text-may-differ"])?;
    let request = RunRequest {
        definition: options.get("--definition")?,
        definitions: options.definitions()?,
        qasr: options.get("--qasr")?,
        model: options.get("--model")?,
        audio: options.get("--audio")?,
        runs: count("--runs", &options.get("--runs")?)? as usize,
        record: options.get("--record")?.into(),
        name: options.find("--name"),
        threads: options.find("--threads").map(|text| count("--threads", &text)).transpose()?,
        vs: options.find("--vs"),
        vs_version: options.find("--vs-version"),
        vs_text_may_differ: options.find("--vs-text-may-differ").is_some(),
        expect: options.find("--expect").map(PathBuf::from),
    };
    if request.vs.is_none() && (request.vs_version.is_some() || request.vs_text_may_differ) {
        return Err(Failure::usage(
            "--vs-version and --vs-text-may-differ are about a second command: give it with --vs",
        ));
    }
    if let Some(name) = &request.name {
        check_name(name)?;
    }
    Ok(request)
}

/// A record's name becomes a file name.
fn check_name(name: &str) -> Result<(), Failure> {
    let usable = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(usable) {
        return Err(Failure::usage(format!(
            "--name `{name}` cannot be a file name: use letters, digits, `-`, `_` and `.`"
        )));
    }
    Ok(())
}

fn count(option: &str, text: &str) -> Result<u32, Failure> {
    match text.parse() {
        Ok(number) if (1..=10_000).contains(&number) => Ok(number),
        _ => Err(Failure::usage(format!("{option} `{text}` is not a number from 1 to 10000"))),
    }
}

/// Options as typed, each at most once.
struct Options(Vec<(String, String)>);

impl Options {
    fn read(words: &[String], with_value: &[&str], without: &[&str]) -> Result<Self, Failure> {
        let mut options = Vec::<(String, String)>::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = if with_value.contains(&word.as_str()) {
                words.next().cloned().ok_or_else(|| Failure::usage(format!("{word} needs a value after it")))?
            } else if without.contains(&word.as_str()) {
                String::new()
            } else {
                return Err(Failure::usage(format!("`{word}` is not an option here; --help lists them")));
            };
            if options.iter().any(|(name, _)| name == word) {
                return Err(Failure::usage(format!("{word} is given twice: keep one")));
            }
            options.push((word.clone(), value));
        }
        Ok(Self(options))
    }

    fn find(&mut self, name: &str) -> Option<String> {
        self.0.iter().position(|(option, _)| option == name).map(|index| self.0.swap_remove(index).1)
    }

    fn get(&mut self, name: &str) -> Result<String, Failure> {
        self.find(name).ok_or_else(|| Failure::usage(format!("{name} is missing; --help says what it is")))
    }

    /// The folder typed, else the one in the working folder, where the tool is meant to be run.
    fn definitions(&mut self) -> Result<PathBuf, Failure> {
        let folder = self.find("--definitions").map_or_else(|| Path::new("benches").join("definitions"), PathBuf::from);
        if !folder.is_dir() {
            return Err(Failure::usage(format!(
                "{} is not a folder: run this in the repository's root, or name the folder with --definitions",
                folder.display()
            )));
        }
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(more: &[&str]) -> Result<RunRequest, Failure> {
        let mut typed: Vec<String> = "--definition d --definitions . --qasr q --model m --audio a --runs 3 --record r"
            .split(' ')
            .map(str::to_owned)
            .collect();
        typed.extend(more.iter().map(|word| word.to_string()));
        parse_run(&typed)
    }

    #[test]
    fn a_run_is_read() {
        let request = run(&["--vs", "other {audio}", "--vs-text-may-differ", "--threads", "4"]).unwrap();
        assert_eq!((request.runs, request.threads, request.vs_text_may_differ), (3, Some(4), true));
        assert_eq!((request.definition.as_str(), request.vs.as_deref()), ("d", Some("other {audio}")));
        assert_eq!(run(&[]).unwrap().threads, None);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_name() {
        let cases: [(&[&str], &str); 6] = [
            (&["--runs", "4"], "--runs is given twice"),
            (&["--threads", "0"], "--threads `0`"),
            (&["--verdict"], "`--verdict` is not an option"),
            (&["--vs"], "--vs needs a value"),
            (&["--vs-text-may-differ"], "give it with --vs"),
            (&["--name", "../up"], "--name `../up`"),
        ];
        for (more, sentence) in cases {
            let message = run(more).unwrap_err().to_string();
            assert!(message.contains(sentence), "{more:?}: {message}");
        }
        let short: Vec<String> = ["--definitions", "."].map(str::to_owned).to_vec();
        assert!(parse_run(&short).unwrap_err().to_string().contains("--definition is missing"));
    }
}
