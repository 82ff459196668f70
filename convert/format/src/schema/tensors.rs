//! Tensor names, and the complete list of tensors with their shapes that a pair of given sizes must have.
//!
//! Shapes are in ggml's order, fastest-running size first: a linear layer from `n_in` to `n_out` is `[n_in, n_out]`.

/// Embedding of every token, `[width, vocabulary]`.
pub const TOKEN_EMBD: &str = "token_embd.weight";
/// Present only when the output head differs from the embedding table.
pub const OUTPUT: &str = "output.weight";
/// Norm after the last layer, `[width]`.
pub const OUTPUT_NORM: &str = "output_norm.weight";

/// Parts of a decoder layer, for [`decoder_layer`]. All have a weight and no bias.
pub mod decoder_part {
    /// Norm before the attention.
    pub const ATTN_NORM: &str = "attn_norm";
    /// Queries.
    pub const ATTN_Q: &str = "attn_q";
    /// Keys.
    pub const ATTN_K: &str = "attn_k";
    /// Values.
    pub const ATTN_V: &str = "attn_v";
    /// From the heads back to the width.
    pub const ATTN_OUTPUT: &str = "attn_output";
    /// Norm of the queries, head by head.
    pub const ATTN_Q_NORM: &str = "attn_q_norm";
    /// Norm of the keys, head by head.
    pub const ATTN_K_NORM: &str = "attn_k_norm";
    /// Norm before the feed-forward block.
    pub const FFN_NORM: &str = "ffn_norm";
    /// Gate of the feed-forward block.
    pub const FFN_GATE: &str = "ffn_gate";
    /// Widens in the feed-forward block.
    pub const FFN_UP: &str = "ffn_up";
    /// Narrows in the feed-forward block.
    pub const FFN_DOWN: &str = "ffn_down";
}

/// "blk.3.attn_q.weight".
pub fn decoder_layer(layer: usize, part: &str) -> String {
    format!("blk.{layer}.{part}.weight")
}

/// Fixed table of sines and cosines added after the convolutions, `[width, rows]`.
pub const POSITION_EMBD: &str = "a.position_embd.weight";
/// Rows llama.cpp's files give the table; the encoder uses the first 13.
pub const POSITION_ROWS: u64 = 1500;
/// From the convolutions to the width, without a bias.
pub const CONV_OUT: &str = "a.conv_out.weight";

/// Parts of the encoder outside its layers that have a weight and a bias; see [`encoder_part`].
pub const CONV: [&str; 3] = ["a.conv2d.1", "a.conv2d.2", "a.conv2d.3"];
/// Norm after the last layer.
pub const POST_LN: &str = "a.post_ln";
/// First matrix of the projector.
pub const PROJ1: &str = "mm.a.mlp.1";
/// Second matrix of the projector, to the decoder width.
pub const PROJ2: &str = "mm.a.mlp.2";

/// Parts of an encoder layer, for [`encoder_layer`]. All have a weight and a bias.
pub mod encoder_layer_part {
    /// Norm before the attention.
    pub const LN1: &str = "ln1";
    /// Norm before the feed-forward block.
    pub const LN2: &str = "ln2";
    /// Queries.
    pub const ATTN_Q: &str = "attn_q";
    /// Keys.
    pub const ATTN_K: &str = "attn_k";
    /// Values.
    pub const ATTN_V: &str = "attn_v";
    /// From the heads back to the width.
    pub const ATTN_OUT: &str = "attn_out";
    /// Widens in the feed-forward block.
    pub const FFN_UP: &str = "ffn_up";
    /// Narrows in the feed-forward block.
    pub const FFN_DOWN: &str = "ffn_down";
}

/// Weight or bias of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The matrix, or the factors of a norm.
    Weight,
    /// What is added.
    Bias,
}

impl Which {
    /// "weight" or "bias".
    pub fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Bias => "bias",
        }
    }
}

/// "a.blk.3.attn_q.bias".
pub fn encoder_layer(layer: usize, part: &str, which: Which) -> String {
    format!("a.blk.{layer}.{part}.{}", which.name())
}

/// "mm.a.mlp.1.weight": a part outside the layers.
pub fn encoder_part(part: &str, which: Which) -> String {
    format!("{part}.{}", which.name())
}

/// The sizes that determine every tensor of a decoder file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecoderSizes {
    /// Layers.
    pub layers: usize,
    /// Values per row.
    pub width: u64,
    /// Values between the matrices of a feed-forward block.
    pub feed_forward: u64,
    /// Attention heads of queries.
    pub heads: u64,
    /// Attention heads of keys and values.
    pub kv_heads: u64,
    /// Values per head.
    pub head_width: u64,
    /// Tokens.
    pub vocabulary: u64,
}

/// The sizes that determine every tensor of an mmproj file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderSizes {
    /// Layers.
    pub layers: usize,
    /// Values per row.
    pub width: u64,
    /// Values between the matrices of a feed-forward block.
    pub feed_forward: u64,
    /// Values per mel frame.
    pub mel_bins: u64,
    /// Channels of every convolution.
    pub conv_channels: u64,
    /// Decoder width.
    pub projection: u64,
    /// Rows of the position table.
    pub position_rows: u64,
}

impl DecoderSizes {
    /// Every tensor of the file with its shape. [`OUTPUT`] is not among them: it is optional, shaped as
    /// [`TOKEN_EMBD`].
    pub fn tensors(&self) -> Vec<(String, Vec<u64>)> {
        use decoder_part::*;
        let Self { layers, width, feed_forward, heads, kv_heads, head_width, vocabulary } = *self;
        // Sizes come from files: a product that does not fit becomes a shape no tensor can have.
        let queries = heads.saturating_mul(head_width);
        let keys = kv_heads.saturating_mul(head_width);
        let mut all = vec![(TOKEN_EMBD.to_owned(), vec![width, vocabulary]), (OUTPUT_NORM.to_owned(), vec![width])];
        for layer in 0..layers {
            for (part, dims) in [
                (ATTN_NORM, vec![width]),
                (ATTN_Q, vec![width, queries]),
                (ATTN_K, vec![width, keys]),
                (ATTN_V, vec![width, keys]),
                (ATTN_OUTPUT, vec![queries, width]),
                (ATTN_Q_NORM, vec![head_width]),
                (ATTN_K_NORM, vec![head_width]),
                (FFN_NORM, vec![width]),
                (FFN_GATE, vec![width, feed_forward]),
                (FFN_UP, vec![width, feed_forward]),
                (FFN_DOWN, vec![feed_forward, width]),
            ] {
                all.push((decoder_layer(layer, part), dims));
            }
        }
        all
    }
}

impl EncoderSizes {
    /// Frequency rows left after the three convolutions of stride 2: 16 of 128.
    pub fn conv_rows(&self) -> u64 {
        (0..3).fold(self.mel_bins, |rows, _| rows.div_ceil(2))
    }

    /// Every tensor of the file with its shape. Convolution biases are `[1, 1, channels]`, as llama.cpp stores them.
    pub fn tensors(&self) -> Vec<(String, Vec<u64>)> {
        use Which::{Bias, Weight};
        use encoder_layer_part::*;
        let Self { layers, width, feed_forward, conv_channels: channels, projection, position_rows, .. } = *self;
        let mut all = vec![(POSITION_EMBD.to_owned(), vec![width, position_rows])];
        for (conv, channels_in) in CONV.into_iter().zip([1, channels, channels]) {
            all.push((encoder_part(conv, Weight), vec![3, 3, channels_in, channels]));
            all.push((encoder_part(conv, Bias), vec![1, 1, channels]));
        }
        all.push((CONV_OUT.to_owned(), vec![channels.saturating_mul(self.conv_rows()), width]));
        for layer in 0..layers {
            for (part, dims) in [
                (LN1, vec![width]),
                (ATTN_Q, vec![width, width]),
                (ATTN_K, vec![width, width]),
                (ATTN_V, vec![width, width]),
                (ATTN_OUT, vec![width, width]),
                (LN2, vec![width]),
                (FFN_UP, vec![width, feed_forward]),
                (FFN_DOWN, vec![feed_forward, width]),
            ] {
                let outputs = dims.last().copied().unwrap_or(width);
                all.push((encoder_layer(layer, part, Weight), dims));
                all.push((encoder_layer(layer, part, Bias), vec![outputs]));
            }
        }
        for (part, dims) in [(POST_LN, vec![width]), (PROJ1, vec![width, width]), (PROJ2, vec![width, projection])] {
            let outputs = dims.last().copied().unwrap_or(width);
            all.push((encoder_part(part, Weight), dims));
            all.push((encoder_part(part, Bias), vec![outputs]));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sizes_give_the_published_parameter_count() {
        let decoder = DecoderSizes {
            layers: 28,
            width: 1024,
            feed_forward: 3072,
            heads: 16,
            kv_heads: 8,
            head_width: 128,
            vocabulary: 151_936,
        };
        let encoder = EncoderSizes {
            layers: 18,
            width: 896,
            feed_forward: 3584,
            mel_bins: 128,
            conv_channels: 480,
            projection: 1024,
            position_rows: POSITION_ROWS,
        };
        assert_eq!(encoder.conv_rows(), 16);
        let count =
            |all: Vec<(String, Vec<u64>)>| all.iter().map(|(_, dims)| dims.iter().product::<u64>()).sum::<u64>();
        // The table of positions is computed, not a parameter.
        let total = count(decoder.tensors()) + count(encoder.tensors()) - 896 * POSITION_ROWS;
        assert_eq!(total / 1_000_000, 782, "782 M in the published model, head counted once");
        assert_eq!(decoder.tensors().len(), 2 + 28 * 11);
    }
}
