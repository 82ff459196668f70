//! Reading and checking a header.
//!
//! The file is not trusted: every count is compared with the bytes that are left, memory grows only with bytes that
//! were really read, and all arithmetic on sizes is checked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::error::DAMAGED;
use super::parse::Reader;
use super::tensor::TensorInfo;
use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, GgufError, MAGIC, Value, align_up};
use crate::pointer;

/// Largest alignment accepted.
const MAX_ALIGNMENT: u32 = 1 << 20;

/// The header of a GGUF file that was checked against the file's length. Holds no tensor data.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    version: u32,
    alignment: u64,
    data_start: u64,
    file_len: u64,
    keys: Vec<(String, Value)>,
    key_index: HashMap<String, usize>,
    tensors: Vec<TensorInfo>,
    tensor_index: HashMap<String, usize>,
}

impl Gguf {
    /// Reads and checks the header of the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, is not a GGUF file of version 2 or 3, or its header contradicts itself or the
    /// length of the file: in every case naming the file and the place.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        // Asked before opening: opening a named pipe waits until somebody writes to it.
        let meta = std::fs::metadata(path).map_err(|e| GgufError::io(path, "open the file", &e))?;
        if !meta.is_file() {
            return Err(GgufError::malformed(path, "not a regular file, so it cannot be a model file"));
        }
        let file = File::open(path).map_err(|e| GgufError::io(path, "open the file", &e))?;
        let meta = file.metadata().map_err(|e| GgufError::io(path, "ask for the length of the file", &e))?;
        Self::read(BufReader::with_capacity(1 << 16, file), meta.len(), path)
    }

    /// Reads and checks a header from `source`, which holds `file_len` bytes; `path` only names it in errors.
    ///
    /// # Errors
    /// As [`Gguf::open`].
    pub fn read(source: impl Read, file_len: u64, path: &Path) -> Result<Self, GgufError> {
        Self::read_header(Reader { source, at: 0, file_len, path }).map_err(GgufError::into_damage)
    }

    fn read_header(mut reader: Reader<'_, impl Read>) -> Result<Self, GgufError> {
        let (path, file_len) = (reader.path, reader.file_len);
        let foreign = |message: String| GgufError::foreign(path, message);
        let magic: [u8; 4] = reader.array("the magic")?;
        if magic != MAGIC {
            let mut start = magic.to_vec();
            // Where nothing more can be read, the magic alone is reported.
            let _ = reader.source.take(pointer::DECISIVE_BYTES as u64).read_to_end(&mut start);
            if pointer::is_pointer(&start) {
                return Err(foreign(pointer::ADVICE.to_owned()));
            }
            return Err(foreign(format!(
                "not a GGUF file: it starts with {magic:02x?}, not \"GGUF\"; it is {DAMAGED}, or of another kind"
            )));
        }
        let version = reader.u32("the version")?;
        match version {
            2 | 3 => {}
            v if matches!(v.swap_bytes(), 1..=3) => {
                return Err(foreign("written for big-endian machines; convert the model again on this one".to_owned()));
            }
            v => return Err(foreign(format!("GGUF version {v}, but only versions 2 and 3 can be read"))),
        }
        let n_tensors = reader.u64("the tensor count")?;
        let n_keys = reader.u64("the key count")?;
        // A key takes at least 8 + 1 + 4 + 1 bytes, a tensor description 8 + 1 + 4 + 8 + 4 + 8.
        reader.check_count(n_keys, 14, "keys")?;
        reader.check_count(n_tensors, 33, "tensors")?;

        let mut keys = Vec::new();
        let mut key_index = HashMap::new();
        for i in 0..n_keys {
            let (key, value) = reader.key(i)?;
            if key_index.insert(key.clone(), keys.len()).is_some() {
                return Err(reader.wrong(format!("key '{key}' occurs twice")));
            }
            keys.push((key, value));
        }
        let alignment = match key_index.get(ALIGNMENT_KEY).map(|&i| &keys[i].1) {
            None => DEFAULT_ALIGNMENT,
            Some(&Value::U32(n)) if n.is_power_of_two() && n <= MAX_ALIGNMENT => u64::from(n),
            Some(other) => {
                return Err(reader.wrong(format!("'{ALIGNMENT_KEY}' is {other}, not a power of two of at most 2^20")));
            }
        };

        let mut tensors = Vec::new();
        let mut tensor_index = HashMap::new();
        for i in 0..n_tensors {
            let tensor = reader.tensor(i, alignment)?;
            if tensor_index.insert(tensor.name.clone(), tensors.len()).is_some() {
                return Err(reader.wrong(format!("tensor '{}' occurs twice", tensor.name)));
            }
            tensors.push(tensor);
        }
        let data_start = match align_up(reader.at, alignment) {
            // Without tensors nothing follows, and the padding may be missing.
            Some(start) if tensors.is_empty() => start.min(file_len),
            Some(start) if start <= file_len => start,
            _ => return Err(reader.wrong("the file ends before the tensor data")),
        };
        for tensor in &mut tensors {
            place(tensor, data_start, file_len).map_err(|what| GgufError::malformed(path, what))?;
        }
        check_overlap(&tensors).map_err(|what| GgufError::malformed(path, what))?;
        Ok(Self {
            path: path.to_path_buf(),
            version,
            alignment,
            data_start,
            file_len,
            keys,
            key_index,
            tensors,
            tensor_index,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// GGUF version: 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Alignment of tensor data in bytes.
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// Where tensor data starts, in bytes from the start of the file.
    pub fn data_start(&self) -> u64 {
        self.data_start
    }

    /// Length of the file in bytes when it was opened.
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// All keys with their values, in file order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.keys.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// All tensors, in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensor_index.get(name).map(|&i| &self.tensors[i])
    }

    /// The value of this key, if the file has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.key_index.get(key).map(|&i| &self.keys[i].1)
    }

    /// The whole number under `key`, of any width in the file.
    ///
    /// # Errors
    /// When the key is missing, is no whole number, or does not fit. The other getters likewise.
    pub fn u32(&self, key: &str) -> Result<u32, GgufError> {
        let value = self.require(key)?;
        let number = value.as_i128().ok_or_else(|| self.wrong_kind(key, value, "a whole number"))?;
        u32::try_from(number).map_err(|_| self.error(format!("key '{key}' is {number}, out of range")))
    }

    /// The floating-point number under `key`.
    pub fn f32(&self, key: &str) -> Result<f32, GgufError> {
        match self.require(key)? {
            &Value::F32(v) => Ok(v),
            &Value::F64(v) => Ok(v as f32),
            other => Err(self.wrong_kind(key, other, "a floating-point number")),
        }
    }

    /// The truth value under `key`.
    pub fn bool(&self, key: &str) -> Result<bool, GgufError> {
        match self.require(key)? {
            &Value::Bool(v) => Ok(v),
            other => Err(self.wrong_kind(key, other, "a bool")),
        }
    }

    /// The string under `key`.
    pub fn str(&self, key: &str) -> Result<&str, GgufError> {
        match self.require(key)? {
            Value::Str(v) => Ok(v),
            other => Err(self.wrong_kind(key, other, "a string")),
        }
    }

    /// The array of strings under `key`.
    pub fn strings(&self, key: &str) -> Result<&[String], GgufError> {
        match self.require(key)? {
            Value::Strings(v) => Ok(v),
            other => Err(self.wrong_kind(key, other, "an array of strings")),
        }
    }

    /// The array of 32-bit whole numbers under `key`.
    pub fn i32s(&self, key: &str) -> Result<&[i32], GgufError> {
        match self.require(key)? {
            Value::I32s(v) => Ok(v),
            other => Err(self.wrong_kind(key, other, "an array of i32")),
        }
    }

    fn require(&self, key: &str) -> Result<&Value, GgufError> {
        self.get(key).ok_or_else(|| self.error(format!("key '{key}' is missing")))
    }

    fn wrong_kind(&self, key: &str, value: &Value, wanted: &str) -> GgufError {
        self.error(format!("key '{key}' is of kind {}, but {wanted} is needed", value.kind_name()))
    }

    fn error(&self, message: String) -> GgufError {
        GgufError::malformed(&self.path, message)
    }
}

/// Turns an offset inside the data part into one inside the file, checking the end against the file's length.
fn place(tensor: &mut TensorInfo, data_start: u64, file_len: u64) -> Result<(), String> {
    let end = data_start.checked_add(tensor.offset).and_then(|start| start.checked_add(tensor.bytes));
    match end {
        Some(end) if end <= file_len => {
            tensor.offset += data_start;
            Ok(())
        }
        _ => Err(format!(
            "tensor '{}' lies beyond the end of the file ({} bytes from data offset {}, file length {file_len}): \
             the file is {DAMAGED}",
            tensor.name, tensor.bytes, tensor.offset
        )),
    }
}

fn check_overlap(tensors: &[TensorInfo]) -> Result<(), String> {
    let mut by_place: Vec<&TensorInfo> = tensors.iter().collect();
    by_place.sort_by_key(|t| t.offset);
    for pair in by_place.windows(2) {
        if pair[0].offset + pair[0].bytes > pair[1].offset {
            return Err(format!("tensors '{}' and '{}' overlap", pair[0].name, pair[1].name));
        }
    }
    Ok(())
}
