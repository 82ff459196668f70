//! One hook for everything ggml and llama.cpp would print: nothing reaches stderr, errors are kept for the caller.

use ggml_sys as sys;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// Error lines kept until somebody asks; older ones go first.
const KEPT_BYTES: usize = 4096;

static ERRORS: Mutex<String> = Mutex::new(String::new());
static INSTALLED: Once = Once::new();

fn errors() -> MutexGuard<'static, String> {
    ERRORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Installs the hook once for the process.
pub(crate) fn install() {
    INSTALLED.call_once(|| {
        // SAFETY: `keep` has the callback's signature and lives for ever; no user data is passed.
        unsafe { sys::ggml_log_set(Some(keep), std::ptr::null_mut()) };
        // SAFETY: as above.
        unsafe { sys::llama_log_set(Some(keep), std::ptr::null_mut()) };
    });
}

/// Takes what C has logged as an error since the last call, as one line; empty when nothing was.
pub fn take_errors() -> String {
    let text = std::mem::take(&mut *errors());
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

unsafe extern "C" fn keep(level: sys::ggml_log_level, text: *const c_char, _user: *mut c_void) {
    if level != sys::GGML_LOG_LEVEL_ERROR || text.is_null() {
        return;
    }
    // SAFETY: C passes a NUL-terminated string that lives for the duration of the call; null was excluded above.
    let line = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let mut kept = errors();
    if kept.len() + line.len() > KEPT_BYTES {
        kept.clear();
    }
    kept.push_str(&line);
}
