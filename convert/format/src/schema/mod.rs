//! The name of every key and tensor of our model files: written once, read by the converter and the runtime.
//!
//! A model is a pair of files in llama.cpp's layout: the decoder file (architecture `qwen3`, or `qwen3vl` as
//! llama.cpp's own converter writes it) and the `mmproj` file with the audio encoder and the projector (`clip`).

pub mod tensors;

/// Keys both files have.
pub mod general {
    /// Name of the architecture (string): an [`Arch`](super::Arch), or that of an [encoder](super::encoder::ARCHITECTURE).
    pub const ARCHITECTURE: &str = "general.architecture";
    /// [`TYPE_MODEL`] or [`TYPE_MMPROJ`].
    pub const TYPE: &str = "general.type";
    /// Name of the model (string).
    pub const NAME: &str = "general.name";
    /// Number of parameters in words, "0.6B" (string).
    pub const SIZE_LABEL: &str = "general.size_label";
    /// Licence of the checkpoint (string).
    pub const LICENSE: &str = "general.license";
    /// llama.cpp's number for the recipe (a label for people, see [`super::file_type`]).
    pub const FILE_TYPE: &str = "general.file_type";
    /// [`QUANTIZATION_VERSION`](super::QUANTIZATION_VERSION) (u32).
    pub const QUANTIZATION_VERSION: &str = "general.quantization_version";
    /// Sampling temperature that llama.cpp takes by default (f32).
    pub const SAMPLING_TEMP: &str = "general.sampling.temp";
    /// Value of [`TYPE`] in a decoder file.
    pub const TYPE_MODEL: &str = "model";
    /// Value of [`TYPE`] in an encoder file.
    pub const TYPE_MMPROJ: &str = "mmproj";
}

/// Version of ggml's quantization formats that we write.
pub const QUANTIZATION_VERSION: u32 = 2;

/// The decoder architectures we write and read. They hold the same tensors and give the same logits for one position
/// per row; `qwen3vl` adds the rope sections that three-dimensional positions would need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Arch {
    #[default]
    /// `qwen3`: what we write.
    Qwen3,
    /// `qwen3vl`: what llama.cpp's own converter writes.
    Qwen3Vl,
}

impl Arch {
    /// Value of [`general::ARCHITECTURE`], and prefix of the keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qwen3 => "qwen3",
            Self::Qwen3Vl => "qwen3vl",
        }
    }

    /// The architecture of this name.
    pub fn find(name: &str) -> Option<Self> {
        [Self::Qwen3, Self::Qwen3Vl].into_iter().find(|arch| arch.name() == name)
    }

    /// A key of the decoder file: `arch.key(decoder::BLOCK_COUNT)` is "qwen3.block_count".
    pub fn key(self, suffix: &str) -> String {
        format!("{}.{suffix}", self.name())
    }
}

/// Keys of the decoder file, after the architecture's prefix ([`Arch::key`]).
pub mod decoder {
    /// Layers (u32).
    pub const BLOCK_COUNT: &str = "block_count";
    /// Positions that the model was made for (u32).
    pub const CONTEXT_LENGTH: &str = "context_length";
    /// Values per row, the width (u32).
    pub const EMBEDDING_LENGTH: &str = "embedding_length";
    /// Values between the matrices of a feed-forward block (u32).
    pub const FEED_FORWARD_LENGTH: &str = "feed_forward_length";
    /// Attention heads of queries (u32).
    pub const HEAD_COUNT: &str = "attention.head_count";
    /// Attention heads of keys and values (u32).
    pub const HEAD_COUNT_KV: &str = "attention.head_count_kv";
    /// Added to the mean square in every norm (f32).
    pub const RMS_EPSILON: &str = "attention.layer_norm_rms_epsilon";
    /// Values of a key per head (u32).
    pub const KEY_LENGTH: &str = "attention.key_length";
    /// Values of a value per head (u32).
    pub const VALUE_LENGTH: &str = "attention.value_length";
    /// Base of the rotary position frequencies (f32).
    pub const ROPE_FREQ_BASE: &str = "rope.freq_base";
    /// Four i32; `qwen3vl` only.
    pub const ROPE_SECTIONS: &str = "rope.dimension_sections";
    /// Always 0; `qwen3vl` only.
    pub const DEEPSTACK_LAYERS: &str = "n_deepstack_layers";
}

/// Keys of the vocabulary, in the decoder file.
pub mod tokenizer {
    /// Always "gpt2": byte-level pairs.
    pub const MODEL: &str = "tokenizer.ggml.model";
    /// Always "qwen2": how text is cut before merging.
    pub const PRE: &str = "tokenizer.ggml.pre";
    /// Text of every token by id (string array).
    pub const TOKENS: &str = "tokenizer.ggml.tokens";
    /// Kind of every token by id (i32 array), see [`token_type`](super::token_type).
    pub const TOKEN_TYPE: &str = "tokenizer.ggml.token_type";
    /// Merges, the first to be applied first (string array, each "left right").
    pub const MERGES: &str = "tokenizer.ggml.merges";
    /// Id of the token that begins a text (u32).
    pub const BOS: &str = "tokenizer.ggml.bos_token_id";
    /// Id of the token that ends a text (u32).
    pub const EOS: &str = "tokenizer.ggml.eos_token_id";
    /// Whether [`BOS`] is put before every text (bool).
    pub const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
    /// Template of a conversation in Jinja (string).
    pub const CHAT_TEMPLATE: &str = "tokenizer.chat_template";
    /// Value of [`MODEL`].
    pub const MODEL_VALUE: &str = "gpt2";
    /// Value of [`PRE`].
    pub const PRE_VALUE: &str = "qwen2";
}

/// Kinds of vocabulary rows, values of [`tokenizer::TOKEN_TYPE`].
pub mod token_type {
    /// Bytes of text.
    pub const NORMAL: i32 = 1;
    /// Structure of a conversation, without text.
    pub const CONTROL: i32 = 3;
    /// Added by the model's authors, with text: `<asr_text>`.
    pub const USER_DEFINED: i32 = 4;
    /// A row of the table without meaning.
    pub const UNUSED: i32 = 5;
}

/// Keys of the mmproj file.
pub mod encoder {
    /// Value of [`super::general::ARCHITECTURE`].
    pub const ARCHITECTURE: &str = "clip";
    /// Whether there is an audio encoder (bool).
    pub const HAS_AUDIO: &str = "clip.has_audio_encoder";
    /// Kind of projector, where current files say it.
    pub const PROJECTOR_TYPE: &str = "clip.audio.projector_type";
    /// The same in files of older or single-purpose writers.
    pub const PROJECTOR_TYPE_PLAIN: &str = "clip.projector_type";
    /// Value of [`PROJECTOR_TYPE`] for Qwen3-ASR.
    pub const PROJECTOR_VALUE: &str = "qwen3a";
    /// Decoder width.
    pub const PROJECTION_DIM: &str = "clip.audio.projection_dim";
    /// Values per row inside the encoder, its width (u32).
    pub const EMBEDDING_LENGTH: &str = "clip.audio.embedding_length";
    /// Values between the matrices of a feed-forward block (u32).
    pub const FEED_FORWARD_LENGTH: &str = "clip.audio.feed_forward_length";
    /// Layers (u32).
    pub const BLOCK_COUNT: &str = "clip.audio.block_count";
    /// Attention heads (u32).
    pub const HEAD_COUNT: &str = "clip.audio.attention.head_count";
    /// Added to the variance in every norm (f32).
    pub const LAYER_NORM_EPSILON: &str = "clip.audio.attention.layer_norm_epsilon";
    /// Values per mel frame (u32).
    pub const MEL_BINS: &str = "clip.audio.num_mel_bins";
    /// The official model's: its config does not carry it.
    pub const LAYER_NORM_EPSILON_VALUE: f32 = 1e-5;
}

/// Our own keys, which other readers ignore. Files of other writers lack them.
pub mod own {
    /// Version of the converter, in both files.
    pub const VERSION: &str = "qasr.version";
    /// Hash over the checkpoint, in both files: a pair with different hashes does not belong together.
    pub const SOURCE_SHA256: &str = "qasr.source.sha256";
    /// SHA-256 and name of every file of the checkpoint (string array); the hash over these lines is
    /// [`SOURCE_SHA256`].
    pub const SOURCE_FILES: &str = "qasr.source.files";
    /// Type label or recipe by name, "q4_k_m".
    pub const RECIPE: &str = "qasr.recipe";
    /// The types counted: which types how many tensors got.
    pub const RECIPE_TYPES: &str = "qasr.recipe.types";
    /// Text of the recipe file, where the recipe is more than a name of a type.
    pub const RECIPE_TEXT: &str = "qasr.recipe.text";
    /// Measured cost of the recipe (string array, each "measure value").
    pub const RECIPE_COST: &str = "qasr.recipe.cost";
    /// End tokens (i32 array), from the checkpoint's generation settings.
    pub const END_TOKENS: &str = "qasr.end_token_ids";
    /// Languages the checkpoint lists (string array).
    pub const LANGUAGES: &str = "qasr.languages";
    /// Longest stretch of audio to decode at once, in seconds (f32); for models trained on short audio.
    pub const SEGMENT_SECONDS: &str = "qasr.segment_seconds";
    /// Allowed range of [`SEGMENT_SECONDS`]: shorter is no utterance, longer is more than the model is made for.
    pub const SEGMENT_SECONDS_RANGE: std::ops::RangeInclusive<f32> = 1.0..=1200.0;
    /// Half a conv chunk, in mel frames (the checkpoint's `n_window`), in the mmproj file.
    pub const N_WINDOW: &str = "qasr.audio.n_window";
    /// An attention window, in mel frames (the checkpoint's `n_window_infer`), in the mmproj file.
    pub const N_WINDOW_INFER: &str = "qasr.audio.n_window_infer";
}

/// Keys that llama-quantize writes about the importance matrix it used; we write the same.
pub mod importance {
    /// Name of the importance matrix file.
    pub const FILE: &str = "quantize.imatrix.file";
    /// Its source recordings or texts (one string).
    pub const DATASET: &str = "quantize.imatrix.dataset";
    /// Matrices it holds (u32).
    pub const ENTRIES: &str = "quantize.imatrix.entries_count";
    /// Pieces it was recorded from (u32).
    pub const CHUNKS: &str = "quantize.imatrix.chunks_count";
}

/// llama.cpp's numbers for recipes, as [`general::FILE_TYPE`] carries them. Only the ten we write.
pub fn file_type(recipe: &str) -> Option<u32> {
    Some(match recipe {
        "f32" => 0,
        "f16" => 1,
        "q4_0" => 2,
        "q8_0" => 7,
        "q5_0" => 8,
        "q4_k_m" => 15,
        "q5_k_m" => 17,
        "q6_k" => 18,
        "iq4_nl" => 25,
        "bf16" => 32,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_carry_the_architecture() {
        assert_eq!(Arch::Qwen3.key(decoder::BLOCK_COUNT), "qwen3.block_count");
        assert_eq!(Arch::Qwen3Vl.key(decoder::ROPE_SECTIONS), "qwen3vl.rope.dimension_sections");
        assert_eq!(Arch::find("qwen3vl"), Some(Arch::Qwen3Vl));
        assert_eq!(Arch::find("clip"), None);
    }
}
