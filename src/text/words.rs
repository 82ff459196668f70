//! Text → words → token ids, with the `tokenizers` crate, for the words at hand only.
//!
//! Handing a whole vocabulary of 150,000 tokens and as many merges to `tokenizers` takes longer than everything
//! else that happens before the first audio is read, and a prompt needs about twenty of them. A merge can take part
//! in encoding a word only if the bytes it produces are found side by side in that word. So the vocabulary given to
//! `tokenizers` holds the tokens and merges whose every pair of neighbouring bytes occurs in the words to encode:
//! always enough, hence the same ids, and for a short text a few hundred instead of 150,000.

use super::byte_alphabet::{append_bytes, byte_of, text_of};
use super::piece_table::PieceTable;
use crate::error::{Error, Result};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    Model as _, NormalizedString, Normalizer as _, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer as _, SplitDelimiterBehavior,
};

/// The published pattern of Qwen2 tokenizers, which cuts text into the words that merges stay inside. The pattern
/// that newer transformers put in its place ("fix mistral regex") is not the one the model was trained with.
const WORD_PATTERN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Cuts text into words written in the byte alphabet.
#[derive(Debug)]
pub(super) struct WordSplitter {
    split: Split,
    bytes: ByteLevel,
}

impl WordSplitter {
    /// Compiles the pattern.
    pub(super) fn new() -> Result<Self> {
        let pattern = SplitPattern::Regex(WORD_PATTERN.to_owned());
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
            .map_err(|cause| Error::internal(format!("the word pattern does not compile: {cause}")))?;
        Ok(Self { split, bytes: ByteLevel::new(false, false, false) })
    }

    /// The words of `text` after NFC, in order, each written in the byte alphabet.
    pub(super) fn words(&self, text: &str) -> Result<Vec<String>> {
        let failed = |cause: tokenizers::Error| {
            Error::usage(format!("a text of {} bytes cannot be cut into words ({cause}): shorten it", text.len()))
        };
        let mut normalized = NormalizedString::from(text);
        NFC.normalize(&mut normalized).map_err(failed)?;
        let mut split = PreTokenizedString::from(normalized);
        self.split.pre_tokenize(&mut split).map_err(failed)?;
        self.bytes.pre_tokenize(&mut split).map_err(failed)?;
        let words = split.get_splits(OffsetReferential::Normalized, OffsetType::None);
        Ok(words.into_iter().map(|(word, _, _)| word.to_owned()).collect())
    }
}

/// A set of pairs of neighbouring bytes.
#[derive(Debug, Clone)]
pub(super) struct BytePairs(Vec<u64>);

impl BytePairs {
    /// The empty set.
    pub(super) fn new() -> Self {
        Self(vec![0; 1024])
    }

    /// Every pair there is.
    pub(super) fn all() -> Self {
        Self(vec![u64::MAX; 1024])
    }

    fn place(pair: &[u8]) -> (usize, u64) {
        let index = usize::from(pair[0]) << 8 | usize::from(pair[1]);
        (index / 64, 1 << (index % 64))
    }

    /// Adds every pair of a word written in the byte alphabet.
    pub(super) fn add_word(&mut self, word: &str) {
        let bytes: Vec<u8> = word.chars().filter_map(byte_of).collect();
        for pair in bytes.windows(2) {
            let (slot, bit) = Self::place(pair);
            self.0[slot] |= bit;
        }
    }

    /// Adds every pair of another set.
    pub(super) fn add_all(&mut self, other: &Self) {
        for (slot, bits) in self.0.iter_mut().zip(&other.0) {
            *slot |= bits;
        }
    }

    /// Whether every pair of `other` is here.
    pub(super) fn includes(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(here, there)| there & !here == 0)
    }

    /// Whether every pair of neighbours in `bytes` is here.
    fn cover(&self, bytes: &[u8]) -> bool {
        bytes.windows(2).all(|pair| {
            let (slot, bit) = Self::place(pair);
            self.0[slot] & bit != 0
        })
    }
}

/// The merges of a vocabulary in order of rank: the joined bytes, and where the left part ends.
#[derive(Debug)]
pub(super) struct Merges {
    joined: PieceTable,
    left_lengths: Vec<u32>,
}

impl Merges {
    /// Reads merges written as two parts in the byte alphabet with one space between them.
    pub(super) fn new(merges: &[String]) -> Result<Self> {
        let mut joined = PieceTable::with_capacity(merges.len());
        let mut left_lengths = Vec::with_capacity(merges.len());
        for (rank, merge) in merges.iter().enumerate() {
            let malformed = || {
                Error::model(format!(
                    "merge {rank} of the model file's vocabulary is {merge:?}, not two parts of a byte-level token: \
                     convert the model again"
                ))
            };
            let (left, right) = merge.split_once(' ').ok_or_else(malformed)?;
            if left.is_empty() || right.is_empty() {
                return Err(malformed());
            }
            let written = joined.push_with(|bytes| append_bytes(left, bytes).and_then(|()| append_bytes(right, bytes)));
            written.ok_or_else(malformed)?.map_err(|_| malformed())?;
            left_lengths.push(u32::try_from(left.chars().count()).map_err(|_| malformed())?);
        }
        Ok(Self { joined, left_lengths })
    }

    /// The merges whose joined bytes `pairs` covers, in order of rank, as left and right bytes.
    fn covered<'a>(&'a self, pairs: &'a BytePairs) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let all = self.joined.iter().zip(&self.left_lengths);
        all.filter(|(joined, _)| pairs.cover(joined)).map(|(joined, &left)| joined.split_at(left as usize))
    }
}

/// An encoder for every word whose byte pairs are in its set.
#[derive(Debug)]
pub(super) struct WordEncoder {
    pairs: BytePairs,
    bpe: BPE,
}

impl WordEncoder {
    /// Takes from the vocabulary what words made of `pairs` can need. `tokens` gives ids and bytes of the normal
    /// tokens. A merge that joins to no token is an error that names it.
    pub(super) fn new<'a>(
        pairs: BytePairs,
        tokens: impl Iterator<Item = (u32, &'a [u8])>,
        merges: &Merges,
    ) -> Result<Self> {
        let mut vocab = Vocab::new();
        for (id, bytes) in tokens.filter(|(_, bytes)| !bytes.is_empty() && pairs.cover(bytes)) {
            vocab.entry(text_of(bytes)).or_insert(id);
        }
        let mut usable = Vec::new();
        for (left, right) in merges.covered(&pairs) {
            let (left, right) = (text_of(left), text_of(right));
            // Checked here because `tokenizers` panics, not errs, when the joined text is longer than any token.
            for needed in [&left, &right, &format!("{left}{right}")] {
                if !vocab.contains_key(needed.as_str()) {
                    return Err(Error::model(format!(
                        "the model file's vocabulary merges {left:?} and {right:?} but has no token {needed:?}: \
                         convert the model again"
                    )));
                }
            }
            usable.push((left, right));
        }
        // No cache: words repeat rarely in a prompt, and the crate's cache outlives the encoder.
        let bpe = BPE::builder().vocab_and_merges(vocab, usable).cache_capacity(0).build();
        let bpe = bpe.map_err(|cause| Error::model(format!("the model file's vocabulary is not usable: {cause}")))?;
        Ok(Self { pairs, bpe })
    }

    /// The byte pairs this encoder was made for.
    pub(super) fn pairs(&self) -> &BytePairs {
        &self.pairs
    }

    /// Appends the ids of one word, written in the byte alphabet.
    pub(super) fn encode(&self, word: &str, ids: &mut Vec<u32>) -> Result<()> {
        let tokens = self.bpe.tokenize(word);
        let tokens = tokens.map_err(|cause| Error::internal(format!("the word {word:?} was not encoded: {cause}")))?;
        ids.extend(tokens.iter().map(|token| token.id));
        Ok(())
    }
}
