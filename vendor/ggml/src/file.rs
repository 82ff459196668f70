//! Files that were checked before C reads them.
//!
//! A file is mapped, and llama.cpp reads its header by itself. Neither can be made safe here: llama.cpp ends the process
//! on some contradictions in a header, and a mapped file that becomes shorter ends it with SIGBUS. So whoever wants to
//! load a file has to state that it is sound and stays as it is. The statement is a value: [`CheckedFile`].

use crate::{Error, Result};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file as it was before its contents were looked at.
#[derive(Debug)]
pub struct UncheckedFile {
    path: PathBuf,
    state: State,
}

/// A file whose maker has stated, with [`UncheckedFile::vouch`], that C may read it.
#[derive(Debug, Clone)]
pub struct CheckedFile {
    path: PathBuf,
    state: State,
}

/// Tells one state of a file from another, as far as the system does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    bytes: u64,
    modified: Option<SystemTime>,
    place: (u64, u64),
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let place = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let place = (0, 0);
        Self { bytes: metadata.len(), modified: metadata.modified().ok(), place }
    }

    fn at(path: &Path) -> Result<Self> {
        fs::metadata(path).map(|found| Self::of(&found)).map_err(|error| Error::new(format!("cannot open: {error}")))
    }
}

impl UncheckedFile {
    /// The file at `path`. Errors: there is none, or the system does not describe it.
    pub fn new(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), state: State::at(path)? })
    }

    /// States that C may read the file. Errors: it was changed or replaced since [`UncheckedFile::new`].
    ///
    /// # What is stated
    /// - Its contents were read after [`UncheckedFile::new`], and checked.
    /// - For [`crate::llama::Model::load`]: it is a GGUF file of one of the architectures that the caller knows; its
    ///   tensors are all those of that architecture and no others, with the shapes that its sizes demand, in types of
    ///   [`crate::COMPUTABLE`], inside the file; and it has no keys that llama.cpp would obey beyond those checked.
    /// - Nobody writes to it or shortens it while it is in use. To replace a file by another with the same name is
    ///   harmless: the mapped pages stay.
    ///
    /// Where this is untrue, the process may end. No type can hold anybody to it.
    pub fn vouch(self) -> Result<CheckedFile> {
        let checked = CheckedFile { path: self.path, state: self.state };
        checked.is_unchanged(&State::at(&checked.path)?)?;
        Ok(checked)
    }
}

impl CheckedFile {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn is_unchanged(&self, now: &State) -> Result<()> {
        if *now == self.state {
            return Ok(());
        }
        Err(Error::new("the file was changed while it was opened; try again once nothing writes to it"))
    }

    /// Whether an open file, or what lies at its path now, is what was checked.
    pub(crate) fn must_be(&self, opened: Option<&Metadata>) -> Result<()> {
        let now = match opened {
            Some(metadata) => State::of(metadata),
            None => State::at(&self.path)?,
        };
        self.is_unchanged(&now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_while_it_is_checked_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("weights");
        assert!(UncheckedFile::new(&path).is_err(), "no file");
        fs::write(&path, [0; 64]).expect("written");
        let seen = UncheckedFile::new(&path).expect("there");
        fs::write(&path, [0; 32]).expect("shortened");
        assert!(seen.vouch().is_err_and(|error| error.0.contains("was changed")));
        let seen = UncheckedFile::new(&path).expect("there").vouch().expect("unchanged");
        fs::write(folder.path().join("other"), [0; 32]).expect("written");
        fs::rename(folder.path().join("other"), &path).expect("replaced");
        assert!(seen.must_be(None).is_err());
    }
}
