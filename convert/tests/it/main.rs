//! The tests of the converter, in one program.

#[path = "../../../tests/support/optional.rs"]
mod optional;

mod common;
mod importance;
mod interruptions;
mod quantize;
mod refusals;
mod shared;
mod types;
