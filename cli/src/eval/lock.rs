//! One run in a folder at a time: two would do the same recordings and write one journal.

use qasr::error::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::Path;

/// Takes the folder for as long as the file is kept open; the system gives it back however the process ends.
///
/// # Errors
/// [`qasr::ErrorKind::Usage`] with the other process when one has it, [`qasr::ErrorKind::Output`] when nothing can be
/// written there.
pub fn take(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let opened = File::options().write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(|error| {
        Error::output(format!("cannot write {}: {error}; choose another place with -o", path.display()))
    })?;
    match file.try_lock() {
        Ok(()) => {
            // Who it is, for the sentence below only.
            let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        }
        Err(TryLockError::WouldBlock) => {
            let who = fs::read_to_string(&path).unwrap_or_default();
            let who = if who.is_empty() { String::new() } else { format!(" (process {who})") };
            return Err(Error::usage(format!(
                "another `qasr eval`{who} works in {}: wait for its end, or give another folder (-o)",
                folder.display()
            )));
        }
        // A file system without locks: nothing is known there.
        Err(TryLockError::Error(_)) => {}
    }
    Ok(file)
}
