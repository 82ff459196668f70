//! Running the built command, and a folder of its own for each test.

// Every test program has this file in it and uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// `qasr` with these arguments, to be given more or run.
pub fn qasr(args: &[&str]) -> Prepared {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qasr"));
    command.args(args);
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

/// A folder for one test, empty at the start and removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The full path of a name in it.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.0.join(name), bytes).unwrap();
        self.path(name)
    }

    pub fn copy(&self, from: &str, name: &str) -> String {
        self.write(name, &fs::read(from).unwrap())
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// The names of its files, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A 16-bit mono WAV file at 16 kHz.
pub fn wav(samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(16_000u32.to_le_bytes());
    file.extend(32_000u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}
