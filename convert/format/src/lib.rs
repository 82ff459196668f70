//! The contract between the writer and the readers of our model files: the GGUF container ([`gguf`]), the types
//! tensors are stored in ([`GgmlType`]) and the name of every key and tensor ([`schema`]). Standard library only.

pub mod gguf;
pub mod schema;
pub mod types;

pub use gguf::{Gguf, GgufError, TensorInfo, Value};
pub use types::GgmlType;
