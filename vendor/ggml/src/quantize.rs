//! Rows of weights to and from ggml types.

use crate::{COMPUTABLE, Error, Result};
use ggml_sys as sys;
use std::ptr;

/// Bytes of `values` weights of a type whose blocks divide them evenly.
fn bytes_of(kind: u32, values: usize) -> Result<usize> {
    // SAFETY: `kind` is below GGML_TYPE_COUNT, checked by the guard before it.
    let (block, size) = if kind < sys::GGML_TYPE_COUNT { unsafe { block_of(kind) } } else { (0, 0) };
    if block == 0 || size == 0 {
        return Err(Error::new(format!("ggml type {kind} holds no data")));
    }
    if !values.is_multiple_of(block) {
        return Err(Error::new(format!("{values} values do not fill blocks of {block}")));
    }
    (values / block).checked_mul(size).ok_or_else(|| Error::new("size overflows"))
}

/// Values and bytes per block. SAFETY: `kind` must be below `GGML_TYPE_COUNT`.
unsafe fn block_of(kind: u32) -> (usize, usize) {
    // SAFETY: the caller guarantees a type the table has.
    let block = unsafe { sys::ggml_blck_size(kind) };
    // SAFETY: as above.
    let size = unsafe { sys::ggml_type_size(kind) };
    (usize::try_from(block).unwrap_or(0), size)
}

/// Quantizes whole rows of `row_len` values; `importance` has one weight per column or is absent.
/// Errors: a type this layer does not write, a row that blocks do not fill, values that are not finite, importance that
/// is negative or not finite.
pub fn quantize_rows(kind: u32, values: &[f32], row_len: usize, importance: Option<&[f32]>) -> Result<Vec<u8>> {
    if !COMPUTABLE.contains(&kind) {
        return Err(Error::new(format!("ggml type {kind} is not one this build writes")));
    }
    if row_len == 0 || !values.len().is_multiple_of(row_len) {
        return Err(Error::new(format!("{} values are not whole rows of {row_len}", values.len())));
    }
    bytes_of(kind, row_len)?;
    if importance.is_some_and(|columns| columns.len() != row_len) {
        return Err(Error::new(format!("importance has not one weight for each of {row_len} columns")));
    }
    if importance.is_some_and(|columns| columns.iter().any(|weight| !weight.is_finite() || *weight < 0.0)) {
        return Err(Error::new("importance that is negative or not a finite number"));
    }
    if let Some(place) = values.iter().position(|value| !value.is_finite()) {
        return Err(Error::new(format!("row {}, column {} is not a finite number", place / row_len, place % row_len)));
    }
    let mut out = vec![0u8; bytes_of(kind, values.len())?];
    let rows = values.len() / row_len;
    // SAFETY: `kind` is in ggml's table; initialising its lookup tables is idempotent and locked inside ggml.
    unsafe { sys::ggml_quantize_init(kind) };
    let columns = importance.map_or(ptr::null(), <[f32]>::as_ptr);
    // SAFETY: source and target hold exactly `rows` rows, rows are whole blocks, `columns` is null or `row_len` long.
    let written = unsafe {
        sys::ggml_quantize_chunk(
            kind,
            values.as_ptr(),
            out.as_mut_ptr().cast(),
            0,
            rows as i64,
            row_len as i64,
            columns,
        )
    };
    if written != out.len() {
        return Err(Error::new(format!("ggml wrote {written} bytes where {} were planned", out.len())));
    }
    Ok(out)
}

/// The `values` numbers stored in `data` as f32. Errors: a size that does not fit, a type without a reader.
pub fn dequantize(kind: u32, data: &[u8], values: usize) -> Result<Vec<f32>> {
    if bytes_of(kind, values)? != data.len() {
        return Err(Error::new(format!("{} bytes do not hold {values} values of ggml type {kind}", data.len())));
    }
    let mut out = vec![0f32; values];
    if kind == sys::GGML_TYPE_F32 {
        for (value, bytes) in out.iter_mut().zip(data.chunks_exact(4)) {
            *value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        return Ok(out);
    }
    // SAFETY: `kind` is below GGML_TYPE_COUNT (checked in `bytes_of`); the table is static.
    let traits = unsafe { sys::ggml_get_type_traits(kind) };
    // SAFETY: the pointer is to an entry of that static table.
    let to_float =
        unsafe { (*traits).to_float }.ok_or_else(|| Error::new(format!("ggml type {kind} cannot be read")))?;
    // Blocks hold 16-bit scales: give C memory aligned for them, whatever the caller's slice is aligned to.
    let mut aligned = vec![0u64; data.len().div_ceil(8)];
    // SAFETY: the target has at least `data.len()` bytes and does not overlap the source.
    unsafe { ptr::copy_nonoverlapping(data.as_ptr(), aligned.as_mut_ptr().cast(), data.len()) };
    // SAFETY: source holds whole blocks of `values` numbers (checked above), the target `values` floats.
    unsafe { to_float(aligned.as_ptr().cast(), out.as_mut_ptr(), values as i64) };
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 % 1009) as f32 / 504.5 - 1.0) * 0.3).collect()
    }

    #[test]
    fn every_type_round_trips() {
        let source = rows(512);
        for (kind, limit) in COMPUTABLE.iter().zip([0.0, 3e-4, 3e-3, 3e-3, 1e-2, 2e-2, 3e-2, 4e-2, 5e-2, 4e-2]) {
            let packed = quantize_rows(*kind, &source, 256, None).expect("known type");
            let back = dequantize(*kind, &packed, source.len()).expect("own output");
            let worst = source.iter().zip(&back).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= limit, "type {kind}: {worst} > {limit}");
        }
    }

    #[test]
    fn misfits_are_errors_not_aborts() {
        assert!(quantize_rows(sys::GGML_TYPE_Q4_K, &rows(896), 896, None).is_err());
        assert!(quantize_rows(sys::GGML_TYPE_Q4_0, &rows(64), 48, None).is_err());
        assert!(quantize_rows(4711, &rows(64), 64, None).is_err());
        assert!(quantize_rows(sys::GGML_TYPE_F32, &[f32::NAN; 32], 32, None).is_err());
        assert!(dequantize(sys::GGML_TYPE_Q8_0, &[0; 33], 32).is_err());
        assert!(dequantize(4711, &[0; 34], 32).is_err());
        assert!(quantize_rows(sys::GGML_TYPE_Q4_0, &[], 32, None).is_ok_and(|bytes| bytes.is_empty()));
        for weight in [-1.0, f32::NAN, f32::INFINITY] {
            assert!(quantize_rows(sys::GGML_TYPE_Q4_0, &rows(32), 32, Some(&[weight; 32])).is_err(), "{weight}");
        }
    }
}
