//! The seam between what is timed and how: one command in, one [`Execution`] out. It is a trait so that order,
//! verification and statistics are tested without time passing.

use crate::failure::Failure;
use std::time::Duration;

/// One finished process.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// From before its start to the end of its output, by our own clock.
    pub wall: Duration,
    /// What the kernel counted.
    pub usage: Usage,
    /// 1-minute load average just before the start, where the system tells.
    pub load_before: Option<f64>,
    /// 128 + signal where a signal ended it.
    pub exit_code: i32,
    /// Standard output without white space around it.
    pub text: String,
    /// The last line of standard error.
    pub complaint: String,
}

/// What the kernel counted for a process and the children it waited for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// Seconds, to 10 ms.
    pub user_s: f64,
    /// Seconds, to 10 ms.
    pub system_s: f64,
    /// Largest resident set, mapped file pages included.
    pub peak_rss_kib: u64,
    /// Page faults that had to read: zero with a warm page cache.
    pub major_faults: u64,
    /// How often it was interrupted in favour of another process.
    pub involuntary_switches: u64,
}

/// Runs a command to its end.
pub trait Executor {
    /// The first word is the program. An error is a failure to measure; a failing command is an [`Execution`].
    fn execute(&mut self, command: &[String]) -> Result<Execution, Failure>;
}
