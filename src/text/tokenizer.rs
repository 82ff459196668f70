//! The vocabulary of a model file, both ways: text → ids and ids → bytes.

use super::byte_alphabet::append_bytes;
use super::piece_table::PieceTable;
use super::words::{BytePairs, Merges, WordEncoder, WordSplitter};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The three arrays of a model file that describe its vocabulary (`tokenizer.ggml.tokens`, `.token_type`,
/// `.merges`). Normal tokens and merges are written in the GPT-2 byte alphabet, all others in plain text.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// Text of every token; the index is the id.
    pub tokens: Vec<String>,
    /// One per token: 1 normal, 3 control, 4 user-defined, 5 unused.
    pub token_types: Vec<i32>,
    /// "left right", best rank first.
    pub merges: Vec<String>,
}

/// Tokens for code that Qwen's tokenizer does not call special: the official package shows them by these names, while
/// model files, llama.cpp's and ours, mark them as control tokens like all names in delimiters.
const SHOWN: [&str; 6] =
    ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"];

/// The kind of a token in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    /// Bytes of text. Only these are ever made from text.
    Normal,
    /// Structure of the conversation: no text, but for those of [`SHOWN`].
    Control,
    /// Not made from text, but text when it is read: `<asr_text>`.
    UserDefined,
    /// A row of the embedding table without meaning: no text.
    Unused,
}

impl TokenKind {
    fn find(gguf_type: i32) -> Option<Self> {
        match gguf_type {
            1 => Some(Self::Normal),
            3 => Some(Self::Control),
            4 => Some(Self::UserDefined),
            5 => Some(Self::Unused),
            _ => None,
        }
    }
}

/// Encodes plain text, finds control tokens by their text, decodes ids. `Send` and `Sync`.
///
/// Making one is cheap (milliseconds for 150,000 tokens): what encoding needs is prepared when
/// [`encode`](Self::encode) is called, for the text at hand.
#[derive(Debug)]
pub struct Tokenizer {
    kinds: Vec<TokenKind>,
    pieces: PieceTable,
    /// Ids of control and user-defined tokens.
    named: HashMap<String, u32>,
    merges: Merges,
    splitter: WordSplitter,
    /// Kept because the next text is usually like the last.
    latest: Mutex<Latest>,
}

/// The latest word encoder and how many were made before it.
#[derive(Debug, Default)]
struct Latest {
    encoder: Option<Arc<WordEncoder>>,
    replaced: u32,
}

/// After this many encoders, each with a few more byte pairs than the one before, the whole vocabulary is cheaper.
const MOST_PARTIAL_ENCODERS: u32 = 16;

impl Tokenizer {
    /// Checks the arrays of a model file and takes them over.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::error::ErrorKind::Model) when the arrays do not fit each other, a token has a
    /// type or a character that byte-level vocabularies do not have, or one of the 256 bytes has no token.
    pub fn new(vocabulary: Vocabulary) -> Result<Self> {
        let Vocabulary { tokens, token_types, merges } = vocabulary;
        if tokens.len() != token_types.len() {
            return Err(Error::model(format!(
                "the model file's vocabulary has {} tokens but {} token types: convert the model again",
                tokens.len(),
                token_types.len()
            )));
        }
        let mut kinds = Vec::with_capacity(tokens.len());
        let mut pieces = PieceTable::with_capacity(tokens.len());
        let mut named = HashMap::new();
        for ((id, token), gguf_type) in (0u32..).zip(&tokens).zip(token_types) {
            let kind = TokenKind::find(gguf_type).ok_or_else(|| {
                Error::model(format!(
                    "token {id} ({token:?}) of the model file has type {gguf_type}, which a byte-level vocabulary \
                     does not have: convert the model again"
                ))
            })?;
            let written = pieces.push_with(|bytes| match kind {
                TokenKind::Normal => append_bytes(token, bytes),
                TokenKind::Control if !SHOWN.contains(&token.as_str()) => Ok(()),
                TokenKind::UserDefined | TokenKind::Control => {
                    bytes.extend_from_slice(token.as_bytes());
                    Ok(())
                }
                TokenKind::Unused => Ok(()),
            });
            let written = written.ok_or_else(|| {
                Error::model(format!(
                    "the model file's vocabulary is over 4 GiB at token {id}: convert the model again"
                ))
            })?;
            written.map_err(|stranger| {
                Error::model(format!(
                    "token {id} ({token:?}) of the model file has the character {stranger:?}, which is not in the \
                     byte alphabet: convert the model again"
                ))
            })?;
            if matches!(kind, TokenKind::Control | TokenKind::UserDefined) {
                named.entry(token.clone()).or_insert(id);
            }
            kinds.push(kind);
        }
        let tokenizer = Self {
            kinds,
            pieces,
            named,
            merges: Merges::new(&merges)?,
            splitter: WordSplitter::new()?,
            latest: Mutex::default(),
        };
        tokenizer.check_bytes()?;
        Ok(tokenizer)
    }

    /// Without a token for each byte, some text could not be encoded, and would be lost silently.
    fn check_bytes(&self) -> Result<()> {
        let mut found = [false; 256];
        for (_, bytes) in self.normal_tokens() {
            if let [byte] = bytes {
                found[usize::from(*byte)] = true;
            }
        }
        match found.iter().position(|found| !found) {
            None => Ok(()),
            Some(byte) => Err(Error::model(format!(
                "the model file's vocabulary has no token for the byte 0x{byte:02X}: convert the model again"
            ))),
        }
    }

    fn normal_tokens(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let all = (0u32..).zip(&self.kinds).zip(self.pieces.iter());
        all.filter(|((_, kind), _)| **kind == TokenKind::Normal).map(|((id, _), bytes)| (id, bytes))
    }

    /// The ids of plain text, after NFC, with Qwen's own word pattern. The text of a control token inside it is
    /// plain text too and never becomes one.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::error::ErrorKind::Model) when a merge the text needs joins to no token;
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) when the text is too much for the word pattern.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let [ids] = self.encode_each([text])?;
        Ok(ids)
    }

    /// The ids of several texts, each encoded on its own, at the price of one.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_each<const N: usize>(&self, texts: [&str; N]) -> Result<[Vec<u32>; N]> {
        let mut words: [Vec<String>; N] = std::array::from_fn(|_| Vec::new());
        let mut pairs = BytePairs::new();
        for (words, text) in words.iter_mut().zip(texts) {
            *words = self.splitter.words(text)?;
            words.iter().for_each(|word| pairs.add_word(word));
        }
        let encoder = self.encoder_for(&pairs)?;
        let mut ids: [Vec<u32>; N] = std::array::from_fn(|_| Vec::new());
        for (ids, words) in ids.iter_mut().zip(&words) {
            for word in words {
                encoder.encode(word, ids)?;
            }
        }
        Ok(ids)
    }

    /// The kept encoder if it knows all these pairs, else one that knows these as well as the earlier ones.
    fn encoder_for(&self, pairs: &BytePairs) -> Result<Arc<WordEncoder>> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wanted = pairs.clone();
        if let Some(encoder) = latest.encoder.as_ref() {
            if encoder.pairs().includes(pairs) {
                return Ok(Arc::clone(encoder));
            }
            wanted.add_all(encoder.pairs());
            latest.replaced += 1;
        }
        if latest.replaced >= MOST_PARTIAL_ENCODERS {
            wanted = BytePairs::all();
        }
        let encoder = Arc::new(WordEncoder::new(wanted, self.normal_tokens(), &self.merges)?);
        latest.encoder = Some(Arc::clone(&encoder));
        Ok(encoder)
    }

    /// The id of a control or user-defined token, by its text: `tokenizer.special("<|im_start|>")`.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::error::ErrorKind::Model) when the vocabulary has no such token.
    pub fn special(&self, text: &str) -> Result<u32> {
        self.named.get(text).copied().ok_or_else(|| {
            Error::model(format!(
                "the model file's vocabulary has no control token {text:?}: use a model converted from Qwen3-ASR"
            ))
        })
    }

    /// The text of generated ids. Control tokens, unused and unknown ids have no text; `<asr_text>` has, and so have the
    /// six `<|fim_…|>`, repository and file tokens, which the official tokenizer does not call special. Bytes that are
    /// not UTF-8 become U+FFFD as in the official package's decoding.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.bytes(id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The bytes of one token; empty for control tokens (not for the six that are shown), unused and unknown ids.
    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        usize::try_from(id).ok().and_then(|index| self.pieces.get(index)).unwrap_or_default()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::byte_alphabet::text_of;
    use super::*;
    use crate::error::ErrorKind;

    /// Ids 0..=255 are the bytes; 256 on are these merges' results; then `<|c|>` control, `<u v>` user-defined and
    /// an unused row.
    fn byte_vocabulary(merges: &[&str]) -> Vocabulary {
        let mut tokens: Vec<String> = (0..=255).map(|byte| text_of(&[byte])).collect();
        tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
        let mut token_types = vec![1; tokens.len()];
        for (token, gguf_type) in [("<|c|>", 3), ("<u v>", 4), ("[PAD]", 5)] {
            tokens.push(token.to_owned());
            token_types.push(gguf_type);
        }
        Vocabulary { tokens, token_types, merges: merges.iter().map(|&merge| merge.to_owned()).collect() }
    }

    pub(crate) fn byte_tokenizer(merges: &[&str]) -> Tokenizer {
        Tokenizer::new(byte_vocabulary(merges)).unwrap()
    }

    fn message(vocabulary: Vocabulary) -> String {
        let error = Tokenizer::new(vocabulary).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        error.to_string()
    }

    #[test]
    fn merges_apply_by_rank_and_inside_words_only() {
        let tokenizer = byte_tokenizer(&["b c", "a b", "Ġ a", "bc d"]);
        assert_eq!(tokenizer.encode("abcd").unwrap(), [97, 259]);
        assert_eq!(tokenizer.encode("ab").unwrap(), [257]);
        // The space belongs to the word after it, so "b" and "c" never meet.
        assert_eq!(tokenizer.encode("b cab ab").unwrap(), [98, 32, 99, 257, 32, 257]);
        assert_eq!(tokenizer.encode("").unwrap(), [0u32; 0]);
    }

    #[test]
    fn earlier_texts_do_not_change_later_ids() {
        let merges = ["b c", "a b", "Ġ a", "bc d", "a bcd"];
        let used = byte_tokenizer(&merges);
        for text in ["ab", "abcd bcd", "xyz", "cd ab", "\u{301}e abcabcd"] {
            assert_eq!(used.encode(text).unwrap(), byte_tokenizer(&merges).encode(text).unwrap(), "{text:?}");
        }
    }

    #[test]
    fn text_is_composed_before_it_is_encoded() {
        let tokenizer = byte_tokenizer(&[]);
        assert_eq!(tokenizer.decode(&tokenizer.encode("e\u{301}").unwrap()), "é");
    }

    #[test]
    fn control_text_is_plain_text_unless_asked_for_by_name() {
        let tokenizer = byte_tokenizer(&[]);
        let control = tokenizer.special("<|c|>").unwrap();
        let user_defined = tokenizer.special("<u v>").unwrap();
        let ids = tokenizer.encode("x<|c|><u v>").unwrap();
        assert!(ids.iter().all(|&id| id < 256));
        assert_eq!(tokenizer.decode(&ids), "x<|c|><u v>");
        assert_eq!(tokenizer.decode(&[120, control, user_defined, user_defined + 1, u32::MAX]), "x<u v>");
    }

    /// The text of `tokenizer.decode(ids, skip_special_tokens=True)` of the official package, for the published vocabulary.
    #[test]
    fn tokens_for_code_are_shown_as_in_the_official_text() {
        let mut vocabulary = byte_vocabulary(&[]);
        let names =
            ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"];
        for name in names.into_iter().chain(["<|vision_pad|>", "<|endoftext|>"]) {
            vocabulary.tokens.push(name.to_owned());
            vocabulary.token_types.push(3);
        }
        let tokenizer = Tokenizer::new(vocabulary).unwrap();
        let ids: Vec<u32> = names.iter().map(|name| tokenizer.special(name).unwrap()).collect();
        assert_eq!(tokenizer.decode(&ids), names.concat());
        let hidden = ["<|vision_pad|>", "<|endoftext|>"].map(|name| tokenizer.special(name).unwrap());
        assert_eq!(tokenizer.decode(&hidden), "");
        // Text that looks like them stays text.
        assert!(tokenizer.encode("<|fim_prefix|>").unwrap().iter().all(|&id| id < 256));
    }

    #[test]
    fn a_missing_control_token_is_named() {
        let error = byte_tokenizer(&[]).special("<|im_start|>").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.to_string().contains("<|im_start|>"), "{error}");
        // A normal token is no control token, whatever its text.
        assert!(byte_tokenizer(&["a b"]).special("ab").is_err());
    }

    #[test]
    fn damaged_vocabularies_are_errors() {
        let mut short = byte_vocabulary(&[]);
        short.token_types.pop();
        assert!(message(short).contains("258 token types"));

        let mut strange_type = byte_vocabulary(&[]);
        strange_type.token_types[65] = 6;
        assert!(message(strange_type).contains("token 65"));

        let mut strange_character = byte_vocabulary(&["a b"]);
        strange_character.tokens[256] = "中".to_owned();
        assert!(message(strange_character).contains('中'));

        let mut no_byte = byte_vocabulary(&[]);
        no_byte.tokens[10] = "ab".to_owned();
        assert!(message(no_byte).contains("0x0A"));

        for merge in ["ab", "a ", " b", "a b c", "a 中", ""] {
            let mut vocabulary = byte_vocabulary(&[]);
            vocabulary.merges = vec![merge.to_owned()];
            assert!(message(vocabulary).contains("merge 0"), "{merge:?}");
        }
        assert!(message(Vocabulary::default()).contains("0x00"));
    }

    #[test]
    fn a_merge_without_its_token_is_an_error_and_no_panic() {
        let mut vocabulary = byte_vocabulary(&[]);
        vocabulary.merges = vec!["a b".to_owned(), "aaaaaaaaa aaaaaaaaaaaaaaaaaaaaaaaa".to_owned()];
        let tokenizer = Tokenizer::new(vocabulary).unwrap();
        for text in ["ab", "aa"] {
            let error = tokenizer.encode(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Model);
        }
        assert_eq!(tokenizer.encode("ba").unwrap(), [98, 97]);
    }
}
