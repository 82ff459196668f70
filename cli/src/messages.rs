//! What a person is told: notes, warnings, errors and progress on standard error, and the results that are meant for
//! reading on standard output. A closed standard error loses messages, never the run.

use super::exit::Exit;
use super::stdout;
use qasr::error::Remedy;
use qasr::units::{SAMPLE_RATE, SampleIndex};
use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// The one way to standard error.
#[derive(Debug, Default)]
pub struct Messages {
    is_quiet: bool,
    progress: Option<ProgressStyle>,
    /// Percent, or seconds of a recording of unknown length, last shown; `None` while no progress line is on the screen.
    shown_percent: Cell<Option<u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProgressStyle {
    /// One line that is rewritten in place.
    Terminal,
    /// One line per five percent, for logs.
    Lines,
}

impl Messages {
    /// `is_quiet` leaves out everything but warnings and errors; progress is shown on a terminal, or where `asked`.
    pub fn new(is_quiet: bool, asked_for_progress: bool) -> Self {
        let progress = match (asked_for_progress || !is_quiet, std::io::stderr().is_terminal()) {
            (true, true) => Some(ProgressStyle::Terminal),
            (true, false) if asked_for_progress => Some(ProgressStyle::Lines),
            _ => None,
        };
        Self { is_quiet, progress, shown_percent: Cell::new(None) }
    }

    /// Something good to know, left out with `--no-prints`.
    pub fn note(&self, message: impl Display) {
        if !self.is_quiet {
            self.line(format_args!("qasr: {message}"));
        }
    }

    /// Something about the result that the user has to know; always shown.
    pub fn warning(&self, message: impl Display) {
        self.line(format_args!("qasr: warning: {message}"));
    }

    /// Why something was not done; always shown.
    pub fn error(&self, message: impl Display) {
        self.line(format_args!("qasr: error: {message}"));
    }

    /// Why something was not done, and the exit code for it.
    pub fn failure(&self, error: &qasr::Error) -> Exit {
        self.error(sentence(error));
        error.kind().into()
    }

    /// Text as it is, of any length.
    pub fn text(&self, text: &dyn Display) {
        self.line(format_args!("{text}"));
    }

    /// Shows how far the work on `name` is; `done` and `total` in any one unit.
    pub fn progress(&self, name: &str, done: u64, total: u64) {
        let Some(style) = self.progress else { return };
        let step = if style == ProgressStyle::Lines { 5 } else { 1 };
        let percent = (done.min(total) * 100).checked_div(total).unwrap_or(100) / step * step;
        if self.shown_percent.replace(Some(percent)) == Some(percent) {
            return;
        }
        let mut stderr = std::io::stderr().lock();
        let _ = match style {
            ProgressStyle::Terminal => write!(stderr, "\r\x1b[Kqasr: {name}: {percent} %"),
            ProgressStyle::Lines => writeln!(stderr, "qasr: {name}: progress {percent} %"),
        };
        let _ = stderr.flush();
    }

    /// Shows how much of a recording is done; how long it is may not be known.
    pub fn position(&self, name: &str, done: SampleIndex, expected: Option<SampleIndex>) {
        if let Some(expected) = expected {
            // A header's claim or an estimate: the end is reported when it is reached.
            return self.progress(name, done.0.min(expected.0 / 100 * 99), expected.0);
        }
        let second = done.0 / u64::from(SAMPLE_RATE);
        if self.progress == Some(ProgressStyle::Terminal) && self.shown_percent.replace(Some(second)) != Some(second) {
            let mut stderr = std::io::stderr().lock();
            let _ = write!(stderr, "\r\x1b[Kqasr: {name}: {}:{:02}", second / 60, second % 60);
            let _ = stderr.flush();
        }
    }

    /// Takes the progress line off the screen: before a result is printed, and at the end of a file.
    pub fn clear_progress(&self) {
        if self.shown_percent.take().is_some() && self.progress == Some(ProgressStyle::Terminal) {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }

    fn line(&self, line: std::fmt::Arguments<'_>) {
        self.clear_progress();
        let _ = writeln!(std::io::stderr().lock(), "{line}");
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
