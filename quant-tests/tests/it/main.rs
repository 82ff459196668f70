//! The distance from the official model, and what quantization costs, held to limits. One program, because every
//! test program links llama.cpp.

#[path = "../../../tests/support/optional.rs"]
mod optional;

mod batch;
mod common;
mod depth_1_blocks;
mod depth_2_tensors;
mod depth_3_embeddings;
mod depth_4_logits;
mod depth_5_transcripts;
mod kernels;
mod layouts;
mod live;
mod stages;
mod strings;
mod threads;
mod unsure;
mod words;
