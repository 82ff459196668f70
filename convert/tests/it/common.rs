//! What the tests of the converter share.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use qasr_convert::tiny::{self, Spec, TinyTensor};
use qasr_convert::{
    ConvertError, ConvertOptions, Destination, FileType, QuantizeOptions, Recipe, Report, convert, quantize,
};
use qasr_format::{ColumnSums, GgmlType, Gguf, Importance};

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
pub fn run(dir: &Path, file_type: FileType) -> Result<Report, ConvertError> {
    run_with(dir, file_type, |_| {})
}

/// The same with other options.
pub fn run_with(
    dir: &Path,
    file_type: FileType,
    change: impl FnOnce(&mut ConvertOptions),
) -> Result<Report, ConvertError> {
    let mut options = ConvertOptions::new(dir.join("ckpt"), dir.join("out"), file_type);
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

/// Quantizes the pair that [`run`] made with `from` into `dir/again`.
pub fn again(
    dir: &Path,
    from: FileType,
    types: impl Into<Recipe>,
    change: impl FnOnce(&mut QuantizeOptions),
) -> Result<Report, ConvertError> {
    let source = |prefix: &str| dir.join("out").join(format!("{prefix}tiny-{from}.gguf"));
    let folder = Destination::Folder(dir.join("again"));
    let mut options = QuantizeOptions::new(source(""), source("mmproj-"), folder, types);
    change(&mut options);
    quantize(&options, &mut |_| {})
}

pub fn open(path: &Path) -> Gguf {
    Gguf::open(path).unwrap_or_else(|error| panic!("{error}"))
}

/// Type and bytes of every tensor.
pub fn tensors(path: &Path) -> BTreeMap<String, (GgmlType, Vec<u8>)> {
    let (gguf, bytes) = (open(path), fs::read(path).expect("file"));
    let data = |start: u64, len: u64| bytes[start as usize..(start + len) as usize].to_vec();
    gguf.tensors().iter().map(|info| (info.name.clone(), (info.kind, data(info.offset, info.bytes)))).collect()
}

pub fn values(path: &Path, name: &str) -> Vec<f32> {
    let (kind, bytes) = &tensors(path)[name];
    let count = open(path).tensor(name).expect("tensor").values();
    ggml::quantize::dequantize(kind.id(), bytes, count as usize).expect("readable")
}

pub fn both(dir: &Path, folder: &str, label: &str) -> [PathBuf; 2] {
    ["", "mmproj-"].map(|prefix| dir.join(folder).join(format!("{prefix}tiny-{label}.gguf")))
}

/// Sums for all matrices of the tiny model: columns differ by factors of up to a thousand.
pub fn importance(dir: &Path, change: impl FnOnce(&mut Importance)) -> PathBuf {
    let mut importance =
        Importance { datasets: vec!["a.tsv".into(), "b.tsv".into()], chunks: 9, ..Importance::default() };
    for path in both(dir, "out", "bf16") {
        for info in open(&path).tensors().iter().filter(|info| info.dims.len() == 2 && info.kind == GgmlType::BF16) {
            let weight = |i: u64| 10_f32.powf((i * 37 % 101) as f32 / 100.0 * 3.0);
            let squares = (0..info.row_len()).map(|i| 50.0 * weight(i)).collect();
            importance.matrices.insert(info.name.clone(), ColumnSums { squares, rows: 50.0 });
        }
    }
    change(&mut importance);
    let path = dir.join("importance.gguf");
    std::fs::write(&path, importance.to_bytes().expect("content")).expect("write");
    path
}
