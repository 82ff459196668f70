//! The tests of the library: one program, because every test program links llama.cpp.

#[path = "../support/optional.rs"]
mod optional;
#[path = "../support/signals.rs"]
mod signals;

mod endpoint;
mod examples;
mod formats;
mod live_ring;
mod live_sources;
mod mel;
mod resample;
mod split;
mod stream;
mod text;
mod tidy;
