//! Ctrl-C and polite requests to end: the first finishes the running utterance, the second ends at once.

use qasr::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a run that was not allowed to finish, as shells have it for SIGINT.
const AT_ONCE: i32 = 130;

static IS_WANTED: AtomicBool = AtomicBool::new(false);

/// Takes care of Ctrl-C from now on.
///
/// # Errors
/// When the system does not let it.
pub fn install() -> Result<()> {
    let wanted = || {
        if IS_WANTED.swap(true, Ordering::AcqRel) {
            std::process::exit(AT_ONCE);
        }
    };
    ctrlc::set_handler(wanted).map_err(|error| Error::internal(format!("Ctrl-C cannot be taken care of: {error}")))
}

/// Whether the run is to end.
pub fn is_wanted() -> bool {
    IS_WANTED.load(Ordering::Acquire)
}
