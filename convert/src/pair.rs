//! A pair of model files as a source: its sizes, and a check that every tensor is there.

use std::fs::File;
use std::path::Path;

use qasr_format::schema::tensors::{self as names, DecoderSizes, EncoderSizes, Which, encoder_part};
use qasr_format::schema::{Arch, decoder, encoder, general, own};
use qasr_format::{Gguf, TensorInfo};

use crate::error::{ConvertError, Result};
use crate::store::{SourceFile, SourceTensor, Store};

/// Most layers, and largest size of anything else: far above every model, low enough that products fit.
const MAX_LAYERS: u64 = 1024;
const MAX_SIZE: u64 = 1 << 24;

/// Two open files that were checked.
#[derive(Debug)]
pub(crate) struct Pair {
    pub arch: Arch,
    /// Headers of decoder and mmproj file.
    pub headers: [Gguf; 2],
    pub store: Store,
    /// Name, shape as we write it, and place of every tensor of decoder and mmproj file, in our order.
    pub tensors: [Vec<(String, Vec<u64>, SourceTensor)>; 2],
    /// Layers of decoder and encoder.
    pub layers: [usize; 2],
}

impl Pair {
    /// Opens both files and checks that they are a Qwen3-ASR model, tensor by tensor.
    ///
    /// # Errors
    /// When a file cannot be read, is of another kind of model, or lacks or adds tensors, all of which are listed.
    pub fn open(decoder_path: &Path, encoder_path: &Path) -> Result<Self> {
        let headers = [header(decoder_path)?, header(encoder_path)?];
        let [decoder_file, encoder_file] = &headers;
        let arch_name = text(decoder_file, general::ARCHITECTURE)?;
        let arch = Arch::find(arch_name).ok_or_else(|| {
            wrong(decoder_file, format!("architecture '{arch_name}' is no Qwen3-ASR decoder (qwen3, qwen3vl)"))
        })?;
        let projector = text(encoder_file, general::ARCHITECTURE).and_then(|name| match name {
            encoder::ARCHITECTURE => text(encoder_file, encoder::PROJECTOR_TYPE)
                .or_else(|_| text(encoder_file, encoder::PROJECTOR_TYPE_PLAIN)),
            other => Err(wrong(encoder_file, format!("architecture '{other}' is no audio encoder (clip)"))),
        })?;
        if projector != encoder::PROJECTOR_VALUE {
            let what = format!(
                "projector '{projector}' belongs to another model; Qwen3-ASR has '{}'",
                encoder::PROJECTOR_VALUE
            );
            return Err(wrong(encoder_file, what));
        }
        if let (Ok(one), Ok(other)) = (decoder_file.str(own::SOURCE_SHA256), encoder_file.str(own::SOURCE_SHA256))
            && one != other
        {
            let decoder = decoder_path.display();
            return Err(wrong(
                encoder_file,
                format!("{decoder} was made from another checkpoint: the two files do not belong together"),
            ));
        }
        let decoder_sizes = decoder_sizes(decoder_file, arch)?;
        let encoder_sizes = encoder_sizes(encoder_file)?;
        if encoder_sizes.projection != decoder_sizes.width {
            return Err(wrong(
                encoder_file,
                format!(
                    "gives rows of {} values, but {} takes {}: the two files do not belong together",
                    encoder_sizes.projection,
                    decoder_path.display(),
                    decoder_sizes.width
                ),
            ));
        }
        let mut wanted = decoder_sizes.tensors();
        if decoder_file.tensor(names::OUTPUT).is_some() {
            wanted.push((names::OUTPUT.to_owned(), vec![decoder_sizes.width, decoder_sizes.vocabulary]));
        }
        let tensors = [placed(decoder_file, 0, wanted)?, placed(encoder_file, 1, encoder_sizes.tensors())?];
        let files = headers.iter().map(opened).collect::<Result<Vec<_>>>()?;
        let layers = [decoder_sizes.layers, encoder_sizes.layers];
        Ok(Self { arch, store: Store { files }, tensors, layers, headers })
    }
}

fn header(path: &Path) -> Result<Gguf> {
    Gguf::open(path).map_err(|e| ConvertError::checkpoint(e.to_string()))
}

fn opened(header: &Gguf) -> Result<SourceFile> {
    let path = header.path().to_path_buf();
    let handle = File::open(&path).map_err(|e| ConvertError::unreadable(&path, &e))?;
    Ok(SourceFile { path, handle, len: header.file_len() })
}

fn wrong(file: &Gguf, what: impl std::fmt::Display) -> ConvertError {
    ConvertError::checkpoint(format!("{}: {what}", file.path().display()))
}

fn text<'f>(file: &'f Gguf, key: &str) -> Result<&'f str> {
    file.str(key).map_err(|e| ConvertError::checkpoint(e.to_string()))
}

fn size(file: &Gguf, key: &str, most: u64) -> Result<u64> {
    let number = u64::from(file.u32(key).map_err(|e| ConvertError::checkpoint(e.to_string()))?);
    if !(1..=most).contains(&number) {
        return Err(wrong(file, format!("key '{key}' is {number}, not from 1 to {most}")));
    }
    Ok(number)
}

/// One extent of a tensor.
fn extent(file: &Gguf, name: &str, axis: usize) -> Result<u64> {
    let tensor = file.tensor(name).ok_or_else(|| wrong(file, format!("tensor '{name}' is missing")))?;
    Ok(tensor.dims.get(axis).copied().unwrap_or(1))
}

fn decoder_sizes(file: &Gguf, arch: Arch) -> Result<DecoderSizes> {
    let size = |suffix: &str, most| size(file, &arch.key(suffix), most);
    Ok(DecoderSizes {
        layers: size(decoder::BLOCK_COUNT, MAX_LAYERS)? as usize,
        width: size(decoder::EMBEDDING_LENGTH, MAX_SIZE)?,
        feed_forward: size(decoder::FEED_FORWARD_LENGTH, MAX_SIZE)?,
        heads: size(decoder::HEAD_COUNT, MAX_SIZE)?,
        kv_heads: size(decoder::HEAD_COUNT_KV, MAX_SIZE)?,
        head_width: size(decoder::KEY_LENGTH, MAX_SIZE)?,
        vocabulary: extent(file, names::TOKEN_EMBD, 1)?,
    })
}

fn encoder_sizes(file: &Gguf) -> Result<EncoderSizes> {
    Ok(EncoderSizes {
        layers: size(file, encoder::BLOCK_COUNT, MAX_LAYERS)? as usize,
        width: size(file, encoder::EMBEDDING_LENGTH, MAX_SIZE)?,
        feed_forward: size(file, encoder::FEED_FORWARD_LENGTH, MAX_SIZE)?,
        mel_bins: size(file, encoder::MEL_BINS, MAX_SIZE)?,
        conv_channels: extent(file, &encoder_part(names::CONV[0], Which::Weight), 3)?,
        projection: size(file, encoder::PROJECTION_DIM, MAX_SIZE)?,
        position_rows: extent(file, names::POSITION_EMBD, 1)?,
    })
}

/// Every wanted tensor with its place; all that is missing, misshapen or unknown becomes one error.
fn placed(file: &Gguf, index: usize, wanted: Vec<(String, Vec<u64>)>) -> Result<Vec<(String, Vec<u64>, SourceTensor)>> {
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for (name, dims) in wanted {
        match file.tensor(&name) {
            None => problems.push(format!("missing: '{name}' {dims:?}")),
            Some(info) if trimmed(&info.dims) != trimmed(&dims) => {
                problems.push(format!("misshapen: '{name}' is {:?}, but its keys make it {dims:?}", info.dims));
            }
            Some(info) => {
                let source = source(info, index);
                found.push((name, dims, source));
            }
        }
    }
    let unknown = file.tensors().iter().filter(|info| found.iter().all(|(name, ..)| *name != info.name));
    let is_named = |name: &str| problems.iter().any(|problem| problem.contains(&format!("'{name}'")));
    let unknown: Vec<_> =
        unknown.filter(|info| !is_named(&info.name)).map(|info| format!("unknown: '{}'", info.name)).collect();
    problems.extend(unknown);
    if problems.is_empty() {
        return Ok(found);
    }
    let what = format!("its tensors are not those of a Qwen3-ASR model ({} problems):", problems.len());
    Err(wrong(file, what).with_items(problems))
}

fn source(info: &TensorInfo, file: usize) -> SourceTensor {
    SourceTensor {
        name: info.name.clone(),
        shape: info.dims.iter().rev().copied().collect(),
        kind: info.kind,
        offset: info.offset,
        file,
    }
}

/// Trailing extents of 1 are written by some and left out by others.
fn trimmed(dims: &[u64]) -> &[u64] {
    &dims[..dims.iter().rposition(|&dim| dim != 1).map_or(0, |last| last + 1)]
}
