//! How much memory a model needs at work, from the headers of its files alone.

use super::ModelFiles;
use super::config::{DecoderConfig, EncoderConfig};
use super::decoder::{CacheType, OUTPUTS_AT_ONCE};
use crate::error::{Error, Result};
use qasr_format::Gguf;

/// Memory for the attention caches of utterances that are decoded at once, unless somebody asks for a number of them: while
/// those that run have less, another may join.
pub const BATCH_BYTES: usize = 128 << 20;

/// Most utterances decoded at once unless somebody asks for more: steps hardly get cheaper beyond
/// (`benches/record/2026-11-28/batch.txt`).
pub(crate) const MOST_AT_ONCE: usize = 4;

/// Rows of audio for a second.
const ROWS_PER_SECOND: f64 = 13.0;
/// Positions of the prompt around the audio.
const PROMPT_POSITIONS: f64 = 64.0;
/// Positions of an ordinary answer for a second: memory for more is made, and costs nothing before it is filled.
const ANSWER_POSITIONS_PER_SECOND: f64 = 5.0;
/// The program's own pages, and what does not depend on the model. Measured, as the two numbers below, on x86-64 with
/// the demo model and pairs of the 0.6B shapes in q4_0, balanced and q8_0: the sums were within 3 % of the peaks.
const PROGRAM: u64 = 30_000_000;
/// Vocabulary and merges, in our tables and in llama.cpp's, for each token.
const PER_TOKEN: u64 = 200;
/// The images and patches of the convolutions, for each of their channels.
const PER_CHANNEL: u64 = 64_000;

/// Bytes that a model takes at work, with default options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Both files.
    pub weights: u64,
    /// The decoder's attention caches for the longest utterances, with ordinary texts, as many as are decoded at once.
    pub cache: u64,
    /// Everything else, an estimate.
    pub work: u64,
}

impl MemoryNeed {
    /// The need of the pair `files` for utterances of up to `seconds`. Weights and cache follow from the headers;
    /// the rest is estimated from vocabulary and widths.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] for files whose headers cannot be used.
    pub fn of(files: &ModelFiles, seconds: f64) -> Result<Self> {
        let refuse = |error: qasr_format::GgufError| Error::model(error.to_string());
        let decoder = Gguf::open(&files.decoder).map_err(refuse)?;
        let encoder = Gguf::open(&files.encoder).map_err(refuse)?;
        let config = DecoderConfig::read(&decoder)?;
        let sizes = config.sizes;
        let channels = EncoderConfig::read(&encoder)?.sizes.conv_channels;
        let bytes = positions(seconds) * position_bytes(&config, CacheType::F16);
        let logits = OUTPUTS_AT_ONCE as u64 * sizes.vocabulary * size_of::<f32>() as u64;
        Ok(Self {
            weights: decoder.file_len() + encoder.file_len(),
            cache: (MOST_AT_ONCE * bytes).min(BATCH_BYTES + bytes) as u64,
            work: PROGRAM + PER_TOKEN * sizes.vocabulary + PER_CHANNEL * channels + logits,
        })
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.cache + self.work
    }
}

/// Positions that an utterance of so many seconds fills, with an ordinary text.
pub(super) fn positions(seconds: f64) -> usize {
    ((ROWS_PER_SECOND + ANSWER_POSITIONS_PER_SECOND) * seconds + PROMPT_POSITIONS).ceil() as usize
}

/// Bytes of the attention cache for a position.
pub(super) fn position_bytes(config: &DecoderConfig, kind: CacheType) -> usize {
    super::decoder::graph::cache_shape(config).bytes_per_position(kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::demo::unpack;

    #[test]
    fn the_demo_model_needs_what_its_headers_say() {
        let unpacked = unpack().expect("the pair");
        let need = MemoryNeed::of(&unpacked.files, 8.0).expect("its need");
        // Four utterances: 6 layers, 2 heads of 64 for keys and values, 208 positions, two bytes.
        assert_eq!(need.cache, 4 * 2 * 6 * 2 * 64 * 208 * 2);
        let files = [&unpacked.files.decoder, &unpacked.files.encoder];
        let bytes: u64 = files.iter().map(|file| file.metadata().expect("a file").len()).sum();
        assert_eq!(need.weights, bytes);
        // Its peak was 41 MiB.
        assert!((35_000_000..50_000_000).contains(&need.total()), "{need:?}");
    }
}
