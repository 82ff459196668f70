//! One process: what it printed, when its first letter came, what it took, and how it ended.

use serde::{Deserialize, Serialize};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use wait4::Wait4;

/// Most of a text that is kept: an engine that never stops talking must not fill our memory.
const MOST_TEXT: usize = 4 << 20;
/// How much of the end of standard error is kept.
const COMPLAINT: usize = 2000;

static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The process that runs, which leads a group of its own; 0 while none does.
static RUNNING: AtomicU32 = AtomicU32::new(0);

/// From now on Ctrl-C ends the running process with its children, and a second one this process.
///
/// # Errors
/// When the system does not let it.
pub fn take_care_of_interrupts() -> qasr::error::Result<()> {
    let interrupt = || {
        end_group(RUNNING.load(Ordering::SeqCst));
        if IS_INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(crate::exit::Exit::Interrupted as i32);
        }
    };
    ctrlc::set_handler(interrupt)
        .map_err(|error| qasr::error::Error::internal(format!("Ctrl-C cannot be taken care of: {error}")))
}

/// Whether no further process is to be started, and what the last one did is worth nothing.
pub fn is_interrupted() -> bool {
    IS_INTERRUPTED.load(Ordering::SeqCst)
}

/// Ends a process and what it started, as far as that stayed in its group.
fn end_group(leader: u32) {
    #[cfg(unix)]
    if let Some(leader) = i32::try_from(leader).ok().filter(|leader| *leader > 0) {
        // Fails only where all of them have just ended by themselves.
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(leader), nix::sys::signal::Signal::SIGKILL);
    }
    #[cfg(not(unix))]
    let _ = leader;
}

/// A process that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it printed, without white space around it.
    pub text: String,
    /// From before its start to its end.
    pub wall_seconds: f64,
    /// User time of its own and of children it waited for.
    pub user_seconds: f64,
    /// The same inside the kernel.
    pub system_seconds: f64,
    /// Largest resident set, with the pages of mapped files.
    pub peak_bytes: u64,
    /// From its start to the first letter that is not white space.
    pub first_text_seconds: Option<f64>,
    /// Why it counts as failed: how it ended, and the end of its standard error.
    pub failure: Option<String>,
}

/// What the readers of the two pipes find.
enum Piece {
    Text(Vec<u8>, Instant),
    Complaint(Vec<u8>),
    End,
}

/// Runs a command to its end, or kills it with its children when `timeout` is over. It leads a process group of its own:
/// a terminal's Ctrl-C does not reach it.
///
/// # Errors
/// A sentence when it cannot be started at all.
pub fn run(words: &[String], timeout: Duration) -> Result<Outcome, String> {
    let Some((program, arguments)) = words.split_first() else { return Err("there is no command to run".into()) };
    let mut command = Command::new(program);
    // An engine that is qasr gets the settings of this command line and no others.
    command.env("QASR_CONFIG", "").env_remove("QASR_MODEL");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let start = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    RUNNING.store(child.id(), Ordering::SeqCst);
    if is_interrupted() {
        end_group(child.id());
    }
    let (sender, pieces) = channel();
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    read(stdout, sender.clone(), |bytes| Piece::Text(bytes, Instant::now()));
    read(stderr, sender, Piece::Complaint);

    let deadline = start + timeout;
    let mut output = Output::default();
    let has_ended = output.collect(&pieces, 2, deadline) && ends_by(child.id(), deadline);
    if !has_ended {
        end_group(child.id());
        // For a system without groups; fails only for a process that has just ended by itself.
        let _ = child.kill();
    }
    // Its number may be another's once it has been waited for.
    RUNNING.store(0, Ordering::SeqCst);
    let ended = child.wait4().map_err(|error| format!("`{program}` cannot be waited for: {error}"))?;
    let wall = start.elapsed();
    if !has_ended {
        // What was printed before the end. A child of the child may hold the pipes open: no longer than this.
        output.collect(&pieces, 2, Instant::now() + Duration::from_millis(200));
    }
    let how = match (has_ended, ended.status.success()) {
        (true, true) => None,
        (true, false) => Some(ended.status.to_string()),
        (false, _) => Some(format!("killed after {:.1} s without an end (--timeout)", timeout.as_secs_f64())),
    };
    Ok(Outcome {
        text: String::from_utf8_lossy(&output.text).trim().to_owned(),
        wall_seconds: wall.as_secs_f64(),
        user_seconds: ended.rusage.utime.as_secs_f64(),
        system_seconds: ended.rusage.stime.as_secs_f64(),
        peak_bytes: ended.rusage.maxrss,
        first_text_seconds: output.first_text.map(|at| at.duration_since(start).as_secs_f64()),
        failure: how.map(|how| output.explain(how)),
    })
}

fn read(pipe: Option<impl Read + Send + 'static>, sender: Sender<Piece>, wrap: fn(Vec<u8>) -> Piece) {
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        if let Some(mut pipe) = pipe {
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                if sender.send(wrap(buffer[..length].to_vec())).is_err() {
                    return;
                }
            }
        }
        let _ = sender.send(Piece::End);
    });
}

#[derive(Default)]
struct Output {
    text: Vec<u8>,
    first_text: Option<Instant>,
    complaint: Vec<u8>,
    ends: usize,
}

impl Output {
    /// Takes pieces until so many pipes have ended; false when the deadline comes first.
    fn collect(&mut self, pieces: &Receiver<Piece>, pipes: usize, deadline: Instant) -> bool {
        while self.ends < pipes {
            let left = deadline.saturating_duration_since(Instant::now());
            match pieces.recv_timeout(left) {
                Ok(Piece::Text(bytes, at)) => {
                    if self.first_text.is_none() && bytes.iter().any(|byte| !byte.is_ascii_whitespace()) {
                        self.first_text = Some(at);
                    }
                    let room = MOST_TEXT - self.text.len().min(MOST_TEXT);
                    self.text.extend(&bytes[..bytes.len().min(room)]);
                }
                Ok(Piece::Complaint(bytes)) => {
                    self.complaint.extend(bytes);
                    let surplus = self.complaint.len().saturating_sub(COMPLAINT);
                    self.complaint.drain(..surplus);
                }
                Ok(Piece::End) => self.ends += 1,
                Err(_) => return false,
            }
        }
        true
    }

    fn explain(&self, how: String) -> String {
        let complaint = String::from_utf8_lossy(&self.complaint);
        match complaint.trim() {
            "" => format!("{how}; nothing on standard error"),
            complaint => format!("{how}; standard error ends with: {complaint}"),
        }
    }
}

/// Waits for a process that has closed its output to end; false when the deadline comes first. Waiting for it in the
/// usual way has no deadline, and asking whether it has ended would lose what it took.
fn ends_by(id: u32, deadline: Instant) -> bool {
    loop {
        // The letter behind the name in brackets is Z once it has ended. Without /proc there is no telling.
        let has_ended = std::fs::read_to_string(format!("/proc/{id}/stat"))
            .map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('Z')));
        if has_ended {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, seconds: f64) -> Outcome {
        let words = ["sh", "-c", script].map(str::to_owned);
        run(&words, Duration::from_secs_f64(seconds)).unwrap()
    }

    #[test]
    fn text_times_and_usage_are_measured() {
        let outcome =
            shell("echo; sleep 0.3; echo hello; sleep 2; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done", 60.0);
        assert_eq!((outcome.text.as_str(), &outcome.failure), ("hello", &None));
        let first = outcome.first_text_seconds.unwrap();
        // The readers may be late on a busy machine, but hardly by so much.
        assert!((0.3..outcome.wall_seconds - 0.5).contains(&first), "{outcome:?}");
        assert!(outcome.user_seconds > 0.0 && outcome.user_seconds < outcome.wall_seconds, "{outcome:?}");
        assert!(outcome.peak_bytes > 100_000, "{outcome:?}");
    }

    #[test]
    fn children_end_with_what_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("late");
        let outcome = shell(&format!("(sleep 2; echo late > '{}') & wait", file.display()), 0.4);
        assert!(outcome.failure.is_some(), "{outcome:?}");
        thread::sleep(Duration::from_millis(2500));
        assert!(!file.exists(), "the child went on");
    }

    #[test]
    fn a_failure_keeps_its_text_and_the_end_of_standard_error() {
        let outcome = shell("echo half; echo sorry >&2; exit 7", 20.0);
        let failure = outcome.failure.unwrap();
        assert!(failure.contains('7') && failure.ends_with("sorry"), "{failure}");
        assert_eq!(outcome.text, "half");
        assert!(shell("kill -9 $$", 20.0).failure.unwrap().contains('9'));
    }

    #[test]
    fn what_hangs_is_killed_even_with_its_output_closed_or_held_open_by_a_child() {
        for script in ["echo x; exec sleep 30", "exec >&- 2>&-; exec sleep 30", "echo x; sleep 5 & exec sleep 30"] {
            let outcome = shell(script, 0.4);
            assert!(outcome.failure.as_ref().unwrap().contains("--timeout"), "{script}: {outcome:?}");
            assert!(outcome.wall_seconds < 3.0, "{script}: {outcome:?}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&["no-such-engine".to_owned()], Duration::from_secs(1)).unwrap_err();
        assert!(error.contains("no-such-engine"), "{error}");
    }
}
