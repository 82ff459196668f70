//! A decoder model and its sessions, through llama.cpp.

use crate::alone::Alone;
use crate::{CheckedFile, Error, Result, Threads, backend, log};
use ggml_sys as sys;
use std::ffi::{CStr, CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

/// How to load a model.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Keep weights in the mapped file; otherwise they are read into private memory.
    pub mmap: bool,
    /// Copy weights into the layout the CPU multiplies fastest, where one exists for their type.
    pub repack: bool,
}

/// Immutable weights and vocabulary.
pub struct Model {
    raw: NonNull<sys::llama_model>,
}

// SAFETY: llama.cpp never writes a model after loading; contexts only read it (llama.h: a model may serve several).
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: loaded in `load`, freed once, here; sessions hold an `Arc`, so none is left.
        unsafe { sys::llama_model_free(self.raw.as_ptr()) };
    }
}

impl Model {
    /// Loads the weights of a model file of architecture `arch` with `vocabulary` token rows. The vocabulary itself is
    /// passed over: texts are the caller's, and building llama.cpp's own tables for 152 k tokens would take longer
    /// than everything else at start. Errors carry what llama.cpp logged, or state that the file is not the one that was
    /// checked.
    pub fn load(file: &CheckedFile, arch: &str, vocabulary: usize, options: LoadOptions) -> Result<Arc<Self>> {
        backend::start();
        file.must_be(None)?;
        let name = c_path(file.path())?;
        // SAFETY: returns a struct by value.
        let mut params = unsafe { sys::llama_model_default_params() };
        params.load_mode = if options.mmap { sys::LLAMA_LOAD_MODE_MMAP } else { sys::LLAMA_LOAD_MODE_NONE };
        params.use_extra_bufts = options.repack;
        params.n_gpu_layers = 0;
        let rows = i64::try_from(vocabulary).map_err(|_| Error::new("a vocabulary beyond all bounds"))?;
        let overrides = [
            override_text("tokenizer.ggml.model", "none")?,
            override_number(&format!("{arch}.vocab_size"), rows)?,
            override_number("", 0)?, // an empty key ends the list
        ];
        params.kv_overrides = overrides.as_ptr();
        log::take_errors();
        // SAFETY: a NUL-terminated path of a file that somebody has vouched for; the list of overrides is ended, outlives
        // the call and is copied by it.
        let raw = unsafe { sys::llama_model_load_from_file(name.as_ptr(), params) };
        let model = NonNull::new(raw).map(|raw| Self { raw }).ok_or_else(|| Error::new(log::take_errors()))?;
        file.must_be(None)?;
        Ok(Arc::new(model))
    }

    /// Width of an embedding row.
    pub fn width(&self) -> usize {
        // SAFETY: the model is live.
        unsafe { sys::llama_model_n_embd(self.raw.as_ptr()) as usize }
    }

    /// Rows of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        // SAFETY: the model is live.
        let vocab = unsafe { sys::llama_model_get_vocab(self.raw.as_ptr()) };
        // SAFETY: the vocabulary belongs to the live model.
        unsafe { sys::llama_vocab_n_tokens(vocab) as usize }
    }

    /// Positions that one embedding row takes: four for the three-axis rotary kinds, one otherwise.
    fn positions_per_row(&self) -> usize {
        // SAFETY: the model is live.
        let kind = unsafe { sys::llama_model_rope_type(self.raw.as_ptr()) };
        if kind == sys::LLAMA_ROPE_TYPE_MROPE || kind == sys::LLAMA_ROPE_TYPE_IMROPE { 4 } else { 1 }
    }
}

/// llama.cpp's evaluation callback. Asked before an operation whether its result is wanted, it says yes to products with
/// a weight; when such a product is done, it hands the other operand to the [`Watch`] that `watch` points to.
///
/// SAFETY: `tensor` must be a node of the graph being computed, with its operands, and `watch` point to a live [`Watch`].
unsafe extern "C" fn report_products(tensor: *mut sys::ggml_tensor, ask: bool, watch: *mut c_void) -> bool {
    // SAFETY: the caller gives a live node.
    let node = unsafe { &*tensor };
    let (weight, rows) = (node.src[0], node.src[1]);
    if node.op != sys::GGML_OP_MUL_MAT || weight.is_null() || rows.is_null() {
        return !ask;
    }
    // SAFETY: operands of a live node are live.
    let name = unsafe { &(*weight).name };
    // SAFETY: names end with a zero inside their field.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy();
    // SAFETY: as above.
    let kind = unsafe { (*rows).type_ };
    // SAFETY: as above.
    let is_plain = kind == sys::GGML_TYPE_F32 && unsafe { sys::ggml_is_contiguous(rows) };
    let is_wanted = is_plain && name.ends_with(".weight");
    if ask || !is_wanted {
        return is_wanted || !ask;
    }
    // SAFETY: as above.
    let extents = unsafe { (*rows).ne };
    // SAFETY: as above.
    let bytes = unsafe { sys::ggml_nbytes(rows) };
    let mut values = vec![0f32; bytes / size_of::<f32>()];
    // SAFETY: the operand was computed, is contiguous f32 and has exactly this number of bytes.
    unsafe { sys::ggml_backend_tensor_get(rows, values.as_mut_ptr().cast(), 0, bytes) };
    // SAFETY: the session keeps the watch for as long as the context lives.
    let watch = unsafe { &*watch.cast::<Watch>() };
    // A panic must not cross C: it ends here, and this product goes unseen.
    let _ = catch_unwind(AssertUnwindSafe(|| watch(&name, extents[0] as usize, &values)));
    true
}

/// A path as C wants it: its bytes where paths are bytes, UTF-8 elsewhere.
fn c_path(path: &Path) -> Result<CString> {
    #[cfg(unix)]
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec();
    #[cfg(not(unix))]
    let bytes = path.to_str().ok_or_else(|| Error::new("its path is not Unicode"))?.as_bytes().to_vec();
    CString::new(bytes).map_err(|_| Error::new("its path holds a zero byte"))
}

/// A string in the fixed, NUL-terminated field of an override.
fn field(text: &str) -> Result<[c_char; 128]> {
    let mut field = [0; 128];
    if text.len() >= field.len() || text.contains('\0') {
        return Err(Error::new(format!("'{text}' does not fit a metadata override")));
    }
    for (to, from) in field.iter_mut().zip(text.bytes()) {
        *to = from as c_char;
    }
    Ok(field)
}

fn override_text(key: &str, value: &str) -> Result<sys::llama_model_kv_override> {
    let value = sys::llama_model_kv_override__bindgen_ty_1 { val_str: field(value)? };
    Ok(sys::llama_model_kv_override { tag: sys::LLAMA_KV_OVERRIDE_TYPE_STR, key: field(key)?, __bindgen_anon_1: value })
}

fn override_number(key: &str, value: i64) -> Result<sys::llama_model_kv_override> {
    let value = sys::llama_model_kv_override__bindgen_ty_1 { val_i64: value };
    Ok(sys::llama_model_kv_override { tag: sys::LLAMA_KV_OVERRIDE_TYPE_INT, key: field(key)?, __bindgen_anon_1: value })
}

/// Storage of the attention cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheType {
    /// Half precision: the default.
    #[default]
    F16,
    /// Full precision, for comparisons.
    F32,
    /// Eight bits, for small memory.
    Q8_0,
}

/// Sizes and types that a session is opened with.
#[derive(Clone)]
pub struct SessionOptions {
    /// Positions it can hold.
    pub context_length: usize,
    /// Rows computed at once in prefill; bounds the scratch memory.
    pub rows_at_once: usize,
    /// Most rows of one [`Session::append`] whose logits can be asked for; each costs a row of the vocabulary.
    pub outputs_at_once: usize,
    /// Worker threads, shared with whoever else has them.
    pub threads: Arc<Threads>,
    /// Storage of the attention cache.
    pub cache: CacheType,
    /// Most rows of one [`Session::append_each`]: the number that [`crate::weights::rows_alike`] allows for every matrix.
    pub each_at_once: usize,
    /// Who watches the products, if anybody.
    pub watch: Option<Watch>,
}

/// Sees the rows that a weight matrix multiplies: its name, values per row, the rows. Called while a batch is computed,
/// once for every product.
pub type Watch = Arc<dyn Fn(&str, usize, &[f32]) + Send + Sync>;

/// The next input of the decoder, in order.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Token ids, each below the vocabulary.
    Tokens(&'a [u32]),
    /// Whole rows of the model's width.
    Rows(&'a [f32]),
}

/// Positions no context can have: far more than any memory holds, far fewer than 32 bits count.
const MOST_POSITIONS: usize = 1 << 28;

/// One decoding state over a shared model.
pub struct Session {
    raw: NonNull<sys::llama_context>,
    batch: NonNull<sys::llama_batch_ext>,
    model: Arc<Model>,
    position: usize,
    context_length: usize,
    outputs_at_once: usize,
    each_at_once: usize,
    alone: Option<Alone>,
    /// Entries of the last batch, and for how many of its last ones there are logits.
    entries: usize,
    outputs: usize,
    threads: Arc<Threads>,
    /// The target of the context's callback pointer: it stays in its place for as long as the context lives.
    _watch: Option<Arc<Watch>>,
}

// SAFETY: a context has no thread affinity; every step takes `&mut self`, and logits borrow the session.
unsafe impl Send for Session {}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: made in `new`, freed once, here, before its context.
        unsafe { sys::llama_batch_ext_free(self.batch.as_ptr()) };
        // SAFETY: made in `new`, freed once, here, before the model's `Arc` is released.
        unsafe { sys::llama_free(self.raw.as_ptr()) };
    }
}

impl Session {
    /// An empty session. Errors: not enough memory, or options llama.cpp refuses.
    pub fn new(model: &Arc<Model>, options: SessionOptions) -> Result<Self> {
        // llama.cpp counts positions in 32 bits with a sign, and rounds the number up.
        if options.context_length > MOST_POSITIONS {
            return Err(Error::new(format!("a context of {} positions", options.context_length)));
        }
        let length = options.context_length.max(1) as u32;
        let threads = options.threads;
        // SAFETY: returns a struct by value.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = length;
        params.n_batch = length;
        params.n_ubatch = length.min(u32::try_from(options.rows_at_once.max(1)).unwrap_or(u32::MAX));
        params.n_outputs_max =
            u32::try_from(options.outputs_at_once.clamp(1, options.context_length.max(1))).unwrap_or(1);
        params.n_outputs_max_per_seq = params.n_outputs_max;
        params.n_threads = i32::try_from(threads.limit()).unwrap_or(1);
        params.n_threads_batch = params.n_threads;
        let kind = match options.cache {
            CacheType::F16 => sys::GGML_TYPE_F16,
            CacheType::F32 => sys::GGML_TYPE_F32,
            CacheType::Q8_0 => sys::GGML_TYPE_Q8_0,
        };
        (params.type_k, params.type_v) = (kind, kind);
        // The fused attention kernel rounds to half precision inside; full precision needs the plain one.
        if options.cache == CacheType::F32 {
            params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_DISABLED;
        }
        let watch = options.watch.map(Arc::new);
        if let Some(watch) = &watch {
            params.cb_eval = Some(report_products);
            params.cb_eval_user_data = Arc::as_ptr(watch).cast_mut().cast();
        }
        log::take_errors();
        // SAFETY: the model is live and outlives the context (`Arc` below), as does what the callback points to (it is
        // kept with it); all other pointers in the parameters are null.
        let raw = unsafe { sys::llama_init_from_model(model.raw.as_ptr(), params) };
        let raw = NonNull::new(raw).ok_or_else(|| Error::new(format!("no decoder session: {}", log::take_errors())))?;
        if !threads.raw().is_null() {
            // SAFETY: context and pool are live; the pool outlives the context (`threads` below), and is computed with
            // inside `Threads::run` only.
            unsafe { sys::llama_attach_threadpool(raw.as_ptr(), threads.raw(), threads.raw()) };
        }
        // SAFETY: the context is live.
        let batch = unsafe { sys::llama_batch_ext_init(raw.as_ptr()) };
        let Some(batch) = NonNull::new(batch) else {
            // SAFETY: made above, owned by nobody else.
            unsafe { sys::llama_free(raw.as_ptr()) };
            return Err(Error::new("no decoder batch: not enough memory"));
        };
        let outputs_at_once = params.n_outputs_max as usize;
        // SAFETY: the context is live, and the switch is kept with it.
        let alone = unsafe { Alone::of(raw) };
        let each_at_once = if alone.is_some() { options.each_at_once.clamp(1, outputs_at_once) } else { 1 };
        Ok(Self {
            raw,
            batch,
            model: Arc::clone(model),
            position: 0,
            context_length: options.context_length,
            outputs_at_once,
            each_at_once,
            alone,
            entries: 0,
            outputs: 0,
            threads,
            _watch: watch,
        })
    }

    /// Positions filled so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Appends all inputs to the sequence in one pass, and computes the logits that follow each of the last
    /// `outputs` positions. Errors: a token outside the vocabulary, part of a row, more than the context holds, more
    /// outputs than positions or than [`SessionOptions::outputs_at_once`]; the session is then as before.
    pub fn append(&mut self, inputs: &[Input<'_>], outputs: usize) -> Result<()> {
        self.process(inputs, outputs, false)
    }

    /// Appends tokens to the sequence in one pass that computes each of them as if it came alone, and the logits that
    /// follow each: what is computed is the same, bit for bit, however the tokens are divided into such passes. Errors:
    /// as [`Session::append`], and more tokens than [`Session::each_at_once`].
    pub fn append_each(&mut self, ids: &[u32]) -> Result<()> {
        if ids.len() > self.each_at_once {
            return Err(Error::new(format!("{} tokens, where {} can be alike", ids.len(), self.each_at_once)));
        }
        self.process(&[Input::Tokens(ids)], ids.len(), true)
    }

    /// Most tokens of one [`Session::append_each`].
    pub fn each_at_once(&self) -> usize {
        self.each_at_once
    }

    fn process(&mut self, inputs: &[Input<'_>], outputs: usize, each_alone: bool) -> Result<()> {
        let (width, vocabulary) = (self.model.width(), self.model.vocabulary());
        let mut added = 0usize;
        for input in inputs {
            let more = match input {
                Input::Tokens(ids) => match ids.iter().find(|id| **id as usize >= vocabulary) {
                    Some(id) => return Err(Error::new(format!("token {id} of a vocabulary of {vocabulary}"))),
                    None => ids.len(),
                },
                Input::Rows(values) if values.len().is_multiple_of(width) => values.len() / width,
                Input::Rows(values) => return Err(Error::new(format!("{} values for rows of {width}", values.len()))),
            };
            added = added.saturating_add(more);
        }
        if added == 0 {
            return Err(Error::new("nothing to decode"));
        }
        if outputs > added.min(self.outputs_at_once) {
            return Err(Error::new(format!(
                "logits of {outputs} positions, where {added} are added and {} can be had",
                self.outputs_at_once
            )));
        }
        if added > self.context_length - self.position {
            return Err(Error::new(format!(
                "{} and {added} positions in a context of {}",
                self.position, self.context_length
            )));
        }
        // SAFETY: the batch is live and ours alone.
        unsafe { sys::llama_batch_ext_clear(self.batch.as_ptr()) };
        let mut next = self.position;
        for input in inputs {
            match input {
                Input::Tokens(ids) => {
                    for id in *ids {
                        // SAFETY: the batch is live; the id was checked.
                        let index = unsafe { sys::llama_batch_ext_add_token(self.batch.as_ptr(), 0, *id as i32) };
                        self.place(index, &[next as i32])?;
                        next += 1;
                    }
                }
                Input::Rows(values) => {
                    let axes = self.model.positions_per_row();
                    for row in values.chunks_exact(width) {
                        let embedding = sys::llama_embd { data: row.as_ptr(), n_rows: 1, n_embd: width };
                        // SAFETY: the row lives until `llama_process` below has returned.
                        let index = unsafe { sys::llama_batch_ext_add_embd(self.batch.as_ptr(), 0, embedding) };
                        let at = next as i32;
                        self.place(index, &[at, at, at, 0][..axes])?;
                        next += 1;
                    }
                }
            }
        }
        let mut flagged = true;
        for entry in added - outputs..added {
            // SAFETY: the batch is live and holds `added` entries.
            flagged &= unsafe { sys::llama_batch_ext_set_output_logits(self.batch.as_ptr(), entry as i32, true) };
        }
        (self.entries, self.outputs) = (added, 0);
        if let Some(alone) = &self.alone {
            // The attention of a single row would be divided among the threads and depend on how many there are.
            alone.set(each_alone || added == 1);
        }
        log::take_errors();
        let status = self.threads.run(|threads| {
            // SAFETY: the context is live, the count positive.
            unsafe { sys::llama_set_n_threads(self.raw.as_ptr(), threads, threads) };
            // SAFETY: context and batch are live; ids, rows and positions were checked above.
            unsafe { sys::llama_process(self.raw.as_ptr(), sys::LLAMA_PROCESS_TYPE_DECODE, self.batch.as_ptr()) }
        });
        if status != 0 || !flagged {
            let kept = self.position;
            self.truncate(kept);
            return Err(Error::new(format!("llama.cpp could not decode (status {status}): {}", log::take_errors())));
        }
        self.position = next;
        self.outputs = outputs;
        Ok(())
    }

    fn place(&self, index: i32, position: &[i32]) -> Result<()> {
        if index < 0 {
            return Err(Error::new(format!("llama.cpp refused a batch entry (status {index})")));
        }
        // SAFETY: the entry was just added; as many positions are given as the model's entry takes.
        if !unsafe { sys::llama_batch_ext_set_pos(self.batch.as_ptr(), index, position.as_ptr()) } {
            return Err(Error::new("llama.cpp refused a position"));
        }
        Ok(())
    }

    /// Forgets everything from `position` on.
    pub fn truncate(&mut self, position: usize) {
        // SAFETY: the context is live.
        let memory = unsafe { sys::llama_get_memory(self.raw.as_ptr()) };
        // SAFETY: the memory belongs to the live context; removing a tail of the only sequence is always possible.
        unsafe { sys::llama_memory_seq_rm(memory, 0, i32::try_from(position).unwrap_or(i32::MAX), -1) };
        self.position = self.position.min(position);
        self.outputs = 0;
    }

    /// Logits over the vocabulary for what follows the `output`-th of the positions that the last
    /// [`Session::append`] was asked for; none after [`Session::truncate`].
    pub fn logits(&self, output: usize) -> Option<&[f32]> {
        if output >= self.outputs {
            return None;
        }
        let entry = self.entries - self.outputs + output;
        // SAFETY: this entry of the last batch had its logits asked for.
        let logits = NonNull::new(unsafe { sys::llama_get_logits_ith(self.raw.as_ptr(), entry as i32) })?;
        // SAFETY: llama.cpp holds one f32 per vocabulary row there until the next decode, which needs `&mut self`.
        Some(unsafe { std::slice::from_raw_parts(logits.as_ptr(), self.model.vocabulary()) })
    }
}
