//! The audio tower as one readable graph, from convolution to projector.
//!
//! ```text
//! LogMel ─ chunks of 100 frames ─ 3 × (conv 3×3 /2, GELU) ─ conv_out ─ + positions      13 rows per chunk
//!        ─ windows of 8 chunks: layers × (attention, MLP) ─ LN ─ proj1 ─ GELU ─ proj2   104 rows per window
//! ```
//!
//! Attention never leaves its window (docs/MODEL.md, section 2), so a window is computed by itself, without a mask, and the
//! memory needed does not grow with the recording.

use super::config::{CHUNK_FRAMES, EncoderConfig, MEL_BINS, WINDOW_CHUNKS, encoder_tokens};
use super::convolution;
use super::watch::Watcher;
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
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Mel frames of one attention window: 8 s.
pub const WINDOW_FRAMES: usize = CHUNK_FRAMES * WINDOW_CHUNKS;

/// Rows of one attention window, 13 for each second: cheap to clone, never changed.
#[derive(Debug, Clone)]
pub struct EncodedWindow {
    width: usize,
    values: Arc<[f32]>,
}

impl EncodedWindow {
    /// A window of these rows, for tests without a model.
    #[cfg(test)]
    pub(crate) fn of(width: usize, values: &[f32]) -> Self {
        Self { width, values: values.into() }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Values per row: the decoder's width.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `[rows, width]`, one row after the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Whether nothing more fits into it: 8 s.
    pub fn is_full(&self) -> bool {
        self.rows() == WINDOW_CHUNKS * encoder_tokens(CHUNK_FRAMES)
    }
}

impl PartialEq for EncodedWindow {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.values, &other.values) || self.values == other.values
    }
}

/// The decoder's input for an utterance: its attention windows in order, all but the last one full.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AudioEmbeddings {
    /// One after the other.
    pub windows: Vec<EncodedWindow>,
}

impl AudioEmbeddings {
    /// Number of audio tokens.
    pub fn rows(&self) -> usize {
        self.windows.iter().map(EncodedWindow::rows).sum()
    }

    /// All rows, `[rows, width]`, copied together.
    pub fn to_vec(&self) -> Vec<f32> {
        self.windows.iter().flat_map(|window| window.values()).copied().collect()
    }

    /// The full windows, and the values of the one that is not full; empty if there is none. The decoder takes every full
    /// window in a pass of its own.
    pub fn full_and_rest(&self) -> (&[EncodedWindow], &[f32]) {
        match self.windows.split_last() {
            Some((last, earlier)) if !last.is_full() => (earlier, last.values()),
            _ => (&self.windows, &[]),
        }
    }
}

/// The first convolution, which has one channel before it.
const FIRST: &str = tensors::CONV[0];
/// The others, which multiply all channels.
const LARGE: [&str; 2] = [tensors::CONV[1], tensors::CONV[2]];

/// Patches that one product takes: all of the last convolution of a full chunk, a quarter of those of the one before. More
/// would leave the cache between being copied and being multiplied.
const PATCHES_AT_ONCE: usize = 208;

/// Rows of one chunk after the convolutions, `[rows, channels * 16]`. Chunks do not know of each other here.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkRows(Arc<[f32]>);

impl ChunkRows {
    /// One row after the other.
    pub fn values(&self) -> &[f32] {
        &self.0
    }
}

/// The attention windows of an utterance of `frames` mel frames, in frames.
pub fn windows(frames: usize) -> impl Iterator<Item = Range<usize>> {
    (0..frames).step_by(WINDOW_FRAMES).map(move |start| start..frames.min(start + WINDOW_FRAMES))
}

/// The audio encoder: weights that never change, and scratch memory under a lock.
pub struct Encoder {
    config: EncoderConfig,
    weights: Arc<Weights>,
    /// For each of [`LARGE`] the name of its kernel as a matrix.
    kernels: [String; 2],
    /// `[10, channels]`: kernel and bias of the first convolution.
    first_factors: Vec<f32>,
    executor: Mutex<Executor>,
    /// `[13, width]`: what is added to the rows of every chunk.
    positions: Vec<f32>,
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
    ) -> Result<Self> {
        let refused = |error: ggml::Error| Error::model(format!("{}: {error}", file.path().display()));
        let backend = Backend::new(threads).map_err(refused)?;
        let specs: Vec<TensorSpec> = file.tensors().iter().map(spec).collect();
        let mut weights = Weights::map(checked, &specs, &backend, repack).map_err(refused)?;
        let kernels = copy_kernels(file, &mut weights, &config, &backend, repack).map_err(refused)?;
        let first = |which| file.tensor(&tensors::encoder_part(FIRST, which)).map(spec);
        let first_factors = match (first(Which::Weight), first(Which::Bias)) {
            (Some(kernel), Some(bias)) => {
                convolution::factors(&weights.read(&kernel).map_err(refused)?, &weights.read(&bias).map_err(refused)?)
            }
            _ => return Err(Error::internal("audio encoder: no first convolution")),
        };
        let positions = read_positions(file, config.sizes.width as usize)?;
        let executor = Mutex::new(Executor::new(backend).map_err(refused)?);
        Ok(Self { config, weights: Arc::new(weights), kernels, first_factors, executor, positions })
    }

    /// Its sizes.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Encodes a whole utterance: [`EncoderConfig::audio_tokens`] rows.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when the graph cannot be run.
    pub fn encode(&self, mel: &LogMel) -> Result<AudioEmbeddings> {
        let windows = windows(mel.frames).map(|window| self.encode_part(mel, window, None)).collect::<Result<_>>()?;
        Ok(AudioEmbeddings { windows })
    }

    /// Encodes one attention window of an utterance whose features are all there.
    ///
    /// # Errors
    /// As [`Self::encode_window`].
    pub fn encode_part(
        &self,
        mel: &LogMel,
        window: Range<usize>,
        watcher: Option<&dyn Watcher>,
    ) -> Result<EncodedWindow> {
        let is_only = mel.frames <= CHUNK_FRAMES;
        self.encode_window(window, &mut |chunk| self.convolve(&mel.part(chunk), is_only), watcher)
    }

    /// Encodes one attention window, up to 800 frames: the way of every utterance, live and offline. `rows_of` gives the
    /// rows of a chunk, up to 100 frames, from [`Self::convolve`] or kept since an earlier call.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] for a window that is empty or too long, and when the graph cannot be run.
    pub fn encode_window(
        &self,
        window: Range<usize>,
        rows_of: &mut dyn FnMut(Range<usize>) -> Result<ChunkRows>,
        watcher: Option<&dyn Watcher>,
    ) -> Result<EncodedWindow> {
        let mut stem = Vec::with_capacity(EncoderConfig::audio_tokens(window.len()) * self.stem_row());
        for start in window.clone().step_by(CHUNK_FRAMES) {
            stem.extend_from_slice(rows_of(start..window.end.min(start + CHUNK_FRAMES))?.values());
        }
        let values = self.attend(&stem, watcher)?.into();
        Ok(EncodedWindow { width: self.config.sizes.projection as usize, values })
    }

    /// The convolution stem's output of one window, `[tokens, channels * 16]`, through `conv_out`, the layers and the
    /// projector: `[tokens, decoder width]`.
    fn attend(&self, rows: &[f32], watcher: Option<&dyn Watcher>) -> Result<Vec<f32>> {
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
        let building = Building { arena: &arena, sights: watcher.map(|_| &sights) };
        let build = || -> ggml::Result<_> {
            let stem = arena.input(&[self.stem_row(), tokens])?;
            let added = arena.input(&[width, tokens])?;
            let mut x = arena.add(building.product(&self.weights, tensors::CONV_OUT, stem)?, added)?;
            for layer in 0..self.config.sizes.layers {
                x = self.layer(building, layer, x)?;
                building.look(|| Sight::Layer(layer), x)?;
            }
            let x = self.layer_norm(&arena, x, |which| tensors::encoder_part(tensors::POST_LN, which))?;
            let x = self.linear_gelu(building, x, |which| tensors::encoder_part(tensors::PROJ1, which))?;
            let x = self.linear(building, x, |which| tensors::encoder_part(tensors::PROJ2, which))?;
            Ok((stem, added, x))
        };
        let (stem, added, output) = build().map_err(internal)?;
        let sights = sights.borrow();
        let outputs: Vec<Node<'_>> = std::iter::once(output).chain(sights.iter().map(|(_, rows)| *rows)).collect();
        let mut values = self.run(&arena, &[(stem, rows), (added, &positions)], &outputs)?.into_iter();
        let output = values.next().unwrap_or_default();
        for ((sight, node), rows) in sights.iter().zip(values) {
            match (sight, watcher) {
                (Sight::Product(weight), Some(watcher)) => watcher.product(weight, node.dims()[0], &rows),
                (Sight::Layer(layer), Some(watcher)) => watcher.encoder_layer(*layer, node.dims()[0], &rows),
                (_, None) => {}
            }
        }
        Ok(output)
    }

    /// The convolution stem of one chunk, up to 100 frames, before `conv_out`. A short chunk is filled up with 0.0 (in
    /// normalised units, which is not silence) unless it is the only one of its utterance.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] for a chunk that is empty or too long, and when the graph cannot be run.
    pub fn convolve(&self, chunk: &LogMel, is_only: bool) -> Result<ChunkRows> {
        if chunk.frames == 0 || chunk.frames > CHUNK_FRAMES || chunk.data.len() != chunk.frames * MEL_BINS {
            return Err(Error::internal(format!("audio encoder: a chunk of {} frames", chunk.frames)));
        }
        let width = if is_only { chunk.frames } else { CHUNK_FRAMES };
        let mut rows = self.convolve_patches(&convolution::patches(&chunk.data, width), width)?;
        rows.truncate(encoder_tokens(chunk.frames) * self.stem_row());
        Ok(ChunkRows(rows.into()))
    }

    /// Values per row of the stem's output: channel slow, frequency fast.
    fn stem_row(&self) -> usize {
        (self.config.sizes.conv_channels * self.config.sizes.conv_rows()) as usize
    }

    /// The patches of an image of `width` frames through the three convolutions.
    fn convolve_patches(&self, patches: &[f32], width: usize) -> Result<Vec<f32>> {
        let arena = Arena::new(64).map_err(internal)?;
        let build = || -> ggml::Result<_> {
            let channels = self.config.sizes.conv_channels as usize;
            let [mut time, mut frequency] = [width.div_ceil(2), MEL_BINS.div_ceil(2)];
            let taps = patches.len() / (time * frequency);
            let input = arena.input(&[time * frequency, taps])?;
            let factors = arena.input(&[channels, taps])?;
            let x = arena.gelu_erf(arena.out_prod(factors, input)?)?;
            // Images are [channels, time, frequency], in parts one below the other.
            let mut image = vec![arena.reshape(x, [channels, time, frequency, 1])?];
            for (part, kernel) in LARGE.iter().zip(&self.kernels) {
                let kernel = self.weights.get(kernel)?;
                let bias = self.weights.get(&tensors::encoder_part(part, Which::Bias))?;
                let bias = arena.reshape(bias, [channels, 1, 1, 1])?;
                [time, frequency] = [time.div_ceil(2), frequency.div_ceil(2)];
                let mut next = Vec::new();
                let at_once = (PATCHES_AT_ONCE / time).max(1);
                for first in (0..frequency).step_by(at_once) {
                    let rows = first..frequency.min(first + at_once);
                    let patches = arena.patches(&image, convolution::SHAPE, rows.clone())?;
                    let patches = arena.reshape(patches, [patches.dims()[0], time * rows.len(), 1, 1])?;
                    let y = arena.gelu_erf_of_sum(arena.mul_mat(kernel, patches)?, bias)?;
                    next.push(arena.reshape(y, [channels, time, rows.len(), 1])?);
                }
                image = next;
            }
            let [image] = image[..] else { return Err(ggml::Error("an image in parts".into())) };
            // Rows [frequency, channels] for each time step.
            let x = arena.contiguous(arena.permute(image, [1, 2, 0, 3])?)?;
            Ok((input, factors, x))
        };
        let (input, factors, output) = build().map_err(internal)?;
        let values = self.run(&arena, &[(input, patches), (factors, &self.first_factors)], &[output])?;
        Ok(values.into_iter().next().unwrap_or_default())
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
        let inner = self.linear_gelu(building, normed, name(FFN_UP))?;
        arena.add(self.linear(building, inner, name(FFN_DOWN))?, x)
    }

    fn linear<'a>(&'a self, building: Building<'a>, x: Node<'a>, name: impl Fn(Which) -> String) -> Built<'a> {
        let y = building.product(&self.weights, &name(Which::Weight), x)?;
        building.arena.add(y, self.weights.get(&name(Which::Bias))?)
    }

    fn linear_gelu<'a>(&'a self, building: Building<'a>, x: Node<'a>, name: impl Fn(Which) -> String) -> Built<'a> {
        let y = building.product(&self.weights, &name(Which::Weight), x)?;
        building.arena.gelu_erf_of_sum(y, self.weights.get(&name(Which::Bias))?)
    }

    fn layer_norm<'a>(&'a self, arena: &'a Arena, x: Node<'a>, name: impl Fn(Which) -> String) -> Built<'a> {
        let y = arena.mul(arena.norm(x, self.config.epsilon)?, self.weights.get(&name(Which::Weight))?)?;
        arena.add(y, self.weights.get(&name(Which::Bias))?)
    }

    fn run(&self, arena: &Arena, inputs: &[(Node<'_>, &[f32])], outputs: &[Node<'_>]) -> Result<Vec<Vec<f32>>> {
        self.executor.lock().unwrap_or_else(PoisonError::into_inner).run_all(arena, inputs, outputs).map_err(internal)
    }
}

/// Copies the kernels of the large convolutions into matrices `[9 * channels, outputs]`, each row in the order of
/// [`Arena::patches`] and of the type that this CPU multiplies fastest, and gives their names.
fn copy_kernels(
    file: &Gguf,
    weights: &mut Weights,
    config: &EncoderConfig,
    backend: &Backend,
    repack: bool,
) -> ggml::Result<[String; 2]> {
    let features = ggml::cpu_features();
    let channels = config.sizes.conv_channels as usize;
    let of_layers = file.tensor(&tensors::encoder_layer(0, ATTN_Q, Which::Weight)).map(|tensor| tensor.kind);
    let names = LARGE.map(|part| format!("{part}.matrix"));
    for (name, part) in names.iter().zip(LARGE) {
        let stored = tensors::encoder_part(part, Which::Weight);
        let kernel = file.tensor(&stored).ok_or_else(|| ggml::Error(format!("no tensor {stored}")))?;
        let fastest = convolution::type_of_kernel(kernel.kind, of_layers.unwrap_or(kernel.kind), &features);
        let values = convolution::channels_first(&weights.read(&spec(kernel))?, channels);
        let row = values.len() / channels;
        // A checkpoint may have any number of channels, also such that do not fill blocks.
        let kind = if fastest.row_bytes(row as u64).is_some() { fastest } else { kernel.kind };
        weights.add(name, kind.id(), [row, channels], &values, backend, repack)?;
    }
    Ok(names)
}

/// The description of a file's tensor for ggml.
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
