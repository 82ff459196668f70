//! Every tensor of a model file, against what the sizes demand; and every stored scale, against not-a-number.
//!
//! llama.cpp and ggml end the process on some contradictions. Whatever passes here, they can load.

use crate::error::{Error, Result};
use qasr_format::{GgmlType, Gguf, TensorInfo};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Where tensor data may start, in bytes: kernels read whole vectors, and ggml ends the process on less.
const ALIGNMENT: u64 = 32;
/// How many faults one sentence lists.
const LISTED: usize = 8;

/// Checks names, shapes, types and places of all tensors; `optional` may be there or not. `seen` is the file as it was
/// before its header was read and its keys were checked ([`super::config`], `keys`). Returned is the statement
/// that C may read it.
///
/// # Errors
/// [`crate::ErrorKind::Model`], one sentence that lists everything missing, misshapen or unknown; or that the file was
/// changed meanwhile.
pub fn tensors(
    seen: ggml::UncheckedFile,
    file: &Gguf,
    expected: &[(String, Vec<u64>)],
    optional: &[(String, Vec<u64>)],
) -> Result<ggml::CheckedFile> {
    let mut faults = Vec::new();
    for (name, dims) in expected {
        match file.tensor(name) {
            None => faults.push(format!("'{name}' is missing")),
            Some(tensor) => fault(tensor, dims, &mut faults),
        }
    }
    for (name, dims) in optional {
        if let Some(tensor) = file.tensor(name) {
            fault(tensor, dims, &mut faults);
        }
    }
    let known: HashSet<&str> = expected.iter().chain(optional).map(|(name, _)| name.as_str()).collect();
    let mut unknown = file.tensors().iter().filter(|tensor| !known.contains(tensor.name.as_str()));
    faults.extend(unknown.by_ref().take(LISTED).map(|tensor| format!("'{}' is unknown", tensor.name)));
    if faults.is_empty() {
        return seen.vouch().map_err(|error| Error::model(format!("{}: {error}", file.path().display())));
    }
    // Counted, not written out: a damaged file can hold a million of them.
    let more = (faults.len() + unknown.count()).saturating_sub(LISTED);
    faults.truncate(LISTED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Err(Error::model(format!(
        "{}: its tensors are not those of a Qwen3-ASR model: {}{more}",
        file.path().display(),
        faults.join("; ")
    )))
}

fn fault(tensor: &TensorInfo, dims: &[u64], faults: &mut Vec<String>) {
    // Trailing extents of 1 are written by some and left out by others.
    let trimmed = |dims: &[u64]| dims.iter().rposition(|dim| *dim != 1).map_or(1, |last| last + 1);
    if tensor.dims[..trimmed(&tensor.dims)] != dims[..trimmed(dims)] {
        faults.push(format!("'{}' has the shape {:?} where {dims:?} is needed", tensor.name, tensor.dims));
    } else if !ggml::COMPUTABLE.contains(&tensor.kind.id()) {
        faults.push(format!(
            "'{}' is stored as {}, which this build does not compute with",
            tensor.name,
            tensor.kind.name()
        ));
    } else if dims.iter().filter(|dim| **dim > 1).count() <= 1 && tensor.kind != GgmlType::F32 {
        faults.push(format!("'{}' is stored as {}; vectors are kept as f32", tensor.name, tensor.kind.name()));
    } else if !tensor.offset.is_multiple_of(ALIGNMENT) {
        faults.push(format!("'{}' starts at byte {}, not at a multiple of {ALIGNMENT}", tensor.name, tensor.offset));
    }
}

/// Where the half-precision scales lie in one block of a type: byte offsets. `None` for types without blocks.
fn scales(kind: GgmlType) -> Option<&'static [usize]> {
    match kind {
        GgmlType::Q8_0 | GgmlType::Q5_0 | GgmlType::Q4_0 | GgmlType::IQ4_NL => Some(&[0]),
        GgmlType::Q4_K | GgmlType::Q5_K => Some(&[0, 2]),
        GgmlType::Q6_K => Some(&[208]),
        _ => None,
    }
}

/// Half precision: exponent all ones means infinite or not a number.
fn half_is_finite(bytes: [u8; 2]) -> bool {
    u16::from_le_bytes(bytes) & 0x7c00 != 0x7c00
}

/// Whether all scales (or values) in whole blocks of a type are finite.
fn is_finite(kind: GgmlType, data: &[u8]) -> bool {
    if let Some(places) = scales(kind) {
        let block = kind.block_bytes() as usize;
        return data
            .chunks_exact(block)
            .all(|block| places.iter().all(|at| half_is_finite([block[*at], block[*at + 1]])));
    }
    match kind {
        GgmlType::F32 => data.chunks_exact(4).all(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).is_finite()),
        GgmlType::F16 => data.chunks_exact(2).all(|b| half_is_finite([b[0], b[1]])),
        GgmlType::BF16 => data.chunks_exact(2).all(|b| u16::from_le_bytes([b[0], b[1]]) & 0x7f80 != 0x7f80),
        _ => true,
    }
}

/// Reads every tensor once, in strips, and refuses scales that are infinite or not a number: one such scale turns
/// every later activation, and so the whole text, into nonsense.
///
/// # Errors
/// [`crate::ErrorKind::Model`], naming the first tensor found.
pub fn finite(file: &Gguf) -> Result<()> {
    let path = file.path().display();
    let unreadable = |error: std::io::Error| Error::model(format!("{path}: cannot be read: {error}"));
    let mut reader = BufReader::with_capacity(0, File::open(file.path()).map_err(unreadable)?);
    let mut strip = vec![0u8; 1 << 20];
    for tensor in file.tensors() {
        let block = tensor.kind.block_bytes() as usize;
        let whole_blocks = strip.len() / block * block;
        reader.seek(SeekFrom::Start(tensor.offset)).map_err(unreadable)?;
        let mut left = tensor.bytes as usize;
        while left > 0 {
            let part = &mut strip[..left.min(whole_blocks)];
            reader.read_exact(part).map_err(unreadable)?;
            if !is_finite(tensor.kind, part) {
                return Err(Error::model(format!(
                    "{path}: tensor '{}' holds a scale that is not a finite number: the file is damaged, convert or download it again",
                    tensor.name
                )));
            }
            left -= part.len();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places are written out, from ggml's block layouts, so that a wrong table cannot vouch for itself.
    #[test]
    fn every_computable_type_notices_a_bad_scale() {
        let places: [(GgmlType, &[usize]); 10] = [
            (GgmlType::F32, &[0]),
            (GgmlType::F16, &[0]),
            (GgmlType::BF16, &[0]),
            (GgmlType::Q8_0, &[0]),
            (GgmlType::Q6_K, &[208]),
            (GgmlType::Q5_K, &[0, 2]),
            (GgmlType::Q5_0, &[0]),
            (GgmlType::Q4_K, &[0, 2]),
            (GgmlType::Q4_0, &[0]),
            (GgmlType::IQ4_NL, &[0]),
        ];
        assert!(places.iter().map(|(kind, _)| kind.id()).eq(ggml::COMPUTABLE));
        for (kind, places) in places {
            let block = kind.block_bytes() as usize;
            let mut data = vec![0u8; block * 3];
            assert!(is_finite(kind, &data), "{}", kind.name());
            if kind == GgmlType::F32 {
                data[block..block + 4].fill(0xff);
                assert!(!is_finite(kind, &data));
                continue;
            }
            for place in places {
                data[block + place..block + place + 2].fill(0xff);
                assert!(!is_finite(kind, &data), "{} at {place}", kind.name());
                data[block + place..block + place + 2].fill(0);
            }
        }
    }
}
