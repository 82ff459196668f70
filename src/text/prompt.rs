//! Everything the decoder reads before it writes: system turn with the context text, user turn with the audio,
//! opening of the answer.
//!
//! ```text
//! <|im_start|>system\n{context text}<|im_end|>\n<|im_start|>user\n<|audio_start|>
//!     audio embeddings, one position per audio token
//! <|audio_end|><|im_end|>\n<|im_start|>assistant\n[language {Name}<asr_text>]
//! ```

use super::language::Language;
use super::tokenizer::Tokenizer;
use crate::error::Result;

/// Ids of the tokens that give the prompt and the answer their structure, found by their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlTokens {
    /// `<|im_start|>`: a turn begins.
    pub im_start: u32,
    /// `<|im_end|>`: a turn ends; ends generation.
    pub im_end: u32,
    /// `<|endoftext|>`: ends generation too.
    pub end_of_text: u32,
    /// `<|audio_start|>`: the next position is the first audio token.
    pub audio_start: u32,
    /// `<|audio_end|>`: the last position was the last audio token.
    pub audio_end: u32,
    /// `<|audio_pad|>`: stands where an audio embedding goes; never part of a [`Prompt`].
    pub audio_pad: u32,
    /// `<asr_text>`: between the language header and the text. User-defined, so it survives decoding.
    pub asr_text: u32,
}

impl ControlTokens {
    /// Looks all of them up.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::error::ErrorKind::Model) naming the first that is missing.
    pub fn find(tokenizer: &Tokenizer) -> Result<Self> {
        Ok(Self {
            im_start: tokenizer.special("<|im_start|>")?,
            im_end: tokenizer.special("<|im_end|>")?,
            end_of_text: tokenizer.special("<|endoftext|>")?,
            audio_start: tokenizer.special("<|audio_start|>")?,
            audio_end: tokenizer.special("<|audio_end|>")?,
            audio_pad: tokenizer.special("<|audio_pad|>")?,
            asr_text: tokenizer.special("<asr_text>")?,
        })
    }
}

/// The ids on both sides of the audio embeddings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Through `<|audio_start|>`.
    pub before: Vec<u32>,
    /// From `<|audio_end|>`.
    pub after: Vec<u32>,
}

impl Prompt {
    /// Writes the prompt for a context text (empty for none) and, if `language` is given, the header that makes the
    /// model write text only.
    ///
    /// Each stretch of text between control tokens is encoded at once, so that a context text beginning with a line
    /// break merges with the template's own as in the official package. Unlike there, control-token text inside the
    /// context text is text.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::error::ErrorKind::Model) when the vocabulary lacks a control token or is damaged.
    pub fn build(tokenizer: &Tokenizer, context_text: &str, language: Option<&Language>) -> Result<Self> {
        let control = ControlTokens::find(tokenizer)?;
        let header = language.map_or_else(String::new, |language| format!("language {}", language.name()));
        let [system, line_break, user, assistant] = tokenizer.encode_each([
            &format!("system\n{context_text}"),
            "\n",
            "user\n",
            &format!("assistant\n{header}"),
        ])?;

        let mut before = vec![control.im_start];
        before.extend(system);
        before.push(control.im_end);
        before.extend(&line_break);
        before.push(control.im_start);
        before.extend(user);
        before.push(control.audio_start);

        let mut after = vec![control.audio_end, control.im_end];
        after.extend(line_break);
        after.push(control.im_start);
        after.extend(assistant);
        if language.is_some() {
            after.push(control.asr_text);
        }
        Ok(Self { before, after })
    }

    /// Positions the decoder needs for this prompt with `audio_tokens` audio embeddings in it.
    pub fn positions(&self, audio_tokens: usize) -> usize {
        self.before.len() + audio_tokens + self.after.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokenizer::{Tokenizer, Vocabulary};
    use super::*;

    /// With a vocabulary of bytes the prompt can be read off its ids.
    #[test]
    fn the_template_is_written_around_the_audio() {
        let mut tokens: Vec<String> = (0..=255u8).map(|byte| super::super::byte_alphabet::text_of(&[byte])).collect();
        let mut token_types = vec![1; 256];
        for control in
            ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|audio_start|>", "<|audio_end|>", "<|audio_pad|>"]
        {
            tokens.push(control.to_owned());
            token_types.push(3);
        }
        tokens.push("<asr_text>".to_owned());
        token_types.push(4);
        let texts = tokens.clone();
        let tokenizer = Tokenizer::new(Vocabulary { tokens, token_types, merges: Vec::new() }).unwrap();
        let read = |ids: &[u32]| -> String {
            ids.iter()
                .map(|&id| if id < 256 { char::from(id as u8).to_string() } else { texts[id as usize].clone() })
                .collect()
        };

        let prompt = Prompt::build(&tokenizer, "", None).unwrap();
        assert_eq!(read(&prompt.before), "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n<|audio_start|>");
        assert_eq!(read(&prompt.after), "<|audio_end|><|im_end|>\n<|im_start|>assistant\n");
        assert_eq!(prompt.positions(13), prompt.before.len() + 13 + prompt.after.len());

        let german = Language::get("de").unwrap();
        let prompt = Prompt::build(&tokenizer, "Ada <|im_end|>", Some(&german)).unwrap();
        assert_eq!(
            read(&prompt.before),
            "<|im_start|>system\nAda <|im_end|><|im_end|>\n<|im_start|>user\n<|audio_start|>"
        );
        // Only one of the two is a control token: the template's own.
        assert_eq!(prompt.before.iter().filter(|&&id| texts[id as usize] == "<|im_end|>").count(), 1);
        assert_eq!(read(&prompt.after), "<|audio_end|><|im_end|>\n<|im_start|>assistant\nlanguage German<asr_text>");
    }
}
