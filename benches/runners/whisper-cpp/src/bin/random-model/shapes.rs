//! What is in a Whisper model of each size: the header's numbers, and every tensor by name and size.

/// Bins of a spectrum over 400 samples.
pub const BINS: u32 = 201;
/// Words that the file has to name; whisper.cpp makes up the special ones after them.
pub const WORDS: u32 = 50_257;

/// A model's hyperparameters.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    vocabulary: u32,
    audio_positions: u32,
    text_positions: u32,
    width: u32,
    heads: u32,
    layers: u32,
    pub mels: u32,
}

/// How a tensor's values are drawn and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// Random, in the file's type.
    Matrix,
    /// Random, in f16.
    Kernel,
    /// Random, in f32.
    Small,
    /// Scales of layer norms.
    Ones,
}

/// A tensor before it has values. Its sizes begin with the one that runs fastest, as in ggml.
#[derive(Debug)]
pub struct Tensor {
    pub name: String,
    pub sizes: Vec<u32>,
    pub init: Init,
}

impl Shape {
    /// The multilingual model of this size. Encoder and decoder have equally many layers.
    pub fn find(size: &str) -> Option<Self> {
        let (width, heads, layers) = match size {
            "tiny" => (384, 6, 4),
            "base" => (512, 8, 6),
            "small" => (768, 12, 12),
            _ => return None,
        };
        Some(Self { vocabulary: 51_865, audio_positions: 1500, text_positions: 448, width, heads, layers, mels: 80 })
    }

    /// The ten numbers after the magic.
    pub fn header(&self) -> [u32; 10] {
        let Self { vocabulary, audio_positions, text_positions, width, heads, layers, mels } = *self;
        [vocabulary, audio_positions, width, heads, layers, text_positions, width, heads, layers, mels]
    }

    /// Every tensor.
    pub fn tensors(&self) -> Vec<Tensor> {
        let width = self.width;
        let mut list = List(Vec::new());
        list.add("encoder.positional_embedding", &[width, self.audio_positions], Init::Small);
        for (name, channels) in [("encoder.conv1", self.mels), ("encoder.conv2", width)] {
            list.add(&format!("{name}.weight"), &[3, channels, width], Init::Kernel);
            list.add(&format!("{name}.bias"), &[1, width], Init::Small);
        }
        for layer in 0..self.layers {
            let block = format!("encoder.blocks.{layer}");
            list.attention(&format!("{block}.attn"), width);
            list.mlp(&block, width);
        }
        list.norm("encoder.ln_post", width);
        list.add("decoder.positional_embedding", &[width, self.text_positions], Init::Small);
        list.add("decoder.token_embedding.weight", &[width, self.vocabulary], Init::Matrix);
        for layer in 0..self.layers {
            let block = format!("decoder.blocks.{layer}");
            list.attention(&format!("{block}.attn"), width);
            list.attention(&format!("{block}.cross_attn"), width);
            list.mlp(&block, width);
        }
        list.norm("decoder.ln", width);
        list.0
    }
}

struct List(Vec<Tensor>);

impl List {
    fn add(&mut self, name: &str, sizes: &[u32], init: Init) {
        self.0.push(Tensor { name: name.into(), sizes: sizes.into(), init });
    }

    fn norm(&mut self, name: &str, width: u32) {
        self.add(&format!("{name}.weight"), &[width], Init::Ones);
        self.add(&format!("{name}.bias"), &[width], Init::Small);
    }

    fn linear(&mut self, name: &str, from: u32, to: u32, has_bias: bool) {
        self.add(&format!("{name}.weight"), &[from, to], Init::Matrix);
        if has_bias {
            self.add(&format!("{name}.bias"), &[to], Init::Small);
        }
    }

    /// With the norm in front of it. Keys have no bias.
    fn attention(&mut self, name: &str, width: u32) {
        for part in ["query", "key", "value", "out"] {
            self.linear(&format!("{name}.{part}"), width, width, part != "key");
        }
        self.norm(&format!("{name}_ln"), width);
    }

    fn mlp(&mut self, block: &str, width: u32) {
        self.linear(&format!("{block}.mlp.0"), width, 4 * width, true);
        self.linear(&format!("{block}.mlp.2"), 4 * width, width, true);
        self.norm(&format!("{block}.mlp_ln"), width);
    }
}

/// A word for an id: a space and its number in letters, so that a text of such words can be read and split. The first is
/// the space alone, which whisper.cpp looks up by name and cannot do without.
pub fn word(id: u32) -> String {
    if id == 0 {
        return " ".into();
    }
    let mut word = String::from(" ");
    let mut rest = id;
    for _ in 0..4 {
        word.push(char::from(b'a' + (rest % 16) as u8));
        rest /= 16;
    }
    word
}

/// Triangles over the bins of a spectrum at 16,000 Hz, evenly spaced in mel; `[mels, BINS]`. Their exact form does not
/// matter to random weights, only that energy comes through.
pub fn mel_filters(mels: u32) -> Vec<f32> {
    let to_mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
    let to_hertz = |mel: f64| 700.0 * (10f64.powf(mel / 2595.0) - 1.0);
    let edge = |index: u32| to_hertz(to_mel(8000.0) * f64::from(index) / f64::from(mels + 1));
    let mut filters = Vec::new();
    for mel in 0..mels {
        let (low, middle, high) = (edge(mel), edge(mel + 1), edge(mel + 2));
        for bin in 0..BINS {
            let hertz = f64::from(bin) * 8000.0 / f64::from(BINS - 1);
            let height = ((hertz - low) / (middle - low)).min((high - hertz) / (high - middle));
            filters.push((height.max(0.0) * 2.0 / (high - low)) as f32);
        }
    }
    filters
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_words_are_unique_and_the_parameters_are_those_of_the_published_sizes() {
        for (size, millions) in [("tiny", 37.8), ("base", 72.6), ("small", 240.6)] {
            let tensors = Shape::find(size).unwrap().tensors();
            let names: HashSet<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
            assert_eq!(names.len(), tensors.len());
            let parameters: u64 =
                tensors.iter().map(|tensor| tensor.sizes.iter().map(|size| u64::from(*size)).product::<u64>()).sum();
            assert!((parameters as f64 / 1e6 - millions).abs() < 2.0, "{size}: {parameters}");
        }
        assert_eq!((0..WORDS).map(word).collect::<HashSet<_>>().len(), WORDS as usize);
    }

    #[test]
    fn every_filter_lets_energy_through() {
        let filters = mel_filters(80);
        let sums: Vec<f32> = filters.chunks(BINS as usize).map(|filter| filter.iter().sum()).collect();
        assert_eq!(sums.len(), 80);
        assert!(filters.iter().all(|value| *value >= 0.0) && sums[20..].iter().all(|sum| *sum > 0.0), "{sums:?}");
    }
}
