//! The safetensors container: a length, a JSON header of names, types, shapes and byte ranges, then the data.
//!
//! The header is parsed by bounded code of our own: it must fit the file, every range must lie inside the data and
//! match its shape, and no name may occur twice (JSON parsers usually keep the last one silently).

use std::fmt;
use std::fs::File;
use std::path::Path;

use qasr_format::pointer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::error::{ConvertError, Result};
use crate::map::is_buffer;
use crate::numbers::{SourceType, read_at};
use crate::store::{SourceFile, SourceTensor};

/// Longest header accepted, in bytes; real ones take under 200 per tensor.
const MAX_HEADER: u64 = 32 << 20;

/// A weight file that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: SourceFile,
    /// Its tensors.
    pub tensors: Vec<SourceTensor>,
    /// Names of buffers that carry nothing ([`is_buffer`]), of any type.
    pub buffers: Vec<String>,
}

/// Opens the weight file at `path`, the `file`-th of its checkpoint, and lists its tensors.
///
/// # Errors
/// When the file cannot be read, is of another kind, or its header contradicts itself or the file's length.
pub fn open(path: &Path, file: usize) -> Result<Opened> {
    let handle = File::open(path).map_err(|e| ConvertError::unreadable(path, &e))?;
    let len = handle.metadata().map_err(|e| ConvertError::unreadable(path, &e))?.len();
    let wrong = |what: String| ConvertError::checkpoint(format!("{}: {what}", path.display()));

    let mut prefix = [0; 8];
    if let Some(kind) = other_kind(&handle, len) {
        return Err(wrong(kind.to_owned()));
    }
    if len < 8 {
        return Err(wrong(format!("{len} bytes are no safetensors file; download it again")));
    }
    read_at(&handle, &mut prefix, 0).map_err(|e| ConvertError::unreadable(path, &e))?;
    let header_len = u64::from_le_bytes(prefix);
    if header_len > MAX_HEADER || header_len > len - 8 {
        return Err(wrong(format!(
            "claims a header of {header_len} bytes in a file of {len}: not a safetensors file, or cut off; download it again"
        )));
    }
    // Bounded by the file's real length and by MAX_HEADER.
    let mut header = vec![0; header_len as usize];
    read_at(&handle, &mut header, 8).map_err(|e| ConvertError::unreadable(path, &e))?;

    let mut parser = serde_json::Deserializer::from_slice(&header);
    let entries = (&mut parser)
        .deserialize_map(Entries)
        .and_then(|entries| parser.end().map(|()| entries))
        .map_err(|e| wrong(format!("its header cannot be read: {e}")))?;
    let data_start = 8 + header_len;
    let mut tensors = Vec::new();
    let mut buffers = Vec::new();
    let mut ranges = Vec::new();
    for (name, entry) in entries {
        let range = if is_buffer(&name) {
            let range = range(&entry).map_err(|what| wrong(format!("tensor '{name}': {what}")))?;
            buffers.push(name.clone());
            range
        } else {
            let (tensor, range) =
                tensor(&name, &entry, file).map_err(|what| wrong(format!("tensor '{name}': {what}")))?;
            tensors.push(SourceTensor { offset: data_start + range.0, ..tensor });
            range
        };
        if range.0 > range.1 || range.1 > len - data_start {
            return Err(wrong(format!("tensor '{name}' lies beyond the end of the file: download it again")));
        }
        ranges.push((range.0, range.1, name));
    }
    ranges.sort();
    if let Some(pair) = ranges.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        return Err(wrong(format!("tensors '{}' and '{}' overlap", pair[0].2, pair[1].2)));
    }
    Ok(Opened { file: SourceFile { path: path.to_path_buf(), handle, len }, tensors, buffers })
}

/// The kind of a file whose first bytes are not safetensors, and the remedy.
fn other_kind(handle: &File, len: u64) -> Option<&'static str> {
    let mut start = vec![0; len.min(pointer::DECISIVE_BYTES as u64) as usize];
    read_at(handle, &mut start, 0).ok()?;
    if pointer::is_pointer(&start) {
        return Some(pointer::ADVICE);
    }
    // None of these is the length of a header: as numbers they are above the longest.
    let is_page = ["<!doctype", "<html"]
        .iter()
        .any(|tag| start.get(..tag.len()).is_some_and(|s| s.eq_ignore_ascii_case(tag.as_bytes())));
    if is_page {
        return Some(
            "is a web page, not a safetensors file: download the file itself, signed in where that is asked for",
        );
    }
    if start.starts_with(b"PK\x03\x04") {
        return Some("is a PyTorch file, not a safetensors file: save the model with safe_serialization=True");
    }
    start.starts_with(b"GGUF").then_some("is a GGUF file, not a safetensors file: it needs no conversion")
}

/// Where the data of a tensor begins and ends, in bytes of the data part.
fn range(entry: &Value) -> std::result::Result<(u64, u64), String> {
    let range = entry["data_offsets"].as_array().filter(|ends| ends.len() == 2);
    let end = |i: usize| range.and_then(|ends| ends[i].as_u64());
    match (end(0), end(1)) {
        (Some(begin), Some(end)) => Ok((begin, end)),
        _ => Err("has no data_offsets of two whole numbers".to_owned()),
    }
}

fn tensor(name: &str, entry: &Value, file: usize) -> std::result::Result<(SourceTensor, (u64, u64)), String> {
    let dtype = entry["dtype"].as_str().ok_or("has no dtype")?;
    let kind = SourceType::find(dtype).ok_or_else(|| {
        format!("is stored as {dtype}, but weights must be BF16, F16 or F32: take the checkpoint that is not quantized")
    })?;
    let shape: Vec<u64> = entry["shape"]
        .as_array()
        .and_then(|sizes| sizes.iter().map(Value::as_u64).collect())
        .ok_or("has no shape of whole numbers")?;
    let bytes = shape
        .iter()
        .try_fold(kind.size(), |product, &size| product.checked_mul(size))
        .ok_or_else(|| format!("has the absurd shape {shape:?}"))?;
    let (begin, end) = range(entry)?;
    if end.checked_sub(begin) != Some(bytes) {
        return Err(format!("has bytes {begin}..{end}, but its shape {shape:?} of {} takes {bytes}", kind.name()));
    }
    Ok((SourceTensor { name: name.to_owned(), shape, kind: kind.stored(), offset: 0, file }, (begin, end)))
}

/// Reads the header's object into a list, refusing repeated names and leaving the free-form metadata out.
struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut seen = std::collections::HashSet::new();
        let mut entries = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if !seen.insert(name.clone()) {
                return Err(serde::de::Error::custom(format!("tensor '{name}' occurs twice")));
            }
            entries.push((name, map.next_value()?));
        }
        Ok(entries)
    }
}
