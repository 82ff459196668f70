//! Files by content: length and SHA-256. Name and date do not count.

use qasr::error::{Error, ErrorKind, Result};
use qasr::model::{ModelFiles, demo};
use qasr_convert::sha256;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The content of a file, as far as a change of it has to be noticed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Length.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

impl FileIdentity {
    /// Reads the file once, piece by piece.
    ///
    /// # Errors
    /// Of this kind, with the path, when it cannot be read.
    pub fn read(path: &Path, kind: ErrorKind) -> Result<Self> {
        let mut bytes = 0;
        let sha256 = sha256::of_file(path, &mut |piece| bytes += piece)
            .map_err(|error| Error::new(kind, format!("{}: cannot be read: {error}", path.display())))?;
        Ok(Self { bytes, sha256 })
    }

    /// Of content that is in memory.
    pub fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, sha256: sha256::of(content) }
    }
}

/// The two files of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Of the decoder file.
    pub decoder: FileIdentity,
    /// Of the encoder file.
    pub encoder: FileIdentity,
}

impl ModelIdentity {
    /// Reads both files once (a second or two for a gigabyte); `None` is the embedded demo model.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] with the path when one cannot be read.
    pub fn read(files: Option<&ModelFiles>) -> Result<Self> {
        files.map_or_else(|| Ok(Self::demo()), |files| Identities::default().of_model(files))
    }

    fn demo() -> Self {
        let [decoder, encoder] = demo::content().map(FileIdentity::of);
        Self { decoder, encoder }
    }
}

/// Identities of files of models. Each file is read once: nothing changes it while this exists.
#[derive(Debug, Default)]
pub struct Identities {
    known: RefCell<HashMap<PathBuf, FileIdentity>>,
}

impl Identities {
    /// Of a checkpoint's, a model's or an importance matrix' file.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] with the path when it cannot be read.
    pub fn of(&self, path: &Path) -> Result<FileIdentity> {
        if let Some(known) = self.known.borrow().get(path) {
            return Ok(known.clone());
        }
        let identity = FileIdentity::read(path, ErrorKind::Model)?;
        self.known.borrow_mut().insert(path.to_path_buf(), identity.clone());
        Ok(identity)
    }

    /// Of both files of a model.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_model(&self, files: &ModelFiles) -> Result<ModelIdentity> {
        Ok(ModelIdentity { decoder: self.of(&files.decoder)?, encoder: self.of(&files.encoder)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_and_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        let identities = Identities::default();
        let first = identities.of(&path).unwrap();
        assert_eq!(first, FileIdentity::of(b"abc"));
        std::fs::write(&path, "other").unwrap();
        assert_eq!(identities.of(&path).unwrap(), first, "the file was read a second time");
        assert_eq!(Identities::default().of(&path).unwrap(), FileIdentity::of(b"other"));
        for kind in [ErrorKind::Audio, ErrorKind::Model] {
            let error = FileIdentity::read(&folder.path().join("absent"), kind).unwrap_err();
            assert!(error.kind() == kind && error.to_string().contains("absent: cannot be read"), "{error}");
        }
    }
}
