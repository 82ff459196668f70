//! The format of a file, from its first bytes. Names are not trusted.

use super::containers::mpeg::{Frame, adts_frame, mpeg_frame};

/// The first bytes of a source that are looked at: enough for any tag-free header and for three MP3 frames behind
/// a little garbage.
pub(crate) const PREFIX: usize = 1 << 16;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// RIFF, RIFX, RF64, BW64 or Wave64 with samples inside.
    Wav,
    /// Sun/NeXT audio.
    Au,
    /// NIST SPHERE.
    Sphere,
    Aiff,
    Caf,
    Flac,
    Matroska,
    /// MP4, QuickTime, 3GP.
    Mp4,
    Ogg,
    /// MP3 and its elder brothers.
    Mpeg,
    /// AAC frames with headers of their own.
    Adts,
    /// Sound that is not supported: a noun phrase for the error.
    Unsupported(&'static str),
    /// Not sound at all: what it is, and where it helps what to do.
    NotSound(&'static str),
    /// Nothing known.
    Unknown,
}

/// Names the kind of a source that starts with `prefix` (up to [`PREFIX`] bytes).
pub(crate) fn sniff(prefix: &[u8]) -> Kind {
    let starts = |magic: &[u8]| prefix.starts_with(magic);
    let at = |offset: usize, magic: &[u8]| prefix.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if starts(b"RIFF") && (at(8, b"AVI ") || at(8, b"AVIX")) {
        return Kind::Unsupported("AVI video");
    }
    // A packet of a transport stream has 188 bytes.
    if starts(b"G") && at(188, b"G") && at(376, b"G") {
        return Kind::Unsupported("an MPEG transport stream");
    }
    if [&b"RIFF"[..], b"RIFX", b"RF64", b"BW64", b"riff\x2e\x91\xcf\x11"].iter().any(|magic| starts(magic)) {
        return Kind::Wav;
    }
    if starts(b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        return Kind::Aiff;
    }
    // MP4 without its file type box begins with one of the other boxes.
    if [&b"ftyp"[..], b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"pnot"]
        .iter()
        .any(|name| at(4, name))
    {
        return Kind::Mp4;
    }
    if starts(b"ID3") {
        return behind_id3(prefix);
    }
    let known: [(&[u8], Kind); 33] = [
        (b"fLaC", Kind::Flac),
        (b"OggS", Kind::Ogg),
        (b"\x1a\x45\xdf\xa3", Kind::Matroska),
        (b"caff", Kind::Caf),
        (b".snd", Kind::Au),
        (b"NIST_1A\n", Kind::Sphere),
        (b"wvpk", Kind::Unsupported("WavPack audio")),
        (b"TTA1", Kind::Unsupported("True Audio")),
        (b"TTA2", Kind::Unsupported("True Audio")),
        (b"MAC ", Kind::Unsupported("Monkey's Audio")),
        (b"MPCK", Kind::Unsupported("Musepack audio")),
        (b"MP+", Kind::Unsupported("Musepack audio")),
        (b"ajkg", Kind::Unsupported("Shorten audio")),
        (b"\x0b\x77", Kind::Unsupported("AC-3 audio")),
        (b"#!AMR", Kind::Unsupported("AMR audio")),
        (b"\x56\xe0", Kind::Unsupported("AAC in LOAS")),
        (b"\0\0\x01\xba", Kind::Unsupported("an MPEG program stream")),
        (b"#!SILK", Kind::Unsupported("SILK audio")),
        (b"\x02#!SILK", Kind::Unsupported("SILK audio")),
        (b"\x7f\xfe\x80\x01", Kind::Unsupported("DTS audio")),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind::Unsupported("Windows Media audio")),
        (b"MThd", Kind::NotSound("a MIDI file (notes, not sound)")),
        (b"FLV\x01", Kind::Unsupported("Flash video")),
        (b".RMF", Kind::Unsupported("RealAudio")),
        (b"FORM", Kind::NotSound("an IFF file without audio")),
        (b"\x89PNG", Kind::NotSound("a PNG picture")),
        (b"\xff\xd8\xff", Kind::NotSound("a JPEG picture")),
        (b"GIF8", Kind::NotSound("a GIF picture")),
        (b"%PDF", Kind::NotSound("a PDF document")),
        (b"GGUF", Kind::NotSound("a GGUF model")),
        (b"PK\x03\x04", Kind::NotSound("a ZIP archive: unpack it first")),
        (b"\x1f\x8b", Kind::NotSound("a gzip archive: unpack it first")),
        (b"version https://git-lfs", Kind::NotSound("a Git LFS pointer: fetch the real file with `git lfs pull`")),
    ];
    if let Some((_, kind)) = known.iter().find(|(magic, _)| starts(magic)) {
        return *kind;
    }
    if let Some(kind) = mpeg_frames(prefix) {
        return kind;
    }
    if !prefix.is_empty() && is_text(prefix) {
        let html = prefix.trim_ascii_start().first() == Some(&b'<');
        return Kind::NotSound(if html { "a web page or XML text" } else { "a text file" });
    }
    Kind::Unknown
}

/// The format after an ID3v2 tag. A tag that is longer than the available bytes is taken for that of an MP3.
fn behind_id3(prefix: &[u8]) -> Kind {
    let Some(size) = prefix.get(6..10) else { return Kind::Mpeg };
    let size = size.iter().fold(0usize, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
    let rest = prefix.get(10 + size..).unwrap_or_default();
    // Tags are followed by as much padding as their writer liked.
    let rest = &rest[rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len())..];
    match sniff(rest) {
        kind @ (Kind::Flac | Kind::Aiff | Kind::Wav | Kind::Adts | Kind::Ogg) => kind,
        _ => Kind::Mpeg,
    }
}

/// MPEG audio and ADTS have no magic number, only a sync pattern that noise contains too. Three headers in a row, each
/// where the one before says, and alike in what may not change, are no accident.
fn mpeg_frames(prefix: &[u8]) -> Option<Kind> {
    let chain = |start: usize, read: fn(&[u8]) -> Option<Frame>| {
        let mut at = start;
        let mut first = None;
        for number in 0..3 {
            // A short recording may end after its first frames.
            if number > 1 && at == prefix.len() {
                return true;
            }
            let Some(frame) = prefix.get(at..).and_then(read) else { return false };
            if *first.get_or_insert(frame.fixed) != frame.fixed {
                return false;
            }
            at += frame.bytes;
        }
        true
    };
    let syncs = prefix.iter().enumerate().filter(|(_, byte)| **byte == 0xff).map(|(start, _)| start);
    for start in syncs {
        if chain(start, mpeg_frame) {
            return Some(Kind::Mpeg);
        }
        if chain(start, adts_frame) {
            return Some(Kind::Adts);
        }
    }
    None
}

/// Printable ASCII and white space only, over the first bytes.
fn is_text(prefix: &[u8]) -> bool {
    let head = &prefix[..prefix.len().min(512)];
    head.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_it_sees() {
        assert_eq!(sniff(b"RIFF\0\0\0\0WAVE"), Kind::Wav);
        assert_eq!(sniff(b"\0\0\0\x20ftypM4A "), Kind::Mp4);
        assert_eq!(sniff(b"RIFF\0\0\0\0AVI LIST"), Kind::Unsupported("AVI video"));
        assert_eq!(sniff(b"<!DOCTYPE html>"), Kind::NotSound("a web page or XML text"));
        assert_eq!(sniff(b"ID3\x04\0\0\0\0\0\x02xxfLaC"), Kind::Flac);
        assert_eq!(sniff(b"ID3\x04\0\0\0\0\0\x02xx\xff\xfb"), Kind::Mpeg);
        for nothing in [&b""[..], &[0; 4096], &[0xff; 4096]] {
            assert_eq!(sniff(nothing), Kind::Unknown);
        }
    }

    #[test]
    fn three_frames_in_a_row_are_mp3() {
        // MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes per frame.
        let mut stream = vec![0x11; 417 * 3];
        for frame in 0..3 {
            stream[frame * 417..][..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x00]);
        }
        assert_eq!(sniff(&stream), Kind::Mpeg);
        let behind_garbage = [vec![0xfe; 700], stream.clone()].concat();
        assert_eq!(sniff(&behind_garbage), Kind::Mpeg);
        stream[417] = 0;
        assert_eq!(sniff(&stream), Kind::Unknown);
    }
}
