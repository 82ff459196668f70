//! A model: what it is, which files it has and which memory it needs, before any detail.

use qasr::ModelFiles;
use qasr::error::{Error, Result};
use qasr::model::{MemoryNeed, ModelInfo};
use qasr::options::SEGMENT_SECONDS;
use qasr_format::schema::{encoder, general, own, tensors};
use qasr_format::{GgmlType, Gguf};
use std::collections::BTreeMap;
use std::path::Path;

/// The description of the file at `path`, with the rest of its model; `None` for a file that belongs to no model of speech.
pub fn file(path: &Path) -> Result<Option<String>> {
    let gguf = open(path)?;
    match gguf.str(general::ARCHITECTURE) {
        Ok(encoder::ARCHITECTURE) if is_speech_encoder(&gguf) => Ok(Some(encoder_alone(&gguf))),
        Ok(encoder::ARCHITECTURE) | Err(_) => Ok(None),
        Ok(_) => match ModelFiles::find(path) {
            Ok(files) => pair(&files).map(Some),
            Err(error) if gguf.str(own::VERSION).is_ok() => Ok(Some(decoder_alone(&gguf, &error))),
            // A language model may be one of the same architecture.
            Err(_) => Ok(None),
        },
    }
}

/// A whole model.
pub fn pair(files: &ModelFiles) -> Result<String> {
    let (decoder, encoder) = (open(&files.decoder)?, open(&files.encoder)?);
    let info = ModelInfo::read(files)?;
    let own_seconds = decoder.f32(own::SEGMENT_SECONDS).ok().map(f64::from);
    let seconds = own_seconds.unwrap_or(SEGMENT_SECONDS);
    let languages = decoder.strings(own::LANGUAGES).unwrap_or_default();
    let types = match info.decoder_type == info.encoder_type {
        true => info.decoder_type.clone(),
        false => format!("{}, encoder {}", info.decoder_type, info.encoder_type),
    };
    let mut first = format!(
        "{}: Qwen3-ASR decoder, {}, {}, {}, encoder found, {} together",
        shown(&info.name),
        size(&decoder),
        shown(&types),
        megabytes(decoder.file_len()),
        megabytes(info.file_bytes)
    );
    match languages {
        [] => {}
        [one] => first += &format!(", {} only", shown(one)),
        several => first += &format!(", {} languages", several.len()),
    }
    let need = MemoryNeed::of(files, seconds);
    if let Ok(need) = &need {
        // An estimate does not know its last digit.
        first += &format!(", needs about {} MB of memory", need.total().div_ceil(10_000_000) * 10);
    }
    let mut lines = vec![first, described("decoder", &decoder), described("encoder", &encoder)];
    let origin = if own_seconds.is_some() { "the model's own number" } else { "the default" };
    lines.push(line("utterances", &format!("up to {seconds} s, {origin}")));
    match need {
        Ok(need) => lines.push(line("memory", &words(&need))),
        Err(error) => lines.push(line("memory", &format!("unknown: {error}"))),
    }
    if languages.len() > 1 {
        lines.push(line("languages", &languages.join(", ")));
    }
    lines.extend(origins(&decoder));
    Ok(wrapped(&lines))
}

fn encoder_alone(gguf: &Gguf) -> String {
    let width = gguf.u32(encoder::PROJECTION_DIM).map_or(String::new(), |width| format!(" for decoders {width} wide"));
    let first = format!(
        "{}: Qwen3-ASR audio encoder{width}, {}; -m takes its decoder",
        shown(gguf.str(general::NAME).unwrap_or("no name")),
        megabytes(gguf.file_len()),
    );
    wrapped(&[vec![first, described("encoder", gguf)], origins(gguf)].concat())
}

fn decoder_alone(gguf: &Gguf, why: &Error) -> String {
    let name = shown(gguf.str(general::NAME).unwrap_or("no name"));
    let first = format!("{name}: Qwen3-ASR decoder, {}, {}, encoder missing", size(gguf), megabytes(gguf.file_len()));
    wrapped(&[vec![first, described("decoder", gguf), line("encoder", why.message())], origins(gguf)].concat())
}

/// A file's name, size and types.
fn described(role: &str, gguf: &Gguf) -> String {
    let mut kinds: BTreeMap<GgmlType, (u64, usize)> = BTreeMap::new();
    for tensor in gguf.tensors() {
        let sum = kinds.entry(tensor.kind).or_default();
        *sum = (sum.0 + tensor.bytes, sum.1 + 1);
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
    let kinds: Vec<String> =
        kinds.iter().map(|(kind, (bytes, _))| format!("{} {}", kind.name(), megabytes(*bytes))).collect();
    let name = gguf.path().file_name().unwrap_or_default().to_string_lossy();
    line(role, &format!("{}, {}: {}", shown(&name), megabytes(gguf.file_len()), kinds.join(", ")))
}

fn words(need: &MemoryNeed) -> String {
    format!(
        "{} of weights + {} of attention cache + {} for the rest, an estimate",
        megabytes(need.weights),
        megabytes(need.cache),
        megabytes(need.work)
    )
}

/// Where the file comes from, as far as it says so.
fn origins(gguf: &Gguf) -> Vec<String> {
    let mut lines = Vec::new();
    if let Ok(version) = gguf.str(own::VERSION) {
        lines.push(line("made by", &format!("qasr {version}")));
    }
    if let Some(cost) = gguf.strings(own::RECIPE_COST).ok().and_then(<[String]>::first) {
        lines.push(line("recipe", cost));
    }
    if let Ok(file) = gguf.str(qasr_format::schema::importance::FILE) {
        lines.push(line("importance", file));
    }
    if let Ok(licence) = gguf.str(general::LICENSE) {
        lines.push(line("licence", licence));
    }
    lines
}

/// How many weights, each counted once: an output head may repeat the table of tokens.
fn size(decoder: &Gguf) -> String {
    let values: u64 =
        decoder.tensors().iter().filter(|tensor| tensor.name != tensors::OUTPUT).map(|tensor| tensor.values()).sum();
    match values {
        100_000_000.. => format!("{:.1}B", values as f64 / 1e9),
        _ => format!("{:.1}M", values as f64 / 1e6),
    }
}

fn is_speech_encoder(gguf: &Gguf) -> bool {
    [encoder::PROJECTOR_TYPE, encoder::PROJECTOR_TYPE_PLAIN]
        .iter()
        .any(|key| gguf.str(key).is_ok_and(|name| name == encoder::PROJECTOR_VALUE))
}

fn open(path: &Path) -> Result<Gguf> {
    Gguf::open(path).map_err(|error| Error::model(error.to_string()))
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        10_000_000.. => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// Columns before the text of a line.
const INDENT: usize = 12;
/// Columns of a line.
const WIDTH: usize = 100;

fn line(name: &str, text: &str) -> String {
    format!("{name:<INDENT$}{}", shown(text))
}

/// Lines broken at spaces.
fn wrapped(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        let (name, rest) = line.split_at_checked(INDENT).filter(|(name, _)| name.ends_with(' ')).unwrap_or(("", line));
        let mut used = name.len();
        text += name;
        for (index, word) in rest.split(' ').enumerate() {
            let wide = word.chars().count();
            if index > 0 && used + 1 + wide > WIDTH {
                text += &format!("\n{:INDENT$}", "");
                used = INDENT;
            } else if index > 0 {
                text.push(' ');
                used += 1;
            }
            text += word;
            used += wide;
        }
        text.push('\n');
    }
    text
}

/// `text` with its control characters written out: a file must not command the terminal.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars() {
        if letter.is_control() { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_under_their_text() {
        let text = wrapped(&[line("languages", &"Cantonese ".repeat(12)), "x".repeat(120)]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("languages   Cantonese") && lines[1].starts_with("            Cantonese"),
            "{text}"
        );
        assert!(lines[..2].iter().all(|line| line.len() <= WIDTH), "{text}");
        assert_eq!(lines[2], "x".repeat(120));
    }

    #[test]
    fn a_file_cannot_command_the_terminal() {
        assert_eq!(line("costs", "a\u{1b}[2J\nb"), "costs       a\\u{1b}[2J\\nb");
    }
}
