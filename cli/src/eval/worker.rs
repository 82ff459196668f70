//! The process of one model: transcribes what its journal does not have. Its own, so that peak memory and CPU time are
//! those of one model.
//!
//! Its standard input is a pipe that the starting process holds open. When that process ends, in whatever way, the pipe
//! closes and this one ends too: two processes never write one journal.

use super::Plan;
use super::args::EvalArgs;
use super::models::Chosen;
use crate::exit::Exit;
use crate::interrupt;
use crate::messages::Messages;
use qasr::ModelFiles;
use qasr::error::{Error, ErrorKind, Result};
use qasr_measure::evaluation::{self, ModelLine, ProcessLine, ResultJournal};
use qasr_measure::process::{self, Usage};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The pipe that keeps the running worker alive.
static LIFELINE: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// From now on Ctrl-C ends the running worker, and a second one this process.
///
/// # Errors
/// When the system does not let it.
pub fn take_care_of_interrupts() -> Result<()> {
    interrupt::install_with(end_worker)
}

fn end_worker() {
    drop(LIFELINE.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// How a worker ended.
pub struct Ended {
    pub status: ExitStatus,
    /// Its cost; the files are still to be counted.
    pub process: ProcessLine,
}

/// Starts this program for one model and waits for its end.
///
/// It gets the files as arguments: finding or making them again would count as the model's work.
pub fn start(chosen: &Chosen) -> Result<Ended> {
    let failed = |error: io::Error| {
        Error::internal(format!("a process for the model could not be run: {error}; try again with less in memory"))
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut typed: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut told = vec![option("--worker=", OsStr::new(&chosen.name))];
    if let Some(files) = &chosen.files {
        told.push(option("--worker-decoder=", files.decoder.as_os_str()));
        told.push(option("--worker-encoder=", files.encoder.as_os_str()));
    }
    // Right after the subcommand: after `--` it would be taken for a file.
    let behind = 1.min(typed.len());
    typed.splice(behind..behind, told);
    let mut child = Command::new(program).args(typed).stdin(Stdio::piped()).spawn().map_err(failed)?;
    *LIFELINE.lock().unwrap_or_else(PoisonError::into_inner) = child.stdin.take();
    if interrupt::is_wanted() {
        end_worker();
    }
    let (status, usage) = process::wait(&mut child).map_err(failed)?;
    end_worker();
    let Usage { user_seconds, system_seconds, peak_bytes } = usage;
    Ok(Ended { status, process: ProcessLine { files: 0, user_seconds, system_seconds, peak_bytes } })
}

fn option(name: &str, value: &OsStr) -> OsString {
    let mut option = OsString::from(name);
    option.push(value);
    option
}

/// The worker itself.
pub fn run(args: &EvalArgs, name: &str, messages: &Messages) -> Exit {
    thread::spawn(|| {
        let mut nothing = [0; 64];
        while io::stdin().read(&mut nothing).is_ok_and(|length| length > 0) {}
        std::process::exit(Exit::Interrupted as i32);
    });
    match measure(args, name, messages) {
        Ok(()) => Exit::Success,
        Err(error) => messages.failure(&error),
    }
}

fn measure(args: &EvalArgs, name: &str, messages: &Messages) -> Result<()> {
    let plan = Plan::new(args)?;
    let files = args.worker_decoder.as_ref().zip(args.worker_encoder.as_ref());
    let files = files.map(|(decoder, encoder)| ModelFiles::pair(decoder, encoder));
    let chosen = Chosen { name: name.to_owned(), files };
    let path = plan.journal(&chosen);
    let Some(mut journal) = ResultJournal::resume(&path)? else {
        return Err(Error::output(format!("{} went away: try again", path.display())));
    };
    let model = chosen.open(args)?.model;
    journal.set_model(ModelLine::new(model.info()))?;
    let mut report = |progress: evaluation::Progress<'_>| {
        messages.progress(&chosen.name, progress.done as u64, progress.total as u64);
        let result = progress.result;
        if progress.is_from_journal {
            return;
        }
        if let Some(failure) = &result.failure {
            messages.error(&failure.message);
        } else if !result.complete {
            messages.warning(format_args!("{}: the text was cut by the limit of new tokens", result.file));
        }
    };
    let results = evaluation::run(&model, &plan.manifest, &plan.options, Some(&mut journal), &mut report);
    messages.clear_progress();
    match results {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Output => Err(error),
        Err(error) => Err(error.at(&chosen.name)),
    }
}
