//! What a file is, by its first bytes. Names are not trusted.

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
    /// Read by symphonia; its name for people.
    Compressed(&'static str),
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
    if [&b"RIFF"[..], b"RIFX", b"RF64", b"BW64", b"riff\x2e\x91\xcf\x11"].iter().any(|magic| starts(magic)) {
        return Kind::Wav;
    }
    if starts(b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        return Kind::Compressed("aiff");
    }
    // MP4 without its file type box begins with one of the other boxes.
    if [&b"ftyp"[..], b"moov", b"mdat", b"free", b"skip", b"wide"].iter().any(|name| at(4, name)) {
        return Kind::Compressed("mp4");
    }
    if starts(b"ID3") {
        return if id3_of(prefix, b"fLaC") { Kind::Compressed("flac") } else { Kind::Compressed("mp3") };
    }
    if starts(b"OggS") && at(28, b"Speex") {
        return Kind::Unsupported("Speex audio");
    }
    let known: [(&[u8], Kind); 27] = [
        (b"fLaC", Kind::Compressed("flac")),
        (b"OggS", Kind::Compressed("ogg")),
        (b"\x1a\x45\xdf\xa3", Kind::Compressed("matroska")),
        (b"caff", Kind::Compressed("caf")),
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
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind::Unsupported("Windows Media audio")),
        (b"MThd", Kind::NotSound("a MIDI file (notes, not sound)")),
        (b"FLV\x01", Kind::Unsupported("Flash video")),
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
    if let Some(name) = mpeg_frames(prefix) {
        return Kind::Compressed(name);
    }
    if !prefix.is_empty() && is_text(prefix) {
        let html = prefix.trim_ascii_start().first() == Some(&b'<');
        return Kind::NotSound(if html { "a web page or XML text" } else { "a text file" });
    }
    Kind::Unknown
}

/// True when an ID3v2 tag at the start is followed by `magic`.
fn id3_of(prefix: &[u8], magic: &[u8]) -> bool {
    let Some(size) = prefix.get(6..10) else { return false };
    let size = size.iter().fold(0usize, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
    prefix.get(10 + size..).is_some_and(|rest| rest.starts_with(magic))
}

/// MPEG audio and ADTS have no magic number, only a sync pattern that noise contains too. Three headers in a row, each
/// where the one before says, and alike in what may not change, are no accident.
fn mpeg_frames(prefix: &[u8]) -> Option<&'static str> {
    let chain = |start: usize, length: fn(&[u8]) -> Option<(usize, u32)>| {
        let mut at = start;
        let mut first = None;
        for frame in 0..3 {
            // A short recording may end after its first frames.
            if frame > 1 && at == prefix.len() {
                return true;
            }
            let Some((bytes, fixed)) = prefix.get(at..).and_then(length) else { return false };
            if *first.get_or_insert(fixed) != fixed {
                return false;
            }
            at += bytes;
        }
        true
    };
    let syncs = prefix.iter().enumerate().filter(|(_, byte)| **byte == 0xff).map(|(start, _)| start);
    for start in syncs {
        if chain(start, mpeg_frame) {
            return Some("mp3");
        }
        if chain(start, adts_frame) {
            return Some("aac");
        }
    }
    None
}

/// Length of the MPEG audio layer III frame at the start, and its header bits that never change within a stream.
fn mpeg_frame(bytes: &[u8]) -> Option<(usize, u32)> {
    let header = u32::from_be_bytes(*bytes.first_chunk::<4>()?);
    let field = |shift: u32, bits: u32| (header >> shift) & ((1 << bits) - 1);
    let (version, layer, bitrate, rate) = (field(19, 2), field(17, 2), field(12, 4) as usize, field(10, 2) as usize);
    if field(21, 11) != 0x7ff || version == 1 || layer != 1 || bitrate == 0 || bitrate == 15 || rate == 3 {
        return None;
    }
    const MPEG1: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const MPEG2: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let base = [44_100, 48_000, 32_000][rate];
    let (kbit, hz, per_frame) = match version {
        3 => (MPEG1[bitrate], base, 144),
        2 => (MPEG2[bitrate], base / 2, 72),
        _ => (MPEG2[bitrate], base / 4, 72),
    };
    Some((per_frame * kbit * 1000 / hz + field(9, 1) as usize, header & 0xfffe_0c00))
}

/// Length of the ADTS frame at the start, and its header bits that never change within a stream.
fn adts_frame(bytes: &[u8]) -> Option<(usize, u32)> {
    let [a, b, c, d, e, f, _] = *bytes.first_chunk::<7>()?;
    let length = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f) >> 5;
    if a != 0xff || b & 0xf6 != 0xf0 || c >> 2 & 0x0f > 12 || length < 8 {
        return None;
    }
    Some((length, u32::from_be_bytes([a, b, c, d & 0xc0])))
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
        assert_eq!(sniff(b"\0\0\0\x20ftypM4A "), Kind::Compressed("mp4"));
        assert_eq!(sniff(b"<!DOCTYPE html>"), Kind::NotSound("a web page or XML text"));
        assert_eq!(sniff(b"ID3\x04\0\0\0\0\0\x02xxfLaC"), Kind::Compressed("flac"));
        assert_eq!(sniff(b"ID3\x04\0\0\0\0\0\x02xx\xff\xfb"), Kind::Compressed("mp3"));
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
        assert_eq!(sniff(&stream), Kind::Compressed("mp3"));
        let behind_garbage = [vec![0xfe; 700], stream.clone()].concat();
        assert_eq!(sniff(&behind_garbage), Kind::Compressed("mp3"));
        stream[417] = 0;
        assert_eq!(sniff(&stream), Kind::Unknown);
    }
}
