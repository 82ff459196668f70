//! The text on standard output, as it is finished.

use super::plan::Job;
use crate::output::{self, Cutting, Format, Report, clock, cut, folded, label};
use crate::stdout;
use qasr::Segment;
use qasr::error::{Error, Result};
use std::io::{self, IsTerminal, Write};

/// Refuses a run whose text nobody could ever see.
pub fn check(jobs: &[Job]) -> Result<()> {
    if stdout::is_closed() && jobs.iter().any(|job| job.files.is_empty()) {
        return Err(stdout::closed());
    }
    Ok(())
}

/// How text is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One line for a recording, or where channels are recognized one by one for an utterance.
    Text,
    /// A line for each utterance.
    Lines,
    /// A line for each utterance, with its times before it as whisper-cli has them.
    Times,
    /// Nothing of it: at the end comes a file's form.
    Nothing,
}

impl Form {
    /// For a format on standard output: times are for people, who see them on a terminal unless they do not want them.
    pub fn new(format: Format, has_lines: bool, without_times: bool) -> Self {
        match format {
            Format::Txt if io::stdout().is_terminal() && !without_times => Self::Times,
            Format::Txt if has_lines => Self::Lines,
            Format::Txt => Self::Text,
            _ => Self::Nothing,
        }
    }
}

/// Standard output during one recording.
pub struct Printer {
    form: Form,
    cutting: Cutting,
    channels: usize,
    is_terminal: bool,
    /// A line was begun and not ended.
    line_is_open: bool,
    printed: bool,
    failed: Option<io::Error>,
}

impl Printer {
    pub fn new(form: Form, cutting: Cutting, channels: usize) -> Self {
        Self {
            form,
            cutting: cutting.or_whole(),
            channels,
            is_terminal: io::stdout().is_terminal(),
            line_is_open: false,
            printed: false,
            failed: stdout::is_closed().then(|| io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Prints an utterance, which adds `text` to the text of the recording.
    pub fn add(&mut self, segment: &Segment, text: &str) {
        match self.form {
            Form::Nothing => {}
            Form::Text if text.is_empty() => {}
            // Each is a line already where channels were recognized one by one.
            Form::Text if self.channels > 1 => self.write(text),
            Form::Text => {
                self.write(&folded(text));
                self.line_is_open = true;
            }
            Form::Lines | Form::Times => {
                for cue in cut(segment, 0, self.cutting, 0) {
                    let times = match self.form {
                        Form::Times => format!("[{} --> {}]  ", clock(cue.start, '.'), clock(cue.end, '.')),
                        _ => String::new(),
                    };
                    self.write(&format!("{times}{}{}\n", label(cue.channel, self.channels), cue.text));
                }
            }
        }
        self.printed |= !text.is_empty();
    }

    /// True when a line of text on a screen waits for its end, where a line about progress would be written over it.
    pub fn is_on_screen(&self) -> bool {
        self.line_is_open && self.is_terminal
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
    /// An output error. A reader that went away has seen enough: no failure.
    pub fn finish(&mut self, report: &Report<'_>, format: Format) -> Result<()> {
        if self.form == Form::Text {
            // One line per recording, also where nothing was said.
            self.line_is_open |= !self.printed;
        }
        self.end_line();
        if self.form == Form::Nothing && self.failed.is_none() {
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
