//! Writing a header: keys and tensor descriptions in front of data that the caller appends.

use std::path::Path;

use super::parse::{duplicate, tensor_bytes};
use super::value::code;
use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, GgufError, MAGIC, MAX_DIMS, MAX_TENSOR_NAME, VERSION, Value, align_up};
use crate::types::GgmlType;

/// A tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTensor {
    /// Its name.
    pub name: String,
    /// Fastest-running size first, as in [`super::TensorInfo`].
    pub dims: Vec<u64>,
    /// Its type.
    pub kind: GgmlType,
}

/// A complete header: its bytes, padded so that data can follow at once, and where each tensor's data belongs.
#[derive(Debug, Clone)]
pub struct Header {
    bytes: Vec<u8>,
    places: Vec<(u64, u64)>,
    file_len: u64,
}

impl Header {
    /// Lays out `keys` and `tensors` in the given order, data aligned to 32 bytes.
    ///
    /// # Errors
    /// When a name is empty, too long or occurs twice, or a shape does not fit its type.
    pub fn new(keys: &[(String, Value)], tensors: &[PlannedTensor]) -> Result<Self, GgufError> {
        let wrong = |what: String| GgufError::malformed(Path::new(""), what);
        if let Some(key) = duplicate(keys.iter().map(|(key, _)| key.as_str())) {
            return Err(wrong(format!("key '{key}' would be written twice")));
        }
        if let Some(name) = duplicate(tensors.iter().map(|t| t.name.as_str())) {
            return Err(wrong(format!("tensor '{name}' would be written twice")));
        }
        let mut bytes = Vec::new();
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((tensors.len() as u64).to_le_bytes());
        bytes.extend((keys.len() as u64).to_le_bytes());
        for (key, value) in keys {
            if key.is_empty() || key == ALIGNMENT_KEY {
                return Err(wrong(format!("key '{key}' cannot be written")));
            }
            put_string(&mut bytes, key);
            put_value(&mut bytes, value);
        }
        let mut places = Vec::with_capacity(tensors.len());
        let mut end = 0_u64;
        for tensor in tensors {
            let PlannedTensor { name, dims, kind } = tensor;
            let size = tensor_bytes(*kind, dims)
                .filter(|_| !name.is_empty() && name.len() as u64 <= MAX_TENSOR_NAME && dims.len() <= MAX_DIMS as usize)
                .ok_or_else(|| wrong(format!("tensor '{name}' of shape {dims:?} cannot be written as {kind}")))?;
            let offset = end;
            put_string(&mut bytes, name);
            bytes.extend((dims.len() as u32).to_le_bytes());
            for dim in dims {
                bytes.extend(dim.to_le_bytes());
            }
            bytes.extend(kind.id().to_le_bytes());
            bytes.extend(offset.to_le_bytes());
            end = offset
                .checked_add(size)
                .and_then(|end| align_up(end, DEFAULT_ALIGNMENT))
                .ok_or_else(|| wrong(format!("tensor '{name}' makes the file larger than 64 bits can count")))?;
            places.push((offset, size));
        }
        bytes.resize(bytes.len().next_multiple_of(DEFAULT_ALIGNMENT as usize), 0);
        let data_start = bytes.len() as u64;
        for place in &mut places {
            place.0 += data_start;
        }
        // The last tensor is padded too, as other writers do: some readers ask for whole aligned tensors.
        Ok(Self { bytes, places, file_len: data_start + end })
    }

    /// The bytes in front of the data, padding included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Start (bytes from the start of the file) and length of the data of tensor `index`, in the order given.
    pub fn place(&self, index: usize) -> Option<(u64, u64)> {
        self.places.get(index).copied()
    }

    /// Length of the whole file in bytes.
    pub fn file_len(&self) -> u64 {
        self.file_len
    }
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_array<T: Copy, const N: usize>(out: &mut Vec<u8>, kind: u32, items: &[T], encode: fn(T) -> [u8; N]) {
    put_array_head(out, kind, items.len());
    for &item in items {
        out.extend(encode(item));
    }
}

fn put_array_head(out: &mut Vec<u8>, kind: u32, len: usize) {
    out.extend(code::ARRAY.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out.extend((len as u64).to_le_bytes());
}

fn put_one<const N: usize>(out: &mut Vec<u8>, kind: u32, bytes: [u8; N]) {
    out.extend(kind.to_le_bytes());
    out.extend(bytes);
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(v) => put_one(out, code::U8, v.to_le_bytes()),
        Value::I8(v) => put_one(out, code::I8, v.to_le_bytes()),
        Value::U16(v) => put_one(out, code::U16, v.to_le_bytes()),
        Value::I16(v) => put_one(out, code::I16, v.to_le_bytes()),
        Value::U32(v) => put_one(out, code::U32, v.to_le_bytes()),
        Value::I32(v) => put_one(out, code::I32, v.to_le_bytes()),
        Value::F32(v) => put_one(out, code::F32, v.to_le_bytes()),
        Value::U64(v) => put_one(out, code::U64, v.to_le_bytes()),
        Value::I64(v) => put_one(out, code::I64, v.to_le_bytes()),
        Value::F64(v) => put_one(out, code::F64, v.to_le_bytes()),
        Value::Bool(v) => put_one(out, code::BOOL, [u8::from(*v)]),
        Value::Str(v) => {
            out.extend(code::STRING.to_le_bytes());
            put_string(out, v);
        }
        Value::U8s(v) => put_array(out, code::U8, v, u8::to_le_bytes),
        Value::I8s(v) => put_array(out, code::I8, v, i8::to_le_bytes),
        Value::U16s(v) => put_array(out, code::U16, v, u16::to_le_bytes),
        Value::I16s(v) => put_array(out, code::I16, v, i16::to_le_bytes),
        Value::U32s(v) => put_array(out, code::U32, v, u32::to_le_bytes),
        Value::I32s(v) => put_array(out, code::I32, v, i32::to_le_bytes),
        Value::F32s(v) => put_array(out, code::F32, v, f32::to_le_bytes),
        Value::U64s(v) => put_array(out, code::U64, v, u64::to_le_bytes),
        Value::I64s(v) => put_array(out, code::I64, v, i64::to_le_bytes),
        Value::F64s(v) => put_array(out, code::F64, v, f64::to_le_bytes),
        Value::Bools(v) => put_array(out, code::BOOL, v, |flag| [u8::from(flag)]),
        Value::Strings(v) => {
            put_array_head(out, code::STRING, v.len());
            for text in v {
                put_string(out, text);
            }
        }
    }
}
