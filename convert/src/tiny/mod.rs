//! A checkpoint one can make oneself: seeded, shaped and named like the real ones, small. It recognises nothing; it
//! is for testing everything that does not depend on what the weights say.

use std::fs;
use std::io;
use std::path::Path;

use qasr_format::schema::tensors::{DecoderSizes, EncoderSizes, POSITION_ROWS};
use serde_json::{Map, Value, json};

use crate::numbers::SourceType;
use crate::random::Random;

mod settings;
pub use settings::write_settings;

/// Which family of tensor names and settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `thinker.…`, as published.
    Published,
    /// `model.…`, as transformers' own port saves it.
    Hf,
}

/// The output head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TinyHead {
    /// Stored, equal to the token table: as published.
    Equal,
    /// Stored, with values of its own.
    Different,
    /// Not stored.
    Absent,
}

/// Description of the checkpoint to make.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Equal seeds give equal files.
    pub seed: u64,
    /// How values are stored.
    pub kind: SourceType,
    /// Over how many files the tensors are spread.
    pub shards: usize,
    /// Names.
    pub naming: Naming,
    /// Output head.
    pub head: TinyHead,
    /// Sizes of the decoder.
    pub decoder: DecoderSizes,
    /// Sizes of encoder and projector.
    pub encoder: EncoderSizes,
    /// Attention heads of the encoder.
    pub encoder_heads: u64,
}

impl Default for Spec {
    /// All rows multiples of 256, so that every type fits.
    fn default() -> Self {
        Self {
            seed: 1,
            kind: SourceType::Bf16,
            shards: 1,
            naming: Naming::Published,
            head: TinyHead::Equal,
            decoder: DecoderSizes {
                layers: 2,
                width: 256,
                feed_forward: 512,
                heads: 4,
                kv_heads: 2,
                head_width: 64,
                vocabulary: 512,
            },
            encoder: EncoderSizes {
                layers: 4,
                width: 256,
                feed_forward: 512,
                mel_bins: 128,
                conv_channels: 32,
                projection: 256,
                position_rows: POSITION_ROWS,
            },
            encoder_heads: 4,
        }
    }
}

impl Spec {
    /// An encoder 224 wide: like the 896 of the 0.6B model, a multiple of 32 but not of 256.
    pub fn narrow_encoder() -> Self {
        let spec = Self::default();
        Self { encoder: EncoderSizes { width: 224, feed_forward: 448, ..spec.encoder }, ..spec }
    }
}

/// One tensor of the checkpoint.
#[derive(Debug, Clone)]
pub struct TinyTensor {
    /// Name in the checkpoint.
    pub name: String,
    /// Sizes, slowest-running first.
    pub shape: Vec<u64>,
    /// Values, before they are rounded to the stored type.
    pub values: Vec<f32>,
}

/// Makes the checkpoint in the directory `dir`, which is created if missing.
///
/// # Errors
/// When a file cannot be written.
pub fn write(dir: &Path, spec: &Spec) -> io::Result<()> {
    write_settings(dir, spec)?;
    write_weights(dir, &tensors(spec), spec.kind, spec.shards)
}

/// All tensors of the checkpoint.
pub fn tensors(spec: &Spec) -> Vec<TinyTensor> {
    let Spec { encoder, decoder, .. } = spec;
    let (tower, projector, text) = match spec.naming {
        Naming::Published => {
            ("thinker.audio_tower", ["thinker.audio_tower.proj1", "thinker.audio_tower.proj2"], "thinker.model")
        }
        Naming::Hf => (
            "model.audio_tower",
            ["model.multi_modal_projector.linear_1", "model.multi_modal_projector.linear_2"],
            "model.language_model",
        ),
    };
    let mut maker = Maker { seed: spec.seed, made: Vec::new() };
    let (channels, width) = (encoder.conv_channels, encoder.width);
    for (i, channels_in) in [1, channels, channels].into_iter().enumerate() {
        maker.weight(&format!("{tower}.conv2d{}.weight", i + 1), &[channels, channels_in, 3, 3], channels_in * 9);
        maker.vector(&format!("{tower}.conv2d{}.bias", i + 1), channels, 0.0);
    }
    maker.weight(
        &format!("{tower}.conv_out.weight"),
        &[width, channels * encoder.conv_rows()],
        channels * encoder.conv_rows(),
    );
    for layer in 0..encoder.layers {
        let layer = format!("{tower}.layers.{layer}");
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            maker.linear(&format!("{layer}.self_attn.{part}"), width, width);
        }
        maker.linear(&format!("{layer}.fc1"), encoder.feed_forward, width);
        maker.linear(&format!("{layer}.fc2"), width, encoder.feed_forward);
        maker.norm(&format!("{layer}.self_attn_layer_norm"), width);
        maker.norm(&format!("{layer}.final_layer_norm"), width);
    }
    maker.norm(&format!("{tower}.ln_post"), width);
    maker.linear(projector[0], width, width);
    maker.linear(projector[1], encoder.projection, width);

    let width = decoder.width;
    let queries = decoder.heads * decoder.head_width;
    let keys = decoder.kv_heads * decoder.head_width;
    maker.weight(&format!("{text}.embed_tokens.weight"), &[decoder.vocabulary, width], width);
    let table = maker.made.last().map(|tensor| tensor.values.clone()).unwrap_or_default();
    for layer in 0..decoder.layers {
        let layer = format!("{text}.layers.{layer}");
        for (part, n_out, n_in) in [
            ("self_attn.q_proj", queries, width),
            ("self_attn.k_proj", keys, width),
            ("self_attn.v_proj", keys, width),
            ("self_attn.o_proj", width, queries),
            ("mlp.gate_proj", decoder.feed_forward, width),
            ("mlp.up_proj", decoder.feed_forward, width),
            ("mlp.down_proj", width, decoder.feed_forward),
        ] {
            maker.weight(&format!("{layer}.{part}.weight"), &[n_out, n_in], n_in);
        }
        maker.vector(&format!("{layer}.input_layernorm.weight"), width, 1.0);
        maker.vector(&format!("{layer}.post_attention_layernorm.weight"), width, 1.0);
        maker.vector(&format!("{layer}.self_attn.q_norm.weight"), decoder.head_width, 1.0);
        maker.vector(&format!("{layer}.self_attn.k_norm.weight"), decoder.head_width, 1.0);
    }
    maker.vector(&format!("{text}.norm.weight"), width, 1.0);
    let head = if spec.naming == Naming::Published { "thinker.lm_head.weight" } else { "lm_head.weight" };
    let shape = vec![decoder.vocabulary, width];
    match spec.head {
        TinyHead::Absent => {}
        TinyHead::Equal => maker.made.push(TinyTensor { name: head.to_owned(), shape, values: table }),
        TinyHead::Different => maker.weight(head, &shape, width),
    }
    maker.made
}

struct Maker {
    seed: u64,
    made: Vec<TinyTensor>,
}

impl Maker {
    /// Normally distributed values that depend on seed and name only.
    fn push(&mut self, name: &str, shape: &[u64], scale: f64, base: f64) {
        let mut random = Random::named(self.seed, name);
        let count = shape.iter().product::<u64>();
        let values = (0..count).map(|_| (base + scale * random.normal()) as f32).collect();
        self.made.push(TinyTensor { name: name.to_owned(), shape: shape.to_vec(), values });
    }

    /// Keeps the size of what passes: deviation 1/√n_in.
    fn weight(&mut self, name: &str, shape: &[u64], n_in: u64) {
        self.push(name, shape, 1.0 / (n_in as f64).sqrt(), 0.0);
    }

    fn vector(&mut self, name: &str, len: u64, base: f64) {
        self.push(name, &[len], 0.1, base);
    }

    fn linear(&mut self, name: &str, n_out: u64, n_in: u64) {
        self.weight(&format!("{name}.weight"), &[n_out, n_in], n_in);
        self.vector(&format!("{name}.bias"), n_out, 0.0);
    }

    fn norm(&mut self, name: &str, len: u64) {
        self.vector(&format!("{name}.weight"), len, 1.0);
        self.vector(&format!("{name}.bias"), len, 0.0);
    }
}

/// Writes `tensors` as `model.safetensors`, or as `shards` files with an index.
///
/// # Errors
/// When a file cannot be written.
pub fn write_weights(dir: &Path, tensors: &[TinyTensor], kind: SourceType, shards: usize) -> io::Result<()> {
    let mut index = Map::new();
    for (i, part) in tensors.chunks(tensors.len().div_ceil(shards.max(1)).max(1)).enumerate() {
        let name = match shards {
            0 | 1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{shards:05}.safetensors", i + 1),
        };
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
        let mut data = Vec::new();
        for tensor in part {
            let begin = data.len();
            tensor.values.iter().for_each(|&value| encode(value, kind, &mut data));
            let entry = json!({
                "dtype": kind.name().to_uppercase(),
                "shape": tensor.shape,
                "data_offsets": [begin, data.len()],
            });
            header.insert(tensor.name.clone(), entry);
            index.insert(tensor.name.clone(), Value::from(name.as_str()));
        }
        let mut header = Value::from(header).to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        file.extend(data);
        fs::write(dir.join(name), file)?;
    }
    if shards > 1 {
        let json = json!({"metadata": {}, "weight_map": index});
        fs::write(dir.join("model.safetensors.index.json"), json.to_string())?;
    }
    Ok(())
}

/// Rounds to nearest, ties to even.
fn encode(value: f32, kind: SourceType, out: &mut Vec<u8>) {
    let bits = value.to_bits();
    match kind {
        SourceType::F32 => out.extend(bits.to_le_bytes()),
        SourceType::Bf16 if value.is_nan() => out.extend(0x7fc0_u16.to_le_bytes()),
        SourceType::Bf16 => {
            let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
            out.extend(((rounded >> 16) as u16).to_le_bytes());
        }
        SourceType::F16 => {
            // The distance between neighbours is 2^(exponent - 10), and 2^-24 below the smallest normal number.
            let exponent = ((bits >> 23) & 0xff).max(127 - 14) as i32 - 127;
            let steps = (f64::from(value.abs()) / 2_f64.powi(exponent - 10)).round_ties_even() as u32;
            // Counting steps from the start of the exponent carries into the next one by itself.
            let magnitude = steps + ((exponent + 14) as u32) * 1024;
            out.extend((magnitude.min(0x7c00) as u16 | (bits >> 16) as u16 & 0x8000).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_values_decode_to_their_nearest_neighbours() {
        for kind in [SourceType::Bf16, SourceType::F16, SourceType::F32] {
            for value in [0.0, 1.0, -1.0, 0.1, -65504.0, 1e-7, 3.0e-8, 1234.567, 0.999_99, 6.1e-5] {
                let mut bytes = Vec::new();
                encode(value, kind, &mut bytes);
                let [back] = kind.decode(&bytes)[..] else { panic!("one value") };
                let step = match kind {
                    SourceType::F32 => 0.0,
                    SourceType::Bf16 => value.abs() / 256.0,
                    SourceType::F16 => (value.abs() / 2048.0).max(3.0e-8),
                };
                assert!((back - value).abs() <= step, "{kind:?} {value} {back}");
            }
        }
    }
}
