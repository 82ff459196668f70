//! The audio tower as one readable graph, from convolution to projector.
//!
//! ```text
//! LogMel ─ chunks of 100 frames ─ 3 × (conv 3×3 /2, GELU) ─ conv_out ─ + positions      13 rows per chunk
//!        ─ windows of 8 chunks: layers × (attention, MLP) ─ LN ─ proj1 ─ GELU ─ proj2   104 rows per window
//! ```
//!
//! Attention never leaves its window (spec section 4.2), so a window is computed by itself, without a mask, and the
//! memory needed does not grow with the recording.

use super::config::{CHUNK_FRAMES, EncoderConfig, MEL_BINS, WINDOW_CHUNKS, encoder_tokens};
use super::watch::Watch;
use crate::error::{Error, Result};
use crate::mel::LogMel;
use ggml::graph::{Arena, Executor, Node};
use ggml::weights::{TensorSpec, Weights};
use ggml::{Backend, quantize};
use qasr_format::schema::tensors::encoder_layer_part::{ATTN_K, ATTN_OUT, ATTN_Q, ATTN_V, FFN_DOWN, FFN_UP, LN1, LN2};
use qasr_format::schema::tensors::{self, Which};
use qasr_format::{Gguf, TensorInfo};
use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

/// Mel frames of one attention window: 8 s.
pub const WINDOW_FRAMES: usize = CHUNK_FRAMES * WINDOW_CHUNKS;

/// Encoder output: rows of decoder width, 13 for each second.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioEmbeddings {
    /// Values per row: the decoder's width.
    pub width: usize,
    /// `[rows, width]`, one row after the other.
    pub data: Vec<f32>,
}

impl AudioEmbeddings {
    /// Number of audio tokens.
    pub fn rows(&self) -> usize {
        self.data.len() / self.width.max(1)
    }
}

/// The audio encoder: weights that never change, and scratch memory behind a lock.
pub struct Encoder {
    config: EncoderConfig,
    weights: Arc<Weights>,
    executor: Mutex<Executor>,
    /// `[13, width]`: what is added to the rows of every chunk.
    positions: Vec<f32>,
    watch: Watch,
}

/// Where in the encoder watched rows lie.
enum Sight {
    /// In front of the matrix of this name.
    Product(String),
    /// Behind this layer.
    Layer(usize),
}

/// A graph of the encoder while it is built: its arena, and the nodes to look at, where somebody watches.
#[derive(Clone, Copy)]
struct Building<'a> {
    arena: &'a Arena,
    sights: Option<&'a RefCell<Vec<(Sight, Node<'a>)>>>,
}

impl<'a> Building<'a> {
    /// Marks `rows` for the watcher. A copy: a view cannot be an output.
    fn look(&self, sight: impl FnOnce() -> Sight, rows: Node<'a>) -> ggml::Result<()> {
        if let Some(sights) = self.sights {
            let copy = self.arena.contiguous(rows)?;
            sights.borrow_mut().push((sight(), copy));
        }
        Ok(())
    }

    /// `rows` times the weight of this name.
    fn product(&self, weights: &'a Weights, name: &str, rows: Node<'a>) -> Built<'a> {
        self.look(|| Sight::Product(name.to_owned()), rows)?;
        self.arena.mul_mat(weights.get(name)?, rows)
    }
}

fn internal(error: ggml::Error) -> Error {
    Error::internal(format!("audio encoder: {error}"))
}

/// Runs a step of graph building, or of the graph itself.
type Built<'a> = ggml::Result<Node<'a>>;

impl Encoder {
    /// Maps the encoder's weights. The file has been checked against `config`.
    pub(crate) fn open(
        file: &Gguf,
        checked: &ggml::CheckedFile,
        config: EncoderConfig,
        threads: &Arc<ggml::Threads>,
        repack: bool,
        watch: &Watch,
    ) -> Result<Self> {
        let refused = |error: ggml::Error| Error::model(format!("{}: {error}", file.path().display()));
        let backend = Backend::new(threads).map_err(refused)?;
        let specs: Vec<TensorSpec> = file.tensors().iter().map(spec).collect();
        let weights = Arc::new(Weights::map(checked, &specs, &backend, repack).map_err(refused)?);
        let positions = read_positions(file, config.sizes.width as usize)?;
        Ok(Self {
            config,
            weights,
            executor: Mutex::new(Executor::new(backend).map_err(refused)?),
            positions,
            watch: watch.clone(),
        })
    }

    /// Its sizes.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Encodes a whole utterance: `[frames, 128]` gives [`EncoderConfig::audio_tokens`] rows.
    pub fn encode(&self, mel: &LogMel) -> Result<AudioEmbeddings> {
        let mut data =
            Vec::with_capacity(EncoderConfig::audio_tokens(mel.frames) * self.config.sizes.projection as usize);
        let mut start = 0;
        while start < mel.frames {
            let end = (start + WINDOW_FRAMES).min(mel.frames);
            data.extend(self.encode_window(&mel.data[start * MEL_BINS..end * MEL_BINS], mel.frames <= CHUNK_FRAMES)?);
            start = end;
        }
        Ok(AudioEmbeddings { width: self.config.sizes.projection as usize, data })
    }

    /// Encodes one attention window: up to 800 frames, `[frames, 128]`. A short last chunk is filled up with 0.0
    /// (in normalised units, which is not silence) unless it is the only chunk of the `whole` recording.
    pub fn encode_window(&self, frames: &[f32], whole: bool) -> Result<Vec<f32>> {
        self.attend(&self.convolve(frames, whole)?)
    }

    /// The stem's output of one window, `[tokens, channels * 16]`, through `conv_out`, the layers and the projector:
    /// `[tokens, decoder width]`.
    pub fn attend(&self, rows: &[f32]) -> Result<Vec<f32>> {
        let tokens = rows.len() / self.stem_row();
        if tokens == 0
            || tokens > WINDOW_CHUNKS * encoder_tokens(CHUNK_FRAMES)
            || !rows.len().is_multiple_of(self.stem_row())
        {
            return Err(Error::internal(format!("audio encoder: {} values from the convolutions", rows.len())));
        }
        let width = self.config.sizes.width as usize;
        let positions: Vec<f32> = self.positions.iter().copied().cycle().take(tokens * width).collect();
        // Watching adds a copy for each of the six products and the end of a layer.
        let arena = Arena::new(24 + 56 * self.config.sizes.layers).map_err(internal)?;
        let sights = RefCell::new(Vec::new());
        let building = Building { arena: &arena, sights: self.watch.watcher().map(|_| &sights) };
        let build = || -> ggml::Result<_> {
            let stem = arena.input(&[self.stem_row(), tokens])?;
            let added = arena.input(&[width, tokens])?;
            let mut x = arena.add(building.product(&self.weights, tensors::CONV_OUT, stem)?, added)?;
            for layer in 0..self.config.sizes.layers {
                x = self.layer(building, layer, x)?;
                building.look(|| Sight::Layer(layer), x)?;
            }
            let x = self.layer_norm(&arena, x, |which| tensors::encoder_part(tensors::POST_LN, which))?;
            let x = self.linear(building, x, |which| tensors::encoder_part(tensors::PROJ1, which))?;
            let x = self.linear(building, arena.gelu_erf(x)?, |which| tensors::encoder_part(tensors::PROJ2, which))?;
            Ok((stem, added, x))
        };
        let (stem, added, output) = build().map_err(internal)?;
        let sights = sights.borrow();
        let outputs: Vec<Node<'_>> = std::iter::once(output).chain(sights.iter().map(|(_, rows)| *rows)).collect();
        let mut values = self.run(&arena, &[(stem, rows), (added, &positions)], &outputs)?.into_iter();
        let output = values.next().unwrap_or_default();
        for ((sight, node), rows) in sights.iter().zip(values) {
            match (sight, self.watch.watcher()) {
                (Sight::Product(weight), Some(watcher)) => watcher.product(weight, node.dims()[0], &rows),
                (Sight::Layer(layer), Some(watcher)) => watcher.encoder_layer(*layer, node.dims()[0], &rows),
                (_, None) => {}
            }
        }
        Ok(output)
    }

    /// The convolution stem alone, before `conv_out`: `[tokens, channels * 16]`. Chunks of 100 frames do not know of each
    /// other here, so a window's rows are those of its chunks, one after the other.
    pub fn convolve(&self, frames: &[f32], whole: bool) -> Result<Vec<f32>> {
        let total = frames.len() / MEL_BINS;
        if total == 0 || total > WINDOW_FRAMES || !frames.len().is_multiple_of(MEL_BINS) {
            return Err(Error::internal(format!("audio encoder: a window of {} values", frames.len())));
        }
        let alone = whole && total <= CHUNK_FRAMES;
        let mut rows = Vec::with_capacity(EncoderConfig::audio_tokens(total) * self.stem_row());
        for chunk in frames.chunks(CHUNK_FRAMES * MEL_BINS) {
            let valid = chunk.len() / MEL_BINS;
            let width = if alone { valid } else { CHUNK_FRAMES };
            let out = self.convolve_chunk(&image(chunk, width), width)?;
            rows.extend_from_slice(&out[..encoder_tokens(valid) * self.stem_row()]);
        }
        Ok(rows)
    }

    /// Values per row of the stem's output: channel slow, frequency fast.
    fn stem_row(&self) -> usize {
        (self.config.sizes.conv_channels * self.config.sizes.conv_rows()) as usize
    }

    /// One chunk as an image, time fastest, through the three convolutions.
    fn convolve_chunk(&self, image: &[f32], width: usize) -> Result<Vec<f32>> {
        let arena = Arena::new(64).map_err(internal)?;
        let build = || -> ggml::Result<_> {
            let input = arena.input(&[width, MEL_BINS])?;
            let mut x = input;
            let [mut time, mut frequency] = [width, MEL_BINS];
            let channels = self.config.sizes.conv_channels as usize;
            for (index, part) in tensors::CONV.iter().enumerate() {
                let kernel = self.weights.get(&tensors::encoder_part(part, Which::Weight))?;
                let bias = self.weights.get(&tensors::encoder_part(part, Which::Bias))?;
                [time, frequency] = [time.div_ceil(2), frequency.div_ceil(2)];
                let patches = arena.im2col(kernel, x, 2, 1)?;
                let taps = patches.dims()[0];
                let patches = arena.reshape(patches, [taps, time * frequency, 1, 1])?;
                let y = arena.mul_mat(arena.reshape(kernel, [taps, channels, 1, 1])?, patches)?;
                let y = arena.gelu_erf(arena.add(y, arena.reshape(bias, [channels, 1, 1, 1])?)?)?;
                let y = arena.reshape(y, [channels, time, frequency, 1])?;
                // [channels, time, frequency] → the next image [time, frequency, channels], or, after the last
                // convolution, rows [frequency, channels] for each time step.
                let axes = if index + 1 < tensors::CONV.len() { [2, 0, 1, 3] } else { [1, 2, 0, 3] };
                x = arena.contiguous(arena.permute(y, axes)?)?;
            }
            Ok((input, x))
        };
        let (input, output) = build().map_err(internal)?;
        Ok(self.run(&arena, &[(input, image)], &[output])?.into_iter().next().unwrap_or_default())
    }

    /// A pre-norm block: `x += out(attention(LN(x)))`, `x += down(GELU(up(LN(x))))`.
    fn layer<'a>(&'a self, building: Building<'a>, layer: usize, x: Node<'a>) -> Built<'a> {
        let arena = building.arena;
        let name = |part: &'static str| move |which| tensors::encoder_layer(layer, part, which);
        let [width, tokens, ..] = x.dims();
        let heads = self.config.heads;
        let head = width / heads;
        let split = |x: Node<'a>| arena.permute(arena.reshape(x, [head, heads, tokens, 1])?, [0, 2, 1, 3]);

        let normed = self.layer_norm(arena, x, name(LN1))?;
        let q = arena.contiguous(split(self.linear(building, normed, name(ATTN_Q))?)?)?;
        let k = arena.contiguous(split(self.linear(building, normed, name(ATTN_K))?)?)?;
        let v = arena.reshape(self.linear(building, normed, name(ATTN_V))?, [head, heads, tokens, 1])?;
        let v = arena.contiguous(arena.permute(v, [1, 2, 0, 3])?)?; // [tokens, head, heads]
        let weights = arena.soft_max(arena.mul_mat(k, q)?, 1.0 / (head as f32).sqrt())?;
        let mixed = arena.mul_mat(v, weights)?; // [head, tokens, heads]
        let mixed = arena.contiguous(arena.permute(mixed, [0, 2, 1, 3])?)?;
        let mixed = arena.reshape(mixed, [width, tokens, 1, 1])?;
        let x = arena.add(self.linear(building, mixed, name(ATTN_OUT))?, x)?;

        let normed = self.layer_norm(arena, x, name(LN2))?;
        let inner = arena.gelu_erf(self.linear(building, normed, name(FFN_UP))?)?;
        arena.add(self.linear(building, inner, name(FFN_DOWN))?, x)
    }

    fn linear<'a>(&'a self, building: Building<'a>, x: Node<'a>, name: impl Fn(Which) -> String) -> Built<'a> {
        let y = building.product(&self.weights, &name(Which::Weight), x)?;
        building.arena.add(y, self.weights.get(&name(Which::Bias))?)
    }

    fn layer_norm<'a>(&'a self, arena: &'a Arena, x: Node<'a>, name: impl Fn(Which) -> String) -> Built<'a> {
        let y = arena.mul(arena.norm(x, self.config.epsilon)?, self.weights.get(&name(Which::Weight))?)?;
        arena.add(y, self.weights.get(&name(Which::Bias))?)
    }

    fn run(&self, arena: &Arena, inputs: &[(Node<'_>, &[f32])], outputs: &[Node<'_>]) -> Result<Vec<Vec<f32>>> {
        self.executor.lock().unwrap_or_else(PoisonError::into_inner).run_all(arena, inputs, outputs).map_err(internal)
    }
}

/// Frames `[frames, 128]` as an image `[128, width]`, time fastest, filled up with 0.0.
fn image(frames: &[f32], width: usize) -> Vec<f32> {
    let mut image = vec![0.0; MEL_BINS * width];
    for (time, frame) in frames.chunks_exact(MEL_BINS).enumerate() {
        for (bin, value) in frame.iter().enumerate() {
            image[bin * width + time] = *value;
        }
    }
    image
}

/// A tensor of a file as ggml is told about it.
pub(super) fn spec(tensor: &TensorInfo) -> TensorSpec {
    let mut dims = [1; 4];
    dims[..tensor.dims.len()].copy_from_slice(&tensor.dims);
    // Convolution kernels are reshaped, which a repacked tensor does not survive; everything else with two extents
    // is the left side of a product.
    let matrix = tensor.dims.len() == 2 && tensor.name != tensors::POSITION_EMBD;
    TensorSpec { name: tensor.name.clone(), kind: tensor.kind.id(), dims, offset: tensor.offset, matrix }
}

/// The first 13 rows of the position table, one row after the other.
fn read_positions(file: &Gguf, width: usize) -> Result<Vec<f32>> {
    let refused =
        |what: String| Error::model(format!("{}: tensor '{}': {what}", file.path().display(), tensors::POSITION_EMBD));
    let tensor = file.tensor(tensors::POSITION_EMBD).ok_or_else(|| refused("is missing".into()))?;
    let rows = encoder_tokens(CHUNK_FRAMES);
    let bytes = tensor
        .kind
        .row_bytes(width as u64)
        .ok_or_else(|| refused(format!("rows of {width} do not fill its blocks")))?
        * rows as u64;
    let mut data = vec![0; bytes as usize];
    let mut source = File::open(file.path()).map_err(|error| refused(error.to_string()))?;
    source.seek(SeekFrom::Start(tensor.offset)).map_err(|error| refused(error.to_string()))?;
    source.read_exact(&mut data).map_err(|error| refused(error.to_string()))?;
    quantize::dequantize(tensor.kind.id(), &data, rows * width).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_time_fastest_and_zeros_behind() {
        let frames: Vec<f32> = (0..2 * MEL_BINS).map(|value| value as f32).collect();
        let image = image(&frames, 3);
        assert_eq!(image[..3], [0.0, MEL_BINS as f32, 0.0]);
        assert_eq!(image[3..6], [1.0, MEL_BINS as f32 + 1.0, 0.0]);
    }
}
