//! Open files with tensors in them, read strip by strip: the weight files of a checkpoint, or the two files of a pair.

use std::fs::File;
use std::path::PathBuf;

use qasr_format::GgmlType;

use crate::error::{ConvertError, Result};
use crate::numbers::read_at;

/// One tensor of a source file.
#[derive(Debug, Clone)]
pub struct SourceTensor {
    /// Name in that file.
    pub name: String,
    /// Sizes, slowest-running first (the checkpoint's order).
    pub shape: Vec<u64>,
    /// How the values are stored.
    pub kind: GgmlType,
    /// Where the data starts, in bytes from the start of the file.
    pub offset: u64,
    /// Which of the files holds it.
    pub file: usize,
}

impl SourceTensor {
    /// Number of values.
    pub fn values(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Bytes of all values.
    pub fn bytes(&self) -> u64 {
        self.kind.row_bytes(self.values()).unwrap_or(0)
    }
}

/// An open file.
#[derive(Debug)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Open for positioned reads.
    pub handle: File,
    /// Length in bytes.
    pub len: u64,
}

/// The open files that tensors of one source lie in.
#[derive(Debug)]
pub struct Store {
    /// In the order that [`SourceTensor::file`] counts.
    pub files: Vec<SourceFile>,
}

impl Store {
    /// Bytes of `count` values of `tensor` from value `first` on, as stored; both are multiples of its type's block.
    ///
    /// # Errors
    /// When the range is not inside the tensor, cuts a block, or the file cannot be read.
    pub fn read_bytes(&self, tensor: &SourceTensor, first: u64, count: u64) -> Result<Vec<u8>> {
        let is_inside = first.checked_add(count).is_some_and(|end| end <= tensor.values());
        let (Some(start), Some(len), true) = (tensor.kind.row_bytes(first), tensor.kind.row_bytes(count), is_inside)
        else {
            return Err(ConvertError::checkpoint(format!("tensor '{}' has no values {first}+{count}", tensor.name)));
        };
        let file = &self.files[tensor.file];
        let mut bytes = vec![0; len as usize];
        read_at(&file.handle, &mut bytes, tensor.offset + start)
            .map_err(|e| ConvertError::unreadable(&file.path, &e))?;
        Ok(bytes)
    }

    /// `count` values of `tensor` from value `first` on.
    ///
    /// # Errors
    /// As [`Self::read_bytes`], and when the type is one that no values can be read from.
    pub fn read(&self, tensor: &SourceTensor, first: u64, count: u64) -> Result<Vec<f32>> {
        decode(tensor, &self.read_bytes(tensor, first, count)?, count)
    }

    /// Bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }
}

/// The `count` values that `bytes` of `tensor` stand for.
pub(crate) fn decode(tensor: &SourceTensor, bytes: &[u8], count: u64) -> Result<Vec<f32>> {
    ggml::quantize::dequantize(tensor.kind.id(), bytes, count as usize)
        .map_err(|e| ConvertError::checkpoint(format!("tensor '{}' of type {}: {e}", tensor.name, tensor.kind)))
}
