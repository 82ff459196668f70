//! Kernels that compute every row as if it came alone.
//!
//! ggml chooses kernels by the number of rows: tiles from 8 or 64 rows on, products of several rows at once from 2 on,
//! attention divided among the threads where there is only one. Each adds in another order, so a row's last bits depend
//! on how many rows come with it. ggml's reference mode leaves all of these out and calls one dot product per value.
//! It does not reach weights in another layout: see [`crate::weights::rows_alike`].

use ggml_sys as sys;
use std::ptr::NonNull;

/// Switches the CPU backend of one context to these kernels and back.
pub(crate) struct Alone {
    backend: NonNull<sys::ggml_backend>,
    set: SetReference,
}

type SetReference = unsafe extern "C" fn(sys::ggml_backend_t, bool);

#[cfg(not(target_env = "msvc"))]
unsafe extern "C" {
    /// `ggml_backend_sched_t llama_context::get_sched() const`, for which llama.cpp has no C name. The Itanium ABI, of
    /// all compilers but Microsoft's, passes `this` as the first argument. The package is pinned, and a version without
    /// this member does not link.
    #[link_name = "_ZNK13llama_context9get_schedEv"]
    fn llama_context_get_sched(context: *const sys::llama_context) -> sys::ggml_backend_sched_t;
}

impl Alone {
    /// The switch of `context`; `None` where it cannot be reached.
    ///
    /// # Safety
    /// The context must be live, and outlive the switch.
    #[cfg(not(target_env = "msvc"))]
    pub(crate) unsafe fn of(context: NonNull<sys::llama_context>) -> Option<Self> {
        // SAFETY: the context is live; the member only reads a pointer.
        let scheduler = unsafe { llama_context_get_sched(context.as_ptr()) };
        if scheduler.is_null() {
            return None;
        }
        // SAFETY: the scheduler of a live context is live.
        let count = unsafe { sys::ggml_backend_sched_get_n_backends(scheduler) };
        for index in 0..count {
            // SAFETY: the index is below the number of backends.
            let backend = unsafe { sys::ggml_backend_sched_get_backend(scheduler, index) };
            let Some(backend) = NonNull::new(backend) else { continue };
            // SAFETY: the backend is live.
            let device = unsafe { sys::ggml_backend_get_device(backend.as_ptr()) };
            if device.is_null() {
                continue;
            }
            // SAFETY: a device of a live backend.
            if unsafe { sys::ggml_backend_dev_type(device) } != sys::GGML_BACKEND_DEVICE_TYPE_CPU {
                continue;
            }
            // SAFETY: the device of a live backend is registered.
            let registry = unsafe { sys::ggml_backend_dev_backend_reg(device) };
            // SAFETY: a live registry and a NUL-terminated name.
            let address =
                unsafe { sys::ggml_backend_reg_get_proc_address(registry, c"ggml_backend_cpu_set_use_ref".as_ptr()) };
            if !address.is_null() {
                // SAFETY: ggml-cpu.h gives this name exactly this type.
                return Some(Self { backend, set: unsafe { std::mem::transmute::<*mut _, SetReference>(address) } });
            }
        }
        None
    }

    #[cfg(target_env = "msvc")]
    pub(crate) unsafe fn of(_context: NonNull<sys::llama_context>) -> Option<Self> {
        None
    }

    /// From the next pass on, each row is computed as if it came alone (`true`), or all rows by the fastest kernels (`false`).
    pub(crate) fn set(&self, alone: bool) {
        // SAFETY: the backend belongs to the context, which outlives this switch, and is not computing: the session
        // that holds both is borrowed for every pass.
        unsafe { (self.set)(self.backend.as_ptr(), alone) };
    }
}
