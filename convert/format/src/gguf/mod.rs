//! The GGUF container: a header of keys and tensor descriptions in front of aligned tensor data.
//!
//! [`Gguf::open`] reads and checks everything before the data against the length of the file; [`Header`] writes it.

mod error;
mod parse;
mod read;
#[cfg(test)]
mod rejections;
mod tensor;
mod value;
mod write;

pub use error::GgufError;
pub use read::Gguf;
pub use tensor::TensorInfo;
pub use value::Value;
pub use write::{Header, PlannedTensor};

/// The first four bytes of every file.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// The version written; versions 2 and 3 (equal on little-endian machines) are read.
pub const VERSION: u32 = 3;
/// Where tensor data may start when the file does not say otherwise (`general.alignment`).
pub const DEFAULT_ALIGNMENT: u64 = 32;
/// Key that changes the alignment.
pub const ALIGNMENT_KEY: &str = "general.alignment";
/// Longest tensor name in bytes: ggml keeps names in 64 bytes with a zero at the end.
pub const MAX_TENSOR_NAME: u64 = 63;
/// Most dimensions of a tensor.
pub const MAX_DIMS: u32 = 4;

/// `n` rounded up to a multiple of `alignment`, or `None` beyond 64 bits.
fn align_up(n: u64, alignment: u64) -> Option<u64> {
    n.checked_add(alignment - 1).map(|sum| sum / alignment * alignment)
}
