//! One test per way a header can be wrong, and a small fuzz over mutated headers.

use std::io::Cursor;
use std::path::Path;

use super::{Gguf, GgufError, Header, PlannedTensor, Value};
use crate::types::GgmlType;

/// A file as raw pieces, so that every piece can be spoilt by itself.
struct Raw {
    magic: [u8; 4],
    version: u32,
    n_tensors: u64,
    n_keys: u64,
    keys: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    data: usize,
}

fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}

fn key(name: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&string(name.as_bytes())[..], &kind.to_le_bytes(), value].concat()
}

fn tensor(name: &str, dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = string(name.as_bytes());
    bytes.extend((dims.len() as u32).to_le_bytes());
    for dim in dims {
        bytes.extend(dim.to_le_bytes());
    }
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

impl Raw {
    /// A correct file: two keys, two tensors (4 × 2 f32 in 32 bytes, one q8_0 row of 32 in 34 bytes).
    fn good() -> Self {
        Self {
            magic: *b"GGUF",
            version: 3,
            n_tensors: 2,
            n_keys: 2,
            keys: vec![
                key("general.architecture", 8, &string(b"qwen3")),
                key("list", 9, &[&5_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &[1, 0, 0, 0, 2, 0, 0, 0]].concat()),
            ],
            tensors: vec![tensor("first", &[4, 2], 0, 0), tensor("second", &[32], 8, 32)],
            data: 66,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.n_tensors.to_le_bytes());
        bytes.extend(self.n_keys.to_le_bytes());
        self.keys.iter().chain(&self.tensors).for_each(|part| bytes.extend(part));
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.resize(bytes.len() + self.data, 7);
        bytes
    }

    fn open(&self) -> Result<Gguf, GgufError> {
        open(&self.bytes())
    }
}

fn open(bytes: &[u8]) -> Result<Gguf, GgufError> {
    Gguf::read(Cursor::new(bytes), bytes.len() as u64, Path::new("some/model.gguf"))
}

/// The file spoilt by `spoil` is refused with a sentence that names the file and contains `expected`.
fn refused(expected: &str, spoil: impl FnOnce(&mut Raw)) {
    let mut raw = Raw::good();
    spoil(&mut raw);
    let message = raw.open().map(|_| ()).expect_err("must be refused").to_string();
    assert!(message.starts_with("some/model.gguf: "), "{message}");
    assert!(message.contains(expected), "'{message}' lacks '{expected}'");
}

#[test]
fn a_good_file_is_read() {
    let gguf = Raw::good().open().expect("good");
    assert_eq!(gguf.str("general.architecture").expect("string"), "qwen3");
    assert_eq!(gguf.i32s("list").expect("list"), [1, 2]);
    let second = gguf.tensor("second").expect("tensor");
    assert_eq!((second.kind, second.bytes, second.rows()), (GgmlType::Q8_0, 34, 1));
    assert_eq!(second.offset, gguf.data_start() + 32);
    assert_eq!(second.offset + second.bytes, gguf.file_len());
}

#[test]
fn every_truncation_is_refused() {
    let bytes = Raw::good().bytes();
    for len in 0..bytes.len() {
        let message = open(&bytes[..len]).map(|_| ()).expect_err("cut off").to_string();
        assert!(message.starts_with("some/model.gguf: "), "{len}: {message}");
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error() {
    let bytes = Raw::good().bytes();
    let error = Gguf::read(Cursor::new(&bytes[..40]), bytes.len() as u64, Path::new("m")).expect_err("short");
    assert!(error.is_io(), "{error}");
}

#[test]
fn wrong_magic_and_versions() {
    refused("not a GGUF file", |raw| raw.magic = *b"GGML");
    refused("version 1", |raw| raw.version = 1);
    refused("version 4", |raw| raw.version = 4);
    refused("big-endian", |raw| raw.version = 3_u32.swap_bytes());
}

#[test]
fn version_2_is_read() {
    let mut raw = Raw::good();
    raw.version = 2;
    assert_eq!(raw.open().expect("version 2").version(), 2);
}

#[test]
fn absurd_counts() {
    for count in [1 << 20, u64::MAX / 2, u64::MAX] {
        refused("keys cannot fit", |raw| raw.n_keys = count);
        refused("tensors cannot fit", |raw| raw.n_tensors = count);
        refused("array elements cannot fit", |raw| {
            raw.keys[1] = key("list", 9, &[&4_u32.to_le_bytes()[..], &count.to_le_bytes()].concat());
        });
        refused("array elements cannot fit", |raw| {
            raw.keys[1] = key("list", 9, &[&8_u32.to_le_bytes()[..], &count.to_le_bytes()].concat());
        });
        refused("array elements cannot fit", |raw| {
            raw.keys[1] = key("list", 9, &[&7_u32.to_le_bytes()[..], &count.to_le_bytes()].concat());
        });
    }
    refused("claims a length", |raw| raw.n_keys = 3);
}

#[test]
fn strings_beyond_the_file_and_not_utf8() {
    refused("the file ends inside the value of key", |raw| raw.keys[0] = key("a", 8, &100_000_u64.to_le_bytes()));
    refused("claims a length", |raw| raw.keys[0] = key("a", 8, &u64::MAX.to_le_bytes()));
    refused("not UTF-8", |raw| raw.keys[0] = key("a", 8, &string(&[0xff, 0xfe])));
}

#[test]
fn bad_keys() {
    refused("key 0 has no name", |raw| raw.keys[0] = key("", 0, &[1]));
    refused("key 'list' occurs twice", |raw| raw.keys[0] = key("list", 0, &[1]));
    refused("unknown kind 13", |raw| raw.keys[0] = key("a", 13, &[0; 8]));
    refused("array of the unknown kind 99", |raw| {
        raw.keys[1] = key("list", 9, &[&99_u32.to_le_bytes()[..], &1_u64.to_le_bytes()].concat());
    });
    refused("array of arrays", |raw| {
        raw.keys[1] = key("list", 9, &[&9_u32.to_le_bytes()[..], &1_u64.to_le_bytes(), &[0; 12]].concat());
    });
    refused("neither true nor false", |raw| raw.keys[0] = key("a", 7, &[2]));
}

#[test]
fn bad_alignment() {
    for value in [0_u32, 3, 48, 1 << 21] {
        refused("general.alignment", |raw| raw.keys[0] = key("general.alignment", 4, &value.to_le_bytes()));
    }
    refused("general.alignment", |raw| raw.keys[0] = key("general.alignment", 10, &32_u64.to_le_bytes()));
}

#[test]
fn bad_tensor_descriptions() {
    refused("name of 0 bytes", |raw| raw.tensors[0] = tensor("", &[8], 0, 0));
    refused("name of 64 bytes", |raw| raw.tensors[0] = tensor(&"x".repeat(64), &[8], 0, 0));
    refused("name of 3 bytes", |raw| raw.tensors[0] = tensor("a\0b", &[8], 0, 0));
    refused("tensor 'second' occurs twice", |raw| raw.tensors[0] = tensor("second", &[8], 0, 0));
    refused("0 dimensions", |raw| raw.tensors[0] = tensor("first", &[], 0, 0));
    refused("5 dimensions", |raw| raw.tensors[0] = tensor("first", &[1; 5], 0, 0));
    refused("cannot have the shape", |raw| raw.tensors[0] = tensor("first", &[0, 2], 0, 0));
    refused("cannot have the shape", |raw| raw.tensors[0] = tensor("first", &[u64::MAX, u64::MAX], 0, 0));
    refused("cannot have the shape", |raw| raw.tensors[0] = tensor("first", &[1 << 62, 2], 0, 0));
    refused("type 4,", |raw| raw.tensors[0] = tensor("first", &[8], 4, 0));
    refused("type 4294967295,", |raw| raw.tensors[0] = tensor("first", &[8], u32::MAX, 0));
    // 8 values are no whole block of q8_0, 32 none of q4_k.
    refused("cannot have the shape", |raw| raw.tensors[0] = tensor("first", &[8], 8, 0));
    refused("cannot have the shape", |raw| raw.tensors[0] = tensor("first", &[32], 12, 0));
}

#[test]
fn bad_tensor_places() {
    refused("not at a multiple of 32", |raw| raw.tensors[1] = tensor("second", &[32], 8, 33));
    refused("beyond the end", |raw| raw.tensors[1] = tensor("second", &[32], 8, 64));
    refused("beyond the end", |raw| raw.tensors[1] = tensor("second", &[32], 8, u64::MAX - 31));
    refused("beyond the end", |raw| raw.tensors[1] = tensor("second", &[1 << 40], 8, 32));
    refused("'second' and 'first' overlap", |raw| {
        raw.tensors = vec![tensor("second", &[16], 0, 0), tensor("first", &[1], 0, 32)]
    });
    refused("overlap", |raw| raw.tensors[1] = tensor("second", &[32], 8, 0));
    refused("beyond the end", |raw| raw.data = 65);
}

#[test]
fn getters_name_key_and_kind() {
    let gguf = Raw::good().open().expect("good");
    for (message, expected) in [
        (gguf.u32("nothing").expect_err("missing").to_string(), "key 'nothing' is missing"),
        (gguf.u32("list").expect_err("kind").to_string(), "key 'list' is of kind i32 array"),
        (gguf.f32("general.architecture").expect_err("kind").to_string(), "is of kind string"),
    ] {
        assert!(message.contains(expected), "{message}");
    }
    let mut raw = Raw::good();
    raw.keys[0] = key("n", 11, &(-1_i64).to_le_bytes());
    assert!(raw.open().expect("good").u32("n").is_err());
    raw.keys[0] = key("n", 10, &7_u64.to_le_bytes());
    assert_eq!(raw.open().expect("good").u32("n").expect("fits"), 7);
}

#[test]
fn what_is_written_is_read_back() {
    let keys: Vec<(String, Value)> = [
        Value::U8(1),
        Value::I8(-1),
        Value::U16(2),
        Value::I16(-2),
        Value::U32(3),
        Value::I32(-3),
        Value::F32(0.5),
        Value::Bool(true),
        Value::from("text"),
        Value::U64(1 << 40),
        Value::I64(-4),
        Value::F64(1e-300),
        Value::U8s(vec![1, 2]),
        Value::I8s(vec![-1]),
        Value::U16s(vec![]),
        Value::I16s(vec![-9]),
        Value::U32s(vec![9]),
        Value::I32s(vec![-7, 7]),
        Value::F32s(vec![1.5]),
        Value::Bools(vec![true, false]),
        Value::Strings(vec!["a".into(), String::new(), "\u{120}x".into()]),
        Value::U64s(vec![u64::MAX]),
        Value::I64s(vec![i64::MIN]),
        Value::F64s(vec![0.1]),
    ]
    .into_iter()
    .enumerate()
    .map(|(i, value)| (format!("k{i}"), value))
    .collect();
    let plan = |name: &str, dims: &[u64], kind| PlannedTensor { name: name.into(), dims: dims.into(), kind };
    let tensors = [plan("a", &[3, 3, 1, 5], GgmlType::F16), plan("b", &[256, 2], GgmlType::Q4_K)];
    let header = Header::new(&keys, &tensors).expect("header");
    let mut file = header.bytes().to_vec();
    file.resize(header.file_len() as usize, 0);
    let gguf = open(&file).expect("read back");
    assert!(gguf.keys().map(|(k, v)| (k.to_owned(), v.clone())).eq(keys));
    for (i, (read, planned)) in gguf.tensors().iter().zip(&tensors).enumerate() {
        assert_eq!((&read.name, &read.dims, read.kind), (&planned.name, &planned.dims, planned.kind));
        assert_eq!(header.place(i), Some((read.offset, read.bytes)));
    }
    assert_eq!(header.place(2), None);
}

#[test]
fn the_writer_refuses_what_the_reader_would() {
    let plan = |name: &str, dims: &[u64], kind| PlannedTensor { name: name.into(), dims: dims.into(), kind };
    let good = plan("a", &[32], GgmlType::Q8_0);
    assert!(Header::new(&[], &[good.clone(), good.clone()]).is_err());
    assert!(Header::new(&[], &[plan("a", &[33], GgmlType::Q8_0)]).is_err());
    assert!(Header::new(&[], &[plan(&"n".repeat(64), &[32], GgmlType::Q8_0)]).is_err());
    assert!(Header::new(&[], &[plan("a", &[1; 5], GgmlType::F32)]).is_err());
    assert!(Header::new(&[("k".into(), Value::U8(1)), ("k".into(), Value::U8(1))], &[good]).is_err());
}

/// Random damage must end in a value or an error, never in a panic, and what is accepted must lie inside the file.
#[test]
fn mutated_headers_never_panic() {
    let original = Raw::good().bytes();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (mut accepted, mut rejected) = (0_u32, 0_u32);
    for _ in 0..50_000 {
        let mut bytes = original.clone();
        for _ in 0..1 + random() % 4 {
            let at = random() as usize % bytes.len();
            match random() % 4 {
                0 => bytes[at] = random() as u8,
                1 => bytes[at] = 0xff,
                2 => bytes[at] ^= 1 << (random() % 8),
                _ => {
                    let end = (at + 8).min(bytes.len());
                    bytes[at..end].fill(if random() % 2 == 0 { 0 } else { 0xff });
                }
            }
        }
        if random() % 8 == 0 {
            bytes.truncate(random() as usize % bytes.len());
        }
        match open(&bytes) {
            Ok(gguf) => {
                accepted += 1;
                for tensor in gguf.tensors() {
                    assert!(tensor.offset + tensor.bytes <= bytes.len() as u64);
                }
            }
            Err(_) => rejected += 1,
        }
    }
    assert!(accepted > 100 && rejected > 10_000, "both outcomes must occur: {accepted} / {rejected}");
}
