//! An arena of graph nodes with every shape checked before ggml sees it, and the executor that computes them.
//!
//! Extents are written fastest first, as ggml does: a node of `[1024, 104]` is 104 rows of 1024 values.

use crate::attention::{CacheShape, Pass};
use crate::custom::Held;
use crate::llama::CacheType;
use crate::plan::Needs;
use crate::weights::Context;
use crate::{Backend, Error, Result};
use ggml_sys as sys;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The kind of a node, which limits where it may be used. Lifetimes keep a node from outliving its home; they do
/// not keep two arenas apart, so nodes carry the number of theirs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A loaded tensor that lies in the mapped file: read-only, usable in every arena. With the number of its weights.
    Weight(u64),
    /// A loaded tensor in another layout: only ever the left side of a product. With the number of its weights.
    Repacked(u64),
    /// A value given when the graph of that arena runs.
    Input(u64),
    /// The result of an operation in that arena.
    Result(u64),
}

/// A value in a graph: a weight, an input or the result of an operation. Cannot outlive what it lives in.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    raw: NonNull<sys::ggml_tensor>,
    role: Kind,
    home: PhantomData<&'a ()>,
}

impl Node<'_> {
    /// A loaded tensor, which never changes while its `Weights` live.
    pub(crate) fn weight(raw: NonNull<sys::ggml_tensor>, repacked: bool, weights: u64) -> Self {
        Self { raw, role: if repacked { Kind::Repacked(weights) } else { Kind::Weight(weights) }, home: PhantomData }
    }

    pub(crate) fn ptr(&self) -> *mut sys::ggml_tensor {
        self.raw.as_ptr()
    }

    pub(crate) fn raw_node(&self) -> NonNull<sys::ggml_tensor> {
        self.raw
    }

    #[cfg(test)]
    pub(crate) fn raw(&self) -> *const sys::ggml_tensor {
        self.raw.as_ptr()
    }

    /// Extents, fastest first.
    pub fn dims(&self) -> [usize; 4] {
        // SAFETY: the node's home outlives it, so the description is live; extents never change.
        let ne = unsafe { (*self.ptr()).ne };
        ne.map(|extent| extent as usize)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.dims().iter().product()
    }

    /// Never: a node has at least one value.
    pub fn is_empty(&self) -> bool {
        false
    }

    pub(crate) fn kind(&self) -> u32 {
        // SAFETY: as in `dims`.
        unsafe { (*self.ptr()).type_ }
    }

    /// Whether its values lie as in a tensor just made. ggml's own test overlooks the strides of extents of 1, and its
    /// kernels then end the process over them.
    pub(crate) fn is_plain(&self) -> bool {
        // SAFETY: as in `dims`.
        let strides = unsafe { (*self.ptr()).nb };
        // SAFETY: the type of a live tensor is one of ggml's.
        let size = unsafe { sys::ggml_type_size(self.kind()) };
        let dims = self.dims();
        let row = dims[0] / self.block() * size;
        strides == [size, row, row * dims[1], row * dims[1] * dims[2]]
    }

    /// Values per block of its type.
    fn block(&self) -> usize {
        // SAFETY: the type of a live tensor is one of ggml's.
        let block = unsafe { sys::ggml_blck_size(self.kind()) };
        usize::try_from(block).unwrap_or(1).max(1)
    }

    pub(crate) fn is_weight(&self) -> bool {
        matches!(self.role, Kind::Weight(_) | Kind::Repacked(_))
    }

    fn is_view(&self) -> bool {
        // SAFETY: as in `dims`.
        !unsafe { (*self.ptr()).view_src }.is_null()
    }
}

/// Places that a graph with this number of nodes needs: operands that are weights count as well, and no operation has more
/// than two of those.
fn graph_size(max_nodes: usize) -> usize {
    2 * max_nodes + 1
}

/// Most values of all nodes of an arena together: kernels count rows in 32 bits, and 4 GiB of f32 are beyond any use.
const MOST_VALUES: usize = if usize::BITS < 64 { 1 << 27 } else { 1 << 30 };

/// Number of values in a shape; `None` where it has none or too many.
fn values_of(dims: &[usize]) -> Option<usize> {
    let values = dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
    values.filter(|values| (1..=MOST_VALUES).contains(values))
}

/// A value that is given when a graph runs.
#[derive(Clone, Copy)]
pub(crate) struct InputNode {
    pub(crate) raw: NonNull<sys::ggml_tensor>,
    pub(crate) len: usize,
    /// What each of its whole numbers must be below; `None` for f32.
    pub(crate) below: Option<usize>,
}

/// Where the nodes of one graph live.
pub struct Arena {
    id: u64,
    context: Context,
    room: Cell<usize>,
    values: Cell<usize>,
    /// In the order they were made.
    inputs: RefCell<Vec<InputNode>>,
    /// The weights that may be operands, by their number; `None` where the borrow checker keeps them alive.
    weights: Option<u64>,
    closed: Cell<bool>,
    max_nodes: usize,
    /// Operations of our own, to which their nodes point: boxed, for they must not move when more are held.
    #[allow(clippy::vec_box, reason = "nodes hold their addresses")]
    held: RefCell<Vec<Box<Held>>>,
    /// What its attention needs, if it has any.
    needs: RefCell<Option<Needs>>,
}

impl Arena {
    /// Room for `max_nodes` nodes; running out is an error, not an abort.
    pub fn new(max_nodes: usize) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if max_nodes == 0 || max_nodes > 1 << 20 {
            return Err(Error::new(format!("an arena for {max_nodes} nodes")));
        }
        // SAFETY: returns a size computed from its argument.
        let graph = unsafe { sys::ggml_graph_overhead_custom(graph_size(max_nodes), false) };
        let context = Context::new(max_nodes, graph)?;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            id,
            context,
            room: Cell::new(max_nodes),
            values: Cell::new(0),
            inputs: RefCell::default(),
            weights: None,
            closed: Cell::new(false),
            max_nodes,
            held: RefCell::default(),
            needs: RefCell::default(),
        })
    }

    /// The same for a graph that keeps these weights, and takes no others.
    pub(crate) fn over(max_nodes: usize, weights: u64) -> Result<Self> {
        Ok(Self { weights: Some(weights), ..Self::new(max_nodes)? })
    }

    /// Notes that the graph has attention over such a cache, for so many rows. Errors: an earlier note says otherwise.
    pub(crate) fn needs_cache(&self, shape: CacheShape, kind: CacheType, rows: usize) -> Result<Arc<Pass>> {
        let mut needs = self.needs.borrow_mut();
        let needs = needs.get_or_insert_with(|| Needs { shape, kind, rows, pass: Arc::default() });
        if (needs.shape, needs.kind, needs.rows) != (shape, kind, rows) {
            return Err(Error::new(format!("attention of {rows} rows over {shape:?} in one graph with others")));
        }
        Ok(Arc::clone(&needs.pass))
    }

    /// What its attention needs, if it has any.
    pub(crate) fn needs(&self) -> Option<Needs> {
        self.needs.borrow().clone()
    }

    /// Keeps an operation for as long as the arena.
    pub(crate) fn hold(&self, held: Box<Held>) {
        self.held.borrow_mut().push(held);
    }

    /// Weights of a graph that outlives its builder must be those that it keeps.
    fn check_owner(&self, what: &str, owner: u64) -> Result<()> {
        if self.weights.is_some_and(|kept| kept != owner) {
            return Err(Error::new(format!("a {what} of weights that this graph does not keep")));
        }
        Ok(())
    }

    /// Ends building: the graph of these outputs.
    pub(crate) fn graph(&self, outputs: &[Node<'_>]) -> Result<*mut sys::ggml_cgraph> {
        if outputs.is_empty() {
            return Err(Error::new("a graph without output"));
        }
        for output in outputs {
            if output.role != Kind::Result(self.id) {
                return Err(Error::new("an output that this arena did not compute"));
            }
            if output.kind() != sys::GGML_TYPE_F32 || !output.is_plain() {
                return Err(Error::new("an output that is not contiguous f32"));
            }
            // ggml marks what a view looks at as an output as well, and that may be a weight that others read.
            if output.is_view() {
                return Err(Error::new("an output that is a view of another node, not a copy"));
            }
        }
        self.close()?;
        // SAFETY: the arena was sized with the overhead of one such graph, and this is the first.
        let graph = unsafe { sys::ggml_new_graph_custom(self.context.raw(), graph_size(self.max_nodes), false) };
        for output in outputs {
            // SAFETY: the node is live.
            unsafe { sys::ggml_set_output(output.ptr()) };
            // SAFETY: graph and node are live; the graph has room for every node the arena can hold and their operands.
            unsafe { sys::ggml_build_forward_expand(graph, output.ptr()) };
        }
        Ok(graph)
    }

    /// Whether all operations of our own did their work.
    pub(crate) fn check_operations(&self) -> Result<()> {
        let failed = self.held.borrow().iter().filter(|held| held.take_failure()).count();
        if failed > 0 { Err(Error::new("an operation of our own failed")) } else { Ok(()) }
    }

    /// Whether a node may be an operand here: a plain weight, or a node of this very arena.
    pub(crate) fn check(&self, what: &str, node: Node<'_>) -> Result<()> {
        match node.role {
            Kind::Weight(owner) => self.check_owner(what, owner),
            Kind::Input(home) | Kind::Result(home) if home == self.id => Ok(()),
            Kind::Repacked(_) => {
                Err(Error::new(format!("a {what} of a repacked weight, which only products can read")))
            }
            Kind::Input(_) | Kind::Result(_) => Err(Error::new(format!("a {what} of a node of another arena"))),
        }
    }

    /// Room for one more node of this shape.
    pub(crate) fn take(&self, dims: &[usize]) -> Result<*mut sys::ggml_context> {
        let values = values_of(dims).and_then(|values| values.checked_add(self.values.get()));
        let Some(values) = values.filter(|values| *values <= MOST_VALUES) else {
            return Err(Error::new(format!("a graph of more than {MOST_VALUES} values, with a node of {dims:?}")));
        };
        let context = self.take_view()?;
        self.values.set(values);
        Ok(context)
    }

    /// Room for one more node without values of its own.
    fn take_view(&self) -> Result<*mut sys::ggml_context> {
        let left = self
            .room
            .get()
            .checked_sub(1)
            .ok_or_else(|| Error::new(format!("a graph of more than {} nodes", self.max_nodes)))?;
        self.room.set(left);
        Ok(self.context.raw())
    }

    /// Ends building: an arena has room for one graph, and a second would end the process.
    fn close(&self) -> Result<()> {
        self.room.set(0);
        if self.closed.replace(true) {
            return Err(Error::new("a second run of one arena"));
        }
        Ok(())
    }

    pub(crate) fn wrap(&self, raw: *mut sys::ggml_tensor) -> Result<Node<'_>> {
        let raw = NonNull::new(raw).ok_or_else(|| Error::new("ggml returned no node"))?;
        Ok(Node { raw, role: Kind::Result(self.id), home: PhantomData })
    }

    /// A value given when the graph runs: f32, up to four extents.
    pub fn input(&self, dims: &[usize]) -> Result<Node<'_>> {
        if dims.is_empty() || dims.len() > sys::constants::GGML_MAX_DIMS as usize || values_of(dims).is_none() {
            return Err(Error::new(format!("an input of shape {dims:?}")));
        }
        let extents: Vec<i64> = dims.iter().map(|dim| *dim as i64).collect();
        let context = self.take(dims)?;
        // SAFETY: room was taken; one to four positive extents.
        let raw = unsafe { sys::ggml_new_tensor(context, sys::GGML_TYPE_F32, extents.len() as i32, extents.as_ptr()) };
        let node = self.wrap(raw)?;
        // SAFETY: the node was just made.
        unsafe { sys::ggml_set_input(node.ptr()) };
        self.inputs.borrow_mut().push(InputNode { raw: node.raw, len: node.len(), below: None });
        Ok(Node { role: Kind::Input(self.id), ..node })
    }

    /// Whole numbers given when the graph runs, each below `below`: positions, or indices of rows.
    pub fn indices(&self, count: usize, below: usize) -> Result<Node<'_>> {
        if values_of(&[count]).is_none() || below == 0 || i32::try_from(below).is_err() {
            return Err(Error::new(format!("{count} indices below {below}")));
        }
        let context = self.take(&[count])?;
        // SAFETY: room was taken; one positive extent.
        let raw = unsafe { sys::ggml_new_tensor_1d(context, sys::GGML_TYPE_I32, count as i64) };
        let node = self.wrap(raw)?;
        // SAFETY: the node was just made.
        unsafe { sys::ggml_set_input(node.ptr()) };
        self.inputs.borrow_mut().push(InputNode { raw: node.raw, len: count, below: Some(below) });
        Ok(Node { role: Kind::Input(self.id), ..node })
    }

    /// The bound of indices made here.
    pub(crate) fn bound(&self, indices: Node<'_>) -> Option<usize> {
        self.inputs.borrow().iter().find(|input| input.raw == indices.raw).and_then(|input| input.below)
    }

    /// The inputs, in the order they were made.
    pub(crate) fn inputs(&self) -> Vec<InputNode> {
        self.inputs.borrow().clone()
    }

    /// `rows x weight`: `[k, n]` by `[k, m, b, c]` gives `[n, m, b, c]`; the weight may repeat over `b` and `c`. For a
    /// repacked weight `c` is 1.
    pub fn mul_mat<'a>(&'a self, weight: Node<'a>, rows: Node<'a>) -> Result<Node<'a>> {
        match weight.role {
            Kind::Repacked(owner) => self.check_owner("product", owner)?,
            _ => self.check("product", weight)?,
        }
        self.check("product", rows)?;
        let (w, r) = (weight.dims(), rows.dims());
        let fits = w[0] == r[0] && r[2].is_multiple_of(w[2]) && r[3].is_multiple_of(w[3]);
        let fits = fits && (!matches!(weight.role, Kind::Repacked(_)) || r[3] == 1);
        if !fits || rows.kind() != sys::GGML_TYPE_F32 || !weight.is_plain() || !rows.is_plain() {
            return Err(Error::new(format!("a product of {w:?} by {r:?}")));
        }
        let context = self.take(&[w[1], r[1], r[2], r[3]])?;
        // SAFETY: room was taken; shapes agree as ggml_can_mul_mat demands; the right side is f32.
        self.wrap(unsafe { sys::ggml_mul_mat(context, weight.ptr(), rows.ptr()) })
    }

    /// The sum over `n` of all products of a value of `a[n]` and one of `b[n]`: `[p, n]` and `[q, n]` give `[p, q]`. Both are
    /// contiguous f32 of two extents.
    pub fn out_prod<'a>(&'a self, a: Node<'a>, b: Node<'a>) -> Result<Node<'a>> {
        self.need_f32("outer product", a)?;
        self.need_f32("outer product", b)?;
        let (x, y) = (a.dims(), b.dims());
        if x[1] != y[1] || x[2..] != [1, 1] || y[2..] != [1, 1] {
            return Err(Error::new(format!("an outer product of {x:?} and {y:?}")));
        }
        let context = self.take(&[x[0], y[0]])?;
        // SAFETY: room was taken; as many rows on both sides; both are contiguous f32, as ggml's kernel demands.
        self.wrap(unsafe { sys::ggml_out_prod(context, a.ptr(), b.ptr()) })
    }

    /// `a + b`, with `b` repeated to the shape of `a`.
    pub fn add<'a>(&'a self, a: Node<'a>, b: Node<'a>) -> Result<Node<'a>> {
        let context = self.repeats("sum", a, b)?;
        // SAFETY: room was taken; `b` repeats into `a`; both are f32.
        self.wrap(unsafe { sys::ggml_add(context, a.ptr(), b.ptr()) })
    }

    /// `a * b` value by value, with `b` repeated to the shape of `a`.
    pub fn mul<'a>(&'a self, a: Node<'a>, b: Node<'a>) -> Result<Node<'a>> {
        let context = self.repeats("product", a, b)?;
        // SAFETY: room was taken; `b` repeats into `a`; both are f32.
        self.wrap(unsafe { sys::ggml_mul(context, a.ptr(), b.ptr()) })
    }

    fn repeats(&self, what: &str, a: Node<'_>, b: Node<'_>) -> Result<*mut sys::ggml_context> {
        self.check(what, a)?;
        self.check(what, b)?;
        let (x, y) = (a.dims(), b.dims());
        let fits = a.is_plain() && b.is_plain() && x.iter().zip(&y).all(|(x, y)| x.is_multiple_of(*y));
        if !fits || a.kind() != sys::GGML_TYPE_F32 || b.kind() != sys::GGML_TYPE_F32 {
            return Err(Error::new(format!("a {what} of {x:?} and {y:?}")));
        }
        self.take(&x)
    }

    /// Layer normalisation of each row, without weight and bias; `epsilon` is not negative.
    pub fn norm<'a>(&'a self, a: Node<'a>, epsilon: f32) -> Result<Node<'a>> {
        self.need_f32("normalisation", a)?;
        if epsilon.is_nan() || epsilon < 0.0 {
            return Err(Error::new(format!("a normalisation with an epsilon of {epsilon}")));
        }
        let context = self.take(&a.dims())?;
        // SAFETY: room was taken; the node is f32 with contiguous rows.
        self.wrap(unsafe { sys::ggml_norm(context, a.ptr(), epsilon) })
    }

    /// Softmax of each row after multiplying by `scale`.
    pub fn soft_max<'a>(&'a self, a: Node<'a>, scale: f32) -> Result<Node<'a>> {
        self.need_f32("softmax", a)?;
        let context = self.take(&a.dims())?;
        // SAFETY: room was taken; contiguous f32; no mask.
        self.wrap(unsafe { sys::ggml_soft_max_ext(context, a.ptr(), std::ptr::null_mut(), scale, 0.0) })
    }

    /// The same values in another shape.
    pub fn reshape<'a>(&'a self, a: Node<'a>, dims: [usize; 4]) -> Result<Node<'a>> {
        self.check("reshape", a)?;
        let values = dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
        if values != Some(a.len()) || !a.is_plain() || !dims[0].is_multiple_of(a.block()) {
            return Err(Error::new(format!("{:?} in the shape {dims:?}", a.dims())));
        }
        let context = self.take_view()?;
        let [x, y, z, w] = dims.map(|dim| dim as i64);
        // SAFETY: room was taken; contiguous, the number of values is the same, and rows are whole blocks.
        self.wrap(unsafe { sys::ggml_reshape_4d(context, a.ptr(), x, y, z, w) })
    }

    /// A view in which extent `i` of `a` becomes extent `axes[i]`.
    pub fn permute<'a>(&'a self, a: Node<'a>, axes: [usize; 4]) -> Result<Node<'a>> {
        self.check("permutation", a)?;
        if a.kind() != sys::GGML_TYPE_F32 {
            return Err(Error::new("a permutation of values that are not f32"));
        }
        let mut seen = [false; 4];
        for axis in axes {
            match seen.get_mut(axis) {
                Some(place) if !*place => *place = true,
                _ => return Err(Error::new(format!("a permutation by {axes:?}"))),
            }
        }
        let context = self.take_view()?;
        let [x, y, z, w] = axes.map(|axis| axis as i32);
        // SAFETY: room was taken; the axes are a permutation of 0..4.
        self.wrap(unsafe { sys::ggml_permute(context, a.ptr(), x, y, z, w) })
    }

    /// A contiguous copy, for what follows a permutation.
    pub fn contiguous<'a>(&'a self, a: Node<'a>) -> Result<Node<'a>> {
        self.check("copy", a)?;
        if a.kind() != sys::GGML_TYPE_F32 {
            return Err(Error::new("a copy of values that are not f32"));
        }
        let context = self.take(&a.dims())?;
        // SAFETY: room was taken; any f32 view can be copied.
        self.wrap(unsafe { sys::ggml_cont(context, a.ptr()) })
    }

    pub(crate) fn need_f32(&self, what: &str, a: Node<'_>) -> Result<()> {
        self.check(what, a)?;
        if a.kind() == sys::GGML_TYPE_F32 && a.is_plain() {
            return Ok(());
        }
        Err(Error::new(format!("a {what} of values that are not contiguous f32")))
    }
}

/// Computes graphs on one device and keeps the scratch memory between runs.
pub struct Executor {
    // Freed before the backend it allocates from.
    allocator: Allocator,
    backend: Backend,
}

/// Owns one of ggml's graph allocators.
pub(crate) struct Allocator(NonNull<sys::ggml_gallocr>);

// SAFETY: owned memory without thread affinity; every use takes `&mut` of its owner.
unsafe impl Send for Allocator {}

impl Drop for Allocator {
    fn drop(&mut self) {
        // SAFETY: created in `new`, freed once, here.
        unsafe { sys::ggml_gallocr_free(self.0.as_ptr()) };
    }
}

impl Allocator {
    /// Gives the nodes of a graph their memory, which lasts until the next call.
    pub(crate) fn allocate(&self, graph: *mut sys::ggml_cgraph) -> Result<()> {
        // SAFETY: allocator and graph are live.
        let is_done = unsafe { sys::ggml_gallocr_alloc_graph(self.0.as_ptr(), graph) };
        if is_done { Ok(()) } else { Err(Error::new("not enough memory for the graph")) }
    }

    pub(crate) fn new(backend: &Backend) -> Result<Self> {
        // SAFETY: the backend is live.
        let buft = unsafe { sys::ggml_backend_get_default_buffer_type(backend.raw()) };
        // SAFETY: a live buffer type.
        NonNull::new(unsafe { sys::ggml_gallocr_new(buft) })
            .map(Self)
            .ok_or_else(|| Error::new("ggml could not make an allocator"))
    }
}

impl Executor {
    /// An executor with no memory yet; it grows to the largest graph it runs.
    pub fn new(backend: Backend) -> Result<Self> {
        Ok(Self { allocator: Allocator::new(&backend)?, backend })
    }

    /// Computes `output` from `inputs`: every input of the arena once, each with as many values as its node. Errors: an
    /// input that is missing or of another length, an output that is a view (copy it with [`Arena::contiguous`]), memory
    /// that is not there.
    pub fn run(&mut self, arena: &Arena, inputs: &[(Node<'_>, &[f32])], output: Node<'_>) -> Result<Vec<f32>> {
        let outputs = self.run_all(arena, inputs, &[output])?;
        outputs.into_iter().next().ok_or_else(|| Error::new("a graph without output"))
    }

    /// Computes several outputs in one go. Errors as [`Self::run`].
    pub fn run_all(
        &mut self,
        arena: &Arena,
        inputs: &[(Node<'_>, &[f32])],
        outputs: &[Node<'_>],
    ) -> Result<Vec<Vec<f32>>> {
        for (index, (node, values)) in inputs.iter().enumerate() {
            if node.role != Kind::Input(arena.id) {
                return Err(Error::new("values for a node that is no input of this graph"));
            }
            if node.len() != values.len() {
                return Err(Error::new(format!("{} values for an input of {:?}", values.len(), node.dims())));
            }
            if inputs[..index].iter().any(|(other, _)| other.raw == node.raw) {
                return Err(Error::new("values for one input twice"));
            }
        }
        let expected = arena.inputs.borrow();
        if inputs.len() != expected.len() || expected.iter().any(|input| input.below.is_some()) {
            return Err(Error::new(format!("values for {} of {} inputs", inputs.len(), expected.len())));
        }
        drop(expected);
        let graph = arena.graph(outputs)?;
        if let Err(error) = self.allocator.allocate(graph) {
            // The allocator took note of the plan and has no memory for it: the next such graph would not ask again.
            self.allocator = Allocator::new(&self.backend)?;
            return Err(error);
        }
        for (node, values) in inputs {
            // SAFETY: the node is live.
            if unsafe { (*node.ptr()).buffer }.is_null() {
                return Err(Error::new("an input the output does not depend on"));
            }
            // SAFETY: the node is allocated and takes exactly the bytes of `values`.
            unsafe { sys::ggml_backend_tensor_set(node.ptr(), values.as_ptr().cast(), 0, size_of_val(*values)) };
        }
        // Every leaf is allocated or a loaded weight.
        let status = self.backend.compute(graph);
        if status != sys::GGML_STATUS_SUCCESS {
            return Err(Error::new(format!("ggml could not compute the graph (status {status})")));
        }
        arena.check_operations()?;
        let read = |output: &Node<'_>| {
            let mut values = vec![0f32; output.len()];
            // SAFETY: the output is allocated and holds exactly that many f32 values.
            unsafe {
                sys::ggml_backend_tensor_get(
                    output.ptr(),
                    values.as_mut_ptr().cast(),
                    0,
                    size_of_val(values.as_slice()),
                )
            };
            values
        };
        Ok(outputs.iter().map(read).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executor() -> Executor {
        Executor::new(Backend::cpu(1).expect("a CPU")).expect("an allocator")
    }

    #[test]
    fn a_product_is_what_it_says() {
        let arena = Arena::new(8).expect("arena");
        let (a, b) = (arena.input(&[2, 3]).expect("a"), arena.input(&[2, 2]).expect("b"));
        let product = arena.mul_mat(a, b).expect("shapes agree");
        assert_eq!(product.dims(), [3, 2, 1, 1]);
        let values =
            executor().run(&arena, &[(a, &[1., 2., 3., 4., 5., 6.]), (b, &[1., 0., 0., 1.])], product).expect("runs");
        assert_eq!(values, [1., 3., 5., 2., 4., 6.]);
    }

    #[test]
    fn an_outer_product_is_what_it_says() {
        for (p, q, n) in [(2, 3, 1), (33, 17, 10), (1, 1, 40), (64, 2, 33)] {
            let a: Vec<f32> = (0..p * n).map(|at| (at % 7) as f32 - 3.0).collect();
            let b: Vec<f32> = (0..q * n).map(|at| (at % 5) as f32 - 2.0).collect();
            let arena = Arena::new(4).expect("arena");
            let (x, y) = (arena.input(&[p, n]).expect("a"), arena.input(&[q, n]).expect("b"));
            let product = arena.out_prod(x, y).expect("shapes agree");
            assert_eq!(product.dims(), [p, q, 1, 1]);
            let mut executor = Executor::new(Backend::cpu(2).expect("a CPU")).expect("an allocator");
            let found = executor.run(&arena, &[(x, &a), (y, &b)], product).expect("runs");
            for (at, found) in found.iter().enumerate() {
                let (row, column) = (at / p, at % p);
                let expected: f32 = (0..n).map(|at| a[at * p + column] * b[at * q + row]).sum();
                assert_eq!(*found, expected, "{p} {q} {n}, {at}");
            }
        }
    }

    /// Intermediate results that are read later must not be overwritten.
    #[test]
    fn several_outputs_are_all_there_at_the_end() {
        let arena = Arena::new(8).expect("arena");
        let a = arena.input(&[2]).expect("a");
        let double = arena.add(a, a).expect("2a");
        let mut x = double;
        for _ in 0..4 {
            x = arena.add(x, a).expect("one more");
        }
        let values = executor().run_all(&arena, &[(a, &[1., 2.])], &[double, x]).expect("runs");
        assert_eq!(values, [[2., 4.], [6., 12.]]);
        let other = Arena::new(2).expect("arena");
        let b = other.input(&[2]).expect("b");
        let sum = other.add(b, b).expect("sum");
        assert!(executor().run_all(&other, &[(b, &[1., 2.])], &[sum, x]).is_err(), "an output of another arena");
    }

    #[test]
    fn wrong_shapes_are_errors_not_aborts() {
        let arena = Arena::new(8).expect("arena");
        let (a, b) = (arena.input(&[2, 3]).expect("a"), arena.input(&[3, 2]).expect("b"));
        assert!(arena.mul_mat(a, b).is_err());
        assert!(arena.add(a, b).is_err());
        assert!(arena.reshape(a, [5, 1, 1, 1]).is_err());
        assert!(arena.permute(a, [0, 0, 1, 2]).is_err());
        let turned = arena.permute(a, [1, 0, 2, 3]).expect("a view");
        assert!(arena.gelu_erf(turned).is_err(), "a view that is not contiguous");
        assert!(arena.mul_mat(turned, b).is_err(), "a product with a transposed left side");
        assert!(arena.input(&[0]).is_err());
        assert!(arena.input(&[1 << 32, 1 << 32]).is_err(), "extents whose product overflows");
        assert!(arena.reshape(a, [1 << 32, 1 << 32, 1, 6]).is_err());
        assert!(Arena::new(0).is_err());
    }

    #[test]
    fn arenas_are_kept_apart_and_only_inputs_take_values() {
        let (one, other) = (Arena::new(8).expect("arena"), Arena::new(8).expect("arena"));
        let (a, b) = (one.input(&[2]).expect("a"), other.input(&[2]).expect("b"));
        assert!(one.add(a, b).is_err(), "operands of two arenas");
        let sum = one.add(a, a).expect("sum");
        let mut executor = executor();
        assert!(executor.run(&one, &[(b, &[1., 2.])], sum).is_err(), "an input of another arena");
        assert!(executor.run(&one, &[(sum, &[1., 2.])], sum).is_err(), "values for a result");
        assert!(executor.run(&other, &[(b, &[1., 2.])], sum).is_err(), "an output of another arena");
        assert_eq!(executor.run(&one, &[(a, &[1., 2.])], sum).expect("runs"), [2., 4.]);
    }

    /// Weights are leaves too: a graph must have places for two beside every node.
    #[test]
    fn a_sum_of_two_weights_fits_the_smallest_arena_and_weights_take_no_values() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let values: Vec<u8> = (0..16u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
        std::io::Write::write_all(&mut file, &values).expect("written");
        let spec = |name: &str, offset| crate::weights::TensorSpec {
            name: name.into(),
            kind: sys::GGML_TYPE_F32,
            dims: [8, 1, 1, 1],
            offset,
            matrix: false,
        };
        let backend = Backend::cpu(1).expect("a CPU");
        let checked = crate::UncheckedFile::new(file.path()).and_then(crate::UncheckedFile::vouch).expect("checked");
        let weights =
            crate::weights::Weights::map(&checked, &[spec("a", 0), spec("b", 32)], &backend, false).expect("mapped");
        let (a, b) = (weights.get("a").expect("a"), weights.get("b").expect("b"));
        let arena = Arena::new(1).expect("arena");
        let sum = arena.add(a, b).expect("sum");
        let mut executor = executor();
        assert!(executor.run(&arena, &[(a, &[0.0; 8])], sum).is_err(), "values written over a weight");
        assert_eq!(executor.run(&arena, &[], sum).expect("runs")[..3], [8., 10., 12.]);
    }

    #[test]
    fn a_full_arena_and_a_second_run_are_errors() {
        let arena = Arena::new(2).expect("arena");
        let a = arena.input(&[2]).expect("first");
        let sum = arena.add(a, a).expect("second");
        assert!(arena.gelu_erf(sum).is_err());
        let mut executor = executor();
        assert_eq!(executor.run(&arena, &[(a, &[1., 2.])], sum).expect("runs"), [2., 4.]);
        assert!(executor.run(&arena, &[(a, &[1., 2.])], sum).is_err());
        assert!(executor.run(&arena, &[(a, &[1.])], sum).is_err());
    }
}
