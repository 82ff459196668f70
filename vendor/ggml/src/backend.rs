//! The compute device, its threads, and what the native part says about itself.

use crate::{Error, Result, Threads, log};
use ggml_sys as sys;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, Once, PoisonError};

static STARTED: Once = Once::new();

/// Starts the native part once: log hook first, so that nothing it says is printed.
pub(crate) fn start() {
    STARTED.call_once(|| {
        log::install();
        // SAFETY: called once, before any other function of the library.
        unsafe { sys::llama_backend_init() };
    });
}

/// ggml's own version, such as "0.26.0".
pub fn version() -> String {
    // SAFETY: returns a pointer to a static string.
    let text = unsafe { sys::ggml_version() };
    // SAFETY: that string is NUL-terminated and never freed.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Name and version of the package that ggml and llama.cpp come from.
pub fn pin() -> &'static str {
    sys::PIN
}

/// One entry of the list that a backend's registry returns; layout of `ggml_backend_feature` in `ggml-backend.h`.
#[repr(C)]
struct Feature {
    name: *const c_char,
    value: *const c_char,
}

/// The CPU features this build uses, as ggml names them ("AVX2", "AVX512_VNNI", "NEON", ...).
pub fn cpu_features() -> Vec<String> {
    start();
    let mut names = Vec::new();
    // SAFETY: the registry is filled by `start`; the CPU device always exists in a static build, null is handled.
    let device = unsafe { sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU) };
    if device.is_null() {
        return names;
    }
    // SAFETY: `device` is a registered device.
    let registry = unsafe { sys::ggml_backend_dev_backend_reg(device) };
    // SAFETY: `registry` belongs to that device; the name is NUL-terminated.
    let address = unsafe { sys::ggml_backend_reg_get_proc_address(registry, c"ggml_backend_get_features".as_ptr()) };
    if address.is_null() {
        return names;
    }
    type GetFeatures = unsafe extern "C" fn(sys::ggml_backend_reg_t) -> *const Feature;
    // SAFETY: ggml-backend.h gives this name exactly this type (`ggml_backend_get_features_t`).
    let get: GetFeatures = unsafe { std::mem::transmute(address) };
    // SAFETY: called with the registry it came from.
    let mut entry = unsafe { get(registry) };
    loop {
        // SAFETY: the list is static and ends with an entry whose name is null; we stop there.
        let feature = unsafe { &*entry };
        if feature.name.is_null() {
            return names;
        }
        // SAFETY: names in the list are NUL-terminated static strings; null was excluded.
        names.push(unsafe { CStr::from_ptr(feature.name) }.to_string_lossy().into_owned());
        // SAFETY: this entry was not the last, so the next one exists.
        entry = unsafe { entry.add(1) };
    }
}

/// Owns one of ggml's CPU backends.
pub(crate) struct Raw(NonNull<sys::ggml_backend>);

// SAFETY: a backend has no thread affinity, and nothing else holds it; whoever shares one serialises its use.
unsafe impl Send for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: created in `cpu`, freed once, here.
        unsafe { sys::ggml_backend_free(self.0.as_ptr()) };
    }
}

/// `ggml_backend_cpu_set_use_ref`.
type SetReference = unsafe extern "C" fn(sys::ggml_backend_t, bool);

impl Raw {
    fn reference_switch(&self) -> Option<SetReference> {
        // SAFETY: the backend is live.
        let device = unsafe { sys::ggml_backend_get_device(self.raw()) };
        // SAFETY: the device of a live backend is registered.
        let registry = unsafe { sys::ggml_backend_dev_backend_reg(device) };
        // SAFETY: a live registry and a NUL-terminated name.
        let address =
            unsafe { sys::ggml_backend_reg_get_proc_address(registry, c"ggml_backend_cpu_set_use_ref".as_ptr()) };
        // SAFETY: ggml-cpu.h gives this name exactly this type.
        (!address.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, SetReference>(address) })
    }

    pub(crate) fn cpu() -> Result<Self> {
        start();
        // SAFETY: the registry is filled; parameters may be null.
        let raw = unsafe { sys::ggml_backend_init_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU, ptr::null()) };
        NonNull::new(raw).map(Self).ok_or_else(|| Error::new("ggml has no CPU backend"))
    }

    /// Lets it compute with a pool of threads, or with none where it is null. Called once: a change would put the
    /// workers of the first pool to sleep, and somebody else may be computing with them.
    pub(crate) fn attach(&self, pool: sys::ggml_threadpool_t) {
        // SAFETY: a live CPU backend; the pool is live or null.
        unsafe { sys::ggml_backend_cpu_set_threadpool(self.0.as_ptr(), pool) };
    }

    /// Computes a graph with this number of the pool's threads. Only for [`Threads::run`], and for graphs whose every leaf
    /// has data.
    pub(crate) fn compute(&self, graph: *mut sys::ggml_cgraph, threads: i32) -> sys::ggml_status {
        // SAFETY: a live CPU backend; the count is positive.
        unsafe { sys::ggml_backend_cpu_set_n_threads(self.0.as_ptr(), threads) };
        // SAFETY: backend and graph are live, and the caller vouches for the leaves.
        unsafe { sys::ggml_backend_graph_compute(self.0.as_ptr(), graph) }
    }

    pub(crate) fn raw(&self) -> sys::ggml_backend_t {
        self.0.as_ptr()
    }
}

/// The device that computes our own graphs, the CPU, and its threads.
pub struct Backend {
    // Freed before the threads it computes with.
    raw: Raw,
    /// ggml's switch to the kernels that compute each row as if it came alone.
    set_reference: Option<SetReference>,
    threads: Arc<Threads>,
    /// Held while a graph is computed: ggml's backend has memory that only one graph can use.
    turn: Mutex<()>,
}

// SAFETY: graphs take turns; everything else only reads what never changes.
unsafe impl Sync for Backend {}

impl Backend {
    /// The CPU, computing with `threads`.
    pub fn new(threads: &Arc<Threads>) -> Result<Self> {
        let raw = Raw::cpu()?;
        let (set_reference, turn) = (raw.reference_switch(), Mutex::default());
        let backend = Self { raw, set_reference, threads: Arc::clone(threads), turn };
        backend.raw.attach(threads.raw());
        Ok(backend)
    }

    /// The CPU with threads of its own: at most `threads`, see [`Threads::new`].
    pub fn cpu(threads: usize) -> Result<Self> {
        Self::new(&Threads::new(threads)?)
    }

    /// Its worker threads.
    pub fn threads(&self) -> &Arc<Threads> {
        &self.threads
    }

    pub(crate) fn compute(&self, graph: *mut sys::ggml_cgraph) -> sys::ggml_status {
        self.compute_rows(graph, false)
    }

    /// Whether it has kernels that compute each row of a pass as if it came alone. They do not reach weights in another
    /// layout: see [`crate::weights::rows_alike`].
    pub fn each_alone(&self) -> bool {
        self.set_reference.is_some()
    }

    /// Computes a graph by the fastest kernels, or each row as if it came alone.
    pub(crate) fn compute_rows(&self, graph: *mut sys::ggml_cgraph, each_alone: bool) -> sys::ggml_status {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.threads.run(|threads| {
            if let Some(set) = self.set_reference {
                // SAFETY: a live backend, which computes nothing now.
                unsafe { set(self.raw.raw(), each_alone) };
            }
            self.raw.compute(graph, threads)
        })
    }

    pub(crate) fn raw(&self) -> sys::ggml_backend_t {
        self.raw.raw()
    }
}
