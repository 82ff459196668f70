//! What quantization takes from the weights themselves, without running a model: a block at a time ([`blocks`]), and
//! tensor by tensor between two pairs of files ([`tensors`]).

mod blocks;
mod tensors;

pub use blocks::{BlockError, ROW, Shape, blocks};
pub use tensors::{TensorDistance, Which, tensors};
