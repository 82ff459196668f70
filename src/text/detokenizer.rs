//! Ids → text while they are generated. A token may hold part of a character; the part waits for the rest.

use super::tokenizer::Tokenizer;

/// Assembles the text of ids given one by one. What it returns, put together, is what decoding all ids at once
/// gives: bytes that cannot become a character are U+FFFD, one for each longest run that began like a character.
#[derive(Debug, Clone)]
pub struct Detokenizer<'a> {
    tokenizer: &'a Tokenizer,
    /// The beginning of one character: at most three bytes between two calls.
    pending: Vec<u8>,
}

impl<'a> Detokenizer<'a> {
    /// A detokenizer that has seen nothing yet.
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, pending: Vec::new() }
    }

    /// Takes the next id and returns all text that is complete now and was not returned before. Empty for control
    /// tokens and while a character is incomplete.
    pub fn push(&mut self, id: u32) -> String {
        self.pending.extend_from_slice(self.tokenizer.bytes(id));
        let mut text = String::with_capacity(self.pending.len());
        let mut unfinished = 0;
        let mut chunks = self.pending.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && begins_a_character(invalid) {
                unfinished = invalid.len();
            } else if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        self.pending.drain(..self.pending.len() - unfinished);
        text
    }

    /// Ends the text: U+FFFD if a character is still incomplete, else nothing.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// Whether more bytes could make a character of these.
fn begins_a_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::super::tokenizer::tests::byte_tokenizer;
    use super::*;

    /// Every way to end or tear a character, decoded byte by byte, equals decoding at once.
    #[test]
    fn byte_by_byte_equals_all_at_once() {
        let tokenizer = byte_tokenizer(&[]);
        let cases: [&[u8]; 12] = [
            b"",
            b"plain",
            "é中😀".as_bytes(),
            b"\xF0\x9F\x98",
            b"\xF0\x9F\x98A",
            b"\xE4\xB8\xE4\xB8\xAD",
            b"\xC0\xAF",
            b"\xED\xA0\x80",
            b"\xF4\x90\x80\x80",
            b"\x80\x80",
            b"a\xFFb\xC3",
            b"\xE2\x82\xF0\x9F",
        ];
        for case in cases {
            let mut detokenizer = Detokenizer::new(&tokenizer);
            let mut text = String::new();
            for &byte in case {
                text.push_str(&detokenizer.push(u32::from(byte)));
                assert!(detokenizer.pending.len() < 4, "{case:x?}");
            }
            text.push_str(&detokenizer.finish());
            assert_eq!(text, String::from_utf8_lossy(case), "{case:x?}");
        }
    }

    #[test]
    fn a_byte_that_no_character_begins_with_does_not_wait() {
        let tokenizer = byte_tokenizer(&[]);
        let mut detokenizer = Detokenizer::new(&tokenizer);
        assert_eq!(detokenizer.push(0xFF), "\u{FFFD}");
        assert_eq!(detokenizer.push(0x80), "\u{FFFD}");
        assert_eq!(detokenizer.finish(), "");
    }

    #[test]
    fn a_character_appears_with_its_last_byte() {
        let tokenizer = byte_tokenizer(&[]);
        let mut detokenizer = Detokenizer::new(&tokenizer);
        let pieces: Vec<String> = "a中".bytes().map(|byte| detokenizer.push(u32::from(byte))).collect();
        assert_eq!(pieces, ["a", "", "", "中"]);
        assert_eq!(detokenizer.finish(), "");
    }
}
