//! What a GGUF file holds, as text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use qasr_format::{GgmlType, Gguf, GgufError};

/// The keys, tensors, types and sizes of the file at `path`, one per line. Works for any GGUF file, not only ours.
///
/// # Errors
/// When the file cannot be read or is not a well-formed GGUF file.
pub fn inspect(path: &Path) -> Result<String, GgufError> {
    let gguf = Gguf::open(path)?;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |arguments: std::fmt::Arguments| {
        let _ = writeln!(text, "{arguments}");
    };
    line(format_args!("{}: GGUF version {}, {} bytes", path.display(), gguf.version(), gguf.file_len()));
    line(format_args!("\n{} keys", gguf.keys().len()));
    for (key, value) in gguf.keys() {
        line(format_args!("  {key:<44} {:<12} {value}", value.kind_name()));
    }
    line(format_args!("\n{} tensors", gguf.tensors().len()));
    let mut kinds: BTreeMap<GgmlType, (usize, u64, u64)> = BTreeMap::new();
    for tensor in gguf.tensors() {
        let dims = tensor.dims.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ");
        line(format_args!("  {:<32} {:<8} {dims:<22} {:>12}", tensor.name, tensor.kind.name(), tensor.bytes));
        let sum = kinds.entry(tensor.kind).or_default();
        *sum = (sum.0 + 1, sum.1 + tensor.values(), sum.2 + tensor.bytes);
    }
    line(format_args!("\nby type"));
    for (kind, (count, values, bytes)) in kinds {
        line(format_args!("  {:<8} {count:>4} tensors {values:>12} values {bytes:>12} bytes", kind.name()));
    }
    Ok(text)
}
