//! Ctrl-C and polite requests to end: the first ends the work with what is finished, the second ends the process at once.

use super::exit::Exit;
use qasr::Cancel;
use qasr::error::{Error, ErrorKind, Result};
use std::sync::LazyLock;

static WANTED: LazyLock<Cancel> = LazyLock::new(Cancel::default);

/// Takes care of Ctrl-C from now on.
///
/// # Errors
/// When the system does not let it.
pub fn install() -> Result<()> {
    let wanted = || {
        if WANTED.is_cancelled() {
            std::process::exit(Exit::Interrupted as i32);
        }
        WANTED.cancel();
    };
    ctrlc::set_handler(wanted).map_err(|error| Error::internal(format!("Ctrl-C cannot be taken care of: {error}")))
}

/// Whether the run is to end.
pub fn is_wanted() -> bool {
    WANTED.is_cancelled()
}

/// For work that is to end at once, where [`is_wanted`] lets it finish an utterance.
pub fn cancel() -> Cancel {
    WANTED.clone()
}

/// The error of work that ends because of it.
pub fn error() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted")
}
