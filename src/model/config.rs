//! The hyperparameters, read from the files; nothing that matters has a default.

use super::keys;
use crate::error::{Error, Result};
use qasr_format::schema::tensors::{self, DecoderSizes, EncoderSizes};
use qasr_format::schema::{Arch, decoder, encoder, general, own, tokenizer};
use qasr_format::{Gguf, GgufError};

/// Mel frames of one conv chunk: 1 s. The checkpoint calls half of it `n_window`.
pub const CHUNK_FRAMES: usize = 100;
/// Conv chunks of one attention window: 8 s. The checkpoint's `n_window_infer` is 800 frames.
pub const WINDOW_CHUNKS: usize = 8;
/// Mel bins the front end makes.
pub const MEL_BINS: usize = 128;

/// Sizes of the audio encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EncoderConfig {
    /// All extents that shape its tensors.
    pub sizes: EncoderSizes,
    /// Attention heads per layer.
    pub heads: usize,
    /// Added to the variance in layer normalisation.
    pub epsilon: f32,
}

/// Sizes of the decoder and what its vocabulary file says about generation.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// The architecture the file names.
    pub arch: Arch,
    /// All extents that shape its tensors.
    pub sizes: DecoderSizes,
    /// Added to the mean square in normalisation.
    pub epsilon: f32,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Positions the model was made for.
    pub max_positions: usize,
    /// Tokens that end generation, by the file; the vocabulary adds its own.
    pub end_tokens: Vec<u32>,
    /// How long a piece of audio this model takes well, in seconds, when the file says so.
    pub segment_seconds: Option<f32>,
}

/// Largest value taken for any extent: far above every published model, small enough that no product overflows.
const MAX_EXTENT: u64 = 1 << 20;
/// Most layers taken.
const MAX_LAYERS: u64 = 512;
/// Fewest positions taken: the prompt without context, a few seconds of audio and their text.
const MIN_POSITIONS: u64 = 128;
/// Lengths an utterance may be limited to, by a model or a caller, in seconds.
pub const SEGMENT_SECONDS: std::ops::RangeInclusive<f32> = own::SEGMENT_SECONDS_RANGE;

fn refuse(error: GgufError) -> Error {
    Error::model(error.to_string())
}

/// Reads a whole number and insists on its range.
fn number(file: &Gguf, key: &str, max: u64) -> Result<u64> {
    let value = u64::from(file.u32(key).map_err(refuse)?);
    if value == 0 || value > max {
        return Err(wrong(file, format!("key '{key}' is {value}, expected 1 to {max}")));
    }
    Ok(value)
}

/// Reads a small positive number.
fn epsilon(file: &Gguf, key: &str) -> Result<f32> {
    let value = file.f32(key).map_err(refuse)?;
    if !(value > 0.0 && value < 1.0) {
        return Err(wrong(file, format!("key '{key}' is {value}, expected a small positive number")));
    }
    Ok(value)
}

fn wrong(file: &Gguf, what: impl std::fmt::Display) -> Error {
    Error::model(format!("{}: {what}", file.path().display()))
}

impl EncoderConfig {
    /// Reads the mmproj file's keys; extents the keys do not carry come from the tensors.
    pub fn read(file: &Gguf) -> Result<Self> {
        let architecture = file.str(general::ARCHITECTURE).map_err(refuse)?;
        if architecture != encoder::ARCHITECTURE {
            return Err(wrong(
                file,
                format!(
                    "architecture '{architecture}' is not an audio encoder ('{}'): is it the decoder file?",
                    encoder::ARCHITECTURE
                ),
            ));
        }
        let projector =
            file.str(encoder::PROJECTOR_TYPE).or_else(|_| file.str(encoder::PROJECTOR_TYPE_PLAIN)).map_err(refuse)?;
        if projector != encoder::PROJECTOR_VALUE {
            return Err(wrong(
                file,
                format!(
                    "projector '{projector}' belongs to another model; Qwen3-ASR has '{}'",
                    encoder::PROJECTOR_VALUE
                ),
            ));
        }
        let extent = |name: &str, axis: usize| -> Result<u64> {
            let tensor = file.tensor(name).ok_or_else(|| wrong(file, format!("tensor '{name}' is missing")))?;
            tensor
                .dims
                .get(axis)
                .copied()
                .filter(|extent| (1..=MAX_EXTENT).contains(extent))
                .ok_or_else(|| wrong(file, format!("tensor '{name}' has the shape {:?}", tensor.dims)))
        };
        let conv = tensors::encoder_part(tensors::CONV[0], tensors::Which::Weight);
        let sizes = EncoderSizes {
            layers: number(file, encoder::BLOCK_COUNT, MAX_LAYERS)? as usize,
            width: number(file, encoder::EMBEDDING_LENGTH, MAX_EXTENT)?,
            feed_forward: number(file, encoder::FEED_FORWARD_LENGTH, MAX_EXTENT)?,
            mel_bins: number(file, encoder::MEL_BINS, MAX_EXTENT)?,
            conv_channels: extent(&conv, 3)?,
            projection: number(file, encoder::PROJECTION_DIM, MAX_EXTENT)?,
            position_rows: extent(tensors::POSITION_EMBD, 1)?,
        };
        let heads = number(file, encoder::HEAD_COUNT, MAX_EXTENT)?;
        if sizes.mel_bins != MEL_BINS as u64 {
            return Err(wrong(file, format!("{} mel bins; the front end makes {MEL_BINS}", sizes.mel_bins)));
        }
        if !sizes.width.is_multiple_of(heads) {
            return Err(wrong(file, format!("{heads} heads do not divide the width {}", sizes.width)));
        }
        for (key, expected) in [(own::N_WINDOW, CHUNK_FRAMES / 2), (own::N_WINDOW_INFER, CHUNK_FRAMES * WINDOW_CHUNKS)]
        {
            if file.get(key).is_some() && file.u32(key).map_err(refuse)? as usize != expected {
                return Err(wrong(
                    file,
                    format!("key '{key}' is {}; this build knows {expected}", file.u32(key).map_err(refuse)?),
                ));
            }
        }
        if (sizes.position_rows as usize) < encoder_tokens(CHUNK_FRAMES) {
            return Err(wrong(
                file,
                format!(
                    "a position table of {} rows; {} are needed",
                    sizes.position_rows,
                    encoder_tokens(CHUNK_FRAMES)
                ),
            ));
        }
        Ok(Self { sizes, heads: heads as usize, epsilon: epsilon(file, encoder::LAYER_NORM_EPSILON)? })
    }

    /// Audio tokens for a number of mel frames (docs/MODEL.md, section 2): 13 per whole second, the rest by the convolutions.
    pub fn audio_tokens(frames: usize) -> usize {
        encoder_tokens(CHUNK_FRAMES) * (frames / CHUNK_FRAMES) + encoder_tokens(frames % CHUNK_FRAMES)
    }
}

/// Tokens one conv chunk of `frames` yields: three halvings, each rounded up.
pub fn encoder_tokens(frames: usize) -> usize {
    (0..3).fold(frames, |left, _| left.div_ceil(2))
}

impl DecoderConfig {
    /// Reads the decoder file's keys and checks what llama.cpp would take on trust.
    pub fn read(file: &Gguf) -> Result<Self> {
        let name = file.str(general::ARCHITECTURE).map_err(refuse)?;
        let arch = Arch::find(name).ok_or_else(|| {
            wrong(file, format!("architecture '{name}' is not a Qwen3-ASR decoder ('qwen3' or 'qwen3vl')"))
        })?;
        let key = |suffix: &str| arch.key(suffix);
        let table = file
            .tensor(tensors::TOKEN_EMBD)
            .ok_or_else(|| wrong(file, format!("tensor '{}' is missing", tensors::TOKEN_EMBD)))?;
        let vocabulary = table.dims.get(1).copied().filter(|rows| (1..=MAX_EXTENT).contains(rows));
        let vocabulary = vocabulary
            .ok_or_else(|| wrong(file, format!("tensor '{}' has the shape {:?}", tensors::TOKEN_EMBD, table.dims)))?;
        let sizes = DecoderSizes {
            layers: number(file, &key(decoder::BLOCK_COUNT), MAX_LAYERS)? as usize,
            width: number(file, &key(decoder::EMBEDDING_LENGTH), MAX_EXTENT)?,
            feed_forward: number(file, &key(decoder::FEED_FORWARD_LENGTH), MAX_EXTENT)?,
            heads: number(file, &key(decoder::HEAD_COUNT), MAX_EXTENT)?,
            kv_heads: number(file, &key(decoder::HEAD_COUNT_KV), MAX_EXTENT)?,
            head_width: number(file, &key(decoder::KEY_LENGTH), MAX_EXTENT)?,
            vocabulary,
        };
        let value_length = number(file, &key(decoder::VALUE_LENGTH), MAX_EXTENT)?;
        if value_length != sizes.head_width
            || !sizes.heads.is_multiple_of(sizes.kv_heads)
            || !sizes.head_width.is_multiple_of(2)
        {
            return Err(wrong(
                file,
                format!(
                    "{} heads over {} kv heads of {}/{value_length} values",
                    sizes.heads, sizes.kv_heads, sizes.head_width
                ),
            ));
        }
        let epsilon = epsilon(file, &key(decoder::RMS_EPSILON))?;
        let base = file.f32(&key(decoder::ROPE_FREQ_BASE)).map_err(refuse)?;
        if !(base.is_finite() && base > 1.0) {
            return Err(wrong(file, format!("key '{}' is {base}", key(decoder::ROPE_FREQ_BASE))));
        }
        if arch == Arch::Qwen3Vl {
            check_sections(file, &key(decoder::ROPE_SECTIONS), sizes.head_width)?;
        }
        keys::known(file, arch, sizes.head_width, vocabulary)?;
        let end_tokens = check_vocabulary(file, vocabulary)?;
        let segment_seconds =
            file.get(own::SEGMENT_SECONDS).map(|_| file.f32(own::SEGMENT_SECONDS)).transpose().map_err(refuse)?;
        if let Some(seconds) = segment_seconds.filter(|seconds| !SEGMENT_SECONDS.contains(seconds)) {
            return Err(wrong(
                file,
                format!("key '{}' is {seconds}, expected {SEGMENT_SECONDS:?}", own::SEGMENT_SECONDS),
            ));
        }
        let max_positions = number(file, &key(decoder::CONTEXT_LENGTH), 1 << 24)?;
        if max_positions < MIN_POSITIONS {
            return Err(wrong(
                file,
                format!("key '{}' is {max_positions}, too few for any recording", key(decoder::CONTEXT_LENGTH)),
            ));
        }
        Ok(Self {
            arch,
            sizes,
            epsilon,
            rope_base: base,
            max_positions: max_positions as usize,
            end_tokens,
            segment_seconds,
        })
    }
}

/// The three-axis rotary sections must not ask for more than half a head, and ggml wants one of the three to be there.
fn check_sections(file: &Gguf, key: &str, head_width: u64) -> Result<()> {
    let sections = file.i32s(key).map_err(refuse)?;
    let total: i64 = sections.iter().map(|section| i64::from(*section)).sum();
    let is_empty = sections.iter().take(3).all(|section| *section == 0);
    if sections.len() != 4 || sections.iter().any(|section| *section < 0) || is_empty || total as u64 > head_width / 2 {
        return Err(wrong(file, format!("key '{key}' is {sections:?} for heads of {head_width}")));
    }
    Ok(())
}

/// The arrays of the vocabulary must agree with each other and with the embedding table. Gives the end tokens.
fn check_vocabulary(file: &Gguf, rows: u64) -> Result<Vec<u32>> {
    for (key, expected) in [(tokenizer::MODEL, tokenizer::MODEL_VALUE), (tokenizer::PRE, tokenizer::PRE_VALUE)] {
        let value = file.str(key).map_err(refuse)?;
        if value != expected {
            return Err(wrong(file, format!("key '{key}' is '{value}'; Qwen3-ASR has '{expected}'")));
        }
    }
    let tokens = file.strings(tokenizer::TOKENS).map_err(refuse)?.len() as u64;
    let types = file.i32s(tokenizer::TOKEN_TYPE).map_err(refuse)?.len() as u64;
    file.strings(tokenizer::MERGES).map_err(refuse)?;
    if tokens != rows || types != rows {
        return Err(wrong(
            file,
            format!("{tokens} tokens and {types} token types for an embedding table of {rows} rows"),
        ));
    }
    let mut ends = Vec::new();
    for key in [tokenizer::BOS, tokenizer::EOS] {
        if file.get(key).is_some() {
            let id = file.u32(key).map_err(refuse)?;
            if u64::from(id) >= rows {
                return Err(wrong(file, format!("key '{key}' is {id} in a vocabulary of {rows}")));
            }
            if key == tokenizer::EOS {
                ends.push(id);
            }
        }
    }
    if file.get(own::END_TOKENS).is_some() {
        for id in file.i32s(own::END_TOKENS).map_err(refuse)? {
            let id = u32::try_from(*id).ok().filter(|id| u64::from(*id) < rows);
            ends.push(id.ok_or_else(|| {
                wrong(file, format!("key '{}' names a token outside the vocabulary", own::END_TOKENS))
            })?);
        }
    }
    ends.sort_unstable();
    ends.dedup();
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_counts_follow_the_published_rule() {
        for (frames, tokens) in [
            (0, 0),
            (1, 1),
            (8, 1),
            (9, 2),
            (50, 7),
            (63, 8),
            (96, 12),
            (97, 13),
            (99, 13),
            (100, 13),
            (101, 14),
            (800, 104),
            (1100, 143),
            (3000, 390),
        ] {
            assert_eq!(EncoderConfig::audio_tokens(frames), tokens, "{frames} frames");
        }
    }
}
