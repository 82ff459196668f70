//! Tensors of one mapped file: read in place, or copied into the layout the CPU multiplies fastest.

use crate::graph::Node;
use crate::{Backend, COMPUTABLE, CheckedFile, Error, Result, quantize};
use ggml_sys as sys;
use memmap2::Mmap;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
use std::fs::File;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

/// Kernels read tensors at this alignment, GGUF's default.
const ALIGNMENT: u64 = sys::constants::GGUF_DEFAULT_ALIGNMENT as u64;

/// Where one tensor lies in the file, and what it is.
#[derive(Debug, Clone)]
pub struct TensorSpec {
    /// Name it is asked for by; not empty.
    pub name: String,
    /// ggml type id, one of [`COMPUTABLE`].
    pub kind: u32,
    /// Extents, fastest first, unused ones 1.
    pub dims: [u64; 4],
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Whether it is only ever the left side of a matrix product, and so may be repacked.
    pub matrix: bool,
}

/// The tensors of one file. Never written after loading, hence shared freely.
pub struct Weights {
    id: u64,
    specs: HashMap<String, TensorSpec>,
    /// Each with whether it lies in another layout than the file's.
    tensors: HashMap<String, (NonNull<sys::ggml_tensor>, bool)>,
    // Freed in this order: buffers before the contexts that describe them, the mapping last.
    buffers: Vec<Buffer>,
    _contexts: Vec<Context>,
    _map: Mmap,
}

// SAFETY: nothing that these pointers point to changes after `map` returns. Building a graph writes names into tensors that
// have none, so `Context::describe` gives every tensor its name.
unsafe impl Send for Weights {}
// SAFETY: as above.
unsafe impl Sync for Weights {}

/// Owns one ggml backend buffer.
pub(crate) struct Buffer(NonNull<sys::ggml_backend_buffer>);

impl Buffer {
    /// Takes over a buffer that ggml has just made; `None` where it could not.
    pub(crate) fn new(raw: sys::ggml_backend_buffer_t) -> Option<Self> {
        NonNull::new(raw).map(Self)
    }

    /// Memory for all tensors of a context, none of which has any yet; of a type that the device listed.
    fn of_weights(context: &Context, buft: sys::ggml_backend_buffer_type_t) -> Result<Self> {
        // SAFETY: the context is live and so is the type; the caller vouches for the rest.
        let raw = unsafe { sys::ggml_backend_alloc_ctx_tensors_from_buft(context.raw(), buft) };
        let buffer = Self::new(raw).ok_or_else(|| Error::new("not enough memory for copies of weights"))?;
        // SAFETY: the buffer is live.
        unsafe { sys::ggml_backend_buffer_set_usage(buffer.0.as_ptr(), sys::GGML_BACKEND_BUFFER_USAGE_WEIGHTS) };
        Ok(buffer)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: owned by this value, freed once, here.
        unsafe { sys::ggml_backend_buffer_free(self.0.as_ptr()) };
    }
}

/// Owns one ggml context that holds tensor descriptions and no data.
pub(crate) struct Context(NonNull<sys::ggml_context>);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: owned by this value, freed once, here.
        unsafe { sys::ggml_free(self.0.as_ptr()) };
    }
}

impl Context {
    /// Room for `tensors` descriptions and `extra` bytes.
    pub(crate) fn new(tensors: usize, extra: usize) -> Result<Self> {
        // SAFETY: returns a constant.
        let overhead = unsafe { sys::ggml_tensor_overhead() };
        let mem_size = tensors
            .checked_mul(overhead)
            .and_then(|size| size.checked_add(extra))
            .ok_or_else(|| Error::new("too many tensors"))?;
        let params =
            sys::ggml_init_params { mem_size: mem_size.max(overhead), mem_buffer: ptr::null_mut(), no_alloc: true };
        // SAFETY: a null buffer asks ggml to allocate `mem_size` bytes itself.
        NonNull::new(unsafe { sys::ggml_init(params) })
            .map(Self)
            .ok_or_else(|| Error::new("ggml could not allocate a context"))
    }

    pub(crate) fn raw(&self) -> *mut sys::ggml_context {
        self.0.as_ptr()
    }

    /// Describes a tensor; the caller has checked type and extents and left room for it.
    fn describe(&self, spec: &TensorSpec) -> Result<NonNull<sys::ggml_tensor>> {
        let name = CString::new(spec.name.as_str()).ok().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Error::new(format!("'{}' is no name for a tensor", spec.name.escape_debug())))?;
        let dims = spec.dims.map(|dim| dim as i64);
        // SAFETY: the context has room (sized by the caller), the type is known, four extents are given.
        let tensor = unsafe { sys::ggml_new_tensor(self.raw(), spec.kind, 4, dims.as_ptr()) };
        let tensor = NonNull::new(tensor)
            .ok_or_else(|| Error::new(format!("{}: ggml could not describe the tensor", spec.name)))?;
        // SAFETY: the tensor was just made; of a longer name it keeps what fits.
        unsafe { sys::ggml_set_name(tensor.as_ptr(), name.as_ptr()) };
        Ok(tensor)
    }
}

/// Bytes a tensor takes, or why it cannot exist.
fn bytes(spec: &TensorSpec) -> Result<u64> {
    let wrong = |why: &str| Error::new(format!("{}: {why}", spec.name));
    if !COMPUTABLE.contains(&spec.kind) {
        return Err(wrong(&format!("ggml type {} is not one this build computes with", spec.kind)));
    }
    // SAFETY: ggml's table has this type.
    let block = unsafe { sys::ggml_blck_size(spec.kind) } as u64;
    // SAFETY: as above.
    let size = unsafe { sys::ggml_type_size(spec.kind) } as u64;
    if block == 0 || size == 0 || spec.dims.contains(&0) || !spec.dims[0].is_multiple_of(block) {
        return Err(wrong("rows do not fill whole blocks of its type"));
    }
    let values = spec.dims.iter().try_fold(1u64, |total, dim| total.checked_mul(*dim)).filter(|total| *total < 1 << 40);
    values.map(|total| total / block * size).ok_or_else(|| wrong("absurd extents"))
}

/// Where a tensor lies in a file of `len` bytes, or why it cannot.
fn place_of(spec: &TensorSpec, len: usize) -> Result<Range<usize>> {
    let end = spec.offset.checked_add(bytes(spec)?).filter(|end| *end <= len as u64);
    match end {
        Some(end) if spec.offset.is_multiple_of(ALIGNMENT) => Ok(spec.offset as usize..end as usize),
        _ => Err(Error::new(format!("{}: lies outside the file or off alignment", spec.name))),
    }
}

impl Weights {
    /// Maps a file and places the given tensors. With `repack`, matrices whose type the CPU multiplies faster in
    /// another layout get a private copy in that layout, and their mapped pages are given back.
    /// Errors: the file cannot be mapped or is not the one that was checked; a tensor does not fit inside it, or nothing
    /// can be computed with its type.
    pub fn map(file: &CheckedFile, specs: &[TensorSpec], backend: &Backend, repack: bool) -> Result<Self> {
        Self::place(file, specs, backend, repack, false)
    }

    /// The same, with all tensors copied into memory: none is read from the file while graphs run.
    pub fn copy(file: &CheckedFile, specs: &[TensorSpec], backend: &Backend, repack: bool) -> Result<Self> {
        Self::place(file, specs, backend, repack, true)
    }

    fn place(
        file: &CheckedFile,
        specs: &[TensorSpec],
        backend: &Backend,
        repack: bool,
        in_memory: bool,
    ) -> Result<Self> {
        let opened = File::open(file.path()).map_err(|error| Error::new(format!("cannot open: {error}")))?;
        let metadata = opened.metadata().map_err(|error| Error::new(format!("cannot open: {error}")))?;
        file.must_be(Some(&metadata))?;
        // SAFETY: the mapping is private and read-only, and a `CheckedFile` states that nobody shortens the file.
        let map = unsafe { Mmap::map(&opened) }.map_err(|error| Error::new(format!("cannot map: {error}")))?;
        for spec in specs {
            place_of(spec, map.len())?;
        }
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut weights = Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            specs: specs.iter().map(|spec| (spec.name.clone(), spec.clone())).collect(),
            tensors: HashMap::new(),
            buffers: Vec::new(),
            _contexts: Vec::new(),
            _map: map,
        };
        let fast = if repack { fast_types(backend) } else { Vec::new() };
        let (copied, mapped): (Vec<_>, Vec<_>) =
            specs.iter().partition(|spec| spec.matrix && fast.iter().any(|buft| accepts(backend, *buft, spec)));
        if in_memory {
            // SAFETY: the backend is live.
            let plain = unsafe { sys::ggml_backend_get_default_buffer_type(backend.raw()) };
            weights.place_in(plain, &mapped, false)?;
        } else {
            weights.place_mapped(backend, &mapped)?;
        }
        weights.place_copies(backend, &copied, &fast)?;
        Ok(weights)
    }

    fn place_mapped(&mut self, backend: &Backend, specs: &[&TensorSpec]) -> Result<()> {
        let context = Context::new(specs.len(), 0)?;
        let base = self._map.as_ptr().cast_mut().cast::<c_void>();
        // SAFETY: the backend is live.
        let device = unsafe { sys::ggml_backend_get_device(backend.raw()) };
        // SAFETY: the mapping outlives the buffer (field order), is page-aligned, and is never written: graphs only
        // read weights.
        let buffer =
            unsafe { sys::ggml_backend_dev_buffer_from_host_ptr(device, base, self._map.len(), self._map.len()) };
        let buffer = Buffer(NonNull::new(buffer).ok_or_else(|| Error::new("this device cannot use a mapped file"))?);
        // SAFETY: the buffer is live.
        unsafe { sys::ggml_backend_buffer_set_usage(buffer.0.as_ptr(), sys::GGML_BACKEND_BUFFER_USAGE_WEIGHTS) };
        for spec in specs {
            let tensor = context.describe(spec)?;
            // SAFETY: `map` checked that the tensor lies inside the mapping.
            let address = unsafe { base.byte_add(spec.offset as usize) };
            // SAFETY: tensor and buffer are live, the address is inside the buffer with room for the whole tensor.
            let status = unsafe { sys::ggml_backend_tensor_alloc(buffer.0.as_ptr(), tensor.as_ptr(), address) };
            if status != sys::GGML_STATUS_SUCCESS {
                return Err(Error::new(format!("{}: ggml could not place the tensor", spec.name)));
            }
            self.tensors.insert(spec.name.clone(), (tensor, false));
        }
        self.buffers.push(buffer);
        self._contexts.push(context);
        Ok(())
    }

    fn place_copies(
        &mut self,
        backend: &Backend,
        specs: &[&TensorSpec],
        fast: &[sys::ggml_backend_buffer_type_t],
    ) -> Result<()> {
        for buft in fast {
            let mine: Vec<_> = specs
                .iter()
                .filter(|spec| !self.tensors.contains_key(&spec.name) && accepts(backend, *buft, spec))
                .copied()
                .collect();
            self.place_in(*buft, &mine, true)?;
        }
        Ok(())
    }

    /// Copies tensors into memory of one kind.
    fn place_in(&mut self, buft: sys::ggml_backend_buffer_type_t, specs: &[&TensorSpec], repacked: bool) -> Result<()> {
        if specs.is_empty() {
            return Ok(());
        }
        let context = Context::new(specs.len(), 0)?;
        let mut tensors = Vec::with_capacity(specs.len());
        for spec in specs {
            tensors.push(context.describe(spec)?);
        }
        let buffer = Buffer::of_weights(&context, buft)?;
        for (spec, tensor) in specs.iter().zip(&tensors) {
            let (start, len) = (spec.offset as usize, bytes(spec)? as usize);
            let source = self._map[start..start + len].as_ptr();
            // SAFETY: the tensor is allocated and takes exactly `len` bytes, all of them inside the mapping.
            unsafe { sys::ggml_backend_tensor_set(tensor.as_ptr(), source.cast(), 0, len) };
            self.give_back(start, len);
            self.tensors.insert(spec.name.clone(), (*tensor, repacked));
        }
        self.buffers.push(buffer);
        self._contexts.push(context);
        Ok(())
    }

    /// The values of a tensor of the file, in its order. Its pages are given back to the system. Errors: a tensor that does
    /// not lie inside the file.
    pub fn read(&self, spec: &TensorSpec) -> Result<Vec<f32>> {
        let place = place_of(spec, self._map.len())?;
        let count = spec.dims.iter().product::<u64>() as usize;
        let values = quantize::dequantize(spec.kind, &self._map[place.clone()], count);
        self.give_back(place.start, place.len());
        values.map_err(|error| Error::new(format!("{}: {error}", spec.name)))
    }

    /// Adds a matrix that the file does not have: `values`, in rows of `dims[0]`, stored as the ggml type `kind`, one of
    /// [`COMPUTABLE`], in private memory. With `repack`, a type that the CPU multiplies faster in another layout gets that
    /// layout. Errors: values that do not fill the extents, or rows of them that do not fill blocks; values that are not
    /// finite; a name that is empty or taken; memory that is not there.
    pub fn add(
        &mut self,
        name: &str,
        kind: u32,
        dims: [usize; 2],
        values: &[f32],
        backend: &Backend,
        repack: bool,
    ) -> Result<()> {
        let wrong = |why: String| Error::new(format!("{name}: {why}"));
        let spec = TensorSpec {
            name: name.into(),
            kind,
            dims: [dims[0] as u64, dims[1] as u64, 1, 1],
            offset: 0,
            matrix: true,
        };
        let len = bytes(&spec)? as usize;
        if dims[0].checked_mul(dims[1]) != Some(values.len()) {
            return Err(wrong(format!("{} values for the extents {dims:?}", values.len())));
        }
        if self.tensors.contains_key(name) {
            return Err(wrong("there is a tensor of this name".into()));
        }
        let data = quantize::quantize_rows(kind, values, dims[0], None).map_err(|error| wrong(error.0))?;
        if data.len() != len {
            return Err(wrong(format!("{} bytes where {len} were planned", data.len())));
        }
        let fast = if repack { fast_types(backend) } else { Vec::new() };
        let fast = fast.into_iter().find(|buft| accepts(backend, *buft, &spec));
        // SAFETY: the backend is live.
        let plain = || unsafe { sys::ggml_backend_get_default_buffer_type(backend.raw()) };
        let context = Context::new(1, 0)?;
        let tensor = context.describe(&spec)?;
        let buffer = Buffer::of_weights(&context, fast.unwrap_or_else(plain))?;
        // SAFETY: the tensor is allocated and takes exactly `len` bytes, which `data` has.
        unsafe { sys::ggml_backend_tensor_set(tensor.as_ptr(), data.as_ptr().cast(), 0, len) };
        self.tensors.insert(name.into(), (tensor, fast.is_some()));
        self.buffers.push(buffer);
        self._contexts.push(context);
        Ok(())
    }

    /// Lets the system drop the pages of a range that will not be read again.
    #[cfg(unix)]
    fn give_back(&self, start: usize, len: usize) {
        // SAFETY: a read-only file mapping: dropped pages come back from the file if they are touched again.
        let _ = unsafe { self._map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, len) };
    }

    #[cfg(not(unix))]
    fn give_back(&self, _start: usize, _len: usize) {}

    /// The tensor of that name, as a node any graph can use while the weights live.
    pub fn get(&self, name: &str) -> Result<Node<'_>> {
        let (tensor, repacked) =
            self.tensors.get(name).ok_or_else(|| Error::new(format!("tensor {name} was not loaded")))?;
        Ok(Node::weight(*tensor, *repacked, self.id))
    }

    /// A number that no other weights of this process have.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The rows `ids` of a matrix as f32, read from the file, in whatever layout its products are computed. Errors: a
    /// tensor that was not loaded, a row that it does not have.
    pub fn rows(&self, name: &str, ids: &[u32]) -> Result<Vec<f32>> {
        let spec = self.specs.get(name).ok_or_else(|| Error::new(format!("tensor {name} was not loaded")))?;
        let [width, count, ..] = spec.dims;
        let row = (bytes(spec)? / spec.dims[1..].iter().product::<u64>()) as usize;
        let mut values = Vec::with_capacity(ids.len() * width as usize);
        for id in ids {
            if u64::from(*id) >= count {
                return Err(Error::new(format!("row {id} of {count} of {name}")));
            }
            let start = spec.offset as usize + *id as usize * row;
            values.extend(quantize::dequantize(spec.kind, &self._map[start..start + row], width as usize)?);
        }
        Ok(values)
    }
}

/// Whether this device would multiply the tensor from a private copy in another layout.
pub fn is_repacked(spec: &TensorSpec, backend: &Backend) -> bool {
    fast_types(backend).iter().any(|buft| accepts(backend, *buft, spec))
}

/// How many rows one product with this weight may have, where every row is to be computed as if it came alone
/// (`llama::Session::append_each`); `usize::MAX` for any number.
///
/// A weight in the layout of its file is multiplied value by value. For one in another layout ggml takes four rows at a
/// time as far as there are four, and single rows otherwise; of those kernels only some add in the same order. The test
/// `quant-tests/tests/it/kernels.rs` holds this table to the kernels of the build it runs on.
pub fn rows_alike(spec: &TensorSpec, backend: &Backend, repack: bool) -> usize {
    let holder = fast_types(backend).into_iter().find(|buft| repack && accepts(backend, *buft, spec));
    let Some(holder) = holder else {
        // SAFETY: returns a constant of the build.
        let in_pairs = unsafe { sys::ggml_cpu_has_matmul_int8() } != 0;
        // There the dot products of these types take two rows at once where the number of rows is even.
        let paired = [sys::GGML_TYPE_Q4_0, sys::GGML_TYPE_Q8_0, sys::GGML_TYPE_Q4_K, sys::GGML_TYPE_Q6_K];
        return if in_pairs && paired.contains(&spec.kind) { 1 } else { usize::MAX };
    };
    // SAFETY: the device listed this type.
    let name = unsafe { sys::ggml_backend_buft_name(holder) };
    // SAFETY: names are NUL-terminated static strings.
    let name = unsafe { CStr::from_ptr(name) };
    let same_order = [sys::GGML_TYPE_Q4_0, sys::GGML_TYPE_IQ4_NL];
    match name == c"CPU_REPACK" {
        true if same_order.contains(&spec.kind) => usize::MAX,
        true => 3,
        false => 1,
    }
}

/// The buffer types a CPU device offers beside its plain one; each holds weights in another layout.
fn fast_types(backend: &Backend) -> Vec<sys::ggml_backend_buffer_type_t> {
    let mut types = Vec::new();
    // SAFETY: the backend is live.
    let device = unsafe { sys::ggml_backend_get_device(backend.raw()) };
    // SAFETY: the device of a live backend is registered.
    let registry = unsafe { sys::ggml_backend_dev_backend_reg(device) };
    // SAFETY: a live registry and a NUL-terminated name.
    let address =
        unsafe { sys::ggml_backend_reg_get_proc_address(registry, c"ggml_backend_dev_get_extra_bufts".as_ptr()) };
    if address.is_null() {
        return types;
    }
    type GetExtra = unsafe extern "C" fn(sys::ggml_backend_dev_t) -> *mut sys::ggml_backend_buffer_type_t;
    // SAFETY: ggml-backend.h gives this name exactly this type (`ggml_backend_dev_get_extra_bufts_t`).
    let get: GetExtra = unsafe { std::mem::transmute(address) };
    // SAFETY: called with a device of the registry it came from.
    let mut entry = unsafe { get(device) };
    while !entry.is_null() {
        // SAFETY: the list ends with null, which ends this loop.
        let buft = unsafe { *entry };
        if buft.is_null() {
            break;
        }
        types.push(buft);
        // SAFETY: this entry was not the last.
        entry = unsafe { entry.add(1) };
    }
    types
}

/// Whether the device can multiply this weight from that buffer type: asked the way the scheduler asks, with a
/// product node whose weight sits in an empty buffer of the type.
fn accepts(backend: &Backend, buft: sys::ggml_backend_buffer_type_t, spec: &TensorSpec) -> bool {
    // Rows of one plane cannot be multiplied by a stack of planes, and nothing repacks those.
    if bytes(spec).is_err() || spec.dims[2..] != [1, 1] {
        return false;
    }
    let Ok(context) = Context::new(3, 0) else { return false };
    let Ok(weight) = context.describe(spec) else { return false };
    // SAFETY: room for three tensors was made; a plain f32 matrix of matching row length.
    let rows = unsafe { sys::ggml_new_tensor_2d(context.raw(), sys::GGML_TYPE_F32, spec.dims[0] as i64, 512) };
    // SAFETY: row lengths agree, both tensors are live.
    let product = unsafe { sys::ggml_mul_mat(context.raw(), weight.as_ptr(), rows) };
    // SAFETY: the type is one the device listed.
    let empty = unsafe { sys::ggml_backend_buft_alloc_buffer(buft, 0) };
    let Some(empty) = NonNull::new(empty).map(Buffer) else { return false };
    // SAFETY: the tensor is live and ours alone.
    unsafe { (*weight.as_ptr()).buffer = empty.0.as_ptr() };
    // SAFETY: the backend is live.
    let device = unsafe { sys::ggml_backend_get_device(backend.raw()) };
    // SAFETY: device and node are live; the check only reads.
    unsafe { sys::ggml_backend_dev_supports_op(device, product) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Arena, Executor};
    use crate::{Threads, UncheckedFile};
    use std::ffi::CStr;

    fn name(node: Node<'_>) -> String {
        // SAFETY: the node is live, and nobody writes to it.
        let field = unsafe { &(*node.raw()).name };
        // SAFETY: names end with a zero inside their field.
        unsafe { CStr::from_ptr(field.as_ptr()) }.to_string_lossy().into_owned()
    }

    /// Building a graph writes "leaf_0" into a tensor without a name: into memory that other threads read.
    #[test]
    fn weights_have_names_and_no_graph_writes_into_them() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        std::io::Write::write_all(&mut file, &[0; 4096]).expect("written");
        let checked = UncheckedFile::new(file.path()).and_then(UncheckedFile::vouch).expect("nobody writes to it");
        let backend = Backend::new(&Threads::new(1).expect("a thread")).expect("a CPU");
        let long = "w".repeat(200);
        let spec = |name: &str| TensorSpec {
            name: name.into(),
            kind: sys::GGML_TYPE_F32,
            dims: [8, 2, 1, 1],
            offset: 0,
            matrix: false,
        };
        for refused in ["", "nul\0inside"] {
            assert!(Weights::map(&checked, &[spec(refused)], &backend, false).is_err(), "{refused:?}");
        }
        let weights = Weights::map(&checked, &[spec("w"), spec(&long)], &backend, false).expect("mapped");
        let both = [weights.get("w").expect("w"), weights.get(&long).expect("long")];
        let before = both.map(name);
        assert_eq!(before, ["w", &long[..sys::constants::GGML_MAX_NAME as usize - 1]]);
        let mut executor = Executor::new(backend).expect("an executor");
        let arena = Arena::new(4).expect("arena");
        let sum = arena.add(both[0], both[1]).expect("sum");
        executor.run(&arena, &[], sum).expect("runs");
        assert_eq!(both.map(name), before);
    }
}
