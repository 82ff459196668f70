//! What makes a file the same file: its length and its SHA-256, not its name or its date.

use qasr::error::{Error, Result};
use qasr::model::{ModelFiles, demo};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A file's content, as far as one has to know it to notice a change.
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
    /// [`crate::ErrorKind::Audio`] with the path when it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Error::audio(format!("{}: cannot be opened: {error}", path.display()));
        if path.is_dir() {
            return Err(Error::audio(format!("{}: is a folder; name the recordings in it", path.display())));
        }
        let mut file = File::open(path).map_err(failed)?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; 1 << 16];
        let mut bytes = 0;
        loop {
            match file.read(&mut piece).map_err(failed)? {
                0 => return Ok(Self { bytes, sha256: hexadecimal(hash) }),
                length => {
                    hash.update(&piece[..length]);
                    bytes += length as u64;
                }
            }
        }
    }

    /// Of content that is in memory.
    pub fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, sha256: hexadecimal(Sha256::new_with_prefix(content)) }
    }
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The two files of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    pub decoder: FileIdentity,
    pub encoder: FileIdentity,
}

impl ModelIdentity {
    /// Reads both files once (a second or two for a gigabyte); `None` is the embedded demo model.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] with the path when one cannot be read.
    pub fn read(files: Option<&ModelFiles>) -> Result<Self> {
        let Some(files) = files else {
            let [decoder, encoder] = demo::content().map(FileIdentity::of);
            return Ok(Self { decoder, encoder });
        };
        let read = |path: &Path| FileIdentity::read(path).map_err(|error| Error::model(error.to_string()));
        Ok(Self { decoder: read(&files.decoder)?, encoder: read(&files.encoder)? })
    }
}
