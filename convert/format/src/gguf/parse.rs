//! Reading the parts of a header: numbers, strings, values, tensor descriptions. Nothing is allocated by a claim.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use super::error::DAMAGED;
use super::tensor::TensorInfo;
use super::value::code;
use super::{GgufError, MAX_DIMS, MAX_TENSOR_NAME, Value};
use crate::types::GgmlType;

/// Longest string, in bytes: far above any chat template, far below what could hurt.
const MAX_STRING: u64 = 16 << 20;
/// Most bytes of keys and descriptions together.
const MAX_HEADER: u64 = 64 << 20;

/// Reads the parts of a header one after the other and knows where it is.
pub(super) struct Reader<'p, R> {
    pub source: R,
    /// Bytes read so far.
    pub at: u64,
    pub file_len: u64,
    pub path: &'p Path,
}

impl<R: Read> Reader<'_, R> {
    pub fn wrong(&self, what: impl std::fmt::Display) -> GgufError {
        GgufError::malformed(self.path, format!("{what} (near byte {})", self.at))
    }

    fn left(&self) -> u64 {
        self.file_len.min(MAX_HEADER).saturating_sub(self.at)
    }

    /// Accounts for `n` bytes about to be read.
    fn take(&mut self, n: u64, what: &str) -> Result<(), GgufError> {
        if n > self.left() {
            return Err(if self.at.saturating_add(n) > self.file_len {
                self.wrong(format!("the file ends inside {what}: it is {DAMAGED}"))
            } else {
                self.wrong(format!("{what} makes the header larger than {} MiB", MAX_HEADER >> 20))
            });
        }
        self.at += n;
        Ok(())
    }

    pub fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        self.take(N as u64, what)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(|e| GgufError::io(self.path, &format!("read {what}"), &e))?;
        Ok(bytes)
    }

    pub fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// Refuses a count whose smallest possible content would not fit into the rest of the file.
    pub fn check_count(&self, count: u64, least_bytes: u64, what: &str) -> Result<(), GgufError> {
        if count.checked_mul(least_bytes).is_none_or(|need| need > self.left()) {
            return Err(self.wrong(format!("{count} {what} cannot fit into the rest of the file")));
        }
        Ok(())
    }

    fn string(&mut self, what: &str) -> Result<String, GgufError> {
        let len = self.u64(what)?;
        if len > MAX_STRING {
            return Err(self.wrong(format!("{what} claims a length of {len} bytes")));
        }
        self.take(len, what)?;
        // Bounded by the file: `take` has compared the length with what is left.
        let mut bytes = vec![0; len as usize];
        self.source.read_exact(&mut bytes).map_err(|e| GgufError::io(self.path, &format!("read {what}"), &e))?;
        String::from_utf8(bytes).map_err(|_| self.wrong(format!("{what} is not UTF-8")))
    }

    pub fn key(&mut self, index: u64) -> Result<(String, Value), GgufError> {
        let key = self.string(&format!("the name of key {index}"))?;
        if key.is_empty() {
            return Err(self.wrong(format!("key {index} has no name")));
        }
        let what = format!("the value of key '{key}'");
        let kind = self.u32(&what)?;
        let value = self.value(kind, &what)?;
        Ok((key, value))
    }

    fn value(&mut self, kind: u32, what: &str) -> Result<Value, GgufError> {
        Ok(match kind {
            code::U8 => Value::U8(u8::from_le_bytes(self.array(what)?)),
            code::I8 => Value::I8(i8::from_le_bytes(self.array(what)?)),
            code::U16 => Value::U16(u16::from_le_bytes(self.array(what)?)),
            code::I16 => Value::I16(i16::from_le_bytes(self.array(what)?)),
            code::U32 => Value::U32(u32::from_le_bytes(self.array(what)?)),
            code::I32 => Value::I32(i32::from_le_bytes(self.array(what)?)),
            code::F32 => Value::F32(f32::from_le_bytes(self.array(what)?)),
            code::U64 => Value::U64(u64::from_le_bytes(self.array(what)?)),
            code::I64 => Value::I64(i64::from_le_bytes(self.array(what)?)),
            code::F64 => Value::F64(f64::from_le_bytes(self.array(what)?)),
            code::BOOL => Value::Bool(self.flag(what)?),
            code::STRING => Value::Str(self.string(what)?),
            code::ARRAY => self.value_array(what)?,
            other => return Err(self.wrong(format!("{what} is of the unknown kind {other}"))),
        })
    }

    fn value_array(&mut self, what: &str) -> Result<Value, GgufError> {
        let kind = self.u32(what)?;
        let count = self.u64(what)?;
        Ok(match kind {
            code::U8 => Value::U8s(self.many(count, what, u8::from_le_bytes)?),
            code::I8 => Value::I8s(self.many(count, what, i8::from_le_bytes)?),
            code::U16 => Value::U16s(self.many(count, what, u16::from_le_bytes)?),
            code::I16 => Value::I16s(self.many(count, what, i16::from_le_bytes)?),
            code::U32 => Value::U32s(self.many(count, what, u32::from_le_bytes)?),
            code::I32 => Value::I32s(self.many(count, what, i32::from_le_bytes)?),
            code::F32 => Value::F32s(self.many(count, what, f32::from_le_bytes)?),
            code::U64 => Value::U64s(self.many(count, what, u64::from_le_bytes)?),
            code::I64 => Value::I64s(self.many(count, what, i64::from_le_bytes)?),
            code::F64 => Value::F64s(self.many(count, what, f64::from_le_bytes)?),
            code::BOOL => {
                self.check_count(count, 1, "array elements")?;
                let mut flags = Vec::new();
                for _ in 0..count {
                    flags.push(self.flag(what)?);
                }
                Value::Bools(flags)
            }
            code::STRING => {
                self.check_count(count, 8, "array elements")?;
                let mut strings = Vec::new();
                for _ in 0..count {
                    strings.push(self.string(what)?);
                }
                Value::Strings(strings)
            }
            code::ARRAY => return Err(self.wrong(format!("{what} is an array of arrays, which no model needs"))),
            other => return Err(self.wrong(format!("{what} is an array of the unknown kind {other}"))),
        })
    }

    fn many<T, const N: usize>(
        &mut self,
        count: u64,
        what: &str,
        decode: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, GgufError> {
        self.check_count(count, N as u64, "array elements")?;
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(decode(self.array(what)?));
        }
        Ok(values)
    }

    fn flag(&mut self, what: &str) -> Result<bool, GgufError> {
        match self.array::<1>(what)?[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.wrong(format!("{what} is {other}, which is neither true nor false"))),
        }
    }

    /// One description; the offset is still counted from the start of the data.
    pub fn tensor(&mut self, index: u64, alignment: u64) -> Result<TensorInfo, GgufError> {
        let name = self.string(&format!("the name of tensor {index}"))?;
        if name.is_empty() || name.len() as u64 > MAX_TENSOR_NAME || name.contains('\0') {
            return Err(self.wrong(format!("tensor {index} has a name of {} bytes (1 to 63 allowed)", name.len())));
        }
        let what = format!("the description of tensor '{name}'");
        let n_dims = self.u32(&what)?;
        if n_dims == 0 || n_dims > MAX_DIMS {
            return Err(self.wrong(format!("tensor '{name}' has {n_dims} dimensions (1 to 4 allowed)")));
        }
        let mut dims = Vec::new();
        for _ in 0..n_dims {
            dims.push(self.u64(&what)?);
        }
        let id = self.u32(&what)?;
        let offset = self.u64(&what)?;
        let kind = GgmlType::from_id(id)
            .ok_or_else(|| self.wrong(format!("tensor '{name}' is of type {id}, which is not known")))?;
        let bytes = tensor_bytes(kind, &dims)
            .ok_or_else(|| self.wrong(format!("tensor '{name}' of type {kind} cannot have the shape {dims:?}")))?;
        if offset % alignment != 0 {
            return Err(
                self.wrong(format!("tensor '{name}' starts at data offset {offset}, not at a multiple of {alignment}"))
            );
        }
        Ok(TensorInfo { name, dims, kind, offset, bytes })
    }
}

/// Bytes of a tensor, or `None` for an empty one, rows that are not whole blocks, or sizes beyond 63 bits.
pub(super) fn tensor_bytes(kind: GgmlType, dims: &[u64]) -> Option<u64> {
    let (&row_len, others) = dims.split_first()?;
    let rows = others.iter().try_fold(1_u64, |product, &n| product.checked_mul(n))?;
    let values = rows.checked_mul(row_len)?;
    let bytes = kind.row_bytes(row_len)?.checked_mul(rows)?;
    (values > 0 && i64::try_from(values).is_ok() && i64::try_from(bytes).is_ok()).then_some(bytes)
}

/// Names that occur more than once, for writers.
pub(super) fn duplicate<'n>(names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = HashSet::new();
    let mut names = names;
    names.find(|name| !seen.insert(*name))
}
