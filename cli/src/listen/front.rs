//! Shows events: as JSON, as lines, or on a terminal. Standard output has the text, standard error everything else.

use super::events::{Event, Final, Partial};
use super::screen::{Screen, Size, level_meter};
use super::totals;
use crate::messages::Messages;
use crate::output::clock;
use qasr::error::{Error, Result};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between two pictures that differ in the status only.
const STATUS_EVERY: Duration = Duration::from_millis(100);

/// Where text is shown, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A line for each event.
    Json,
    /// A line for each finished utterance.
    Lines,
    /// Everything, as it grows.
    Terminal,
}

/// The view of a run at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment {
    /// Loudest sample of the last blocks.
    pub peak: f32,
    /// Captured audio that the text does not account for yet.
    pub lag_ms: u64,
    /// Time at work by audio time, over the last seconds.
    pub rtf: f64,
    pub dropped_samples: u64,
}

/// Shows what a run says.
pub struct Front<'a> {
    messages: &'a Messages,
    form: Form,
    has_times: bool,
    screen: Screen,
    /// Of the running utterance.
    committed: String,
    tentative: String,
    status: Option<Moment>,
    status_shown: Option<Instant>,
    status_goes: StatusGoes,
    /// A status line stands on standard error.
    status_stands: bool,
    reader_is_gone: bool,
    failure: Option<Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatusGoes {
    Nowhere,
    BelowText,
    ToStandardError,
}

impl<'a> Front<'a> {
    /// With `is_quiet` there is no status line; with `has_times` a finished utterance stands after its times.
    pub fn new(messages: &'a Messages, is_json: bool, is_quiet: bool, has_times: bool) -> Self {
        let can_rewrite = std::env::var_os("TERM").is_none_or(|name| name != "dumb");
        let form = match (is_json, io::stdout().is_terminal() && can_rewrite) {
            (true, _) => Form::Json,
            (false, true) => Form::Terminal,
            (false, false) => Form::Lines,
        };
        let status_goes = match form {
            _ if is_quiet => StatusGoes::Nowhere,
            Form::Terminal => StatusGoes::BelowText,
            _ if io::stderr().is_terminal() && !io::stdout().is_terminal() && can_rewrite => {
                StatusGoes::ToStandardError
            }
            _ => StatusGoes::Nowhere,
        };
        Self {
            messages,
            form,
            has_times,
            screen: Screen::default(),
            committed: String::new(),
            tentative: String::new(),
            status: None,
            status_shown: None,
            status_goes,
            status_stands: false,
            reader_is_gone: false,
            failure: None,
        }
    }

    /// False when nobody reads standard output any more, or it cannot be written.
    pub fn is_wanted(&self) -> bool {
        !self.reader_is_gone && self.failure.is_none()
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event) {
        if self.form == Form::Json {
            self.print(&event.line());
        }
        match event {
            Event::Partial(partial) => self.partial(partial),
            Event::Final(ended) => self.ended(ended),
            Event::Dropped(dropped) => self.warning(&format!(
                "{:.2} s of audio were dropped at {:.1} s: the machine did not keep up; use a longer --step or a smaller \
                 model",
                dropped.ms as f64 / 1000.0,
                dropped.at
            )),
            Event::Warning(warning) => self.warning(&warning.message),
            Event::Ready(_) | Event::End(_) => {}
        }
    }

    /// Shows how it goes, but not too often.
    pub fn status(&mut self, status: Moment) {
        self.status = Some(status);
        if self.status_shown.is_some_and(|shown| shown.elapsed() < STATUS_EVERY) {
            return;
        }
        self.status_shown = Some(Instant::now());
        match self.status_goes {
            StatusGoes::Nowhere => {}
            StatusGoes::BelowText => self.draw(),
            StatusGoes::ToStandardError => {
                let _ = write!(io::stderr().lock(), "\r{}\x1b[K", sentence(&status));
                self.status_stands = true;
            }
        }
    }

    /// Takes away what was only for the moment.
    ///
    /// # Errors
    /// [`qasr::ErrorKind::Output`] when standard output could not be written, other than because its reader went away.
    pub fn close(mut self) -> Result<()> {
        self.clear();
        self.failure.map_or(Ok(()), Err)
    }

    /// Says something that a person should know and that is no event.
    pub fn advise(&mut self, sentence: &str) {
        self.warning(sentence);
    }

    fn partial(&mut self, partial: &Partial) {
        self.committed.clone_from(&partial.committed);
        self.tentative.clone_from(&partial.tentative);
        if self.form == Form::Terminal {
            self.draw();
        }
    }

    fn ended(&mut self, ended: &Final) {
        self.committed.clear();
        self.tentative.clear();
        // An utterance without words gets no empty line.
        let text = self.timed(ended);
        match self.form {
            Form::Terminal if !ended.text.is_empty() => {
                let picture = self.screen.finish(&text, size());
                self.print(&picture);
                self.draw();
            }
            Form::Terminal => self.draw(),
            Form::Lines if !ended.text.is_empty() => {
                self.clear_status();
                self.print(&format!("{}\n", text.replace('\n', " ")));
            }
            Form::Lines | Form::Json => {}
        }
        for warning in &ended.warnings {
            self.warning(&warning.message);
        }
    }

    /// A finished text, after its times where they were asked for.
    fn timed(&self, ended: &Final) -> String {
        if !self.has_times {
            return ended.text.clone();
        }
        let milliseconds = |seconds: f64| (seconds * 1000.0).round() as u64;
        let (start, end) = (clock(milliseconds(ended.start), '.'), clock(milliseconds(ended.end), '.'));
        format!("[{start} --> {end}]  {}", ended.text)
    }

    fn warning(&mut self, message: &str) {
        self.clear();
        self.messages.warning(message);
        if self.form == Form::Terminal {
            self.draw();
        }
    }

    fn draw(&mut self) {
        let status = (self.status_goes == StatusGoes::BelowText).then_some(self.status).flatten();
        let status = status.map(|status| sentence(&status));
        let picture = self.screen.draw(&self.committed, &self.tentative, status.as_deref(), size());
        self.print(&picture);
    }

    fn clear(&mut self) {
        if self.form == Form::Terminal {
            let picture = self.screen.clear(size());
            self.print(&picture);
        }
        self.clear_status();
    }

    fn clear_status(&mut self) {
        if std::mem::take(&mut self.status_stands) {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }

    /// Writes to standard output, at once. A reader that went away has what it wanted.
    fn print(&mut self, text: &str) {
        if !self.is_wanted() {
            return;
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.reader_is_gone = true,
            Err(error) => {
                self.failure = Some(Error::output(format!("cannot write the text to standard output: {error}")));
            }
            Ok(()) => {}
        }
    }
}

fn size() -> Size {
    // Without an answer of the system: the traditional size of terminals.
    let (columns, rows) = terminal_size::terminal_size().map_or((80, 24), |(width, height)| (width.0, height.0));
    Size { columns: columns.into(), rows: rows.into() }
}

fn sentence(moment: &Moment) -> String {
    let dropped = match moment.dropped_samples {
        0 => String::new(),
        samples => format!("  dropped {:.1} s", qasr::units::SampleIndex(samples).seconds()),
    };
    let late = moment.lag_ms as f64 / 1000.0;
    let speed = if moment.rtf > 0.0 { format!("  {}", totals::speed(moment.rtf)) } else { String::new() };
    format!("{}  {late:.1} s late{speed}{dropped}", level_meter(moment.peak))
}
