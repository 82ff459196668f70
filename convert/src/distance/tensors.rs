//! Depth 2: the tensors of one pair of files beside those of another made from the same checkpoint.

use std::fmt;
use std::fs::File;
use std::path::Path;

use qasr_format::{GgmlType, Gguf, TensorInfo};
use serde::{Serialize, Serializer};

use super::blocks::relative;
use crate::error::{ConvertError, Result};
use crate::verify::read_rows;

/// Values of each file in memory at once, unless a single row has more.
const STRIP: u64 = 1 << 20;

/// Which file of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The decoder file.
    Decoder,
    /// The mmproj file.
    Encoder,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decoder => "decoder",
            Self::Encoder => "encoder",
        })
    }
}

/// How far one tensor is from the reference's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorDistance {
    /// Name in the file.
    pub name: String,
    /// The file.
    pub file: Which,
    /// Its type in the other pair.
    #[serde(serialize_with = "by_name")]
    pub kind: GgmlType,
    /// Bytes it takes there.
    pub bytes: u64,
    /// How many values it has.
    pub values: u64,
    /// Root of the mean square of the differences, relative to that of the reference's values.
    pub relative_rms: f64,
    /// Cosine of the angle between the two, all values taken as one vector; 1 for two zero tensors.
    pub cosine: f64,
    /// The largest difference.
    pub max_abs: f64,
}

fn by_name<S: Serializer>(kind: &GgmlType, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

/// Compares every tensor of two pairs, each given as decoder file and mmproj file; in the order of the reference's
/// files. Memory is a strip of each. `progress` gets values done, values in all, and the tensor's name.
///
/// # Errors
/// When a file cannot be read, or a tensor is in one pair only or of another shape: the message names it.
pub fn tensors(
    reference: [&Path; 2],
    other: [&Path; 2],
    progress: &mut dyn FnMut(u64, u64, &str),
) -> Result<Vec<TensorDistance>> {
    let mut pairs = Vec::new();
    for (which, (reference, other)) in
        [Which::Decoder, Which::Encoder].into_iter().zip(reference.into_iter().zip(other))
    {
        let (reference, other) = (Source::open(reference)?, Source::open(other)?);
        check_same(&reference.header, &other.header)?;
        pairs.push((which, reference, other));
    }
    let total = pairs.iter().flat_map(|(_, reference, _)| reference.header.tensors()).map(TensorInfo::values).sum();
    let mut done = 0;
    let mut distances = Vec::new();
    for (which, reference, other) in &pairs {
        for (one, two) in matched(&reference.header, &other.header) {
            progress(done, total, &one.name);
            distances.push(distance(*which, reference, one, other, two)?);
            done += one.values();
        }
    }
    progress(total, total, "");
    Ok(distances)
}

/// A file with its header.
struct Source {
    header: Gguf,
    file: File,
}

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let header = Gguf::open(path).map_err(|error| ConvertError::checkpoint(error.to_string()))?;
        let file = File::open(path).map_err(|error| ConvertError::unreadable(path, &error))?;
        Ok(Self { header, file })
    }

    fn rows(&self, tensor: &TensorInfo, first: u64, rows: u64) -> Result<Vec<f32>> {
        read_rows(&self.file, tensor, first, rows).map_err(|error| {
            let path = self.header.path().display();
            ConvertError::checkpoint(format!("{path}: tensor '{}' cannot be read: {error}", tensor.name))
        })
    }
}

fn matched<'a>(reference: &'a Gguf, other: &'a Gguf) -> impl Iterator<Item = (&'a TensorInfo, &'a TensorInfo)> {
    reference.tensors().iter().filter_map(|tensor| other.tensor(&tensor.name).map(|found| (tensor, found)))
}

fn check_same(reference: &Gguf, other: &Gguf) -> Result<()> {
    let apart = |name: &str, why: String| {
        let (one, two) = (reference.path().display(), other.path().display());
        ConvertError::usage(format!(
            "tensor '{name}' {why}: {two} is not the same model as {one}; compare pairs made from one checkpoint"
        ))
    };
    if let Some(extra) = other.tensors().iter().find(|tensor| reference.tensor(&tensor.name).is_none()) {
        return Err(apart(&extra.name, "is not in the reference".into()));
    }
    for tensor in reference.tensors() {
        match other.tensor(&tensor.name) {
            None => return Err(apart(&tensor.name, "is only in the reference".into())),
            Some(found) if found.dims != tensor.dims => {
                return Err(apart(&tensor.name, format!("is {:?} instead of {:?}", found.dims, tensor.dims)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn distance(
    which: Which,
    reference: &Source,
    one: &TensorInfo,
    other: &Source,
    two: &TensorInfo,
) -> Result<TensorDistance> {
    let rows = one.rows();
    let strip = (STRIP / one.row_len().max(1)).max(1);
    let (mut difference, mut product, mut own, mut others, mut max_abs) = (0.0, 0.0, 0.0, 0.0, 0.0_f64);
    let mut first = 0;
    while first < rows {
        let count = strip.min(rows - first);
        for (a, b) in reference.rows(one, first, count)?.into_iter().zip(other.rows(two, first, count)?) {
            let (a, b) = (f64::from(a), f64::from(b));
            let apart = (b - a).abs();
            // Not `max`, which passes over what is not a number.
            max_abs = if apart <= max_abs { max_abs } else { apart };
            difference += apart * apart;
            product += a * b;
            own += a * a;
            others += b * b;
        }
        first += count;
    }
    let both_zero = own == 0.0 && others == 0.0;
    Ok(TensorDistance {
        name: one.name.clone(),
        file: which,
        kind: two.kind,
        bytes: two.bytes,
        values: one.values(),
        relative_rms: relative(difference.sqrt(), own.sqrt()),
        cosine: if both_zero { 1.0 } else { product / (own.sqrt() * others.sqrt()).max(f64::MIN_POSITIVE) },
        max_abs,
    })
}
