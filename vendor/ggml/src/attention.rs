//! The attention of a decoder over the keys and values that it keeps, as two operations of our own: [`Arena::keep`] and
//! [`Arena::attend`].
//!
//! A row's result is the same, bit for bit, whatever rows come with it, on whatever number of threads: products of a query
//! with a key add from the first value of the head to the last, weights are added position by position, and what lies
//! behind a row's own position is left out or multiplied by zero.
//!
//! Keys of 16 positions lie together, value by value, so that one instruction multiplies a value of the query with 16
//! positions. Of the values, 16 of a head lie together, position by position.

use crate::custom::{Operation, Share, Source, Target};
use crate::graph::{Arena, Node};
use crate::llama::CacheType;
use crate::math::{LANES, Lanes, exp2_lanes, fused};
use crate::{Error, Result};
use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::Arc;

/// Codes of eight bits that share a scale.
const BLOCK: usize = 32;
/// Rows of one head that a thread takes at a time.
const ROWS: usize = 4;

/// What is kept of every position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Layers of the decoder.
    pub layers: usize,
    /// Heads of keys and of values.
    pub kv_heads: usize,
    /// Values of a head.
    pub head_width: usize,
}

impl CacheShape {
    /// Values of a head as they are stored: whole lanes.
    fn stored(&self, kind: CacheType) -> usize {
        self.head_width.next_multiple_of(if kind == CacheType::Q8_0 { BLOCK } else { LANES })
    }

    /// Bytes of one position of a sequence.
    pub fn bytes_per_position(&self, kind: CacheType) -> usize {
        let values = 2 * self.layers * self.kv_heads * self.stored(kind);
        match kind {
            CacheType::F16 => values * 2,
            CacheType::F32 => values * 4,
            CacheType::Q8_0 => values + values / BLOCK * 4,
        }
    }
}

/// Keys and values of many sequences.
pub struct Cache {
    shape: CacheShape,
    kind: CacheType,
    sequences: Vec<Option<Sequence>>,
}

/// One sequence of a [`Cache`]. Memory that was not written yet costs nothing: the system gives it zeroed and late.
struct Sequence {
    /// Positions that there may be.
    capacity: usize,
    /// Positions that there is room for: whole lanes.
    room: usize,
    /// Positions that hold keys and values.
    filled: usize,
    store: Store,
}

/// Keys, then values; with eight bits, the codes and their scales.
enum Store {
    F16(Vec<u16>, Vec<u16>),
    F32(Vec<f32>, Vec<f32>),
    Q8(Vec<i8>, Vec<f32>, Vec<i8>, Vec<f32>),
}

/// Rows of a pass that belong to one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The sequence.
    pub sequence: usize,
    /// Its rows among those of the pass.
    pub rows: Range<usize>,
    /// The position of the first of them; what was kept from there on is forgotten.
    pub position: usize,
}

/// Zeroed memory that is not touched, or an error where there is none.
fn zeroed<T: Clone + Default>(count: usize) -> Result<Vec<T>> {
    let mut probe = Vec::<T>::new();
    // `vec!` of zeros asks the system for zeroed pages, but ends the process where there are none: ask first.
    probe.try_reserve_exact(count).map_err(|_| Error::new("not enough memory for the attention cache"))?;
    drop(probe);
    Ok(vec![T::default(); count])
}

impl Cache {
    /// Without any sequence.
    pub fn new(shape: CacheShape, kind: CacheType) -> Result<Self> {
        let CacheShape { layers, kv_heads, head_width } = shape;
        if [layers, kv_heads, head_width].iter().any(|extent| *extent == 0 || *extent > 1 << 16) {
            return Err(Error::new(format!("an attention cache of {shape:?}")));
        }
        Ok(Self { shape, kind, sequences: Vec::new() })
    }

    /// How it stores.
    pub fn kind(&self) -> CacheType {
        self.kind
    }

    /// What it keeps of a position.
    pub fn shape(&self) -> CacheShape {
        self.shape
    }

    /// Makes room for a sequence of up to `capacity` positions and returns its number. Errors: no memory.
    pub fn open(&mut self, capacity: usize) -> Result<usize> {
        let CacheShape { layers, kv_heads, .. } = self.shape;
        let capacity = capacity.max(1);
        let room = capacity.checked_next_multiple_of(LANES).filter(|room| *room < 1 << 28);
        let room = room.ok_or_else(|| Error::new("an attention cache of more positions than can be"))?;
        let values = (layers * kv_heads).checked_mul(self.shape.stored(self.kind));
        let values = values.and_then(|values| values.checked_mul(room));
        let values = values.ok_or_else(|| Error::new("an attention cache beyond all bounds"))?;
        let store = match self.kind {
            CacheType::F16 => Store::F16(zeroed(values)?, zeroed(values)?),
            CacheType::F32 => Store::F32(zeroed(values)?, zeroed(values)?),
            CacheType::Q8_0 => {
                let scales = values / BLOCK;
                Store::Q8(zeroed(values)?, zeroed(scales)?, zeroed(values)?, zeroed(scales)?)
            }
        };
        let sequence = Some(Sequence { capacity, room, filled: 0, store });
        match self.sequences.iter().position(Option::is_none) {
            Some(free) => {
                self.sequences[free] = sequence;
                Ok(free)
            }
            None => {
                self.sequences.push(sequence);
                Ok(self.sequences.len() - 1)
            }
        }
    }

    /// Gives back the memory of a sequence.
    pub fn close(&mut self, sequence: usize) {
        if let Some(place) = self.sequences.get_mut(sequence) {
            *place = None;
        }
    }

    /// Positions that a sequence holds; 0 for one that is not there.
    pub fn filled(&self, sequence: usize) -> usize {
        self.sequences.get(sequence).and_then(Option::as_ref).map_or(0, |sequence| sequence.filled)
    }

    /// Positions that a sequence has room for; 0 for one that is not there.
    pub fn capacity(&self, sequence: usize) -> usize {
        self.sequences.get(sequence).and_then(Option::as_ref).map_or(0, |sequence| sequence.capacity)
    }

    /// Forgets the positions of a sequence from `position` on.
    pub fn truncate(&mut self, sequence: usize, position: usize) {
        if let Some(Some(sequence)) = self.sequences.get_mut(sequence) {
            sequence.filled = sequence.filled.min(position);
        }
    }

    /// Whether these spans are `rows` rows in order, without holes, each of another sequence that has room.
    pub(crate) fn check(&self, spans: &[Span], rows: usize) -> Result<()> {
        let mut next = 0;
        for (index, span) in spans.iter().enumerate() {
            let wrong = |why: &str| Error::new(format!("{span:?} of a pass of {rows} rows: {why}"));
            let sequence = self.sequences.get(span.sequence).and_then(Option::as_ref);
            let sequence = sequence.ok_or_else(|| wrong("there is no such sequence"))?;
            if span.rows.start != next || span.rows.is_empty() {
                return Err(wrong("rows are missing or come twice"));
            }
            if span.position > sequence.filled {
                return Err(wrong(&format!("the sequence ends at {}", sequence.filled)));
            }
            if span.rows.len() > sequence.capacity - span.position {
                return Err(wrong(&format!("the sequence has room for {} positions", sequence.capacity)));
            }
            if spans[..index].iter().any(|other| other.sequence == span.sequence) {
                return Err(wrong("the sequence comes twice"));
            }
            next = span.rows.end;
        }
        if next == rows { Ok(()) } else { Err(Error::new(format!("spans over {next} of {rows} rows"))) }
    }

    /// What the operations of a pass need. The spans were checked.
    fn begin(&mut self, spans: &[Span]) -> Vec<Work> {
        let mut work = Vec::with_capacity(spans.len());
        for span in spans {
            if let Some(Some(sequence)) = self.sequences.get_mut(span.sequence) {
                // Until the pass is over, nothing behind its first row can be trusted.
                sequence.filled = span.position;
                let room = sequence.room;
                let store = match &mut sequence.store {
                    Store::F16(keys, values) => Place::F16(keys.as_mut_ptr(), values.as_mut_ptr()),
                    Store::F32(keys, values) => Place::F32(keys.as_mut_ptr(), values.as_mut_ptr()),
                    Store::Q8(keys, key_scales, values, value_scales) => Place::Q8(
                        (keys.as_mut_ptr(), key_scales.as_mut_ptr()),
                        (values.as_mut_ptr(), value_scales.as_mut_ptr()),
                    ),
                };
                work.push(Work { rows: span.rows.clone(), position: span.position, room, store });
            }
        }
        work
    }

    /// After a pass that succeeded.
    fn end(&mut self, spans: &[Span]) {
        for span in spans {
            if let Some(Some(sequence)) = self.sequences.get_mut(span.sequence) {
                sequence.filled = span.position + span.rows.len();
            }
        }
    }
}

/// The memory of a sequence during a pass: keys, then values.
#[derive(Clone, Copy)]
enum Place {
    F16(*mut u16, *mut u16),
    F32(*mut f32, *mut f32),
    Q8((*mut i8, *mut f32), (*mut i8, *mut f32)),
}

/// A span during a pass.
struct Work {
    rows: Range<usize>,
    position: usize,
    room: usize,
    store: Place,
}

/// The spans of the pass that a graph computes, for its operations. Empty between passes.
#[derive(Default)]
pub(crate) struct Pass(UnsafeCell<Vec<Work>>);

// SAFETY: written by `Pass::run` alone, which the owner of the graph calls by `&mut` while no thread computes it; the memory
// that the pointers lead to is borrowed from the cache until then, and each thread touches parts of its own.
unsafe impl Send for Pass {}
// SAFETY: as above.
unsafe impl Sync for Pass {}

impl Pass {
    /// Computes a pass with the spans in place.
    ///
    /// # Safety
    /// Nobody else calls this, and no thread computes a graph with this pass, before it returns; the spans were checked.
    pub(crate) unsafe fn run(
        &self,
        cache: &mut Cache,
        spans: &[Span],
        compute: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let work = cache.begin(spans);
        // SAFETY: nobody reads or writes the cell now, by the caller's word.
        unsafe { *self.0.get() = work };
        let done = compute();
        // SAFETY: as above: the graph is done.
        unsafe { *self.0.get() = Vec::new() };
        if done.is_ok() {
            cache.end(spans);
        }
        done
    }

    fn work(&self) -> &[Work] {
        // SAFETY: while operations run, nobody writes the cell.
        unsafe { &*self.0.get() }
    }
}

/// Sizes of the attention in one layer.
#[derive(Clone, Copy)]
struct Layer {
    index: usize,
    shape: CacheShape,
    /// Values of a head as stored.
    stored: usize,
    /// Heads of queries.
    heads: usize,
}

impl Layer {
    /// The number of a head of the cache, over all layers.
    fn head(&self, head: usize) -> usize {
        self.index * self.shape.kv_heads + head
    }
}

impl Arena {
    /// Puts keys and values `[head, kv_heads, rows]` of the rows of a pass to those kept for a layer; `kind` is that of the
    /// cache. The result has one value, which means nothing: it is for [`Arena::attend`], or, where nothing follows, an output.
    /// Such a graph is computed with [`crate::plan::Plan::compute`], which is told the spans.
    pub fn keep<'a>(
        &'a self,
        layer: usize,
        [keys, values]: [Node<'a>; 2],
        shape: CacheShape,
        kind: CacheType,
    ) -> Result<Node<'a>> {
        let [_, _, rows, _] = keys.dims();
        let expected = [shape.head_width, shape.kv_heads, rows, 1];
        if keys.dims() != expected || values.dims() != expected || layer >= shape.layers {
            let dims = [keys.dims(), values.dims()];
            return Err(Error::new(format!("{dims:?} to be kept in layer {layer} of {shape:?}")));
        }
        self.need_f32("cache", keys)?;
        self.need_f32("cache", values)?;
        let pass = self.needs_cache(shape, kind, rows)?;
        let layer = Layer { index: layer, shape, stored: shape.stored(kind), heads: 0 };
        self.custom(Box::new(Keep { layer, pass }), [1, 1, 1, 1], &[keys, values])
    }

    /// Attention of a layer: queries `[head, heads, rows]` give `[head * heads, rows]`. A query sees its own position and those
    /// before it. `kept` is what [`Arena::keep`] gave for this layer.
    pub fn attend<'a>(
        &'a self,
        layer: usize,
        queries: Node<'a>,
        kept: Node<'a>,
        shape: CacheShape,
        kind: CacheType,
    ) -> Result<Node<'a>> {
        let [head, heads, rows, planes] = queries.dims();
        let fits = head == shape.head_width && heads.is_multiple_of(shape.kv_heads) && layer < shape.layers;
        if !fits || planes != 1 || kept.dims() != [1; 4] {
            return Err(Error::new(format!("attention of {:?} in layer {layer} of {shape:?}", queries.dims())));
        }
        self.need_f32("attention", queries)?;
        let pass = self.needs_cache(shape, kind, rows)?;
        let layer = Layer { index: layer, shape, stored: shape.stored(kind), heads };
        self.custom(Box::new(Attend { layer, pass }), [head * heads, rows, 1, 1], &[queries, kept])
    }
}

/// Puts the keys and values of a pass to those kept.
struct Keep {
    layer: Layer,
    pass: Arc<Pass>,
}

impl Operation for Keep {
    fn compute(&self, sources: &[Source<'_>], _: &Target<'_>, share: Share) {
        let (keys, values) = (sources[0].f32(), sources[1].f32());
        let Layer { shape: CacheShape { kv_heads, head_width, .. }, stored, .. } = self.layer;
        let work = self.pass.work();
        assert!(!work.is_empty(), "attention outside a pass");
        for task in share.tasks(work.len() * kv_heads) {
            let (work, head) = (&work[task / kv_heads], task % kv_heads);
            for row in work.rows.clone() {
                let from = (row * kv_heads + head) * head_width;
                let position = work.position + row - work.rows.start;
                // SAFETY: the head of this span is this thread's alone, and the position has room: spans were checked.
                let place = unsafe { work.head_to_write(self.layer, head) };
                place.put(position, &keys[from..from + head_width], &values[from..from + head_width], stored);
            }
        }
    }
}

/// Attention of the rows of a pass.
struct Attend {
    layer: Layer,
    pass: Arc<Pass>,
}

impl Operation for Attend {
    fn compute(&self, sources: &[Source<'_>], result: &Target<'_>, share: Share) {
        let queries = sources[0].f32();
        let Layer { shape: CacheShape { kv_heads, head_width, .. }, stored, heads, .. } = self.layer;
        let group = heads / kv_heads;
        let scale = 1.0 / (head_width as f32).sqrt();
        let mut scratch = Scratch::default();
        let mut number = 0;
        for work in self.pass.work() {
            for head in 0..kv_heads {
                for start in work.rows.clone().step_by(ROWS) {
                    number += 1;
                    if (number - 1) % share.count != share.index {
                        continue;
                    }
                    let rows = start..work.rows.end.min(start + ROWS);
                    scratch.queries.clear();
                    for row in rows.clone() {
                        for member in 0..group {
                            let from = (row * heads + head * group + member) * head_width;
                            scratch.queries.extend_from_slice(&queries[from..from + head_width]);
                            scratch.queries.extend(std::iter::repeat_n(0.0, stored - head_width));
                        }
                    }
                    let first = work.position + rows.start - work.rows.start;
                    // SAFETY: keys and values of this layer were all put there by the operation before; nobody writes.
                    let place = unsafe { work.head(self.layer, head) };
                    place.attend(&mut scratch, stored, group, first, scale);
                    for (index, mixed) in scratch.mixed.chunks_exact(stored).enumerate() {
                        let (row, member) = (rows.start + index / group, index % group);
                        let to = (row * heads + head * group + member) * head_width;
                        // SAFETY: this row and head are this thread's alone.
                        unsafe { result.part(to..to + head_width) }.copy_from_slice(&mixed[..head_width]);
                    }
                }
            }
        }
    }
}

impl Work {
    /// Which values of the sequence's memory are those of one head in one layer, and which of its scales.
    fn place(&self, layer: Layer, head: usize) -> [Range<usize>; 2] {
        let values = self.room * layer.stored;
        let start = layer.head(head) * values;
        [start..start + values, start / BLOCK..(start + values) / BLOCK]
    }

    /// Keys and values of one head in one layer, to be written.
    ///
    /// # Safety
    /// Nobody else reads or writes that head while the slices live.
    unsafe fn head_to_write(&self, layer: Layer, head: usize) -> HeadRoom<'_> {
        /// SAFETY: as above; the range lies inside the memory.
        unsafe fn slice<'a, T>(start: *mut T, range: &Range<usize>) -> &'a mut [T] {
            // SAFETY: by the caller's word.
            let start = unsafe { start.add(range.start) };
            // SAFETY: as above.
            unsafe { std::slice::from_raw_parts_mut(start, range.len()) }
        }
        let [at, scales] = self.place(layer, head);
        match self.store {
            // SAFETY: by the caller's word; a head of one layer out of as many as the memory was made for. So below.
            Place::F16(keys, values) => HeadRoom::F16(unsafe { slice(keys, &at) }, unsafe { slice(values, &at) }),
            // SAFETY: as above.
            Place::F32(keys, values) => HeadRoom::F32(unsafe { slice(keys, &at) }, unsafe { slice(values, &at) }),
            Place::Q8((keys, key_scales), (values, value_scales)) => HeadRoom::Q8(
                // SAFETY: as above.
                unsafe { slice(keys, &at) },
                // SAFETY: as above.
                unsafe { slice(key_scales, &scales) },
                // SAFETY: as above.
                unsafe { slice(values, &at) },
                // SAFETY: as above.
                unsafe { slice(value_scales, &scales) },
            ),
        }
    }

    /// The same, to be read.
    ///
    /// # Safety
    /// Nobody writes to that head while the slices live.
    unsafe fn head(&self, layer: Layer, head: usize) -> HeadPlace<'_> {
        /// SAFETY: as above; the range lies inside the memory.
        unsafe fn slice<'a, T>(start: *mut T, range: &Range<usize>) -> &'a [T] {
            // SAFETY: by the caller's word.
            let start = unsafe { start.add(range.start) };
            // SAFETY: as above.
            unsafe { std::slice::from_raw_parts(start, range.len()) }
        }
        let [at, scales] = self.place(layer, head);
        match self.store {
            // SAFETY: by the caller's word; a head of one layer out of as many as the memory was made for. So below.
            Place::F16(keys, values) => HeadPlace::F16(unsafe { slice(keys, &at) }, unsafe { slice(values, &at) }),
            // SAFETY: as above.
            Place::F32(keys, values) => HeadPlace::F32(unsafe { slice(keys, &at) }, unsafe { slice(values, &at) }),
            Place::Q8((keys, key_scales), (values, value_scales)) => HeadPlace::Q8(
                // SAFETY: as above.
                Scaled { codes: unsafe { slice(keys, &at) }, scales: unsafe { slice(key_scales, &scales) } },
                // SAFETY: as above.
                Scaled { codes: unsafe { slice(values, &at) }, scales: unsafe { slice(value_scales, &scales) } },
            ),
        }
    }
}

/// Keys `[capacity / 16, stored, 16]` and values `[stored / 16, capacity, 16]` of one head, to be written. With eight bits: the
/// codes, and a scale for every 32 values of a position, keys `[capacity / 16, stored / 32, 16]`, values
/// `[capacity, stored / 32]`.
enum HeadRoom<'a> {
    F16(&'a mut [u16], &'a mut [u16]),
    F32(&'a mut [f32], &'a mut [f32]),
    Q8(&'a mut [i8], &'a mut [f32], &'a mut [i8], &'a mut [f32]),
}

/// The same, to be read.
enum HeadPlace<'a> {
    F16(&'a [u16], &'a [u16]),
    F32(&'a [f32], &'a [f32]),
    Q8(Scaled<'a>, Scaled<'a>),
}

/// Where the `value`-th value of a position lies among keys.
fn key_at(position: usize, value: usize, stored: usize) -> usize {
    (position / LANES * stored + value) * LANES + position % LANES
}

/// Where the `value`-th value of a position lies among values.
fn value_at(position: usize, value: usize, capacity: usize) -> usize {
    (value / LANES * capacity + position) * LANES + value % LANES
}

impl HeadRoom<'_> {
    fn put(self, position: usize, key: &[f32], value: &[f32], stored: usize) {
        match self {
            Self::F16(keys, values) => {
                for (index, key) in key.iter().enumerate() {
                    keys[key_at(position, index, stored)] = to_half(*key);
                }
                let capacity = values.len() / stored;
                for (index, value) in value.iter().enumerate() {
                    values[value_at(position, index, capacity)] = to_half(*value);
                }
            }
            Self::F32(keys, values) => {
                for (index, key) in key.iter().enumerate() {
                    keys[key_at(position, index, stored)] = *key;
                }
                let capacity = values.len() / stored;
                for (index, value) in value.iter().enumerate() {
                    values[value_at(position, index, capacity)] = *value;
                }
            }
            Self::Q8(keys, key_scales, values, value_scales) => {
                let (blocks, capacity) = (stored / BLOCK, values.len() / stored);
                for (block, key) in key.chunks(BLOCK).enumerate() {
                    let scale = scale_of(key);
                    key_scales[key_at(position, block, blocks)] = scale;
                    for (index, key) in key.iter().enumerate() {
                        keys[key_at(position, block * BLOCK + index, stored)] = code(*key, scale);
                    }
                }
                for (block, value) in value.chunks(BLOCK).enumerate() {
                    let scale = scale_of(value);
                    value_scales[position * blocks + block] = scale;
                    for (index, value) in value.iter().enumerate() {
                        values[value_at(position, block * BLOCK + index, capacity)] = code(*value, scale);
                    }
                }
            }
        }
    }
}

impl HeadPlace<'_> {
    /// Attention of the queries in `scratch`, of which each `group` are at one position, the first at `first`.
    fn attend(self, scratch: &mut Scratch, stored: usize, group: usize, first: usize, scale: f32) {
        match self {
            Self::F16(keys, values) => {
                let (keys, values) =
                    (Plain { codes: keys, widen: from_half }, Plain { codes: values, widen: from_half });
                scratch.attend(&keys, &values, stored, group, first, scale);
            }
            Self::F32(keys, values) => {
                let widen = |lanes: &Lanes| *lanes;
                scratch.attend(
                    &Plain { codes: keys, widen },
                    &Plain { codes: values, widen },
                    stored,
                    group,
                    first,
                    scale,
                );
            }
            Self::Q8(keys, values) => scratch.attend(&keys, &values, stored, group, first, scale),
        }
    }
}

/// Keys or values of a head as they can be read 16 at a time.
trait Kept {
    /// Values of a head that share a scale, as a part of `stored`.
    fn unit(&self, stored: usize) -> usize;
    /// The 16 values from `index * 16` on, before their scale.
    fn lanes(&self, index: usize) -> Lanes;
    /// All of them.
    fn len(&self) -> usize;
    /// The scales of 16 keys, for unit `unit` of block `block`; `units` to a position.
    fn key_scales(&self, block: usize, unit: usize, units: usize) -> Lanes;
    /// The scale of one value.
    fn value_scale(&self, position: usize, unit: usize, units: usize) -> f32;
    /// Whether there are scales.
    const SCALED: bool;
}

struct Plain<'a, T, W> {
    codes: &'a [T],
    widen: W,
}

impl<T, W: Fn(&[T; LANES]) -> Lanes> Kept for Plain<'_, T, W> {
    const SCALED: bool = false;

    #[inline(always)]
    fn unit(&self, stored: usize) -> usize {
        stored
    }

    #[inline(always)]
    fn lanes(&self, index: usize) -> Lanes {
        let (lanes, _) = self.codes[index * LANES..].split_first_chunk().expect("sixteen values");
        (self.widen)(lanes)
    }

    fn len(&self) -> usize {
        self.codes.len()
    }

    #[inline(always)]
    fn key_scales(&self, _: usize, _: usize, _: usize) -> Lanes {
        [1.0; LANES]
    }

    #[inline(always)]
    fn value_scale(&self, _: usize, _: usize, _: usize) -> f32 {
        1.0
    }
}

struct Scaled<'a> {
    codes: &'a [i8],
    scales: &'a [f32],
}

impl Kept for Scaled<'_> {
    const SCALED: bool = true;

    #[inline(always)]
    fn unit(&self, _: usize) -> usize {
        BLOCK
    }

    #[inline(always)]
    fn lanes(&self, index: usize) -> Lanes {
        let codes = &self.codes[index * LANES..][..LANES];
        std::array::from_fn(|lane| f32::from(codes[lane]))
    }

    fn len(&self) -> usize {
        self.codes.len()
    }

    #[inline(always)]
    fn key_scales(&self, block: usize, unit: usize, units: usize) -> Lanes {
        let (lanes, _) = self.scales[(block * units + unit) * LANES..].split_first_chunk().expect("sixteen scales");
        *lanes
    }

    #[inline(always)]
    fn value_scale(&self, position: usize, unit: usize, units: usize) -> f32 {
        self.scales[position * units + unit]
    }
}

/// Memory of one thread.
#[derive(Default)]
struct Scratch {
    /// `[queries, stored]`.
    queries: Vec<f32>,
    /// `[queries, positions]`, rounded up to whole lanes.
    scores: Vec<f32>,
    /// `[queries, stored]`.
    mixed: Vec<f32>,
}

impl Scratch {
    fn attend(&mut self, keys: &impl Kept, values: &impl Kept, stored: usize, group: usize, first: usize, scale: f32) {
        let count = self.queries.len() / stored;
        let positions = first + count.div_ceil(group);
        let padded = positions.next_multiple_of(LANES);
        self.scores.clear();
        self.scores.resize(count * padded, 0.0);
        self.mixed.clear();
        self.mixed.resize(count * stored, 0.0);
        in_chunks(count, |chunk| {
            let queries = &self.queries[chunk.start * stored..chunk.end * stored];
            let scores = &mut self.scores[chunk.start * padded..chunk.end * padded];
            match chunk.len() {
                8 => multiply::<8>(queries, keys, stored, scores),
                4 => multiply::<4>(queries, keys, stored, scores),
                2 => multiply::<2>(queries, keys, stored, scores),
                _ => multiply::<1>(queries, keys, stored, scores),
            }
        });
        let mut sums = Vec::with_capacity(count);
        for (index, scores) in self.scores.chunks_exact_mut(padded).enumerate() {
            sums.push(soften(scores, first + index / group + 1, scale));
        }
        in_chunks(count, |chunk| {
            let weights = &self.scores[chunk.start * padded..chunk.end * padded];
            let mixed = &mut self.mixed[chunk.start * stored..chunk.end * stored];
            match chunk.len() {
                8 => mix::<8>(weights, padded, values, stored, positions, mixed),
                4 => mix::<4>(weights, padded, values, stored, positions, mixed),
                2 => mix::<2>(weights, padded, values, stored, positions, mixed),
                _ => mix::<1>(weights, padded, values, stored, positions, mixed),
            }
        });
        for (mixed, sum) in self.mixed.chunks_exact_mut(stored).zip(sums) {
            let part = 1.0 / sum;
            mixed.iter_mut().for_each(|value| *value *= part);
        }
    }
}

/// Most queries that are computed together: as many sums as the registers hold.
const TOGETHER: usize = if cfg!(target_feature = "avx512f") { 8 } else { 4 };

/// `0..count` in pieces of 8, 4, 2 and 1.
fn in_chunks(count: usize, mut each: impl FnMut(Range<usize>)) {
    let mut start = 0;
    for size in [8, 4, 2, 1].into_iter().filter(|size| *size <= TOGETHER) {
        while count - start >= size {
            each(start..start + size);
            start += size;
        }
    }
}

/// Products of `Q` queries with all keys: `[Q, positions]`.
#[inline(always)]
fn multiply<const Q: usize>(queries: &[f32], keys: &impl Kept, stored: usize, scores: &mut [f32]) {
    let padded = scores.len() / Q;
    let unit = keys.unit(stored);
    let units = stored / unit;
    let queries: [&[f32]; Q] = std::array::from_fn(|query| &queries[query * stored..(query + 1) * stored]);
    for block in 0..padded / LANES {
        let mut sums = [[0.0; LANES]; Q];
        for number in 0..units {
            let mut part = [[0.0; LANES]; Q];
            let part = if scaled(keys) { &mut part } else { &mut sums };
            for value in number * unit..(number + 1) * unit {
                let lanes = keys.lanes(block * stored + value);
                for (part, query) in part.iter_mut().zip(&queries) {
                    let query = query[value];
                    for (sum, key) in part.iter_mut().zip(&lanes) {
                        *sum = fused(*key, query, *sum);
                    }
                }
            }
            if scaled(keys) {
                let part = *part;
                let scales = keys.key_scales(block, number, units);
                for (sums, part) in sums.iter_mut().zip(&part) {
                    for ((sum, part), scale) in sums.iter_mut().zip(part).zip(&scales) {
                        *sum = fused(*part, *scale, *sum);
                    }
                }
            }
        }
        for (query, sums) in sums.iter().enumerate() {
            scores[query * padded + block * LANES..][..LANES].copy_from_slice(sums);
        }
    }
}

const fn scaled<K: Kept>(_: &K) -> bool {
    K::SCALED
}

/// Scores of the first `seen` positions become the exponentials of their distance to the largest, the others 0. Returns the
/// sum.
fn soften(scores: &mut [f32], seen: usize, scale: f32) -> f32 {
    scores[seen..].fill(f32::NEG_INFINITY);
    let mut largest = [f32::NEG_INFINITY; LANES];
    for lanes in scores.chunks_exact(LANES) {
        for (largest, score) in largest.iter_mut().zip(lanes) {
            *largest = if *score > *largest { *score } else { *largest };
        }
    }
    let largest = largest.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0.0; LANES];
    let factor = scale * std::f32::consts::LOG2_E;
    for lanes in scores.chunks_exact_mut(LANES) {
        let (lanes, _) = lanes.split_first_chunk_mut::<LANES>().expect("whole lanes");
        *lanes = exp2_lanes(std::array::from_fn(|lane| (lanes[lane] - largest) * factor));
        for (sum, weight) in sums.iter_mut().zip(&*lanes) {
            *sum += *weight;
        }
    }
    scores[seen..].fill(0.0);
    sums.iter().sum()
}

/// Values of all positions added with the weights of `Q` queries: `[Q, stored]`.
#[inline(always)]
fn mix<const Q: usize>(
    weights: &[f32],
    padded: usize,
    values: &impl Kept,
    stored: usize,
    positions: usize,
    mixed: &mut [f32],
) {
    let weights: [&[f32]; Q] = std::array::from_fn(|query| &weights[query * padded..][..positions]);
    let (unit, capacity) = (values.unit(stored), values.len() / stored);
    for piece in 0..stored / LANES {
        let mut sums = [[0.0; LANES]; Q];
        for position in 0..positions {
            let mut lanes = values.lanes(piece * capacity + position);
            if scaled(values) {
                let scale = values.value_scale(position, piece * LANES / unit, stored / unit);
                lanes.iter_mut().for_each(|value| *value *= scale);
            }
            for (sums, weights) in sums.iter_mut().zip(&weights) {
                let weight = weights[position];
                for (sum, value) in sums.iter_mut().zip(&lanes) {
                    *sum = fused(*value, weight, *sum);
                }
            }
        }
        for (query, sums) in sums.iter().enumerate() {
            mixed[query * stored + piece * LANES..][..LANES].copy_from_slice(sums);
        }
    }
}

/// The largest distance from zero, by which eight-bit codes are scaled.
fn scale_of(values: &[f32]) -> f32 {
    values.iter().fold(0.0f32, |largest, value| largest.max(value.abs())) / 127.0
}

fn code(value: f32, scale: f32) -> i8 {
    if scale > 0.0 { (value / scale).round() as i8 } else { 0 }
}

/// Half precision, rounded to the nearest, ties to even; what is too large becomes infinite.
fn to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let size = bits & 0x7fff_ffff;
    if size >= 0x4780_0000 {
        // 65536 and more; a number that is none stays none.
        return sign | if size > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    }
    if size < 0x3880_0000 {
        // Below the smallest normal one: the sum with 0.5 leaves the digits that count in the last places.
        let digits = (f32::from_bits(size) + 0.5).to_bits().wrapping_sub(0x3f00_0000);
        return sign | digits as u16;
    }
    let rounded = size + 0xfff + (size >> 13 & 1);
    sign | ((rounded - 0x3800_0000) >> 13) as u16
}

/// Sixteen numbers of half precision, all finite.
#[inline(always)]
fn from_half(halves: &[u16; LANES]) -> Lanes {
    #[cfg(all(target_arch = "x86_64", target_feature = "avx512f"))]
    {
        use std::arch::x86_64::{__m256i, _mm256_loadu_si256, _mm512_cvtph_ps, _mm512_storeu_ps};
        let mut wide = [0.0; LANES];
        // SAFETY: 32 bytes are read from 16 numbers of 16 bits.
        let halves = unsafe { _mm256_loadu_si256(halves.as_ptr().cast::<__m256i>()) };
        // SAFETY: this build is for CPUs that have the instruction.
        let lanes = unsafe { _mm512_cvtph_ps(halves) };
        // SAFETY: 64 bytes are written to 16 numbers of 32 bits.
        unsafe { _mm512_storeu_ps(wide.as_mut_ptr(), lanes) };
        wide
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "avx512f")))]
    {
        // The exponent moves to its place, and a product corrects its bias, also for numbers below the smallest normal.
        const BIAS: f32 = f32::from_bits((127 + 112) << 23);
        std::array::from_fn(|lane| {
            let half = u32::from(halves[lane]);
            let size = f32::from_bits((half & 0x7fff) << 13) * BIAS;
            f32::from_bits(size.to_bits() | (half & 0x8000) << 16)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Plan, Values};
    use crate::weights::Weights;
    use crate::{Backend, UncheckedFile};

    const SHAPE: CacheShape = CacheShape { layers: 2, kv_heads: 3, head_width: 24 };
    const HEADS: usize = 6;

    fn noise(seed: u32, count: usize) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn no_weights(backend: &Backend) -> Arc<Weights> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        std::io::Write::write_all(&mut file, &[0; 64]).expect("written");
        let checked = UncheckedFile::new(file.path()).and_then(UncheckedFile::vouch).expect("checked");
        Arc::new(Weights::map(&checked, &[], backend, false).expect("mapped"))
    }

    /// Attention in layer 1 for `rows` rows, on `threads` threads.
    fn plan(rows: usize, kind: CacheType, threads: usize) -> Plan {
        let backend = Arc::new(Backend::cpu(threads).expect("a CPU"));
        let weights = no_weights(&backend);
        Plan::new(&backend, &weights, 8, |arena, _| {
            let queries = arena.input(&[SHAPE.head_width, HEADS, rows])?;
            let keys = arena.input(&[SHAPE.head_width, SHAPE.kv_heads, rows])?;
            let values = arena.input(&[SHAPE.head_width, SHAPE.kv_heads, rows])?;
            let kept = arena.keep(1, [keys, values], SHAPE, kind)?;
            Ok(vec![arena.attend(1, queries, kept, SHAPE, kind)?])
        })
        .expect("a plan")
    }

    /// Values of the rows `range` of a sequence: queries, keys, values.
    fn rows(sequence: u32, range: Range<usize>) -> [Vec<f32>; 3] {
        let of = |what: u32, heads: usize| -> Vec<f32> {
            let row = |at| noise(sequence * 1000 + at as u32 * 3 + what, heads * SHAPE.head_width);
            range.clone().flat_map(row).collect()
        };
        [of(0, HEADS), of(1, SHAPE.kv_heads), of(2, SHAPE.kv_heads)]
    }

    /// One pass: the rows that each sequence goes on with.
    fn pass(cache: &mut Cache, threads: usize, parts: &[(usize, Range<usize>)]) -> Vec<f32> {
        let mut inputs: [Vec<f32>; 3] = Default::default();
        let mut spans = Vec::new();
        let mut next = 0;
        for (sequence, range) in parts {
            for (all, part) in inputs.iter_mut().zip(rows(*sequence as u32, range.clone())) {
                all.extend(part);
            }
            spans.push(Span { sequence: *sequence, rows: next..next + range.len(), position: range.start });
            next += range.len();
        }
        let mut plan = plan(next, cache.kind(), threads);
        let values: Vec<_> = inputs.iter().map(|values| Values::F32(values)).collect();
        plan.compute(&values, Some((cache, &spans)), false).expect("computed");
        let mut found = vec![0.0; plan.output_len(0)];
        plan.read(0, &mut found).expect("read");
        found
    }

    /// The attention of a row by its definition, in double precision.
    fn truth(sequence: u32, row: usize) -> Vec<f64> {
        let width = SHAPE.head_width;
        let [queries, ..] = rows(sequence, row..row + 1);
        let [_, keys, values] = rows(sequence, 0..row + 1);
        let mut result = Vec::new();
        for head in 0..HEADS {
            let query = &queries[head * width..][..width];
            let at = |position: usize| (position * SHAPE.kv_heads + head / (HEADS / SHAPE.kv_heads)) * width;
            let score = |position: usize| -> f64 {
                let key = &keys[at(position)..][..width];
                let product: f64 = query.iter().zip(key).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                (product / (width as f64).sqrt()).exp()
            };
            let weights: Vec<f64> = (0..=row).map(score).collect();
            let sum: f64 = weights.iter().sum();
            for value in 0..width {
                let mixed = (0..=row).map(|position| weights[position] * f64::from(values[at(position) + value]));
                result.push(mixed.sum::<f64>() / sum);
            }
        }
        result
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn attention_is_what_its_definition_says() {
        for (kind, limit) in [(CacheType::F32, 3e-6), (CacheType::F16, 2e-3), (CacheType::Q8_0, 2e-2)] {
            let mut cache = Cache::new(SHAPE, kind).expect("a cache");
            let sequence = cache.open(60).expect("room");
            let mut found = pass(&mut cache, 1, &[(sequence, 0..37)]);
            found.extend(pass(&mut cache, 1, &[(sequence, 37..38)]));
            let mut worst = 0.0f64;
            for (row, found) in found.chunks(HEADS * SHAPE.head_width).enumerate() {
                for (found, truth) in found.iter().zip(truth(sequence as u32, row)) {
                    worst = worst.max((f64::from(*found) - truth).abs());
                }
            }
            assert!(worst < limit, "{kind:?}: {worst:e}");
            assert_eq!((cache.filled(sequence), cache.capacity(sequence)), (38, 60));
        }
    }

    /// The result of a row does not depend on the rows beside it, on the threads, or on what was there before.
    #[test]
    fn a_row_has_the_same_bits_in_any_company() {
        let row = HEADS * SHAPE.head_width;
        for kind in [CacheType::F32, CacheType::F16, CacheType::Q8_0] {
            let mut alone = Cache::new(SHAPE, kind).expect("a cache");
            let [a, b] = [alone.open(70).expect("room"), alone.open(70).expect("room")];
            let one_by_one = |cache: &mut Cache, sequence, count| -> Vec<f32> {
                (0..count).flat_map(|at| pass(cache, 1, &[(sequence, at..at + 1)])).collect()
            };
            let (first, second) = (one_by_one(&mut alone, a, 50), one_by_one(&mut alone, b, 21));
            for threads in [1, 2] {
                let mut cache = Cache::new(SHAPE, kind).expect("a cache");
                let [a, b] = [cache.open(70).expect("room"), cache.open(70).expect("room")];
                // Something else was there, and was forgotten.
                pass(&mut cache, 1, &[(b, 0..60)]);
                cache.truncate(b, 0);
                let mut found: [Vec<f32>; 2] = Default::default();
                for parts in [vec![(a, 0..13)], vec![(b, 0..5), (a, 13..14)], vec![(a, 14..31), (b, 5..21)]] {
                    let mut values = pass(&mut cache, threads, &parts);
                    for (sequence, range) in parts {
                        let rest = values.split_off(range.len() * row);
                        found[usize::from(sequence == b)].extend(values);
                        values = rest;
                    }
                }
                assert_eq!(bits(&found[0]), bits(&first[..31 * row]), "{kind:?}, {threads} threads");
                assert_eq!(bits(&found[1]), bits(&second), "{kind:?}, {threads} threads");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_behind_it_counts() {
        let mut cache = Cache::new(SHAPE, CacheType::F16).expect("a cache");
        let (a, closed) = (cache.open(20).expect("room"), cache.open(20).expect("room"));
        cache.close(closed);
        pass(&mut cache, 1, &[(a, 0..4)]);
        let span = |sequence, rows: Range<usize>, position| Span { sequence, rows, position };
        for (spans, count) in [
            (vec![span(closed, 0..2, 0)], 2),
            (vec![span(9, 0..2, 0)], 2),
            (vec![span(a, 0..1, 4)], 2),
            (vec![span(a, 1..2, 4)], 2),
            (vec![span(a, 0..2, 5)], 2),
            (vec![span(a, 0..17, 4)], 17),
            (vec![span(a, 0..1, 4), span(a, 1..2, 5)], 2),
            (vec![span(a, 0..3, 4)], 2),
            (vec![span(a, 0..0, 4)], 0),
        ] {
            assert!(cache.check(&spans, count).is_err(), "{spans:?}");
        }
        assert_eq!(cache.filled(a), 4);
        let mut plan = plan(1, CacheType::F16, 1);
        let [queries, keys, values] = rows(0, 4..5);
        let inputs = [Values::F32(&queries), Values::F32(&keys), Values::F32(&values)];
        assert!(plan.compute(&inputs, None, false).is_err(), "no cache");
        assert!(plan.read(0, &mut [0.0; HEADS * SHAPE.head_width]).is_err(), "nothing was computed");
        let mut other = Cache::new(CacheShape { layers: 3, ..SHAPE }, CacheType::F16).expect("a cache");
        let its = other.open(8).expect("room");
        assert!(plan.compute(&inputs, Some((&mut other, &[span(its, 0..1, 0)])), false).is_err(), "another cache");
        assert!(plan.compute(&inputs[..2], Some((&mut cache, &[span(a, 0..1, 4)])), false).is_err(), "two inputs");
        let wrong = [inputs[0], inputs[1], Values::Indices(&[0; 72])];
        assert!(plan.compute(&wrong, Some((&mut cache, &[span(a, 0..1, 4)])), false).is_err(), "another type");
        plan.compute(&inputs, Some((&mut cache, &[span(a, 0..1, 4)])), false).expect("computed");
        assert_eq!(cache.filled(a), 5);
        // A position in the middle: what was behind it is forgotten.
        plan.compute(&inputs, Some((&mut cache, &[span(a, 0..1, 2)])), false).expect("computed");
        assert_eq!(cache.filled(a), 3);
        assert!(Cache::new(CacheShape { layers: 0, ..SHAPE }, CacheType::F16).is_err());
        assert!(cache.open(usize::MAX).is_err());
    }

    #[test]
    fn shapes_that_do_not_agree_are_refused() {
        let arena = Arena::new(16).expect("arena");
        let input = |dims: &[usize]| arena.input(dims).expect("input");
        let (keys, more) = (input(&[24, 3, 2]), input(&[24, 3, 5]));
        assert!(arena.keep(0, [keys, more], SHAPE, CacheType::F16).is_err(), "other rows");
        assert!(arena.keep(2, [keys, keys], SHAPE, CacheType::F16).is_err(), "a layer that is not there");
        let kept = arena.keep(0, [keys, keys], SHAPE, CacheType::F16).expect("kept");
        assert!(arena.keep(0, [more, more], SHAPE, CacheType::F16).is_err(), "other rows in one graph");
        for dims in [[24, 4, 2], [22, 6, 2], [24, 6, 5]] {
            assert!(arena.attend(0, input(&dims), kept, SHAPE, CacheType::F16).is_err(), "{dims:?}");
        }
        assert!(arena.attend(0, input(&[24, 6, 2]), keys, SHAPE, CacheType::F16).is_err(), "nothing kept");
        assert!(arena.attend(0, input(&[24, 6, 2]), kept, SHAPE, CacheType::F32).is_err(), "another type");
    }

    #[test]
    fn halves_are_those_of_ggml() {
        let mut values = vec![0.0, -0.0, 1.0, -1.5, 65504.0, 65519.9, 65520.0, 1e9, 6e-8, 5.9e-8, 2.9e-8, 1e-12, -3e-6];
        values.extend(noise(7, 5000));
        values.extend(noise(8, 5000).iter().map(|value| value * 1e-5));
        for value in values {
            let mut half = 0u16;
            // SAFETY: one value from and to.
            unsafe { ggml_sys::ggml_fp32_to_fp16_row(&raw const value, &raw mut half, 1) };
            assert_eq!(to_half(value), half, "{value:e}");
            if f32::is_finite(value) && value.abs() < 65520.0 {
                let mut wide = 0.0f32;
                // SAFETY: as above.
                unsafe { ggml_sys::ggml_fp16_to_fp32_row(&raw const half, &raw mut wide, 1) };
                assert_eq!(from_half(&[half; LANES])[9].to_bits(), wide.to_bits(), "{value:e}");
            }
        }
        assert_eq!(to_half(f32::NAN) & 0x7c00, 0x7c00);
    }
}
