//! How much memory a model needs at work, from the headers of its files alone.

use super::ModelFiles;
use super::config::{DecoderConfig, EncoderConfig};
use super::decoder::OUTPUTS_AT_ONCE;
use super::encoder::spec;
use super::open::is_repacked;
use crate::error::{Error, Result};
use qasr_format::Gguf;

/// Rows of audio for a second.
const ROWS_PER_SECOND: f64 = 13.0;
/// Positions of the prompt around the audio, and of a longest answer: the default limit of new tokens.
const PROMPT_POSITIONS: f64 = 64.0;
const ANSWER_POSITIONS: f64 = 128.0;
const ANSWER_POSITIONS_PER_SECOND: f64 = 12.0;
/// The cache has half precision unless other is asked for.
const CACHED_BYTES: u64 = 2;
/// The program's own pages, and what does not depend on the model. Measured, as the two numbers below, on x86-64 with
/// the demo model and pairs of the 0.6B shapes in q4_0, balanced and q8_0: the sums were within 3 % of the peaks.
const PROGRAM: u64 = 30_000_000;
/// Vocabulary and merges, in our tables and in llama.cpp's, for each token.
const PER_TOKEN: u64 = 200;
/// The images and patches of the convolutions, for each of their channels.
const PER_CHANNEL: u64 = 64_000;

/// Bytes that a model takes at work on one utterance at a time, with default options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Both files.
    pub weights: u64,
    /// Second copies of matrices that the CPU multiplies faster in another layout, beside their mapped file.
    pub copies: u64,
    /// The decoder's attention cache for the longest utterance.
    pub cache: u64,
    /// Everything else, an estimate.
    pub work: u64,
}

impl MemoryNeed {
    /// The need of the pair `files` for utterances of up to `seconds`. Weights, copies and cache follow from the headers;
    /// the rest is estimated from vocabulary and widths.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] for files whose headers cannot be used.
    pub fn of(files: &ModelFiles, seconds: f64) -> Result<Self> {
        let refuse = |error: qasr_format::GgufError| Error::model(error.to_string());
        let decoder = Gguf::open(&files.decoder).map_err(refuse)?;
        let encoder = Gguf::open(&files.encoder).map_err(refuse)?;
        let sizes = DecoderConfig::read(&decoder)?.sizes;
        let channels = EncoderConfig::read(&encoder)?.sizes.conv_channels;
        let answer = ANSWER_POSITIONS + ANSWER_POSITIONS_PER_SECOND * seconds;
        let positions = (ROWS_PER_SECOND * seconds + PROMPT_POSITIONS + answer).ceil() as u64;
        let values = 2 * sizes.layers as u64 * sizes.kv_heads * sizes.head_width * positions;
        let logits = OUTPUTS_AT_ONCE as u64 * sizes.vocabulary * size_of::<f32>() as u64;
        Ok(Self {
            weights: decoder.file_len() + encoder.file_len(),
            copies: copies(&decoder)?,
            cache: values * CACHED_BYTES,
            work: PROGRAM + PER_TOKEN * sizes.vocabulary + PER_CHANNEL * channels + logits,
        })
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.copies + self.cache + self.work
    }
}

/// The matrices of a mapped decoder that are copied. A decoder that is read instead of mapped has none twice.
fn copies(decoder: &Gguf) -> Result<u64> {
    if is_repacked(decoder)? {
        return Ok(0);
    }
    let backend = ggml::Backend::cpu(1).map_err(|error| Error::internal(error.to_string()))?;
    let matrices = decoder.tensors().iter().filter(|tensor| tensor.dims.len() == 2);
    let copied = matrices.filter(|tensor| ggml::weights::is_repacked(&spec(tensor), &backend));
    Ok(copied.map(|tensor| tensor.bytes).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::demo::unpack;

    #[test]
    fn the_demo_model_needs_what_its_headers_say() {
        let unpacked = unpack().expect("the pair");
        let need = MemoryNeed::of(&unpacked.files, 8.0).expect("its need");
        // 6 layers, 2 heads of 64 for keys and values, 392 positions, two bytes.
        assert_eq!(need.cache, 2 * 6 * 2 * 64 * 392 * 2);
        let files = [&unpacked.files.decoder, &unpacked.files.encoder];
        let bytes: u64 = files.iter().map(|file| file.metadata().expect("a file").len()).sum();
        assert_eq!(need.weights, bytes);
        // Its peak was 41 MiB.
        assert!((35_000_000..50_000_000).contains(&need.total()), "{need:?}");
    }
}
