//! Processes that are measured: the output, the time of its first letter, the costs, and the end.

use crate::machine;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use wait4::Wait4;

/// Most of a text that is kept: an engine that never stops talking must not fill our memory.
const MOST_TEXT: usize = 4 << 20;
/// How much of the end of standard error is kept.
const COMPLAINT: usize = 2000;

/// Whether no process is to run any more.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// The process that runs, which leads a group of its own; 0 while none does.
static RUNNING: AtomicU32 = AtomicU32::new(0);

/// Ends the process that [`run`] runs, with its children, and every one that it begins from now on. For the handler of
/// an interrupt.
pub fn end_all() {
    IS_ENDING.store(true, Ordering::SeqCst);
    end_group(RUNNING.load(Ordering::SeqCst));
}

/// Ends a process and its children, as far as they stayed in its group.
fn end_group(leader: u32) {
    #[cfg(unix)]
    if let Some(leader) = i32::try_from(leader).ok().filter(|leader| *leader > 0) {
        // Fails only where all of them have just ended by themselves.
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(leader), nix::sys::signal::Signal::SIGKILL);
    }
    #[cfg(not(unix))]
    let _ = leader;
}

/// Costs of a process and of the children that it waited for, by the system's count.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// CPU time outside the kernel, in seconds.
    pub user_seconds: f64,
    /// CPU time inside the kernel, in seconds.
    pub system_seconds: f64,
    /// Largest resident set, with the pages of mapped files.
    pub peak_bytes: u64,
}

/// Waits for the end of a process.
///
/// # Errors
/// When the system cannot wait for it.
pub fn wait(child: &mut Child) -> io::Result<(ExitStatus, Usage)> {
    loop {
        match child.wait4() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            ended => {
                let ended = ended?;
                let usage = Usage {
                    user_seconds: ended.rusage.utime.as_secs_f64(),
                    system_seconds: ended.rusage.stime.as_secs_f64(),
                    peak_bytes: ended.rusage.maxrss,
                };
                return Ok((ended.status, usage));
            }
        }
    }
}

/// Page faults that had to read from a disk, and switches to other processes against the will, of all children that
/// ended so far; `None` where the system does not count them.
fn disturbances() -> Option<[u64; 2]> {
    #[cfg(unix)]
    {
        let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).ok()?;
        let counts = [usage.major_page_faults(), usage.involuntary_context_switches()];
        Some(counts.map(|count| u64::try_from(count).unwrap_or(0)))
    }
    #[cfg(not(unix))]
    None
}

/// A process that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Standard output without white space around it. What is no UTF-8 is replaced by U+FFFD.
    pub text: String,
    /// Whether all of standard output was UTF-8.
    pub is_utf8: bool,
    /// The end of standard error, without white space around it.
    pub complaint: String,
    /// From before its start to its end, by our own clock.
    pub wall: Duration,
    /// From its start to the first letter that is not white space.
    pub first_text: Option<Duration>,
    /// CPU time and memory.
    pub usage: Usage,
    /// Page faults that had to read, and involuntary switches; `None` where they are not counted.
    pub disturbances: Option<[u64; 2]>,
    /// `None` where it had to be killed because it took too long.
    pub status: Option<ExitStatus>,
}

impl Execution {
    /// The exit code, 128 + signal where a signal ended it as in shells; `None` where it took too long.
    pub fn exit_code(&self) -> Option<i32> {
        let status = self.status?;
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
            return Some(128 + signal);
        }
        status.code()
    }
}

/// A message from the readers of the two pipes.
enum Piece {
    Text(Vec<u8>, Instant),
    Complaint(Vec<u8>),
    End,
}

/// Runs a command to its end, or kills it with its children when `timeout` is over. It leads a process group of its own:
/// a terminal's Ctrl-C does not reach it, see [`end_all`]. One at a time.
///
/// # Errors
/// A sentence when it cannot be started at all.
pub fn run(words: &[String], timeout: Duration) -> Result<Execution, String> {
    let Some((program, arguments)) = words.split_first() else { return Err("there is no command to run".into()) };
    let mut command = Command::new(program);
    // An engine that is qasr gets the settings of this command line and no others.
    command.env("QASR_CONFIG", "").env_remove("QASR_MODEL");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    machine::forget_peak_memory();
    let before = disturbances();
    let start = Instant::now();
    let mut child = command.spawn().map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    RUNNING.store(child.id(), Ordering::SeqCst);
    if IS_ENDING.load(Ordering::SeqCst) {
        end_group(child.id());
    }
    let (sender, pieces) = channel();
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    read(stdout, sender.clone(), |bytes| Piece::Text(bytes, Instant::now()));
    read(stderr, sender, Piece::Complaint);

    // One that does not fit into the clock never comes.
    let deadline = start.checked_add(timeout).unwrap_or(start + Duration::from_secs(1 << 30));
    let mut output = Output::default();
    let has_ended = output.collect(&pieces, 2, deadline) && ends_by(child.id(), deadline);
    if !has_ended {
        end_group(child.id());
        // For a system without groups; fails only for a process that has just ended by itself.
        let _ = child.kill();
    }
    // Its number may be another's once it has been waited for.
    RUNNING.store(0, Ordering::SeqCst);
    let (status, usage) = wait(&mut child).map_err(|error| format!("`{program}` cannot be waited for: {error}"))?;
    let wall = start.elapsed();
    let after = disturbances();
    if !has_ended {
        // The text before the end. A child of the child may hold the pipes open: no longer than this.
        output.collect(&pieces, 2, Instant::now() + Duration::from_millis(200));
    }
    let text = String::from_utf8_lossy(&output.text);
    Ok(Execution {
        is_utf8: matches!(text, std::borrow::Cow::Borrowed(_)),
        text: text.trim().to_owned(),
        complaint: String::from_utf8_lossy(&output.complaint).trim().to_owned(),
        wall,
        first_text: output.first_text.map(|at| at.duration_since(start)),
        usage,
        disturbances: before.zip(after).map(|([a, b], [c, d])| [c.saturating_sub(a), d.saturating_sub(b)]),
        status: has_ended.then_some(status),
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
    /// Takes pieces until this number of pipes has ended; false when the deadline comes first.
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
}

/// Waits for a process that has closed its output to end; false when the deadline comes first. Waiting for it in the
/// usual way has no deadline, and asking whether it has ended would lose what it took.
fn ends_by(id: u32, deadline: Instant) -> bool {
    loop {
        // The letter after the name in brackets is Z once it has ended. Without /proc it is not known.
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

    fn shell(script: &str, seconds: f64) -> Execution {
        let words = ["sh", "-c", script].map(str::to_owned);
        run(&words, Duration::from_secs_f64(seconds)).unwrap()
    }

    #[test]
    fn text_times_and_usage_are_measured() {
        let outcome =
            shell("echo; sleep 0.3; echo hello; sleep 2; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done", 60.0);
        assert_eq!((outcome.text.as_str(), outcome.exit_code()), ("hello", Some(0)));
        let (first, wall) = (outcome.first_text.unwrap().as_secs_f64(), outcome.wall.as_secs_f64());
        // The readers may be late on a busy machine, but hardly by so much.
        assert!((0.3..wall - 0.5).contains(&first), "{outcome:?}");
        assert!(outcome.usage.user_seconds > 0.0 && outcome.usage.user_seconds < wall, "{outcome:?}");
        assert!(outcome.usage.peak_bytes > 100_000, "{outcome:?}");
    }

    #[test]
    fn children_end_with_what_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("late");
        let outcome = shell(&format!("(sleep 2; echo late > '{}') & wait", file.display()), 0.4);
        assert_eq!(outcome.status, None, "{outcome:?}");
        thread::sleep(Duration::from_millis(2500));
        assert!(!file.exists(), "the child went on");
    }

    #[test]
    fn a_failure_keeps_its_text_and_the_end_of_standard_error() {
        let outcome = shell("echo half; echo sorry >&2; exit 7", 20.0);
        assert_eq!((outcome.exit_code(), outcome.complaint.as_str()), (Some(7), "sorry"));
        assert_eq!(outcome.text, "half");
        assert_eq!(shell("kill -9 $$", 20.0).exit_code(), Some(137));
        assert!(!shell("printf '\\377'", 20.0).is_utf8 && outcome.is_utf8);
    }

    #[test]
    fn what_hangs_is_killed_even_with_its_output_closed_or_held_open_by_a_child() {
        for script in ["echo x; exec sleep 30", "exec >&- 2>&-; exec sleep 30", "echo x; sleep 5 & exec sleep 30"] {
            let outcome = shell(script, 0.4);
            assert_eq!(outcome.exit_code(), None, "{script}: {outcome:?}");
            assert!(outcome.wall.as_secs_f64() < 3.0, "{script}: {outcome:?}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(&["no-such-engine".to_owned()], Duration::from_secs(1)).unwrap_err();
        assert!(error.contains("no-such-engine"), "{error}");
    }
}
