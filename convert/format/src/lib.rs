//! The contract between the writer and the readers of our model files: the GGUF container ([`gguf`]), the types
//! tensors are stored in ([`GgmlType`]), the name of every key and tensor ([`schema`]), and the files that say which
//! columns of a matrix matter ([`imatrix`]); also what stands for a file that was not fetched ([`mod@pointer`]). Standard
//! library only.

#![warn(missing_docs)]

pub mod gguf;
pub mod imatrix;
pub mod pointer;
pub mod schema;
pub mod types;

pub use gguf::{Gguf, GgufError, TensorInfo, Value};
pub use imatrix::{ColumnSums, Importance};
pub use types::GgmlType;
