//! The command `qasr-bench`: times whole processes doing verified work and files the raw numbers by date. It knows no
//! engine: a definition says what to run, and every contender is a process, even where linking would be possible.

mod arguments;
mod clip;
mod command;
mod date;
mod definition;
mod executor;
mod failure;
mod gnu_time;
mod machine;
mod provenance;
mod record;
mod report;
mod run;
mod schedule;
mod statistics;
mod verify;

use arguments::{Request, USAGE};
use failure::{Failure, Kind};
use std::process::ExitCode;

fn main() -> ExitCode {
    match answer(std::env::args_os().collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("qasr-bench: {failure}");
            ExitCode::from(match failure.kind() {
                Kind::Other => 1,
                Kind::Usage => 2,
                Kind::Void => 3,
            })
        }
    }
}

fn answer(typed: Vec<std::ffi::OsString>) -> Result<(), Failure> {
    let words = arguments::words(typed)?;
    match arguments::parse(&words)? {
        Request::Help => {
            println!("{USAGE}");
            Ok(())
        }
        Request::List { definitions } => definition::list(&definitions),
        Request::Run(request) => run::run(&request, &words),
    }
}
