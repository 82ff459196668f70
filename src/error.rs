//! The one error type: what kind of thing went wrong, for a program; one sentence naming the thing, the place
//! and the remedy, for a person.

use std::fmt;

/// What went wrong, as far as a caller can act on it. The command maps each kind to its own exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option or a combination of options makes no sense.
    Usage,
    /// The recording cannot be read or is not a recording.
    Audio,
    /// A model file is missing, damaged, of another architecture, or does not fit its partner.
    Model,
    /// A result could not be written.
    Output,
    /// The caller asked to stop.
    Interrupted,
    /// Something that no input should be able to cause.
    Internal,
}

/// An error with its kind and its sentence.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of any kind; the message names the thing, the place and the remedy.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: one_line(message.into()) }
    }

    /// A [`ErrorKind::Usage`] error.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// A [`ErrorKind::Audio`] error.
    pub fn audio(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Audio, message)
    }

    /// A [`ErrorKind::Model`] error.
    pub fn model(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Model, message)
    }

    /// A [`ErrorKind::Output`] error.
    pub fn output(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Output, message)
    }

    /// A [`ErrorKind::Internal`] error.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The kind, for a program.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// Longest message kept, in bytes: room for two of the longest paths.
const MAX_MESSAGE: usize = 4096;

/// A message can quote what a damaged file holds. Line breaks and terminal commands in it are written out, and what is
/// too long for a sentence is cut.
fn one_line(message: String) -> String {
    if message.len() <= MAX_MESSAGE && !message.contains(char::is_control) {
        return message;
    }
    let mut line = String::new();
    for letter in message.chars() {
        if line.len() > MAX_MESSAGE {
            line.push('…');
            break;
        }
        if letter.is_control() { line.extend(letter.escape_default()) } else { line.push(letter) }
    }
    line
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        assert_eq!(Error::model("key 'a\nb\u{1b}[2J'").to_string(), "key 'a\\nb\\u{1b}[2J'");
        let long = Error::model("ß".repeat(1 << 20)).to_string();
        assert!(long.len() < MAX_MESSAGE + 16 && long.ends_with("ß…"), "{} bytes", long.len());
    }
}
