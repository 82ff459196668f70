//! Messages for a person: notes, warnings, errors and progress on standard error, and the results that are meant for
//! reading on standard output. A closed standard error loses messages, never the run.

use super::exit::Exit;
use super::progress::{Progress, Unit};
use super::stdout;
use qasr::Cancel;
use qasr::error::Remedy;
use qasr::units::{SAMPLE_RATE, SampleIndex};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often the line about progress is drawn, so that it moves while one utterance is recognized.
const TICK: Duration = Duration::from_millis(250);

/// The one way to standard error.
#[derive(Debug, Default)]
pub struct Messages {
    is_quiet: bool,
    progress: Option<ProgressStyle>,
    line: Arc<Mutex<Line>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProgressStyle {
    /// One line that is rewritten in place.
    Terminal,
    /// One line per five percent, for logs.
    Lines,
}

/// The line about progress.
#[derive(Debug, Default)]
struct Line {
    work: Option<Work>,
    /// The line as it stands on the screen; empty while none does.
    shown: String,
    /// It may be drawn: nothing else stands where it would.
    is_wanted: bool,
    has_ticker: bool,
}

/// Work that goes on.
#[derive(Debug)]
struct Work {
    name: String,
    file: Option<(usize, usize)>,
    unit: Unit,
    begun: Instant,
    done: f64,
    total: Option<f64>,
    /// Never less than was shown already.
    most_shown: f64,
    pending: Option<Pending>,
    /// For [`ProgressStyle::Lines`].
    percent_printed: Option<u64>,
}

/// Samples whose text is on its way.
#[derive(Debug)]
struct Pending {
    samples: u64,
    work: Cancel,
    /// Signs of life before they were begun.
    checks: u64,
}

impl Pending {
    /// How much of them is probably done: the signs of life are compared with those that speech of this length gives
    /// (two for each window of 8 s, a few for the prompt, one for each token, of which there are about 4 a second).
    fn done(&self) -> f64 {
        let seconds = self.samples as f64 / f64::from(SAMPLE_RATE);
        let expected = 2.0 * (seconds / 8.0).ceil() + 10.0 + 4.0 * seconds;
        let seen = self.work.checks().saturating_sub(self.checks) as f64;
        self.samples as f64 * (seen / expected).min(0.95)
    }
}

impl Work {
    fn new(name: &str, file: Option<(usize, usize)>, unit: Unit) -> Self {
        Self {
            name: name.to_owned(),
            file,
            unit,
            begun: Instant::now(),
            done: 0.0,
            total: None,
            most_shown: 0.0,
            pending: None,
            percent_printed: None,
        }
    }

    fn line(&mut self, width: usize) -> String {
        let mut done = self.done + self.pending.as_ref().map_or(0.0, Pending::done);
        if let (Unit::Samples, Some(total)) = (self.unit, self.total) {
            // A header's claim or an estimate: the end is reported when it is reached.
            done = done.min(total * 0.99);
        }
        self.most_shown = self.most_shown.max(done);
        let Self { name, file, unit, total, begun, .. } = self;
        Progress { name, file: *file, unit: *unit, done: self.most_shown, total: *total, elapsed: begun.elapsed() }
            .line(width)
    }
}

impl Line {
    /// Draws the line, where it is another than the one on the screen.
    fn draw(&mut self) {
        let Some(work) = self.work.as_mut().filter(|_| self.is_wanted) else { return };
        // Where the system does not say, what terminals have had since there were any.
        let width = terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| width.0).filter(|width| *width > 0);
        let line = work.line(width.unwrap_or(80).into());
        if line != self.shown {
            let mut stderr = io::stderr().lock();
            let _ = write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush());
            self.shown = line;
        }
    }

    fn clear(&mut self) {
        self.is_wanted = false;
        if !std::mem::take(&mut self.shown).is_empty() {
            let mut stderr = io::stderr().lock();
            let _ = write!(stderr, "\r\x1b[K").and_then(|()| stderr.flush());
        }
    }
}

impl Messages {
    /// `is_quiet` leaves out everything but warnings and errors; progress is shown on a terminal, or where `asked`.
    pub fn new(is_quiet: bool, asked_for_progress: bool) -> Self {
        let can_rewrite = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|name| name != "dumb");
        let progress = match (asked_for_progress || !is_quiet, can_rewrite) {
            (true, true) => Some(ProgressStyle::Terminal),
            (true, false) if asked_for_progress => Some(ProgressStyle::Lines),
            _ => None,
        };
        Self { is_quiet, progress, line: Arc::default() }
    }

    /// Something good to know, left out with `--no-prints`.
    pub fn note(&self, message: impl Display) {
        if !self.is_quiet {
            self.line_of(format_args!("qasr: {message}"));
        }
    }

    /// Something about the result that the user has to know; always shown.
    pub fn warning(&self, message: impl Display) {
        self.line_of(format_args!("qasr: warning: {message}"));
    }

    /// Why something was not done; always shown.
    pub fn error(&self, message: impl Display) {
        self.line_of(format_args!("qasr: error: {message}"));
    }

    /// Why something was not done, and the exit code for it.
    pub fn failure(&self, error: &qasr::Error) -> Exit {
        self.error(sentence(error));
        error.kind().into()
    }

    /// Text as it is, of any length.
    pub fn text(&self, text: &dyn Display) {
        self.line_of(format_args!("{text}"));
    }

    /// Shows how far the work called `name` is; `done` and `total` in any one unit.
    pub fn progress(&self, name: &str, done: u64, total: u64) {
        self.show(name, Unit::Pieces, done as f64, Some(total as f64));
    }

    /// Begins a recording, which may be one of several.
    pub fn begin(&self, name: &str, file: (usize, usize)) {
        let mut line = self.line();
        line.clear();
        line.work = Some(Work::new(name, Some(file), Unit::Samples));
    }

    /// Shows how much of a recording has its text; how long it is may not be known. The next `pending` samples are about
    /// to be worked on, with `work` counting signs of life.
    pub fn position(&self, name: &str, done: SampleIndex, pending: u64, expected: Option<SampleIndex>, work: &Cancel) {
        {
            let mut line = self.line();
            if let Some(running) = line.work.as_mut().filter(|running| running.name == name) {
                running.pending = Some(Pending { samples: pending, work: work.clone(), checks: work.checks() });
            }
        }
        let total = expected.map(|expected| expected.0 as f64);
        let done = total.map_or(done.0 as f64, |total| (done.0 as f64).min(total * 0.99));
        self.show(name, Unit::Samples, done, total);
    }

    /// The work called `name` is done.
    pub fn finished(&self, name: &str) {
        self.clear_progress();
        let has_work = self.line().work.take().is_some();
        if has_work && self.progress == Some(ProgressStyle::Lines) {
            self.line_of(format_args!("qasr: {name}: progress 100 %"));
        }
    }

    fn show(&self, name: &str, unit: Unit, done: f64, total: Option<f64>) {
        let Some(style) = self.progress else { return };
        let mut line = self.line();
        // The same name with less done is the same work once more.
        let is_running = line.work.as_ref().is_some_and(|work| work.name == name && work.done <= done);
        if !is_running {
            line.work = Some(Work::new(name, None, unit));
        }
        let Some(work) = line.work.as_mut() else { return };
        (work.unit, work.done, work.total) = (unit, done, total);
        match style {
            ProgressStyle::Terminal => {
                line.is_wanted = true;
                // A counter may be faster than anybody reads.
                if line.shown.is_empty() || !line.has_ticker {
                    line.draw();
                }
                if !std::mem::replace(&mut line.has_ticker, true) {
                    self.start_ticker();
                }
            }
            ProgressStyle::Lines => {
                let Some(total) = total else { return };
                let percent = if total > 0.0 { done.min(total) / total * 100.0 } else { 100.0 } as u64 / 5 * 5;
                if work.percent_printed.replace(percent) != Some(percent) {
                    let _ = writeln!(io::stderr().lock(), "qasr: {name}: progress {percent} %");
                }
            }
        }
    }

    /// Draws the line again and again, as long as there are messages.
    fn start_ticker(&self) {
        let line = Arc::downgrade(&self.line);
        // Without a thread the line moves less often.
        let _ = thread::Builder::new().name("progress".into()).spawn(move || {
            loop {
                thread::sleep(TICK);
                let Some(line) = line.upgrade() else { break };
                line.lock().unwrap_or_else(PoisonError::into_inner).draw();
            }
        });
    }

    /// Takes the progress line off the screen: before a result is printed, and at the end of a file.
    pub fn clear_progress(&self) {
        self.line().clear();
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line_of(&self, text: std::fmt::Arguments<'_>) {
        let mut line = self.line();
        line.clear();
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// An error of the library, with the flag that helps.
pub fn sentence(error: &qasr::Error) -> String {
    with_remedy(error.message(), error.remedy())
}

/// A warning of the library, with the flag that helps.
pub fn warning_sentence(warning: &qasr::Warning) -> String {
    with_remedy(&warning.message, warning.code.remedy())
}

fn with_remedy(message: &str, remedy: Option<Remedy>) -> String {
    remedy.map_or_else(|| message.to_owned(), |remedy| format!("{message}; {}", in_flags(remedy)))
}

/// The library's remedies as what one types here.
fn in_flags(remedy: Remedy) -> String {
    let words = match remedy {
        Remedy::ShorterUtterances => "try a shorter --segment-seconds",
        Remedy::ShorterPrompt => "shorten --context or lower --segment-seconds",
        Remedy::MoreTokens => "allow more with --max-new-tokens or cut sooner with --segment-seconds",
        Remedy::NoDetector => "--vad off transcribes everything",
        Remedy::ConvertCheckpoint => "make a pair with `qasr convert`",
        Remedy::NameDecoder => "name one of them with -m",
        Remedy::NameEncoder => "put its mmproj-*.gguf beside it or name it with --mmproj",
        Remedy::ChooseEncoder => "choose one with --mmproj",
        Remedy::NameBothFiles => "give the decoder file with -m, and this one with --mmproj",
        Remedy::GiveImportance => "give one with --imatrix",
        Remedy::OtherWorkFolder => "choose another --work",
        Remedy::LargerFilesOrSmallerTypes => "raise --target-size or give smaller --types",
        Remedy::MoreDivergenceOrLargerTypes => "raise --max-kl or allow larger --types",
        other => return other.to_string(),
    };
    words.to_owned()
}

/// Prints a result that is a whole text to standard output. A reader that went away (`… | head`) is no failure.
pub fn print_result(text: &str) -> Exit {
    if stdout::is_closed() {
        return Messages::default().failure(&stdout::closed());
    }
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Messages::default().error(format_args!("cannot write to standard output: {error}"));
            Exit::BadOutput
        }
        _ => Exit::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qasr::{Error, Warning, WarningCode};

    #[test]
    fn remedies_of_the_library_name_flags() {
        let error = Error::model("m/ holds several models (a, b)").with_remedy(Remedy::NameDecoder);
        assert_eq!(sentence(&error), "m/ holds several models (a, b); name one of them with -m");
        assert_eq!(sentence(&Error::model("damaged")), "damaged");
        let warning = Warning { code: WarningCode::NoSpeech, message: "no speech".into() };
        assert_eq!(warning_sentence(&warning), "no speech; --vad off transcribes everything");
        let warning = Warning { code: WarningCode::TooShort, message: "short".into() };
        assert_eq!(warning_sentence(&warning), "short");
    }
}
