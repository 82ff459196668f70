//! The decoder as one readable graph, for the rows of any number of sequences at once.
//!
//! ```text
//! rows ─ layers × (RMS norm, q k v, head norms, rotation, keep, attend, out; RMS norm, SwiGLU) ─ RMS norm ─ head ─ choices
//! ```
//!
//! A row belongs to a sequence and has a position in it ([`ggml::attention`]); everything else looks at rows alone. So
//! prompts, windows of audio and steps of several texts can share a pass. A graph depends on the number of rows only, and is
//! built once for each.

use super::{Choice, Decoder, Input, Request, Rows, Sequence, Verdict};
use crate::error::{Error, Remedy, Result};
use crate::model::config::DecoderConfig;
use crate::model::watch::Watch;
use ggml::attention::{Cache, CacheShape, Span};
use ggml::graph::{Arena, Node};
use ggml::llama::CacheType;
use ggml::plan::{Plan, Values};
use ggml::weights::Weights;
use ggml::{Backend, CHOICE};
use qasr_format::schema::tensors::decoder_part::{
    ATTN_K, ATTN_K_NORM, ATTN_NORM, ATTN_OUTPUT, ATTN_Q, ATTN_Q_NORM, ATTN_V, FFN_DOWN, FFN_GATE, FFN_NORM, FFN_UP,
};
use qasr_format::schema::tensors::{self, DecoderSizes};
use std::cell::RefCell;
use std::sync::Arc;

/// Rows computed at once. From 128 to 1024 the prefill of 30 s took the same time within the noise, and scratch memory grew
/// by 14 MiB (`benches/record/2026-11-22/rows-at-once.txt`).
const ROWS_AT_ONCE: usize = 256;

/// Graphs kept for another pass with as many rows: those of a window, of steps of one and of several texts.
const PLANS: usize = 8;

/// Positions are below this.
const MOST_POSITIONS: usize = 1 << 28;

/// What never changes: weights and sizes.
pub(crate) struct DecoderWeights {
    pub(crate) weights: Arc<Weights>,
    pub(crate) backend: Arc<Backend>,
    pub(crate) config: DecoderConfig,
    /// Rows of one pass that are computed as if each came alone.
    pub(crate) each_at_once: usize,
    /// The matrix that gives the logits: a head of its own, or the table of tokens.
    pub(crate) head: &'static str,
}

/// What a graph was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    rows: usize,
    outputs: usize,
    /// Logits are an output too.
    logits: bool,
}

/// A graph, and the matrices that a watcher sees the rows of.
struct Built {
    shape: Shape,
    plan: Plan,
    watched: Vec<String>,
}

/// A decoder over shared weights, with sequences of its own.
pub(crate) struct GraphDecoder {
    shared: Arc<DecoderWeights>,
    cache: Cache,
    kind: CacheType,
    watch: Watch,
    /// The last used first.
    built: Vec<Built>,
    logits: Vec<f32>,
}

fn internal(error: ggml::Error) -> Error {
    Error::internal(format!("decoder: {error}"))
}

impl GraphDecoder {
    pub(crate) fn new(shared: &Arc<DecoderWeights>, kind: CacheType, watch: &Watch) -> Result<Self> {
        let cache = Cache::new(shared.cache_shape(), kind).map_err(internal)?;
        Ok(Self {
            shared: Arc::clone(shared),
            cache,
            kind,
            watch: watch.clone(),
            built: Vec::new(),
            logits: Vec::new(),
        })
    }

    /// The graph for this shape, at the front of those kept.
    fn build(&mut self, shape: Shape) -> Result<()> {
        if let Some(at) = self.built.iter().position(|built| built.shape == shape) {
            self.built[..=at].rotate_right(1);
            return Ok(());
        }
        // The last rows of an utterance are hardly ever as many as those of another: one such graph is enough.
        let is_common = |shape: Shape| shape.outputs == 0 || shape.outputs == shape.rows;
        self.built.retain(|built| is_common(built.shape) || is_common(shape));
        self.built.truncate(PLANS - 1);
        let shared = &self.shared;
        let watched = RefCell::new(Vec::new());
        let is_watched = self.watch.watcher().is_some();
        // Watching adds a copy for each of the seven products of a layer and for the head.
        let nodes = 16 + 48 * shared.config.sizes.layers;
        let plan = Plan::new(&shared.backend, &shared.weights, nodes, |arena, weights| {
            let looks = RefCell::new(Vec::new());
            let building =
                Building { arena, weights, shared, kind: self.kind, shape, looks: is_watched.then_some(&looks) };
            let mut outputs = building.outputs()?;
            for (name, rows) in looks.into_inner() {
                watched.borrow_mut().push(name);
                outputs.push(rows);
            }
            Ok(outputs)
        });
        let plan = plan.map_err(internal)?;
        self.built.insert(0, Built { shape, plan, watched: watched.into_inner() });
        Ok(())
    }

    /// One pass over rows that fit.
    fn compute(&mut self, requests: &[Piece<'_>], each_alone: bool, logits: bool) -> Result<Vec<Vec<Verdict>>> {
        let width = self.shared.config.sizes.width as usize;
        let (mut values, mut positions, mut spans) = (Vec::new(), Vec::new(), Vec::new());
        let (mut outputs, mut asked) = (Vec::new(), Vec::new());
        for request in requests {
            let start = positions.len();
            values.extend_from_slice(request.values);
            let rows = request.values.len() / width;
            positions.extend((request.position..request.position + rows).map(|position| position as i32));
            outputs.extend((start + rows - request.asked.len()..start + rows).map(|row| row as i32));
            asked.extend(request.asked.iter().map(|id| *id as i32));
            spans.push(Span { sequence: request.sequence.0, rows: start..start + rows, position: request.position });
        }
        let shape = Shape { rows: positions.len(), outputs: outputs.len(), logits: logits && !outputs.is_empty() };
        self.build(shape)?;
        let built = &mut self.built[0];
        let mut inputs = vec![Values::F32(&values), Values::Indices(&positions)];
        if shape.outputs > 0 {
            if shape.outputs < shape.rows {
                inputs.push(Values::Indices(&outputs));
            }
            inputs.push(Values::Indices(&asked));
        }
        built.plan.compute(&inputs, Some((&mut self.cache, &spans)), each_alone).map_err(internal)?;
        let first_watched = 1 + usize::from(shape.logits);
        if let Some(watcher) = self.watch.watcher() {
            for (index, name) in built.watched.iter().enumerate() {
                let mut rows = vec![0.0; built.plan.output_len(first_watched + index)];
                built.plan.read(first_watched + index, &mut rows).map_err(internal)?;
                watcher.product(name, self.shared.row_width(name), &rows);
            }
        }
        self.logits.clear();
        if shape.outputs == 0 {
            return Ok(requests.iter().map(|_| Vec::new()).collect());
        }
        if shape.logits {
            self.logits.resize(built.plan.output_len(1), 0.0);
            built.plan.read(1, &mut self.logits).map_err(internal)?;
        }
        let mut found = vec![0.0; CHOICE * shape.outputs];
        built.plan.read(0, &mut found).map_err(internal)?;
        let mut verdicts = found.as_chunks::<CHOICE>().0.iter().map(verdict);
        requests.iter().map(|request| verdicts.by_ref().take(request.asked.len()).collect()).collect()
    }

    /// The values of inputs, one row after the other.
    fn rows(&self, inputs: &[Input<'_>]) -> Result<Vec<f32>> {
        let width = self.shared.config.sizes.width as usize;
        let mut rows = Vec::new();
        for input in inputs {
            match input {
                Input::Tokens(ids) => {
                    rows.extend(self.shared.weights.rows(tensors::TOKEN_EMBD, ids).map_err(internal)?);
                }
                Input::Rows(values) if values.len().is_multiple_of(width) => rows.extend_from_slice(values),
                Input::Rows(values) => {
                    return Err(Error::internal(format!("decoder: {} values for rows of {width}", values.len())));
                }
            }
        }
        Ok(rows)
    }
}

/// A piece of a request that fits into one pass.
struct Piece<'a> {
    sequence: Sequence,
    position: usize,
    values: &'a [f32],
    asked: &'a [u32],
}

/// What the graph found out about a row.
fn verdict([token, top, second, sum, asked]: &[f32; CHOICE]) -> Result<Verdict> {
    if !top.is_finite() {
        return Err(super::no_number());
    }
    let choice = Choice { token: *token as u32, margin: top - second, log_probability: -sum };
    let asked = if asked.is_finite() { asked - top - sum } else { f32::NEG_INFINITY };
    Ok(Verdict { choice, asked })
}

impl Decoder for GraphDecoder {
    fn open(&mut self, capacity: usize) -> Result<Sequence> {
        let opened = self.cache.open(capacity).map(Sequence);
        opened.map_err(|error| internal(error).with_remedy(Remedy::ShorterUtterances))
    }

    fn close(&mut self, sequence: Sequence) {
        self.cache.close(sequence.0);
    }

    fn position(&self, sequence: Sequence) -> usize {
        self.cache.filled(sequence.0)
    }

    fn truncate(&mut self, sequence: Sequence, position: usize) {
        self.cache.truncate(sequence.0, position);
        // They belong to positions that may be gone.
        self.logits.clear();
    }

    fn each_at_once(&self) -> usize {
        self.shared.each_at_once
    }

    fn pass(&mut self, requests: &[Request<'_>], rows: Rows, logits: bool) -> Result<Vec<Vec<Verdict>>> {
        let values = self.check(requests, rows)?;
        let done = self.compute_all(requests, &values, rows, logits);
        if done.is_err() {
            requests.iter().for_each(|request| self.truncate(request.sequence, request.position));
        }
        done
    }

    fn logits(&self, output: usize) -> &[f32] {
        let vocabulary = self.shared.config.sizes.vocabulary as usize;
        self.logits.chunks_exact(vocabulary).nth(output).unwrap_or_default()
    }
}

impl GraphDecoder {
    /// Whether the requests fit; the values of their rows.
    fn check(&self, requests: &[Request<'_>], rows: Rows) -> Result<Vec<Vec<f32>>> {
        super::check(requests, rows, self.each_at_once())?;
        let vocabulary = self.shared.config.sizes.vocabulary;
        if requests.iter().flat_map(|request| request.asked).any(|id| u64::from(*id) >= vocabulary) {
            return Err(Error::internal("decoder: a token beyond the vocabulary is asked for"));
        }
        let values = requests.iter().map(|request| self.rows(request.inputs)).collect::<Result<Vec<_>>>()?;
        let width = self.shared.config.sizes.width as usize;
        for (request, values) in requests.iter().zip(&values) {
            let more = values.len() / width;
            if more == 0 || request.asked.len() > more {
                return Err(Error::internal(format!("decoder: {} outputs of {more} rows", request.asked.len())));
            }
            if more > self.cache.capacity(request.sequence.0).saturating_sub(request.position) {
                return Err(Error::internal(format!("decoder: no room for {more} rows at {}", request.position)));
            }
        }
        Ok(values)
    }

    /// One pass, or several where one request has more rows than are computed at once.
    fn compute_all(
        &mut self,
        requests: &[Request<'_>],
        values: &[Vec<f32>],
        rows: Rows,
        logits: bool,
    ) -> Result<Vec<Vec<Verdict>>> {
        let width = self.shared.config.sizes.width as usize;
        if let ([request], [values], Rows::Together) = (requests, values, rows) {
            let (mut values, mut position) = (values.as_slice(), request.position);
            while values.len() / width > ROWS_AT_ONCE {
                let count = ROWS_AT_ONCE.min(values.len() / width - request.asked.len());
                let (piece, rest) = values.split_at(count * width);
                self.compute(
                    &[Piece { sequence: request.sequence, position, values: piece, asked: &[] }],
                    false,
                    false,
                )?;
                (values, position) = (rest, position + count);
            }
            let last = Piece { sequence: request.sequence, position, values, asked: request.asked };
            return self.compute(&[last], false, logits);
        }
        let pieces: Vec<_> = requests
            .iter()
            .zip(values)
            .map(|(request, values)| Piece {
                sequence: request.sequence,
                position: request.position,
                values,
                asked: request.asked,
            })
            .collect();
        self.compute(&pieces, true, logits)
    }
}

/// What is kept of every position.
pub(crate) fn cache_shape(config: &DecoderConfig) -> CacheShape {
    let DecoderSizes { layers, kv_heads, head_width, .. } = config.sizes;
    CacheShape { layers, kv_heads: kv_heads as usize, head_width: head_width as usize }
}

impl DecoderWeights {
    fn cache_shape(&self) -> CacheShape {
        cache_shape(&self.config)
    }

    /// Values per row that this matrix multiplies.
    fn row_width(&self, name: &str) -> usize {
        let sizes = &self.config.sizes;
        let is_part = |part: &str| name.ends_with(&format!(".{part}.weight"));
        match () {
            () if is_part(ATTN_OUTPUT) => (sizes.heads * sizes.head_width) as usize,
            () if is_part(FFN_DOWN) => sizes.feed_forward as usize,
            () => sizes.width as usize,
        }
    }
}

/// A graph while it is built.
struct Building<'a, 'b> {
    arena: &'a Arena,
    weights: &'a Weights,
    shared: &'b DecoderWeights,
    kind: CacheType,
    shape: Shape,
    /// Rows that a watcher sees, by the name of the matrix behind them.
    looks: Option<&'b RefCell<Vec<(String, Node<'a>)>>>,
}

type Step<'a> = ggml::Result<Node<'a>>;

impl<'a> Building<'a, '_> {
    /// The choices, `[5, outputs]`, and the logits, `[vocabulary, outputs]`, where they are wanted. Without outputs a value
    /// that means nothing.
    fn outputs(&self) -> ggml::Result<Vec<Node<'a>>> {
        let (arena, sizes, Shape { rows, outputs, logits }) = (self.arena, &self.shared.config.sizes, self.shape);
        let mut x = arena.input(&[sizes.width as usize, rows])?;
        let positions = arena.indices(rows, MOST_POSITIONS)?;
        let picked = (0 < outputs && outputs < rows).then(|| arena.indices(outputs, rows)).transpose()?;
        let asked = (outputs > 0).then(|| arena.indices(outputs, sizes.vocabulary as usize)).transpose()?;
        for layer in 0..sizes.layers {
            let normed = self.norm(x, &tensors::decoder_layer(layer, ATTN_NORM))?;
            let kept = self.keep(layer, normed, positions)?;
            let is_last = layer + 1 == sizes.layers;
            if is_last && outputs == 0 {
                return Ok(vec![kept]);
            }
            let mut mixed = self.attend(layer, normed, positions, kept)?;
            if let Some(picked) = picked.filter(|_| is_last) {
                // Nothing behind the last attention looks at other rows.
                (mixed, x) = (arena.rows(mixed, picked)?, arena.rows(x, picked)?);
            }
            x = arena.add(self.product(layer, ATTN_OUTPUT, mixed)?, x)?;
            let normed = self.norm(x, &tensors::decoder_layer(layer, FFN_NORM))?;
            let gate = self.product(layer, FFN_GATE, normed)?;
            let inner = arena.swiglu(gate, self.product(layer, FFN_UP, normed)?)?;
            x = arena.add(self.product(layer, FFN_DOWN, inner)?, x)?;
        }
        let normed = self.norm(x, tensors::OUTPUT_NORM)?;
        let found = self.matrix(self.shared.head, normed)?;
        let choices = arena.choices(found, asked.ok_or_else(|| ggml::Error("a decoder without layers".into()))?)?;
        Ok(if logits { vec![choices, found] } else { vec![choices] })
    }

    /// Keys and values of these rows, added to those kept.
    fn keep(&self, layer: usize, normed: Node<'a>, positions: Node<'a>) -> Step<'a> {
        let keys = self.heads(layer, ATTN_K, normed)?;
        let keys = self.turned(layer, ATTN_K_NORM, keys, positions)?;
        let values = self.heads(layer, ATTN_V, normed)?;
        self.arena.keep(layer, [keys, values], self.shared.cache_shape(), self.kind)
    }

    fn attend(&self, layer: usize, normed: Node<'a>, positions: Node<'a>, kept: Node<'a>) -> Step<'a> {
        let queries = self.heads(layer, ATTN_Q, normed)?;
        let queries = self.turned(layer, ATTN_Q_NORM, queries, positions)?;
        self.arena.attend(layer, queries, kept, self.shared.cache_shape(), self.kind)
    }

    /// Rows times a matrix, cut into heads: `[head, heads, rows]`.
    fn heads(&self, layer: usize, part: &str, rows: Node<'a>) -> Step<'a> {
        let all = self.product(layer, part, rows)?;
        let head = self.shared.config.sizes.head_width as usize;
        let [width, count, ..] = all.dims();
        self.arena.reshape(all, [head, width / head, count, 1])
    }

    /// Heads normalised one by one, then rotated by their positions.
    fn turned(&self, layer: usize, norm: &str, heads: Node<'a>, positions: Node<'a>) -> Step<'a> {
        let normed = self.norm(heads, &tensors::decoder_layer(layer, norm))?;
        self.arena.rope(normed, positions, self.shared.config.rope_base)
    }

    fn norm(&self, x: Node<'a>, weight: &str) -> Step<'a> {
        self.arena.mul(self.arena.rms_norm(x, self.shared.config.epsilon)?, self.weights.get(weight)?)
    }

    fn product(&self, layer: usize, part: &str, rows: Node<'a>) -> Step<'a> {
        self.matrix(&tensors::decoder_layer(layer, part), rows)
    }

    fn matrix(&self, name: &str, rows: Node<'a>) -> Step<'a> {
        if let Some(looks) = self.looks {
            // A copy: a view cannot be an output.
            looks.borrow_mut().push((name.to_owned(), self.arena.contiguous(rows)?));
        }
        self.arena.mul_mat(self.weights.get(name)?, rows)
    }
}
