//! The compute device, its threads, and what the native part says about itself.

use crate::{Error, Result, log, threads};
use ggml_sys as sys;
use std::ffi::{CStr, c_char};
use std::ptr::{self, NonNull};
use std::sync::Once;

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

/// The device that computes our own graphs: the CPU.
pub struct Backend {
    raw: NonNull<sys::ggml_backend>,
    threads: usize,
}

// SAFETY: a backend has no thread affinity; `&mut self` or a lock serialises its use, and nothing else holds it.
unsafe impl Send for Backend {}

impl Drop for Backend {
    fn drop(&mut self) {
        // SAFETY: created in `cpu`, freed once, here.
        unsafe { sys::ggml_backend_free(self.raw.as_ptr()) };
    }
}

impl Backend {
    /// The CPU with `threads` workers; 0 means as many as the process may use.
    pub fn cpu(threads: usize) -> Result<Self> {
        start();
        let threads = threads::bounded(threads);
        let count = i32::try_from(threads).map_err(|_| Error::new(format!("{threads} threads are too many")))?;
        // SAFETY: the registry is filled; parameters may be null.
        let raw = unsafe { sys::ggml_backend_init_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU, ptr::null()) };
        let raw = NonNull::new(raw).ok_or_else(|| Error::new("ggml has no CPU backend"))?;
        let backend = Self { raw, threads };
        backend.set_threads(count);
        Ok(backend)
    }

    fn set_threads(&self, count: i32) {
        // SAFETY: the backend is live.
        let device = unsafe { sys::ggml_backend_get_device(self.raw.as_ptr()) };
        // SAFETY: the device of a live backend is registered.
        let registry = unsafe { sys::ggml_backend_dev_backend_reg(device) };
        // SAFETY: a live registry and a NUL-terminated name.
        let address =
            unsafe { sys::ggml_backend_reg_get_proc_address(registry, c"ggml_backend_set_n_threads".as_ptr()) };
        if address.is_null() {
            return;
        }
        type SetThreads = unsafe extern "C" fn(sys::ggml_backend_t, i32);
        // SAFETY: ggml-backend.h gives this name exactly this type (`ggml_backend_set_n_threads_t`).
        let set: SetThreads = unsafe { std::mem::transmute(address) };
        // SAFETY: a live backend of the registry the function came from; the count is positive.
        unsafe { set(self.raw.as_ptr(), count) };
    }

    /// Worker threads.
    pub fn threads(&self) -> usize {
        self.threads
    }

    pub(crate) fn raw(&self) -> sys::ggml_backend_t {
        self.raw.as_ptr()
    }
}
