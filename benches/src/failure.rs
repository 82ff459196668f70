//! The errors that have an exit code of their own.

use std::fmt;

/// An error with one sentence that names the thing, the place and the remedy. All others are exit code 1.
#[derive(Debug)]
pub enum Failure {
    /// The command line or a definition makes no sense: exit code 2.
    Usage(String),
    /// A run did not do the work that it was timed for, and the whole set of runs is void: exit code 3.
    Void(String),
}

/// An error of kind [`Failure::Usage`].
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Failure::Usage(message.into()).into()
}

/// An error of kind [`Failure::Void`].
pub fn void(message: impl Into<String>) -> anyhow::Error {
    Failure::Void(message.into()).into()
}

/// The exit code of an error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(Failure::Usage(_)) => 2,
        Some(Failure::Void(_)) => 3,
        None => 1,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(message) | Self::Void(message)) = self;
        f.write_str(message)
    }
}

impl std::error::Error for Failure {}
