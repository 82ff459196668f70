//! The command `qasr-bench`: times whole processes doing verified work and files the raw numbers by date. It knows no
//! engine: a definition names the command, and every contender is a process, even where linking would be possible.

mod definition;
mod failure;
mod provenance;
mod record;
mod report;
mod run;
mod statistics;
mod verify;

use clap::{Args, Parser, Subcommand};
use failure::usage;
use std::path::PathBuf;
use std::process::ExitCode;

const NOTES: &str = "\
Exit codes: 0 filed; 1 another failure; 2 usage; 3 void, a run did not do its work and nothing is filed.
Paths are filed as typed: run it in the repository's root and type relative ones.";

/// Times whole processes doing verified work and files the raw numbers by date
#[derive(Debug, Parser)]
#[command(name = "qasr-bench", after_help = NOTES)]
struct Typed {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a definition, and file the numbers
    Run(Box<RunArgs>),
    /// List the definitions
    List {
        #[command(flatten)]
        folder: Folder,
    },
}

#[derive(Debug, Args)]
struct Folder {
    /// Folder of definitions
    #[arg(long, value_name = "DIR", default_value = "benches/definitions")]
    definitions: PathBuf,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// NAME.toml in the folder of definitions
    #[arg(long, value_name = "NAME")]
    definition: String,

    #[command(flatten)]
    folder: Folder,

    /// The program for {qasr}: contender A
    #[arg(long, value_name = "PATH")]
    qasr: String,

    /// The decoder file for {model}; the encoder lies beside it
    #[arg(long, value_name = "PATH")]
    model: String,

    /// The recording for {audio}
    #[arg(long, value_name = "PATH")]
    audio: String,

    /// Timed runs of each contender, after one warm-up each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,

    /// Files DIR/DATE/NAME.csv and DIR/DATE/NAME.md
    #[arg(long, value_name = "DIR")]
    record: PathBuf,

    /// Contender B, run in turn with A; no shell, quotes group words, the same {placeholders}
    #[arg(long, value_name = "COMMAND")]
    vs: Option<String>,

    /// Prints contender B's version
    #[arg(long, value_name = "COMMAND", requires = "vs")]
    vs_version: Option<String>,

    /// B's text needs to agree with B's own runs only, not with A's
    #[arg(long, requires = "vs")]
    vs_text_may_differ: bool,

    /// The text every run has to print; with --vs-text-may-differ, every run of A
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// Instead of the definition's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    threads: Option<u32>,

    /// Name of the record [default: the definition's]
    #[arg(long, value_name = "NAME", value_parser = record_name)]
    name: Option<String>,
}

/// A record's name becomes a file name.
fn record_name(typed: &str) -> Result<String, String> {
    let usable = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    match typed.is_empty() || typed.starts_with('.') || !typed.chars().all(usable) {
        true => Err("it cannot be a file name: use letters, digits, `-`, `_` and `.`".into()),
        false => Ok(typed.to_owned()),
    }
}

fn main() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("qasr-bench: {error:#}");
            ExitCode::from(failure::exit_code(&error))
        }
    }
}

fn answer() -> anyhow::Result<()> {
    let typed = Typed::parse();
    let words: Result<Vec<String>, _> = std::env::args_os().map(std::ffi::OsString::into_string).collect();
    let words =
        words.map_err(|word| usage(format!("{word:?} is not UTF-8, and a report could not repeat it: rename it")))?;
    match typed.command {
        Command::List { folder } => definition::list(&folder.definitions),
        Command::Run(args) => run::run(&args, &words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_make_no_sense_are_refused_with_their_name() {
        let typed = |more: &[&str]| {
            let fixed = "qasr-bench run --definition d --qasr q --model m --audio a --runs 3 --record r";
            Typed::try_parse_from(fixed.split(' ').chain(more.iter().copied())).map_err(|error| error.to_string())
        };
        assert!(typed(&["--vs", "other {audio}", "--vs-text-may-differ", "--threads", "4"]).is_ok());
        for (more, name) in [
            (&["--threads", "0"][..], "--threads"),
            (&["--vs-text-may-differ"], "--vs"),
            (&["--vs-version", "x"], "--vs"),
            (&["--name", "../up"], "'../up'"),
            (&["--runs", "4"], "--runs"),
        ] {
            let error = typed(more).expect_err(name);
            assert!(error.contains(name), "{more:?}: {error}");
        }
    }
}
