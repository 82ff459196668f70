//! What the tests of the converter share.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};

use qasr_convert::tiny::{self, Spec, TinyTensor};
use qasr_convert::{ConvertError, ConvertOptions, Recipe, Report, convert};

/// An empty directory for the test of this name.
pub fn fresh_dir(test: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if dir.exists() {
        fs::remove_dir_all(&dir).expect("remove what an earlier run left");
    }
    fs::create_dir_all(&dir).expect("make the test's directory");
    dir
}

/// A checkpoint in `dir/ckpt`.
pub fn checkpoint(dir: &Path, spec: &Spec) -> PathBuf {
    let path = dir.join("ckpt");
    tiny::write(&path, spec).expect("write the tiny checkpoint");
    path
}

/// A checkpoint whose tensors were changed by `edit` before they were written.
pub fn edited(dir: &Path, spec: &Spec, edit: impl FnOnce(&mut Vec<TinyTensor>)) -> PathBuf {
    let path = dir.join("ckpt");
    let mut tensors = tiny::tensors(spec);
    edit(&mut tensors);
    tiny::write_settings(&path, spec).expect("write the settings");
    tiny::write_weights(&path, &tensors, spec.kind, spec.shards).expect("write the weights");
    path
}

/// Converts `dir/ckpt` into `dir/out` under the name "tiny".
pub fn run(dir: &Path, recipe: Recipe) -> Result<Report, ConvertError> {
    run_with(dir, recipe, |_| {})
}

/// The same with other options.
pub fn run_with(dir: &Path, recipe: Recipe, change: impl FnOnce(&mut ConvertOptions)) -> Result<Report, ConvertError> {
    let mut options = ConvertOptions::new(dir.join("ckpt"), dir.join("out"), recipe);
    options.name = Some("tiny".to_owned());
    change(&mut options);
    convert(&options, &mut |_| {})
}

/// Names of the files in a directory, sorted; nothing if there is no such directory.
pub fn listing(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
