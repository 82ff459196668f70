//! Running the built command in the root of the repository.

// Every test program has this file in it and uses a part of it.
#![allow(dead_code)]

pub use crate::scratch::{Scratch, root, wav};
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

/// `qasr` with these arguments, to be given more or run.
pub fn qasr(args: &[&str]) -> Prepared {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qasr"));
    command.args(args).current_dir(root());
    // The settings of whoever runs the tests are not theirs.
    command.env("QASR_CONFIG", "").env_remove("QASR_MODEL");
    // Tests run side by side, and threads that wait for each other on busy cores cost more than they bring.
    if args.first() == Some(&"transcribe") && !args.contains(&"-t") && args.len() > 2 {
        command.args(["-t", "1"]);
    }
    Prepared { command, stdin: None, stdout: Stdio::piped() }
}

/// A command that has not run yet.
pub struct Prepared {
    command: Command,
    stdin: Option<Vec<u8>>,
    stdout: Stdio,
}

/// A command that has run.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Prepared {
    /// Gives it these bytes on standard input.
    pub fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// Sends its standard output elsewhere.
    pub fn stdout(mut self, stdout: Stdio) -> Self {
        self.stdout = stdout;
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// The command itself, for tests that run it in their own way.
    pub fn command(self) -> Command {
        self.command
    }

    /// Runs it and expects success.
    pub fn succeeds(self) -> Finished {
        self.fails_with(0)
    }

    /// Runs it and expects this exit code.
    pub fn fails_with(self, code: i32) -> Finished {
        let finished = self.run();
        assert_eq!(finished.code, Some(code), "{finished:?}");
        finished
    }

    /// Runs it and expects success or this exit code.
    pub fn succeeds_or_fails_with(self, code: i32) -> Finished {
        let finished = self.run();
        assert!([Some(0), Some(code)].contains(&finished.code), "{finished:?}");
        finished
    }

    fn run(mut self) -> Finished {
        let stdin = if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = self.command.stdin(stdin).stdout(self.stdout).stderr(Stdio::piped()).spawn().unwrap();
        let feeder = self.stdin.zip(child.stdin.take()).map(|(bytes, mut pipe)| {
            // A command that stops reading early is not the feeder's failure.
            thread::spawn(move || drop(pipe.write_all(&bytes)))
        });
        let output = child.wait_with_output().unwrap();
        feeder.into_iter().for_each(|feeder| feeder.join().unwrap());
        Finished {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
