//! Reading a written file back and comparing sampled rows with their source.

use std::fs::File;
use std::path::Path;

use qasr_format::{GgmlType, Gguf, TensorInfo};

use crate::error::{ConvertError, Result};
use crate::numbers::read_at;
use crate::plan::{FilePlan, Source, TensorPlan};
use crate::store::{SourceTensor, Store};
use crate::write::{encode, position_table};

/// Rows compared per tensor, spread evenly from the first to the last.
const ROWS: u64 = 8;

/// How far one tensor is from its source, over the rows compared.
#[derive(Debug, Clone)]
pub struct TensorError {
    /// Name in our file.
    pub name: String,
    /// Its type.
    pub kind: GgmlType,
    /// Root of the mean square of the differences, relative to that of the source.
    pub relative: f64,
}

/// Compares the file at `path` with what `plan` says it holds. Each tensor's error, in file order.
///
/// # Errors
/// When the file cannot be read back, a tensor is missing or of another shape or type, or a value is further from the
/// source's than rounding to its type explains; with importance, when it is not the value that encoding the row gives.
pub(crate) fn verify(
    store: &Store,
    plan: &FilePlan,
    path: &Path,
    progress: &mut dyn FnMut(u64, &str),
) -> Result<Vec<TensorError>> {
    let damaged = |what: String| {
        ConvertError::io(format!("{}: what was written does not read back: {what}; try again", plan.path.display()))
    };
    let gguf = Gguf::open(path).map_err(|e| damaged(e.to_string()))?;
    let file = File::open(path).map_err(|e| damaged(e.to_string()))?;
    if gguf.tensors().len() != plan.tensors.len() {
        return Err(damaged(format!("{} tensors instead of {}", gguf.tensors().len(), plan.tensors.len())));
    }
    let mut errors = Vec::new();
    for (i, tensor) in plan.tensors.iter().enumerate() {
        let name = &tensor.target.name;
        progress(i as u64 + 1, name);
        let info = gguf
            .tensor(name)
            .filter(|info| info.dims == tensor.target.dims && info.kind == tensor.target.kind)
            .ok_or_else(|| damaged(format!("tensor '{name}' is not as planned")))?;
        let (rows, row_len) = (tensor.rows(), tensor.row_len());
        let mut difference = 0.0;
        let mut magnitude = 0.0;
        for row in sampled(rows) {
            let wanted = match &tensor.source {
                Source::Stored(source) => store.read(source, row * row_len, row_len)?,
                Source::Positions => position_table(row + 1, row_len).split_off((row * row_len) as usize),
            };
            let got = read_rows(&file, info, row, 1).map_err(&damaged)?;
            let column = match &tensor.source {
                Source::Stored(source) if tensor.weights.is_some() => {
                    first_other(&encoded_again(store, source, tensor, row)?, &got)
                }
                _ => first_outside(&wanted, &got, info.kind),
            };
            if let Some(column) = column {
                return Err(damaged(format!(
                    "tensor '{name}' of {}, row {row}, column {column} is {} instead of {}",
                    info.kind, got[column], wanted[column]
                )));
            }
            difference += wanted.iter().zip(&got).map(|(w, g)| f64::from(w - g).powi(2)).sum::<f64>();
            magnitude += wanted.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>();
        }
        let relative = if magnitude > 0.0 { (difference / magnitude).sqrt() } else { difference.sqrt() };
        errors.push(TensorError { name: name.clone(), kind: info.kind, relative });
    }
    Ok(errors)
}

/// Up to [`ROWS`] row numbers, the first and the last among them.
fn sampled(rows: u64) -> Vec<u64> {
    let count = rows.min(ROWS);
    (0..count).map(|i| if count < 2 { 0 } else { i * (rows - 1) / (count - 1) }).collect()
}

/// The values of `rows` rows of a tensor from row `first` on. The file's header has been checked, so the tensor lies
/// inside the file.
pub(crate) fn read_rows(
    file: &File,
    info: &TensorInfo,
    first: u64,
    rows: u64,
) -> std::result::Result<Vec<f32>, String> {
    let row_len = info.row_len();
    let bytes = info.kind.row_bytes(row_len).unwrap_or(0);
    let mut buffer = vec![0; (rows * bytes) as usize];
    read_at(file, &mut buffer, info.offset + first * bytes).map_err(|e| e.to_string())?;
    ggml::quantize::dequantize(info.kind.id(), &buffer, (rows * row_len) as usize).map_err(|e| e.to_string())
}

/// The first column whose value is further off than the type can explain.
///
/// For types with quantization blocks the limit is a share of the largest value of the block: half a step for the
/// evenly spaced ones, more where the largest value may be cut (q4_0 and q5_0 reach one step less on one side), where
/// levels are unevenly spaced (iq4_nl) or scales are themselves rounded (the k types). Data at a wrong place misses
/// by about the whole of it.
fn first_outside(wanted: &[f32], got: &[f32], kind: GgmlType) -> Option<usize> {
    if wanted.len() != got.len() {
        return Some(0);
    }
    let share = match kind {
        GgmlType::F32 => 0.0,
        GgmlType::F16 => 1.0 / 2048.0,
        GgmlType::BF16 => 1.0 / 256.0,
        GgmlType::Q8_0 => 0.006,
        GgmlType::Q6_K => 0.08,
        GgmlType::Q5_0 | GgmlType::Q5_K => 0.15,
        _ => 0.25,
    };
    // Half precision has steps of 2^-24 near zero; f32 sources are stored as they are.
    let least = if kind == GgmlType::F32 { 0.0 } else { 6e-8 };
    let block = kind.block_len() as usize;
    for (b, (wanted, got)) in wanted.chunks(block).zip(got.chunks(block)).enumerate() {
        let largest = wanted.iter().fold(0_f32, |max, value| max.max(value.abs()));
        // A NaN among the values read must count as outside, hence not `>`.
        let is_inside = |(w, g): (&f32, &f32)| (w - g).abs() <= share * largest + least;
        if let Some(column) = wanted.iter().zip(got).position(|pair| !is_inside(pair)) {
            return Some(b * block + column);
        }
    }
    None
}

/// One row of the source, encoded once more by itself and decoded.
///
/// With importance, no limit on the distance from the source separates a correct file from a damaged one: where one
/// column outweighs the others, correct q4_0 has whole blocks further off than a zeroed block is. Encoding gives the
/// same values each time, row by row, so that any other value is damage.
fn encoded_again(store: &Store, source: &SourceTensor, tensor: &TensorPlan, row: u64) -> Result<Vec<f32>> {
    let row_len = tensor.row_len();
    let bytes = encode(source, store.read_bytes(source, row * row_len, row_len)?, tensor, 1)?;
    ggml::quantize::dequantize(tensor.target.kind.id(), &bytes, row_len as usize)
        .map_err(|e| ConvertError::checkpoint(format!("tensor '{}': {e}", source.name)))
}

/// The first column whose value is not the expected one, or not finite.
fn first_other(expected: &[f32], got: &[f32]) -> Option<usize> {
    if expected.len() != got.len() {
        return Some(0);
    }
    expected.iter().zip(got).position(|(e, g)| e != g || !g.is_finite())
}

/// Whether this is the shape of a weight matrix, as opposed to a vector or a convolution kernel.
pub(crate) fn is_matrix(dims: &[u64]) -> bool {
    dims.len() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_covers_both_ends() {
        assert_eq!(sampled(1), [0]);
        assert_eq!(sampled(3), [0, 1, 2]);
        assert_eq!(sampled(1000).first(), Some(&0));
        assert_eq!(sampled(1000).last(), Some(&999));
        assert_eq!(sampled(1000).len(), 8);
    }

    #[test]
    fn differences_beyond_rounding_are_found() {
        let wanted = [1.0, -0.5, 0.25, 0.0];
        assert_eq!(first_outside(&wanted, &[1.0, -0.5, 0.25, 0.0], GgmlType::F32), None);
        assert_eq!(first_outside(&wanted, &[1.0, -0.5, 0.250_001, 0.0], GgmlType::F32), Some(2));
        assert_eq!(first_outside(&wanted, &[1.0, -0.5, f32::NAN, 0.0], GgmlType::Q8_0), Some(2));
        assert_eq!(first_outside(&wanted, &[-0.5, 1.0, 0.0, 0.25], GgmlType::Q4_0), Some(0));
        assert_eq!(first_outside(&wanted, &wanted[..3], GgmlType::Q4_0), Some(0));
    }

    #[test]
    fn with_importance_every_value_must_be_as_encoded() {
        let expected = [1.0, -0.5, 0.25, 0.0];
        assert_eq!(first_other(&expected, &[1.0, -0.5, 0.25, -0.0]), None);
        assert_eq!(first_other(&expected, &[1.0, -0.5, 0.250_001, 0.0]), Some(2));
        assert_eq!(first_other(&expected, &expected[..3]), Some(0));
        for value in [f32::NAN, f32::INFINITY] {
            assert_eq!(first_other(&[1.0, value], &[1.0, value]), Some(1), "also where encoding gives it each time");
        }
    }
}
