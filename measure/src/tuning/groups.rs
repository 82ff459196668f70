//! The tensors of a model in groups that a recipe treats alike.

use serde::{Deserialize, Serialize};

/// Tensors that get one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// The convolutions, which hold no quantization block and stay f16, and the matrix that takes their output in.
    Convolutions,
    /// Queries, keys, values and output of the encoder's attention.
    EncoderAttention,
    /// Up and down of the encoder's layers.
    EncoderMlp,
    /// The two matrices between encoder and decoder.
    Projector,
    /// The token table, which is the output head too, or a head of its own.
    Embedding,
    /// Queries, keys, values and output of the decoder's attention.
    DecoderAttention,
    /// Gate, up and down of the decoder's layers.
    DecoderMlp,
}

impl Group {
    /// In the order audio passes them.
    pub const ALL: [Self; 7] = [
        Self::Convolutions,
        Self::EncoderAttention,
        Self::EncoderMlp,
        Self::Projector,
        Self::Embedding,
        Self::DecoderAttention,
        Self::DecoderMlp,
    ];

    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Convolutions => "convolutions",
            Self::EncoderAttention => "encoder attention",
            Self::EncoderMlp => "encoder MLP",
            Self::Projector => "projector",
            Self::Embedding => "embedding + head",
            Self::DecoderAttention => "decoder attention",
            Self::DecoderMlp => "decoder MLP",
        }
    }

    /// A regular expression for the names of its matrices, as recipes have them.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Convolutions => r"^a\.conv_out\.weight$",
            Self::EncoderAttention => r"^a\.blk\.\d+\.attn_(q|k|v|out)\.weight$",
            Self::EncoderMlp => r"^a\.blk\.\d+\.ffn_(up|down)\.weight$",
            Self::Projector => r"^mm\.a\.mlp\.[12]\.weight$",
            Self::Embedding => r"^(token_embd|output)\.weight$",
            Self::DecoderAttention => r"^blk\.\d+\.attn_(q|k|v|output)\.weight$",
            Self::DecoderMlp => r"^blk\.\d+\.ffn_(gate|up|down)\.weight$",
        }
    }
}
