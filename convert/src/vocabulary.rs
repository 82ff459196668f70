//! The vocabulary as llama.cpp's layout wants it: one row per embedding, holes filled, kinds marked.

use std::path::Path;

use qasr_format::schema::token_type;
use serde_json::Value;

use crate::checkpoint::{find_json, read_json, read_text};
use crate::error::{ConvertError, Result};

/// Tokens, their kinds, and the merges.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// One per row of the embedding table, in the byte-level alphabet.
    pub tokens: Vec<String>,
    /// [`token_type`] of each.
    pub types: Vec<i32>,
    /// Pairs separated by a space, the first merged first.
    pub merges: Vec<String>,
    /// Row of `<|im_end|>`, which ends a turn.
    pub im_end: u32,
}

impl Vocabulary {
    /// Reads `vocab.json`, `merges.txt` and `tokenizer_config.json` in `dir`, or `tokenizer.json` in their place, for
    /// an embedding table of `rows` rows.
    ///
    /// # Errors
    /// When a file is missing or not as it should be, a token has no row, two tokens share one, or a token that the
    /// prompt needs is missing.
    pub fn read(dir: &Path, rows: u64) -> Result<Self> {
        let whole_path = dir.join("tokenizer.json");
        let whole = if dir.join("vocab.json").is_file() { None } else { find_json(&whole_path)? };
        let (vocab_path, vocab, merges) = match &whole {
            Some(json) => (whole_path, json["model"]["vocab"].clone(), listed_merges(json, dir)?),
            None => {
                let path = dir.join("vocab.json");
                (path.clone(), read_json(&path)?, file_merges(&dir.join("merges.txt"))?)
            }
        };
        let wrong = |what: String| ConvertError::checkpoint(format!("{}: {what}", vocab_path.display()));
        let mut table = Table::new(rows);
        for (token, id) in vocab.as_object().ok_or_else(|| wrong("is no object of tokens".to_owned()))? {
            table.put(id.as_u64(), token, token_type::NORMAL).map_err(wrong)?;
        }
        let config_path = dir.join("tokenizer_config.json");
        let added = added_tokens(whole.as_ref(), find_json(&config_path)?.as_ref());
        if added.is_empty() {
            return Err(ConvertError::checkpoint(format!(
                "{}: lists no added tokens, but the prompt cannot be written without them",
                config_path.display()
            )));
        }
        for (id, token, is_special) in added {
            // Delimited names are control tokens even where the flag is missing: text must never produce them.
            let is_control = is_special || (token.starts_with("<|") && token.ends_with("|>"));
            let kind = if is_control { token_type::CONTROL } else { token_type::USER_DEFINED };
            table
                .put(id, &token, kind)
                .map_err(|what| ConvertError::checkpoint(format!("{}: {what}", config_path.display())))?;
        }
        let find = |wanted: &str| table.tokens.iter().position(|token| token == wanted);
        let missing: Vec<String> =
            NEEDED.iter().filter(|name| find(name).is_none()).map(|name| format!("'{name}'")).collect();
        if !missing.is_empty() {
            return Err(ConvertError::checkpoint(format!("{}: lacks tokens the prompt needs:", vocab_path.display()))
                .with_items(missing));
        }
        let im_end = find("<|im_end|>").and_then(|id| u32::try_from(id).ok()).unwrap_or_default();
        Ok(Self { tokens: table.tokens, types: table.types, merges, im_end })
    }
}

/// Tokens without which no recording can be transcribed.
const NEEDED: [&str; 6] =
    ["<|im_start|>", "<|im_end|>", "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>", "<asr_text>"];

struct Table {
    tokens: Vec<String>,
    types: Vec<i32>,
}

impl Table {
    /// `rows` comes from the configuration, which bounds it.
    fn new(rows: u64) -> Self {
        Self {
            tokens: (0..rows).map(|i| format!("[PAD{i}]")).collect(),
            types: vec![token_type::UNUSED; rows as usize],
        }
    }

    fn put(&mut self, id: Option<u64>, token: &str, kind: i32) -> std::result::Result<(), String> {
        let row =
            id.and_then(|id| usize::try_from(id).ok()).filter(|&row| row < self.tokens.len()).ok_or_else(|| {
                format!("token '{token}' has no row among the {} of the embedding table", self.tokens.len())
            })?;
        // An added token may repeat what the vocabulary already says about its row, and only that.
        if self.types[row] != token_type::UNUSED && self.tokens[row] != token {
            return Err(format!("tokens '{}' and '{token}' share row {row}", self.tokens[row]));
        }
        self.tokens[row] = token.to_owned();
        self.types[row] = kind;
        Ok(())
    }
}

/// Row, text and whether it is special, from `tokenizer_config.json` (by row) or `tokenizer.json` (a list).
fn added_tokens(whole: Option<&Value>, config: Option<&Value>) -> Vec<(Option<u64>, String, bool)> {
    let mut added: Vec<_> = config
        .and_then(|config| config["added_tokens_decoder"].as_object())
        .into_iter()
        .flatten()
        .map(|(id, token)| (id.parse().ok(), token))
        .collect();
    if added.is_empty() {
        let listed = whole.and_then(|whole| whole["added_tokens"].as_array()).into_iter().flatten();
        added = listed.map(|token| (token["id"].as_u64(), token)).collect();
    }
    let text = |token: &Value| token["content"].as_str().unwrap_or_default().to_owned();
    added.into_iter().map(|(id, token)| (id, text(token), token["special"].as_bool().unwrap_or(false))).collect()
}

fn file_merges(path: &Path) -> Result<Vec<String>> {
    let text = read_text(path)?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .filter(|(i, line)| *i > 0 || !line.starts_with("#version"))
        .map(|(i, line)| {
            let line = line.trim_end_matches('\r');
            check_merge(line)
                .ok_or_else(|| ConvertError::checkpoint(format!("{}:{}: '{line}' is no pair", path.display(), i + 1)))
        })
        .collect()
}

fn listed_merges(json: &Value, dir: &Path) -> Result<Vec<String>> {
    let wrong = || {
        ConvertError::checkpoint(format!("{}: its merges are no list of pairs", dir.join("tokenizer.json").display()))
    };
    let list = json["model"]["merges"].as_array().ok_or_else(wrong)?;
    list.iter()
        .map(|merge| match merge {
            // Both spellings occur: "a b" and ["a", "b"].
            Value::String(line) => check_merge(line),
            Value::Array(pair) => match pair.as_slice() {
                [Value::String(left), Value::String(right)] => check_merge(&format!("{left} {right}")),
                _ => None,
            },
            _ => None,
        })
        .map(|merge| merge.ok_or_else(wrong))
        .collect()
}

/// The line, if it is two non-empty parts separated by one space. (The byte-level alphabet has no space.)
fn check_merge(line: &str) -> Option<String> {
    let (left, right) = line.split_once(' ')?;
    (!left.is_empty() && !right.is_empty() && !right.contains(' ')).then(|| line.to_owned())
}
