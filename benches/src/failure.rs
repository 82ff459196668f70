//! What can go wrong: a kind for the exit code, a sentence for the person.

use std::fmt;

/// The kinds a caller can tell apart by exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line or a definition makes no sense.
    Usage,
    /// A run did not do the work it was timed for; the whole set of runs is void.
    Void,
    /// A file, a program or the machine stood in the way.
    Other,
}

/// A kind and one sentence that names the thing, the place and the remedy.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
}

impl Failure {
    /// A [`Kind::Usage`] failure.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into() }
    }

    /// A [`Kind::Void`] failure.
    pub fn void(message: impl Into<String>) -> Self {
        Self { kind: Kind::Void, message: message.into() }
    }

    /// A [`Kind::Other`] failure.
    pub fn other(message: impl Into<String>) -> Self {
        Self { kind: Kind::Other, message: message.into() }
    }

    /// What the exit code says.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
