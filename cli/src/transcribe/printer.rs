//! The text on standard output, as it is finished.

use super::plan::Job;
use crate::output::{self, Format, Report};
use crate::stdout;
use qasr::error::{Error, Result};
use std::io::{self, IsTerminal, Write};

/// Refuses a run whose text nobody could ever see.
pub fn check(jobs: &[Job]) -> Result<()> {
    if stdout::is_closed() && jobs.iter().any(|job| job.files.is_empty()) {
        return Err(stdout::closed());
    }
    Ok(())
}

/// Standard output during one recording.
pub struct Printer {
    /// The text is what is printed; otherwise a file's form, at the end.
    is_text: bool,
    is_terminal: bool,
    /// A line was begun and not ended.
    line_is_open: bool,
    printed: bool,
    failed: Option<io::Error>,
}

impl Printer {
    pub fn new(is_text: bool) -> Self {
        Self {
            is_text,
            is_terminal: io::stdout().is_terminal(),
            line_is_open: false,
            printed: false,
            failed: stdout::is_closed().then(|| io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Prints what was added to the text.
    pub fn add(&mut self, text: &str) {
        if self.is_text && !text.is_empty() {
            self.write(text);
            self.printed = true;
            self.line_is_open = !text.ends_with('\n');
        }
    }

    /// True when the text stands on a screen, where a line about progress would be written over it.
    pub fn is_on_screen(&self) -> bool {
        self.printed && self.is_terminal
    }

    /// True when nobody reads any more, or nothing can be written: more text is of no use here.
    pub fn is_gone(&self) -> bool {
        self.failed.is_some()
    }

    /// Ends the line, so that a message can follow.
    pub fn end_line(&mut self) {
        if std::mem::take(&mut self.line_is_open) {
            self.write("\n");
        }
    }

    /// Ends the recording: the end of its line, or its result in another form.
    ///
    /// # Errors
    /// An output error. A reader that went away has what it wanted: no failure.
    pub fn finish(&mut self, report: &Report<'_>, format: Format) -> Result<()> {
        if self.is_text {
            // One line per recording, also where nothing was said.
            self.line_is_open |= !self.printed;
            self.end_line();
        } else if self.failed.is_none() {
            let mut out = io::BufWriter::new(io::stdout().lock());
            self.failed = output::write(report, format, &mut out).and_then(|()| out.flush()).err();
        }
        match &self.failed {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::output(format!("cannot write the text to standard output: {error}")))
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, text: &str) {
        if self.failed.is_none() {
            let mut out = io::stdout().lock();
            self.failed = out.write_all(text.as_bytes()).and_then(|()| out.flush()).err();
        }
    }
}
