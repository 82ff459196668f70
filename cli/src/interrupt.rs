//! Ctrl-C and polite requests to end: the first ends the work with what is finished, the second ends the process at once.

use super::exit::Exit;
use qasr::Cancel;
use qasr::error::{Error, ErrorKind, Result};
use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

static WANTED: LazyLock<Cancel> = LazyLock::new(Cancel::default);

/// Takes care of Ctrl-C from now on.
///
/// # Errors
/// When the system does not let it.
pub fn install() -> Result<()> {
    install_with(|| {})
}

/// The same, and has `also` done at every Ctrl-C: for work in other processes.
///
/// # Errors
/// When the system does not let it.
pub fn install_with(also: impl Fn() + Send + 'static) -> Result<()> {
    let wanted = move || {
        also();
        if WANTED.is_cancelled() {
            std::process::exit(Exit::Interrupted as i32);
        }
        WANTED.cancel();
    };
    ctrlc::set_handler(wanted).map_err(|error| Error::internal(format!("Ctrl-C cannot be taken care of: {error}")))
}

/// For work of which nothing has to be finished: the first Ctrl-C has `last` done and ends the process with a sentence.
///
/// # Errors
/// When the system does not let it.
pub fn install_ending(sentence: String, last: impl Fn() + Send + 'static) -> Result<()> {
    install_with(move || {
        last();
        let mut stderr = io::stderr().lock();
        let line_start = if stderr.is_terminal() { "\r\x1b[K" } else { "" };
        let _ = writeln!(stderr, "{line_start}qasr: interrupted: {sentence}");
        std::process::exit(Exit::Interrupted as i32)
    })
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
