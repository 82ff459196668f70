//! What can go wrong while converting.

use std::fmt;
use std::path::Path;

/// Kinds of failure that a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConvertErrorKind {
    /// The checkpoint is missing, damaged, or not a model that can be converted.
    Checkpoint,
    /// A file could not be written or read back.
    Io,
    /// The options make no sense.
    Usage,
}

/// An error with its kind, its sentence, and perhaps a list of places.
#[derive(Debug, Clone)]
pub struct ConvertError {
    kind: ConvertErrorKind,
    message: String,
    items: Vec<String>,
}

impl ConvertError {
    pub(crate) fn checkpoint(message: impl Into<String>) -> Self {
        Self { kind: ConvertErrorKind::Checkpoint, message: message.into(), items: Vec::new() }
    }

    pub(crate) fn io(message: impl Into<String>) -> Self {
        Self { kind: ConvertErrorKind::Io, message: message.into(), items: Vec::new() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { kind: ConvertErrorKind::Usage, message: message.into(), items: Vec::new() }
    }

    pub(crate) fn with_items(mut self, items: Vec<String>) -> Self {
        self.items = items;
        self
    }

    /// A checkpoint file that the operating system would not let us read.
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::checkpoint(format!("{}: cannot read the file: {error}", path.display()))
    }

    /// The kind, for a program.
    pub fn kind(&self) -> ConvertErrorKind {
        self.kind
    }

    /// The sentence alone.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Every single thing that is wrong, when the sentence announces a list; else empty.
    pub fn items(&self) -> &[String] {
        &self.items
    }
}

/// The sentence, and below it one indented line per item.
impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for item in &self.items {
            write!(f, "\n  {item}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConvertError {}

/// `Result` with [`ConvertError`].
pub type Result<T> = std::result::Result<T, ConvertError>;
