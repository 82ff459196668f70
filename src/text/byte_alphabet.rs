//! The printable stand-ins that GPT-2 style vocabularies write for bytes: one character for each of the 256.

/// One past the highest stand-in character.
const END: usize = 0x144;

/// Bytes that are written as themselves: visible characters of Latin-1.
const fn stands_for_itself(byte: usize) -> bool {
    matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// Character (by code point) of every byte. The bytes without a visible character get the code points from
/// 0x100 on, in order.
const CHARS: [u16; 256] = {
    let mut chars = [0; 256];
    let (mut byte, mut next) = (0, 0x100);
    while byte < 256 {
        if stands_for_itself(byte) {
            chars[byte] = byte as u16;
        } else {
            chars[byte] = next;
            next += 1;
        }
        byte += 1;
    }
    chars
};

/// The reverse of [`CHARS`]; -1 where a code point stands for no byte.
const BYTES: [i16; END] = {
    let mut bytes = [-1; END];
    let mut byte = 0;
    while byte < 256 {
        bytes[CHARS[byte] as usize] = byte as i16;
        byte += 1;
    }
    bytes
};

/// The byte a stand-in character stands for; `None` for a character outside the alphabet.
pub(super) fn byte_of(stand_in: char) -> Option<u8> {
    u8::try_from(*BYTES.get(stand_in as usize)?).ok()
}

/// The bytes a token text stands for, appended to `bytes`. On a character outside the alphabet, that character is
/// the error and part of the bytes may have been written.
pub(super) fn append_bytes(token: &str, bytes: &mut Vec<u8>) -> Result<(), char> {
    for stand_in in token.chars() {
        bytes.push(byte_of(stand_in).ok_or(stand_in)?);
    }
    Ok(())
}

/// The token text that stands for some bytes.
pub(super) fn text_of(bytes: &[u8]) -> String {
    bytes.iter().filter_map(|&byte| char::from_u32(u32::from(CHARS[usize::from(byte)]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character_and_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let text = text_of(&all);
        assert_eq!(text.chars().count(), 256);
        let mut back = Vec::new();
        assert_eq!(append_bytes(&text, &mut back), Ok(()));
        assert_eq!(back, all);
    }

    #[test]
    fn the_published_stand_ins_are_used() {
        assert_eq!(text_of(b" a\n\t"), "ĠaĊĉ");
        assert_eq!(text_of(&[0x7F, 0xA0, 0xAD]), "ġłŃ");
        assert_eq!(byte_of(' '), None);
        assert_eq!(byte_of('ń'), None);
        assert_eq!(byte_of('中'), None);
    }
}
