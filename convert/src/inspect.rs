//! What a GGUF file holds, as text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use qasr_format::{GgmlType, Gguf, GgufError};

/// The keys, tensors, types and sizes of the file at `path`, one per line. Works for any GGUF file, not only ours;
/// control characters in what it holds are written out, so that no file can steer a terminal or forge a line.
///
/// # Errors
/// When the file cannot be read or is not a well-formed GGUF file.
pub fn inspect(path: &Path) -> Result<String, GgufError> {
    Ok(describe(&Gguf::open(path)?))
}

fn describe(gguf: &Gguf) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let mut line = |arguments: std::fmt::Arguments| {
        let _ = writeln!(text, "{arguments}");
    };
    line(format_args!(
        "{}: GGUF version {}, {} bytes",
        printable(&gguf.path().to_string_lossy()),
        gguf.version(),
        gguf.file_len()
    ));
    line(format_args!("\n{} keys", gguf.keys().len()));
    for (key, value) in gguf.keys() {
        let key = printable(key);
        line(format_args!("  {key:<44} {:<12} {value}", value.kind_name()));
    }
    line(format_args!("\n{} tensors", gguf.tensors().len()));
    let mut kinds: BTreeMap<GgmlType, (usize, u64, u64)> = BTreeMap::new();
    for tensor in gguf.tensors() {
        let dims = tensor.dims.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ");
        let name = printable(&tensor.name);
        line(format_args!("  {name:<32} {:<8} {dims:<22} {:>12}", tensor.kind.name(), tensor.bytes));
        let sum = kinds.entry(tensor.kind).or_default();
        *sum = (sum.0 + 1, sum.1 + tensor.values(), sum.2 + tensor.bytes);
    }
    line(format_args!("\nby type"));
    for (kind, (count, values, bytes)) in kinds {
        line(format_args!("  {:<8} {count:>4} tensors {values:>12} values {bytes:>12} bytes", kind.name()));
    }
    text
}

/// A name with its control characters written out.
fn printable(name: &str) -> Cow<'_, str> {
    if !name.contains(char::is_control) {
        return name.into();
    }
    let mut shown = String::new();
    for letter in name.chars() {
        if letter.is_control() { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use qasr_format::Value;
    use qasr_format::gguf::{Header, PlannedTensor};

    #[test]
    fn a_file_cannot_steer_the_terminal_or_forge_a_line() {
        let hostile = "a\nforged\u{1b}[2J\u{9b}31m";
        let tensor = PlannedTensor { name: hostile.into(), dims: vec![1], kind: GgmlType::F32 };
        let values = Value::Strings(vec![hostile.into()]);
        let keys = [(hostile.to_owned(), Value::Str(hostile.into())), ("list".to_owned(), values)];
        let header = Header::new(&keys, &[tensor]).expect("header");
        let mut bytes = header.bytes().to_vec();
        bytes.resize(usize::try_from(header.file_len()).expect("small"), 0);
        let gguf = Gguf::read(bytes.as_slice(), bytes.len() as u64, Path::new("b\rad.gguf")).expect("read");
        let text = describe(&gguf);
        assert!(!text.contains(|letter: char| letter.is_control() && letter != '\n'), "{text:?}");
        assert!(text.lines().all(|line| !line.starts_with("forged")), "{text}");
        assert_eq!(text.matches("a\\nforged\\u{1b}[2J\\u{9b}31m").count(), 4, "{text}");
        assert!(text.starts_with("b\\rad.gguf: "), "{text}");
    }
}
