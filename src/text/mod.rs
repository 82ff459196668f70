//! The words around the audio: prompt in, answer out, never half a character.
//!
//! ```text
//! context text, language ─ prompt ─▶ ids before the audio rows, ids after them
//! generated ids ─ Tokenizer, Detokenizer ─▶ raw text ─ answer (with repetition, language) ─▶ language, text
//! ```
//!
//! No token id is written in this room. Every control token is looked up by its text in the vocabulary of the
//! model file, so a fine-tune or the demo model with another vocabulary needs no change here.

pub mod answer;
mod byte_alphabet;
mod detokenizer;
pub mod joining;
pub mod language;
mod piece_table;
pub mod prompt;
mod python_text;
pub mod repetition;
mod tokenizer;
mod words;

pub use answer::Answer;
pub use detokenizer::Detokenizer;
pub use language::Language;
pub use prompt::{ControlTokens, Prompt};
pub use tokenizer::{Tokenizer, Vocabulary};
