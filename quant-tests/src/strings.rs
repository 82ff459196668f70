//! Reads `golden/*/strings.json`: the official package's transcripts of the spoken-digit strings.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// The transcripts of one checkpoint.
#[derive(Debug, Deserialize)]
pub struct Strings {
    /// SHA-256 of the checkpoint's `model.safetensors`, in hex.
    pub checkpoint_sha256: String,
    /// `dev` and `test_seen`.
    pub lists: BTreeMap<String, Vec<Spoken>>,
}

/// One recording.
#[derive(Debug, Deserialize)]
pub struct Spoken {
    /// Path inside the folder of the digits.
    pub file: String,
    /// The words that were spoken.
    pub truth: String,
    /// The words the official package hears.
    pub text: String,
    /// The language it reports.
    pub language: String,
    /// Its greedy tokens, the end token included.
    pub ids: Vec<u32>,
    /// The closest call on the way: a difference after a margin near zero is no error.
    pub smallest_margin: f32,
}

impl Strings {
    /// Reads the file; the error names it.
    pub fn open(file: &Path) -> Result<Self, String> {
        let text = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
        serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", file.display()))
    }
}
