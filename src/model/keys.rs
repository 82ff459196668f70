//! Keys that llama.cpp would take on trust.
//!
//! llama.cpp reads a hundred optional keys under the architecture's name. A Qwen3-ASR file has a dozen of them; each
//! of the others changes what is computed, and a senseless value in some ends the process. So what is not known to be
//! harmless is refused. Keys under other names (`general.*`, `quantize.*`, `tokenizer.*`) describe, and may be
//! anything.

use crate::error::{Error, Result};
use qasr_format::schema::{Arch, decoder, general};
use qasr_format::{Gguf, Value};

/// Keys read and checked elsewhere in this room.
const READ: [&str; 11] = [
    decoder::BLOCK_COUNT,
    decoder::CONTEXT_LENGTH,
    decoder::EMBEDDING_LENGTH,
    decoder::FEED_FORWARD_LENGTH,
    decoder::HEAD_COUNT,
    decoder::HEAD_COUNT_KV,
    decoder::RMS_EPSILON,
    decoder::KEY_LENGTH,
    decoder::VALUE_LENGTH,
    decoder::ROPE_FREQ_BASE,
    decoder::ROPE_SECTIONS,
];
/// Number of files a model is spread over; llama.cpp would go looking for the others.
const SPLIT_COUNT: &str = "split.count";

/// Refuses a decoder file whose keys would make llama.cpp compute something else than Qwen3-ASR.
///
/// # Errors
/// [`crate::ErrorKind::Model`], naming the first such key.
pub fn known(file: &Gguf, arch: Arch, head_width: u64, vocabulary: u64) -> Result<()> {
    let prefix = arch.key("");
    for (key, value) in file.keys() {
        let number = value.as_i128();
        let is_harmless = match key.strip_prefix(&prefix) {
            Some(suffix) if READ.contains(&suffix) => true,
            // Keys that some writers add; accepted with the values that this program assumes anyway.
            Some("rope.dimension_count") => number == Some(i128::from(head_width)),
            Some("vocab_size") => number == Some(i128::from(vocabulary)),
            Some("attention.causal") => *value == Value::Bool(true),
            Some(decoder::DEEPSTACK_LAYERS | "expert_count" | "expert_used_count") => number == Some(0),
            Some(_) => false,
            None if key == SPLIT_COUNT => number == Some(1),
            // llama.cpp, and whoever reads the file with it, insists on these kinds.
            None if key == general::NAME => matches!(value, Value::Str(_)),
            None if key == general::FILE_TYPE => number.is_some(),
            None => true,
        };
        if !is_harmless {
            let why = match key {
                SPLIT_COUNT => "join the parts of the model into one file first",
                general::NAME | general::FILE_TYPE => "a value of the wrong kind",
                _ => "no Qwen3-ASR decoder has that",
            };
            return Err(wrong(file, format!("key '{key}' is {value}: {why}")));
        }
    }
    Ok(())
}

fn wrong(file: &Gguf, what: String) -> Error {
    Error::model(format!("{}: {what}", file.path().display()))
}
