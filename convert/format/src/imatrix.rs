//! Importance matrices: how much each column of a weight matrix counts, from what it was multiplied with.
//!
//! The file is llama.cpp's own (GGUF, [`general::TYPE`] = "imatrix"): for every matrix two f32 tensors, the sums of
//! squares per column (`<name>.in_sum2`, `[columns]` or `[columns, 1]`) and the number of rows they were taken over
//! (`<name>.counts`, one value). Names are those of the model files, so that one file serves decoder and encoder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::gguf::{Gguf, GgufError, Header, PlannedTensor, TensorInfo, Value};
use crate::schema::general;
use crate::types::GgmlType;

/// Keys of the file.
pub mod key {
    /// Names of the recorded manifests or texts (string array).
    pub const DATASETS: &str = "imatrix.datasets";
    /// How many pieces the recording was made of (u32).
    pub const CHUNK_COUNT: &str = "imatrix.chunk_count";
    /// Tokens per piece (u32).
    pub const CHUNK_SIZE: &str = "imatrix.chunk_size";
    /// Value of [`super::general::TYPE`].
    pub const TYPE_VALUE: &str = "imatrix";
}

/// End of the name of the tensor with the sums of squares.
const SQUARES: &str = ".in_sum2";
/// End of the name of the tensor with the number of rows.
const ROWS: &str = ".counts";
/// End of the name of the plain sums that newer files also hold; not needed here.
const PLAIN_SUMS: &str = ".in_sum";

/// Inputs of one matrix, summed.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSums {
    /// Sum of squares of each column of what the matrix was multiplied with; finite, not negative.
    pub squares: Vec<f32>,
    /// Number of rows summed up; finite, not negative. llama.cpp rounds it to a whole number.
    pub rows: f32,
}

/// The sums of many matrices, and what they were taken from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Importance {
    /// Names of the recorded manifests or texts.
    pub datasets: Vec<String>,
    /// How many pieces.
    pub chunks: u32,
    /// Tokens per piece; 0 where pieces differ in length.
    pub chunk_size: u32,
    /// By the matrix's name in the model file: "blk.0.attn_q.weight".
    pub matrices: BTreeMap<String, ColumnSums>,
}

impl Importance {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, is not an importance matrix in llama.cpp's GGUF format, lacks a key, is cut off,
    /// lacks one tensor of a pair, or holds a sum that is negative or not finite.
    pub fn read(path: &Path) -> Result<Self, GgufError> {
        let gguf = Gguf::open(path)?;
        let wrong = |what: String| GgufError::malformed(path, what);
        match gguf.get(general::TYPE) {
            Some(Value::Str(kind)) if kind == key::TYPE_VALUE => {}
            other => {
                let is = other.map_or_else(|| "missing".to_owned(), Value::to_string);
                return Err(wrong(format!(
                    "not an importance matrix ('{}' is {is}, not \"{}\"): give a file that `qasr imatrix` or \
                     llama-imatrix wrote",
                    general::TYPE,
                    key::TYPE_VALUE
                )));
            }
        }
        let (squares, rows) = paired(&gguf)?;
        let mut file = File::open(path).map_err(|e| GgufError::io(path, "open the file", &e))?;
        let mut matrices = BTreeMap::new();
        for (name, info) in squares {
            let Some(count) = rows.get(name) else {
                return Err(wrong(format!(
                    "'{name}{SQUARES}' has no '{name}{ROWS}' beside it: the file is incomplete"
                )));
            };
            if info.kind != GgmlType::F32 || count.kind != GgmlType::F32 {
                return Err(wrong(format!("sums and counts of '{name}' must be f32")));
            }
            if info.rows() != 1 || count.values() != 1 {
                return Err(wrong(format!(
                    "'{name}' has sums of shape {:?} and counts of shape {:?}; Qwen3-ASR has no experts, so one row of \
                     sums and one count are needed",
                    info.dims, count.dims
                )));
            }
            let squares = values(&mut file, info).map_err(|e| GgufError::io(path, &format!("read '{name}'"), &e))?;
            let rows = values(&mut file, count).map_err(|e| GgufError::io(path, &format!("read '{name}'"), &e))?;
            let sums = ColumnSums { squares, rows: rows.first().copied().unwrap_or(f32::NAN) };
            sums.check().map_err(|what| wrong(format!("'{name}': {what}; collect it again")))?;
            matrices.insert(name.to_owned(), sums);
        }
        if matrices.is_empty() {
            return Err(wrong("holds no sums: collect it again".to_owned()));
        }
        Ok(Self {
            datasets: gguf.strings(key::DATASETS)?.to_vec(),
            chunks: gguf.u32(key::CHUNK_COUNT)?,
            chunk_size: gguf.u32(key::CHUNK_SIZE)?,
            matrices,
        })
    }

    /// The content of the file.
    ///
    /// # Errors
    /// A sentence when there is nothing to write, a sum is negative or not finite, or a name is too long for GGUF.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        if self.matrices.is_empty() {
            return Err("an importance matrix without any sums is of no use and was not written".to_owned());
        }
        let mut tensors = Vec::new();
        let mut data: Vec<&[f32]> = Vec::new();
        for (name, sums) in &self.matrices {
            sums.check().map_err(|what| format!("'{name}': {what}"))?;
            let columns = sums.squares.len() as u64;
            tensors.push(planned(name, SQUARES, columns));
            data.push(&sums.squares);
            tensors.push(planned(name, ROWS, 1));
            data.push(std::slice::from_ref(&sums.rows));
        }
        let keys = [
            (general::TYPE.to_owned(), Value::from(key::TYPE_VALUE)),
            (key::DATASETS.to_owned(), Value::Strings(self.datasets.clone())),
            (key::CHUNK_COUNT.to_owned(), Value::U32(self.chunks)),
            (key::CHUNK_SIZE.to_owned(), Value::U32(self.chunk_size)),
        ];
        let header = Header::new(&keys, &tensors).map_err(|e| e.to_string())?;
        let mut bytes = header.bytes().to_vec();
        for (i, values) in data.into_iter().enumerate() {
            // The header was made from the same list; the file is a few megabytes.
            let start = header.place(i).map_or(bytes.len() as u64, |(start, _)| start);
            bytes.resize(start as usize, 0);
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        bytes.resize(header.file_len() as usize, 0);
        Ok(bytes)
    }

    /// The weight of each column of the matrix `name`: the mean square of what it was multiplied with, or 1 for all
    /// columns of a matrix that saw no row, which is llama-quantize's rule too. `None` for a matrix that is not here.
    pub fn weights(&self, name: &str) -> Option<Vec<f32>> {
        let sums = self.matrices.get(name)?;
        let rows = sums.rows.round();
        Some(sums.squares.iter().map(|square| if rows > 0.0 { square / rows } else { 1.0 }).collect())
    }
}

impl ColumnSums {
    fn check(&self) -> Result<(), String> {
        let is_usable = |value: &f32| value.is_finite() && *value >= 0.0;
        if let Some(column) = self.squares.iter().position(|square| !is_usable(square)) {
            return Err(format!("the sum of squares of column {column} is {}", self.squares[column]));
        }
        if !is_usable(&self.rows) {
            return Err(format!("the number of rows is {}", self.rows));
        }
        Ok(())
    }
}

/// Tensors by the name of their matrix.
type ByMatrix<'g> = BTreeMap<&'g str, &'g TensorInfo>;

/// The tensors with sums and those with counts.
fn paired(gguf: &Gguf) -> Result<(ByMatrix<'_>, ByMatrix<'_>), GgufError> {
    let (mut squares, mut rows) = (ByMatrix::new(), ByMatrix::new());
    for info in gguf.tensors() {
        if let Some(name) = info.name.strip_suffix(SQUARES) {
            squares.insert(name, info);
        } else if let Some(name) = info.name.strip_suffix(ROWS) {
            rows.insert(name, info);
        } else if !info.name.ends_with(PLAIN_SUMS) {
            return Err(GgufError::malformed(
                gguf.path(),
                format!("tensor '{}' has no place in an importance matrix", info.name),
            ));
        }
    }
    if let Some(alone) = rows.keys().find(|name| !squares.contains_key(*name)) {
        let what = format!("'{alone}{ROWS}' has no '{alone}{SQUARES}' beside it: the file is incomplete");
        return Err(GgufError::malformed(gguf.path(), what));
    }
    Ok((squares, rows))
}

fn planned(name: &str, end: &str, columns: u64) -> PlannedTensor {
    PlannedTensor { name: format!("{name}{end}"), dims: vec![columns, 1], kind: GgmlType::F32 }
}

/// The values of an f32 tensor; its place was checked against the file's length.
fn values(file: &mut File, info: &TensorInfo) -> io::Result<Vec<f32>> {
    file.seek(SeekFrom::Start(info.offset))?;
    let mut bytes = vec![0; info.bytes as usize];
    file.read_exact(&mut bytes)?;
    Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

#[cfg(test)]
mod tests;
