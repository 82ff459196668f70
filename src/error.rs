//! The one error type: the kind of fault, for a program; the thing and the place in one sentence, for a person; and the
//! remedy as a value, because only the program that shows the error knows how its user can follow it.

use std::fmt;

/// Kinds of failure that a caller can act on. The command maps each kind to its own exit code.
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

/// How an error, or the fault that a warning names, can be helped. [`fmt::Display`] says it for programs in general; one
/// that has flags or buttons for it can name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Cut the audio into shorter utterances: [`crate::Options::segment_seconds`].
    ShorterUtterances,
    /// Give less context, [`crate::Options::context_text`], or cut the audio into shorter utterances.
    ShorterPrompt,
    /// Allow more tokens, [`crate::Options::max_new_tokens`], or cut the audio into shorter utterances.
    MoreTokens,
    /// Recognize everything: [`crate::endpoint::Detector::Off`].
    NoDetector,
    /// Make a pair of model files from a checkpoint.
    ConvertCheckpoint,
    /// Name one decoder file instead of a folder.
    NameDecoder,
    /// Put the encoder file beside the decoder file, or name it.
    NameEncoder,
    /// Name one of the encoder files.
    ChooseEncoder,
    /// Name the decoder file, and this one as its encoder.
    NameBothFiles,
    /// Give an importance matrix.
    GiveImportance,
    /// Work in another folder.
    OtherWorkFolder,
    /// Allow larger files, or smaller types.
    LargerFilesOrSmallerTypes,
    /// Allow more divergence, or larger types.
    MoreDivergenceOrLargerTypes,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShorterUtterances => "allow only shorter utterances",
            Self::ShorterPrompt => "shorten the context text or allow only shorter utterances",
            Self::MoreTokens => "allow more new tokens or only shorter utterances",
            Self::NoDetector => "without a detector everything is transcribed",
            Self::ConvertCheckpoint => "make a pair of files from a checkpoint",
            Self::NameDecoder => "name one of them",
            Self::NameEncoder => "put the encoder file (mmproj) beside it or name it",
            Self::ChooseEncoder => "choose one of them",
            Self::NameBothFiles => "name the decoder file, and this one as its encoder",
            Self::GiveImportance => "give an importance matrix",
            Self::OtherWorkFolder => "work in another folder",
            Self::LargerFilesOrSmallerTypes => "allow larger files or smaller types",
            Self::MoreDivergenceOrLargerTypes => "allow more divergence or larger types",
        })
    }
}

/// An error: its kind, its sentence, and perhaps a remedy.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    remedy: Option<Remedy>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of any kind. The message names the thing and the place, and the remedy where it is the same in every
    /// program. Of a message over 4096 bytes the end is cut off, and control characters in it are written out.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: one_line(message.into()), remedy: None }
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

    /// The same with a remedy.
    pub fn with_remedy(self, remedy: Remedy) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    /// The same about a place: its name before the message.
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { message: one_line(format!("{place}: {}", self.message)), ..self }
    }

    /// The kind, for a program.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence without the remedy.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The remedy, where it depends on the program how to follow it.
    pub fn remedy(&self) -> Option<Remedy> {
        self.remedy
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
        f.write_str(&self.message)?;
        self.remedy.map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_with_its_place_and_its_remedy() {
        let error = Error::usage("too long").with_remedy(Remedy::ShorterUtterances).at("a.wav");
        assert_eq!(error.to_string(), "a.wav: too long; allow only shorter utterances");
        assert_eq!((error.kind(), error.message()), (ErrorKind::Usage, "a.wav: too long"));
        assert_eq!(error.remedy(), Some(Remedy::ShorterUtterances));
        assert_eq!(Error::audio("b").to_string(), "b");
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        assert_eq!(Error::model("key 'a\nb\u{1b}[2J'").to_string(), "key 'a\\nb\\u{1b}[2J'");
        let long = Error::model("ß".repeat(1 << 20)).to_string();
        assert!(long.len() < MAX_MESSAGE + 16 && long.ends_with("ß…"), "{} bytes", long.len());
    }
}
