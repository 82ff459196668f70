//! The tests of the measuring package: one program, because every test program links llama.cpp.

#[path = "../../../tests/support/optional.rs"]
mod optional;
#[path = "../../../tests/support/scratch.rs"]
mod scratch;

mod evaluation;
mod log_probabilities;
mod scoring;
mod watch;
