//! The demo model that travels inside the program: twenty spoken English words, for trying things out.

use super::ModelFiles;
use crate::error::{Error, Result};
use std::fs;
use tempfile::TempDir;

/// Decoder and vocabulary.
const DECODER: &[u8] = include_bytes!("../../convert/demo/demo-q8_0.gguf");
/// Audio encoder.
const ENCODER: &[u8] = include_bytes!("../../convert/demo/mmproj-demo-q8_0.gguf");

/// Description of the demo model, for the message that it is in use.
pub const DESCRIPTION: &str =
    "a demo model that knows twenty spoken English words (the digits and ten commands) and nothing else";

/// Both files' bytes, decoder first.
pub fn content() -> [&'static [u8]; 2] {
    [DECODER, ENCODER]
}

/// The embedded pair, written out: llama.cpp loads files, not memory.
pub struct Unpacked {
    /// Where the two files are while this value lives.
    pub files: ModelFiles,
    _folder: TempDir,
}

/// Writes the embedded pair into a private temporary folder that goes away with the value.
///
/// # Errors
/// When the temporary folder cannot be written to.
pub fn unpack() -> Result<Unpacked> {
    let failed = |error: std::io::Error| {
        Error::output(format!(
            "the demo model could not be written to the temporary folder: {error}; set TMPDIR to a folder with 16 MB of room"
        ))
    };
    let folder = tempfile::Builder::new().prefix("qasr-demo-").tempdir().map_err(failed)?;
    let files = ModelFiles::pair(folder.path().join("demo.gguf"), folder.path().join("mmproj-demo.gguf"));
    fs::write(&files.decoder, DECODER).map_err(failed)?;
    fs::write(&files.encoder, ENCODER).map_err(failed)?;
    Ok(Unpacked { files, _folder: folder })
}
