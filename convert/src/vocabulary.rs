//! The vocabulary as llama.cpp's layout wants it: one row per embedding, holes filled, kinds marked.

use std::collections::HashSet;
use std::path::Path;

use qasr_format::schema::token_type;
use serde_json::Value;

use crate::checkpoint::{find_json, read_text};
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
    /// Files that something was taken from and that most checkpoints do not have.
    pub rare_files: Vec<&'static str>,
    /// Where the tokens were found, if not where the published checkpoints have them.
    pub notes: Vec<String>,
}

impl Vocabulary {
    /// Reads the vocabulary in `dir` for an embedding table of `rows` rows: tokens from `vocab.json`, merges from
    /// `merges.txt`, or else both from `tokenizer.json`; added tokens from `tokenizer_config.json`, `tokenizer.json` and
    /// `added_tokens.json`, the first that has something to say about a row.
    ///
    /// # Errors
    /// When a file is missing or not as it should be, a token has no row, two tokens share one, or a token that the
    /// prompt needs is missing.
    pub fn read(dir: &Path, rows: u64) -> Result<Self> {
        let files = Files::read(dir)?;
        let mut notes = Vec::new();
        let (vocab_name, vocab) = files.vocab(dir)?;
        let vocab_path = dir.join(vocab_name);
        let merges = files.merges(dir, vocab_name, &mut notes)?;
        let wrong = |what: String| ConvertError::checkpoint(format!("{}: {what}", vocab_path.display()));
        let mut table = Table::new(rows);
        for (token, id) in vocab.as_object().ok_or_else(|| wrong("is no object of tokens".to_owned()))? {
            table.put(id.as_u64(), token, token_type::NORMAL).map_err(wrong)?;
        }
        let special = files.special_names();
        let mut seen = HashSet::new();
        let mut rows_seen = HashSet::new();
        let mut rare_files = Vec::new();
        for (file, added) in files.added() {
            let mut taken = 0;
            for (id, token, is_special) in added {
                // What an earlier file says about a row or a name holds.
                if seen.contains(&token) || id.is_some_and(|id| !rows_seen.insert(id)) {
                    continue;
                }
                // A name in delimiters is a control token where no file says whether it is: text must never produce it.
                let is_control = is_special.unwrap_or_else(|| special.contains(&token) || is_delimited(&token))
                    || CONTROL_FOR_LLAMA.contains(&token.as_str());
                let kind = if is_control { token_type::CONTROL } else { token_type::USER_DEFINED };
                table
                    .put(id, &token, kind)
                    .map_err(|what| ConvertError::checkpoint(format!("{}: {what}", dir.join(file).display())))?;
                seen.insert(token);
                taken += 1;
            }
            if taken > 0 && file != TOKENIZER_CONFIG && vocab_name != TOKENIZER {
                notes.push(format!("{taken} added tokens were found in {file}, not in {TOKENIZER_CONFIG}"));
            }
            if taken > 0 && file == ADDED_TOKENS {
                rare_files.push(ADDED_TOKENS);
                rare_files.extend(files.special_map.is_some().then_some(SPECIAL_MAP));
            }
        }
        let find = |table: &Table, wanted: &str| table.tokens.iter().position(|token| token == wanted);
        // A vocabulary that holds everything lists names like words.
        if seen.is_empty() {
            for (token, kind) in table.tokens.iter().zip(&mut table.types) {
                if *kind == token_type::NORMAL && (special.contains(token) || is_delimited(token)) {
                    *kind = token_type::CONTROL;
                }
            }
        }
        // Whatever the files say about these.
        for (name, kind) in NEEDED {
            if let Some(row) = find(&table, name) {
                table.types[row] = kind;
            }
        }
        let missing: Vec<String> = NEEDED
            .iter()
            .filter(|(name, _)| find(&table, name).is_none())
            .map(|(name, _)| format!("'{name}'"))
            .collect();
        if missing.len() == NEEDED.len() && seen.is_empty() {
            return Err(ConvertError::checkpoint(format!(
                "{}: no file lists added tokens ({TOKENIZER_CONFIG}: added_tokens_decoder, {TOKENIZER}: added_tokens, \
                 {ADDED_TOKENS}), but the prompt cannot be written without them: add the tokenizer files of the base model",
                dir.display()
            )));
        }
        if !missing.is_empty() {
            return Err(ConvertError::checkpoint(format!("{}: lacks tokens the prompt needs:", vocab_path.display()))
                .with_items(missing));
        }
        let im_end = find(&table, IM_END).and_then(|id| u32::try_from(id).ok()).unwrap_or_default();
        Ok(Self { tokens: table.tokens, types: table.types, merges, im_end, rare_files, notes })
    }
}

const VOCAB: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const ADDED_TOKENS: &str = "added_tokens.json";
const SPECIAL_MAP: &str = "special_tokens_map.json";

const IM_END: &str = "<|im_end|>";

/// Tokens without which no recording can be transcribed, and what they are.
const NEEDED: [(&str, i32); 7] = [
    ("<|endoftext|>", token_type::CONTROL),
    ("<|im_start|>", token_type::CONTROL),
    (IM_END, token_type::CONTROL),
    ("<|audio_start|>", token_type::CONTROL),
    ("<|audio_end|>", token_type::CONTROL),
    ("<|audio_pad|>", token_type::CONTROL),
    ("<asr_text>", token_type::USER_DEFINED),
];

/// Not special for the official tokenizer, which shows them in a text, but control tokens in llama.cpp's files and so
/// in ours. The runtime shows them by their names.
const CONTROL_FOR_LLAMA: [&str; 6] =
    ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"];

fn is_delimited(token: &str) -> bool {
    token.starts_with("<|") && token.ends_with("|>")
}

/// The files about tokens that are there.
struct Files {
    /// `vocab.json`.
    vocab: Option<Value>,
    /// `tokenizer.json`.
    whole: Option<Value>,
    /// `tokenizer_config.json`.
    config: Option<Value>,
    /// `added_tokens.json`.
    added: Option<Value>,
    /// `special_tokens_map.json`.
    special_map: Option<Value>,
}

/// Row, text, and whether it is special if the file says so.
type Added = (Option<u64>, String, Option<bool>);

impl Files {
    /// `tokenizer.json`, which can be large, and the two that only old programs write are read where the others leave
    /// something open.
    fn read(dir: &Path) -> Result<Self> {
        let vocab = find_json(&dir.join(VOCAB))?;
        let config = find_json(&dir.join(TOKENIZER_CONFIG))?;
        let mut files = Self { vocab, whole: None, config, added: None, special_map: None };
        let is_whole = |files: &Self| {
            let listed: HashSet<String> =
                files.added().into_iter().flat_map(|(_, added)| added).map(|(_, token, _)| token).collect();
            NEEDED.iter().all(|(name, _)| listed.contains(*name))
        };
        if files.vocab.is_none() || !dir.join(MERGES).is_file() || !is_whole(&files) {
            files.whole = find_json(&dir.join(TOKENIZER))?;
        }
        if !is_whole(&files) {
            files.added = find_json(&dir.join(ADDED_TOKENS))?;
            files.special_map = find_json(&dir.join(SPECIAL_MAP))?;
        }
        Ok(files)
    }

    /// Tokens and their rows, and the file they come from.
    fn vocab(&self, dir: &Path) -> Result<(&'static str, &Value)> {
        match (&self.vocab, &self.whole) {
            (Some(vocab), _) => Ok((VOCAB, vocab)),
            (None, Some(whole)) => Ok((TOKENIZER, &whole["model"]["vocab"])),
            (None, None) => Err(ConvertError::checkpoint(format!(
                "{}: holds neither {VOCAB} nor {TOKENIZER}: add the tokenizer files of the base model",
                dir.display()
            ))),
        }
    }

    fn merges(&self, dir: &Path, vocab: &str, notes: &mut Vec<String>) -> Result<Vec<String>> {
        let path = dir.join(MERGES);
        match &self.whole {
            Some(whole) if vocab == TOKENIZER || !path.is_file() => {
                if vocab != TOKENIZER {
                    notes.push(format!("the merges were found in {TOKENIZER}, since there is no {MERGES}"));
                }
                listed_merges(whole, dir)
            }
            _ if path.is_file() => file_merges(&path),
            _ => Err(ConvertError::checkpoint(format!(
                "{}: holds neither {MERGES} nor {TOKENIZER}: add the tokenizer files of the base model",
                dir.display()
            ))),
        }
    }

    /// Added tokens of each file, the file to be believed first.
    fn added(&self) -> [(&'static str, Vec<Added>); 3] {
        let text = |token: &Value| token["content"].as_str().or(token.as_str()).unwrap_or_default().to_owned();
        let decoder = self.config.iter().filter_map(|config| config["added_tokens_decoder"].as_object()).flatten();
        let decoder = decoder.map(|(id, token)| (id.parse().ok(), text(token), token["special"].as_bool()));
        let listed = self.whole.iter().filter_map(|whole| whole["added_tokens"].as_array()).flatten();
        let listed = listed.map(|token| (token["id"].as_u64(), text(token), token["special"].as_bool()));
        let plain = self.added.iter().filter_map(Value::as_object).flatten();
        let plain = plain.map(|(token, id)| (id.as_u64(), token.clone(), None));
        [(TOKENIZER_CONFIG, decoder.collect()), (TOKENIZER, listed.collect()), (ADDED_TOKENS, plain.collect())]
    }

    /// Names of special tokens in the settings of the tokenizer: single ones (`eos_token`), and lists or objects of them.
    fn special_names(&self) -> HashSet<String> {
        let mut names = HashSet::new();
        for (key, value) in
            [&self.config, &self.special_map].into_iter().flatten().filter_map(Value::as_object).flatten()
        {
            if key.ends_with("_token") || key.ends_with("_special_tokens") {
                collect_names(value, &mut names);
            }
        }
        names
    }
}

fn collect_names(value: &Value, names: &mut HashSet<String>) {
    match value {
        Value::String(name) => drop(names.insert(name.clone())),
        Value::Array(list) => list.iter().for_each(|value| collect_names(value, names)),
        Value::Object(object) => match object.get("content") {
            Some(content) => collect_names(content, names),
            None => object.values().for_each(|value| collect_names(value, names)),
        },
        _ => {}
    }
}

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
