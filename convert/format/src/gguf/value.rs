//! The values keys can have. Arrays hold one kind of element; arrays of arrays are refused.

use std::fmt;

/// One value of the header.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs)] // Each is the type that its name says; a plural is an array.
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Str(String),
    U64(u64),
    I64(i64),
    F64(f64),
    U8s(Vec<u8>),
    I8s(Vec<i8>),
    U16s(Vec<u16>),
    I16s(Vec<i16>),
    U32s(Vec<u32>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    Bools(Vec<bool>),
    Strings(Vec<String>),
    U64s(Vec<u64>),
    I64s(Vec<i64>),
    F64s(Vec<f64>),
}

/// Numbers that stand for the kinds of value in a file.
pub(super) mod code {
    pub const U8: u32 = 0;
    pub const I8: u32 = 1;
    pub const U16: u32 = 2;
    pub const I16: u32 = 3;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
    pub const U64: u32 = 10;
    pub const I64: u32 = 11;
    pub const F64: u32 = 12;
}

impl Value {
    /// The kind as a word: "u32", "string array".
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::U8(_) => "u8",
            Self::I8(_) => "i8",
            Self::U16(_) => "u16",
            Self::I16(_) => "i16",
            Self::U32(_) => "u32",
            Self::I32(_) => "i32",
            Self::F32(_) => "f32",
            Self::Bool(_) => "bool",
            Self::Str(_) => "string",
            Self::U64(_) => "u64",
            Self::I64(_) => "i64",
            Self::F64(_) => "f64",
            Self::U8s(_) => "u8 array",
            Self::I8s(_) => "i8 array",
            Self::U16s(_) => "u16 array",
            Self::I16s(_) => "i16 array",
            Self::U32s(_) => "u32 array",
            Self::I32s(_) => "i32 array",
            Self::F32s(_) => "f32 array",
            Self::Bools(_) => "bool array",
            Self::Strings(_) => "string array",
            Self::U64s(_) => "u64 array",
            Self::I64s(_) => "i64 array",
            Self::F64s(_) => "f64 array",
        }
    }

    /// A single whole number, whatever its width in the file.
    pub fn as_i128(&self) -> Option<i128> {
        Some(match *self {
            Self::U8(v) => i128::from(v),
            Self::I8(v) => i128::from(v),
            Self::U16(v) => i128::from(v),
            Self::I16(v) => i128::from(v),
            Self::U32(v) => i128::from(v),
            Self::I32(v) => i128::from(v),
            Self::U64(v) => i128::from(v),
            Self::I64(v) => i128::from(v),
            _ => return None,
        })
    }

    /// Number of elements; 1 for single values.
    pub fn len(&self) -> usize {
        match self {
            Self::U8s(v) => v.len(),
            Self::I8s(v) => v.len(),
            Self::U16s(v) => v.len(),
            Self::I16s(v) => v.len(),
            Self::U32s(v) => v.len(),
            Self::I32s(v) => v.len(),
            Self::F32s(v) => v.len(),
            Self::Bools(v) => v.len(),
            Self::Strings(v) => v.len(),
            Self::U64s(v) => v.len(),
            Self::I64s(v) => v.len(),
            Self::F64s(v) => v.len(),
            _ => 1,
        }
    }

    /// Whether this is an array without elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How many elements of an array are printed.
const SHOWN: usize = 6;

fn list<T: fmt::Debug>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    f.write_str("[")?;
    for (i, item) in items.iter().take(SHOWN).enumerate() {
        write!(f, "{}{item:?}", if i == 0 { "" } else { ", " })?;
    }
    if items.len() > SHOWN { write!(f, ", … {} in all]", items.len()) } else { f.write_str("]") }
}

/// For people: long arrays are cut after a few elements and say how many there are.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32(v) => write!(f, "{v:?}"),
            Self::F64(v) => write!(f, "{v:?}"),
            Self::Bool(v) => write!(f, "{v}"),
            Self::Str(v) => write!(f, "{v:?}"),
            Self::U8s(v) => list(f, v),
            Self::I8s(v) => list(f, v),
            Self::U16s(v) => list(f, v),
            Self::I16s(v) => list(f, v),
            Self::U32s(v) => list(f, v),
            Self::I32s(v) => list(f, v),
            Self::F32s(v) => list(f, v),
            Self::Bools(v) => list(f, v),
            Self::Strings(v) => list(f, v),
            Self::U64s(v) => list(f, v),
            Self::I64s(v) => list(f, v),
            Self::F64s(v) => list(f, v),
            whole => write!(f, "{}", whole.as_i128().unwrap_or_default()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::U32(number)
    }
}

impl From<f32> for Value {
    fn from(number: f32) -> Self {
        Self::F32(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}
