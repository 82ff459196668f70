//! The exit codes, for programs that run `qasr`.

use qasr::error::ErrorKind;
use std::process::ExitCode;

/// How a run ended. The numbers are part of the interface and written in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done.
    Success = 0,
    /// Something that is none of the kinds below.
    Failure = 1,
    /// The command line makes no sense, or asks for what cannot be done.
    Usage = 2,
    /// A recording cannot be read.
    BadAudio = 3,
    /// A model or checkpoint cannot be used.
    BadModel = 4,
    /// The text is there, but the limit of new tokens cut it.
    Incomplete = 5,
    /// A result could not be written.
    BadOutput = 6,
    /// It was not allowed to finish; the number is that of shells for Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// The meaning of the exit code of a process of this program.
    pub fn from_code(code: i32) -> Self {
        let all = [Self::Success, Self::Usage, Self::BadAudio, Self::BadModel, Self::Incomplete, Self::BadOutput];
        all.into_iter().find(|exit| *exit as i32 == code).unwrap_or(Self::Failure)
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Usage => Exit::Usage,
            ErrorKind::Audio => Exit::BadAudio,
            ErrorKind::Model => Exit::BadModel,
            ErrorKind::Output => Exit::BadOutput,
            ErrorKind::Interrupted => Exit::Interrupted,
            _ => Exit::Failure,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// The code of a run over several files: that of the first file that failed. An incomplete text counts only where
/// no file failed, because a missing text is worse than a cut one.
#[derive(Debug, Default)]
pub struct Tally {
    first_failure: Option<Exit>,
    any_incomplete: bool,
}

impl Tally {
    /// Counts how one file ended.
    pub fn add(&mut self, exit: Exit) {
        match exit {
            Exit::Success => {}
            Exit::Incomplete => self.any_incomplete = true,
            failure => {
                self.first_failure.get_or_insert(failure);
            }
        }
    }

    /// The code of the whole run.
    pub fn exit(&self) -> Exit {
        match self.first_failure {
            Some(failure) => failure,
            None if self.any_incomplete => Exit::Incomplete,
            None => Exit::Success,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(exits: &[Exit]) -> Exit {
        let mut tally = Tally::default();
        exits.iter().for_each(|exit| tally.add(*exit));
        tally.exit()
    }

    #[test]
    fn the_first_failure_counts_and_outranks_an_incomplete_text() {
        assert_eq!(tally(&[]), Exit::Success);
        assert_eq!(tally(&[Exit::Success, Exit::Incomplete, Exit::Success]), Exit::Incomplete);
        assert_eq!(tally(&[Exit::Incomplete, Exit::BadOutput, Exit::BadAudio]), Exit::BadOutput);
        assert_eq!(tally(&[Exit::BadAudio, Exit::BadOutput]), Exit::BadAudio);
    }

    #[test]
    fn every_kind_of_error_has_its_own_code() {
        let kinds = [ErrorKind::Usage, ErrorKind::Audio, ErrorKind::Model, ErrorKind::Output, ErrorKind::Internal];
        let codes = kinds.map(|kind| Exit::from(kind) as u8);
        assert_eq!(codes, [2, 3, 4, 6, 1]);
        assert!((0..=6).all(|code| Exit::from_code(code) as i32 == code) && Exit::from_code(99) == Exit::Failure);
    }
}
