//! The real executor: GNU time around the command. The standard library reports no resource usage of a child, and
//! GNU time does so without unsafe code of ours. It also is small itself: a child starts with its parent's peak
//! resident set until it has loaded its own program, so a large parent would show up in the numbers.

use crate::executor::{Execution, Executor, Usage};
use crate::failure::Failure;
use crate::machine;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where GNU time may be: Linux, then macOS with Homebrew, then anywhere on the path.
const CANDIDATES: &[&str] = &["/usr/bin/time", "gtime", "time"];

/// User seconds, system seconds, KiB, major faults, involuntary switches.
const FORMAT: &str = "%U %S %M %F %c";

/// GNU time, and a folder of our own that it writes into.
#[derive(Debug)]
pub struct GnuTime {
    program: &'static str,
    version: String,
    folder: PathBuf,
}

impl GnuTime {
    /// Looks for GNU time; the shell's word `time` and BSD's program are not it.
    pub fn find() -> Result<Self, Failure> {
        let Some((program, version)) =
            CANDIDATES.iter().find_map(|program| version_of(program).map(|version| (*program, version)))
        else {
            return Err(Failure::other(format!(
                "GNU time is neither of {}: install it (Debian and Ubuntu: apt install time; macOS: brew install gnu-time)",
                CANDIDATES.join(", ")
            )));
        };
        // `create_dir` fails where something already has the name, so nobody else can have put a link there.
        let unique = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let folder = std::env::temp_dir().join(format!("qasr-bench-{}-{unique}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| {
            Failure::other(format!(
                "{} cannot be created ({error}): set TMPDIR to a folder one can write to",
                folder.display()
            ))
        })?;
        Ok(Self { program, version, folder })
    }

    /// Program and first line of its `--version`.
    pub fn description(&self) -> String {
        format!("{}, {}", self.program, self.version)
    }
}

impl Drop for GnuTime {
    fn drop(&mut self) {
        // A folder left behind in the temporary folder is harmless, and there is nobody left to tell.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn version_of(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    // Version 1.7 prints it on standard error.
    let printed = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&printed).lines().next().unwrap_or_default().trim().to_owned();
    line.contains("GNU").then_some(line)
}

impl Executor for GnuTime {
    fn execute(&mut self, command: &[String]) -> Result<Execution, Failure> {
        let measured = self.folder.join("usage");
        let load_before = machine::load();
        let mut timed = Command::new(self.program);
        timed.args(["-f", FORMAT, "-o"]).arg(&measured).arg("--").args(command).stdin(Stdio::null());
        let started = Instant::now();
        let output = timed.output();
        let wall = started.elapsed();
        let name = command.first().map_or("", String::as_str);
        let output = output
            .map_err(|error| Failure::other(format!("{} around `{name}` did not start: {error}", self.program)))?;
        let written = fs::read_to_string(&measured).map_err(|error| {
            Failure::other(format!("{} wrote no usage to {}: {error}", self.program, measured.display()))
        })?;
        let (usage, signal) = read_usage(&written).ok_or_else(|| {
            Failure::other(format!(
                "{} wrote `{}` instead of five numbers: is it GNU time?",
                self.program,
                written.trim()
            ))
        })?;
        let text = String::from_utf8(output.stdout).map_err(|_| {
            Failure::void(format!("`{name}` printed something that is not UTF-8: its text cannot be verified"))
        })?;
        let complaint = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().trim().to_owned();
        Ok(Execution {
            wall,
            usage,
            load_before,
            exit_code: signal.map_or(output.status.code().unwrap_or(-1), |signal| 128 + signal),
            text: text.trim().to_owned(),
            complaint,
        })
    }
}

/// The numbers on the last line; a line before it may say which signal ended the command.
fn read_usage(written: &str) -> Option<(Usage, Option<i32>)> {
    let signal =
        written.lines().find_map(|line| line.strip_prefix("Command terminated by signal ")?.trim().parse().ok());
    let numbers: Vec<&str> = written.lines().last()?.split_whitespace().collect();
    let [user, system, peak, faults, switches] = numbers.as_slice() else { return None };
    let usage = Usage {
        user_s: user.parse().ok()?,
        system_s: system.parse().ok()?,
        peak_rss_kib: peak.parse().ok()?,
        major_faults: faults.parse().ok()?,
        involuntary_switches: switches.parse().ok()?,
    };
    Some((usage, signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_on_the_last_line() {
        let usage = Usage { user_s: 1.25, system_s: 0.5, peak_rss_kib: 2048, major_faults: 3, involuntary_switches: 4 };
        assert_eq!(read_usage("1.25 0.50 2048 3 4\n"), Some((usage, None)));
        assert_eq!(read_usage("Command exited with non-zero status 5\n1.25 0.50 2048 3 4\n"), Some((usage, None)));
        assert_eq!(read_usage("Command terminated by signal 9\n1.25 0.50 2048 3 4\n"), Some((usage, Some(9))));
        assert_eq!(read_usage("1.25 0.50 2048 3\n"), None);
        assert_eq!(read_usage("one two three four five\n"), None);
        assert_eq!(read_usage(""), None);
    }
}
