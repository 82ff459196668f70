//! What is wrong with a file, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file that cannot be read or is not a well-formed GGUF file. Displays as one sentence: file, place, fault.
#[derive(Debug, Clone)]
pub struct GgufError {
    path: PathBuf,
    message: String,
    is_io: bool,
    /// Of another kind or version, not damaged.
    is_foreign: bool,
}

/// The remedy for every damaged file.
pub(super) const DAMAGED: &str = "cut off or damaged";

impl GgufError {
    pub(crate) fn malformed(path: &Path, message: impl Into<String>) -> Self {
        Self { path: path.to_path_buf(), message: message.into(), is_io: false, is_foreign: false }
    }

    pub(crate) fn io(path: &Path, doing: &str, error: &std::io::Error) -> Self {
        Self { path: path.to_path_buf(), message: format!("cannot {doing}: {error}"), is_io: true, is_foreign: false }
    }

    /// The same, for a file whose content contradicts itself: it says that the file is cut off or damaged.
    pub(crate) fn into_damage(mut self) -> Self {
        if !self.is_io && !self.is_foreign && !self.message.contains(DAMAGED) {
            self.message = format!("{}: the file is {DAMAGED}", self.message);
        }
        self
    }

    /// A file of another kind, or one that this build cannot read.
    pub(crate) fn foreign(path: &Path, message: impl Into<String>) -> Self {
        Self { is_foreign: true, ..Self::malformed(path, message) }
    }

    /// The file it is about; empty for a header that is being written and has no file yet.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the operating system refused (missing file, no permission, …), as opposed to the content being wrong.
    pub fn is_io(&self) -> bool {
        self.is_io
    }
}

impl fmt::Display for GgufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.as_os_str().is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

impl std::error::Error for GgufError {}
