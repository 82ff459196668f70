//! One tensor as a header describes it.

use crate::types::GgmlType;

/// One tensor of a file: name, type, shape, and the place of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Sizes, the fastest-running first (ggml's order): a matrix of `rows` × `cols` is `[cols, rows]`. One to four.
    pub dims: Vec<u64>,
    /// Its type.
    pub kind: GgmlType,
    /// Where the data starts, in bytes from the start of the file.
    pub offset: u64,
    /// Length of the data in bytes.
    pub bytes: u64,
}

impl TensorInfo {
    /// Number of values.
    pub fn values(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Values per row: the first size.
    pub fn row_len(&self) -> u64 {
        self.dims.first().copied().unwrap_or(1)
    }

    /// Number of rows: the product of the other sizes.
    pub fn rows(&self) -> u64 {
        self.dims.iter().skip(1).product()
    }
}
