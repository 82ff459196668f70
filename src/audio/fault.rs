//! The error type of this room, before a source's name is put in front of it.

/// What is wrong with a source: a sentence that begins behind its name.
pub(crate) type Fault = String;
