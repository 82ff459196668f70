//! One hook for everything ggml and llama.cpp would print: nothing reaches stderr, errors are kept for the caller.
//!
//! C calls the hook from the thread that works, so every thread keeps its own errors: two files loaded at once each get
//! their own message.

use ggml_sys as sys;
use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::sync::Once;

/// Error lines kept until somebody asks; older ones go first.
const KEPT_BYTES: usize = 4096;

thread_local! {
    static ERRORS: RefCell<String> = const { RefCell::new(String::new()) };
}
static INSTALLED: Once = Once::new();

/// Installs the hook once for the process.
pub(crate) fn install() {
    INSTALLED.call_once(|| {
        // SAFETY: `keep` has the callback's signature and lives for ever; no user data is passed.
        unsafe { sys::ggml_log_set(Some(keep), std::ptr::null_mut()) };
        // SAFETY: as above.
        unsafe { sys::llama_log_set(Some(keep), std::ptr::null_mut()) };
    });
}

/// Takes what C has logged as an error in this thread since the last call, as one line; empty when nothing was.
pub fn take_errors() -> String {
    let text = ERRORS.with_borrow_mut(std::mem::take);
    text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

unsafe extern "C" fn keep(level: sys::ggml_log_level, text: *const c_char, _user: *mut c_void) {
    if level != sys::GGML_LOG_LEVEL_ERROR || text.is_null() {
        return;
    }
    // SAFETY: C passes a NUL-terminated string that lives for the duration of the call; null was excluded above.
    let line = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    // A thread that is ending has nobody left to ask.
    let _ = ERRORS.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() + line.len() > KEPT_BYTES {
            kept.clear();
        }
        kept.push_str(&line);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &CStr) {
        // SAFETY: a NUL-terminated string.
        unsafe { keep(sys::GGML_LOG_LEVEL_ERROR, text.as_ptr(), std::ptr::null_mut()) };
    }

    #[test]
    fn a_thread_takes_its_own_errors() {
        log(c"mine\n");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(take_errors(), "");
                log(c"another's\n");
            });
        });
        log(c"  mine, too\n");
        assert_eq!(take_errors(), "mine; mine, too");
        assert_eq!(take_errors(), "");
    }
}
