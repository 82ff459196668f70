//! The command: says what happened, to a person or to a program.
//!
//! The transcript goes to standard output, everything else to standard error. One file or folder per
//! subcommand; `args` is what can be typed, `shared` what several subcommands have in common, `types` what those that
//! write model files have, `spelling` lets the flags
//! of whisper-cli be typed too, `output` is the files, `exit` the exit codes, `messages` everything on standard error,
//! `cost` what a run took.

mod args;
mod bench;
mod compare;
mod config;
mod convert;
mod cost;
mod eval;
mod exit;
mod first_argument;
mod imatrix;
mod inspect;
mod interrupt;
mod languages;
mod listen;
mod manual;
mod messages;
mod output;
mod places;
mod progress;
mod quant_report;
mod quantize;
mod real_model;
mod recipe;
mod shared;
mod spelling;
mod stdout;
mod transcribe;
mod types;
mod version;
mod work;

use args::{Cli, Command};
use clap::error::ErrorKind as ParseErrorKind;
use clap::{CommandFactory, Parser};
use config::Completed;
use exit::Exit;
use messages::Messages;
use std::ffi::OsString;
use std::panic;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

fn main() -> ExitCode {
    run(std::env::args_os().collect()).into()
}

/// Runs the command line `argv` (the program's name first) and says how it ended. A panic ends in one sentence too.
fn run(argv: Vec<OsString>) -> Exit {
    static LAST_PANIC: Mutex<String> = Mutex::new(String::new());
    // Nothing is printed here: the audio room catches the panics of decoders, and reports them as bad audio.
    panic::set_hook(Box::new(|panic| {
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string().replace('\n', " ");
    }));
    panic::catch_unwind(|| dispatch(argv)).unwrap_or_else(|_| {
        let what = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Messages::default().error(format_args!("this is a bug in qasr, please report it: {what}"));
        Exit::Failure
    })
}

fn dispatch(argv: Vec<OsString>) -> Exit {
    let argv = match first_argument::with_subcommand(argv).and_then(spelling::to_long_forms) {
        Ok(argv) => argv,
        Err(sentence) => {
            Messages::default().error(sentence);
            return Exit::Usage;
        }
    };
    let command = help_command(&argv);
    let Completed { argv, notes } = match config::complete(argv) {
        Ok(completed) => completed,
        Err(refused) => {
            Messages::default().error(refused.sentence);
            return refused.exit;
        }
    };
    let cli = match Cli::try_parse_from(argv) {
        Ok(cli) => cli,
        Err(error) => return explain(&error, &command),
    };
    if cli.version {
        return version::run();
    }
    if cli.command.as_ref().is_some_and(Command::is_verbose) {
        notes.iter().for_each(|note| Messages::default().note(note));
    }
    match cli.command {
        Some(Command::Transcribe(args)) if args.list_languages => languages::run(),
        Some(Command::Listen(args)) if args.list_languages => languages::run(),
        Some(Command::Transcribe(args)) => transcribe::run(&args),
        Some(Command::Listen(args)) => listen::run(&args),
        Some(Command::Replay(args)) => listen::replay::run(&args),
        Some(Command::Convert(args)) => convert::run(&args),
        Some(Command::Imatrix(args)) => imatrix::run(&args),
        Some(Command::Quantize(args)) => quantize::run(&args),
        Some(Command::Recipe(args)) => recipe::run(&args),
        Some(Command::QuantReport(args)) => quant_report::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Eval(args)) => eval::run(&args),
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Bench(args)) => bench::run(&args),
        Some(Command::Completions(args)) => manual::completions(&args),
        Some(Command::Man(args)) => manual::page(&args),
        None => {
            Messages::default().text(&Cli::command().render_help());
            Exit::Usage
        }
    }
}

/// Help goes to standard output and is a success; anything else that clap reports becomes one sentence.
fn explain(error: &clap::Error, command: &str) -> Exit {
    match error.kind() {
        ParseErrorKind::DisplayHelp => {
            // A reader that went away (`qasr --help | head -1`) is no failure.
            let _ = error.print();
            Exit::Success
        }
        ParseErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Exit::Usage
        }
        _ => {
            Messages::default().error(one_sentence(&error.render().to_string(), command));
            Exit::Usage
        }
    }
}

/// The command whose help is named: the typed subcommand, if it exists.
fn help_command(argv: &[OsString]) -> String {
    let typed = argv.get(1).and_then(|typed| typed.to_str()).unwrap_or_default();
    match Cli::command().find_subcommand(typed) {
        Some(subcommand) => format!("qasr {}", subcommand.get_name()),
        None => "qasr".into(),
    }
}

/// The first paragraph of clap's message and its first tip, on one line, and where the help is.
fn one_sentence(rendered: &str, command: &str) -> String {
    let paragraph: Vec<&str> = rendered.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let mut sentence = paragraph.join(" ");
    if let Some(rest) = sentence.strip_prefix("error: ") {
        sentence = rest.to_string();
    }
    if let Some(tip) = rendered.lines().find_map(|line| line.trim().strip_prefix("tip: ")) {
        sentence = format!("{sentence}; {tip}");
    }
    format!("{sentence} (help: `{command} --help`)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_parse_error_becomes_one_line_that_names_the_flag_and_the_help() {
        let error = Cli::try_parse_from(["qasr", "transcribe", "a.wav", "--langage", "en"]).err().unwrap();
        let sentence = one_sentence(&error.render().to_string(), "qasr transcribe");
        assert!(!sentence.contains('\n'), "{sentence}");
        assert!(sentence.contains("--langage") && sentence.contains("--language"), "{sentence}");
        assert!(sentence.ends_with("(help: `qasr transcribe --help`)"), "{sentence}");
    }

    #[test]
    fn the_help_named_is_that_of_the_subcommand() {
        assert_eq!(help_command(&["qasr".into(), "inspect".into(), "-x".into()]), "qasr inspect");
        assert_eq!(help_command(&["qasr".into(), "bogus".into()]), "qasr");
    }

    #[test]
    fn a_missing_argument_is_named() {
        let error = Cli::try_parse_from(["qasr", "convert", "checkpoint"]).err().unwrap();
        let sentence = one_sentence(&error.render().to_string(), "qasr convert");
        assert!(sentence.contains("--output-dir"), "{sentence}");
    }
}
