//! The error type of this room, before a source's name is put in front of it.

/// A fault of a source: the rest of a sentence that begins with its name.
pub(crate) type Fault = String;
