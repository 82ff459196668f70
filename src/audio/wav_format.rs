//! The sample format in a wave file's format chunk.

use super::codec::Adpcm;
use super::fault::Fault;
use super::samples::{Encoding, Layout, short_rest};

/// The rest of the extensible format's names for ordinary format tags.
const TAG_GUID_TAIL: [u8; 8] = [0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71];

/// The encoding of a wave file's samples.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Inside {
    /// Uncompressed, or G.711.
    Plain(Layout),
    /// A format of this number, which is not decoded here.
    Unknown(u16),
    /// MPEG audio frames: the data chunk is an MP3 stream of its own.
    Mpeg,
    /// ADPCM in blocks, with rate and channels.
    Adpcm { kind: Adpcm, rate: u32, channels: u16 },
}

impl Inside {
    /// Bytes that are too few to be taken for sound that a header did not promise.
    pub(crate) fn short_rest(self) -> usize {
        match self {
            Self::Plain(layout) => short_rest(layout.rate, layout.frame_bytes()),
            // Half a byte for each sample, about.
            Self::Adpcm { rate, channels, .. } => short_rest(rate, usize::from(channels)) / 2,
            Self::Mpeg | Self::Unknown(_) => 1 << 12,
        }
    }
}

/// Understands a format chunk of at least 16 bytes.
pub(crate) fn inside(chunk: &[u8], big_endian: bool) -> Result<Inside, Fault> {
    let u16_at = |at: usize| {
        let pair = [chunk[at], chunk[at + 1]];
        if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
    };
    let (mut tag, channels, block, mut bits) = (u16_at(0), u16_at(2), u16_at(12), u16_at(14));
    let rate = if big_endian {
        u32::from(u16_at(4)) << 16 | u32::from(u16_at(6))
    } else {
        u32::from(u16_at(6)) << 16 | u32::from(u16_at(4))
    };
    if tag == 0xfffe {
        if chunk.len() < 40 {
            return Err("has an extensible format that is cut short: the file is damaged".to_owned());
        }
        if chunk[32..40] != TAG_GUID_TAIL {
            return Err("has samples of an unknown extensible format: convert it to 16-bit PCM".to_owned());
        }
        tag = if big_endian { u16_at(26) } else { u16_at(24) };
        if (bits, u16_at(18)) == (32, 24) {
            bits = 24;
        }
    }
    if channels == 0 {
        return Err("has 0 channels by its header: the file is damaged".to_owned());
    }
    // Bytes per sample of one channel, as far as the block size makes sense.
    let width = if block % channels == 0 { block / channels } else { 0 };
    let encoding = match (tag, bits) {
        (1, 1..=8) => Encoding::Unsigned8,
        (1, 24) if width == 4 => Encoding::Signed24In4,
        // 12 or 20 bits lie in the upper part of 2 or 3 bytes.
        (1, 9..=32) => Encoding::Signed(bits.div_ceil(8) as u8),
        (1, 64) if width == 8 => Encoding::Signed(8),
        (3, 32) => Encoding::Float32,
        (3, 64) => Encoding::Float64,
        (6, 8) => Encoding::ALaw,
        (7, 8) => Encoding::MuLaw,
        (2, _) => return Ok(Inside::Adpcm { kind: Adpcm::Microsoft { block: block.into() }, rate, channels }),
        (0x11, _) => return Ok(Inside::Adpcm { kind: Adpcm::Ima { block: block.into() }, rate, channels }),
        (0x50 | 0x55, _) => return Ok(Inside::Mpeg),
        (1 | 3 | 6 | 7, _) => {
            return Err(format!(
                "claims samples of {bits} bits in blocks of {block} bytes, which do not exist: the file is damaged"
            ));
        }
        _ => return Ok(Inside::Unknown(tag)),
    };
    Ok(Inside::Plain(Layout { encoding, big_endian, channels, rate }))
}

/// A format that is not decoded here, for the message.
pub(crate) fn tag_name(tag: u16) -> String {
    let known = match tag {
        0x31 => "GSM",
        0x92 | 0x2000 => "AC-3",
        0x2001 => "DTS",
        0x160..=0x163 => "Windows Media Audio",
        0x674f..=0x6771 => "Vorbis in WAV",
        0xff | 0x1600..=0x1610 | 0x706d => "AAC in WAV",
        0x57 | 0x7361 => "AMR",
        0x22 | 0x38 => "TrueSpeech",
        0xa109 => "Speex",
        0x270..=0x273 => "ATRAC",
        _ => return format!("samples of format {tag:#06x}"),
    };
    format!("{known} (format {tag:#06x})")
}

/// For the report.
pub(crate) fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Unsigned8 | Encoding::Signed(1) => "8-bit",
        Encoding::Signed(2) => "16-bit",
        Encoding::Signed(3) | Encoding::Signed24In4 => "24-bit",
        Encoding::Signed(4) => "32-bit",
        Encoding::Signed(_) => "64-bit",
        Encoding::Float32 => "32-bit float",
        Encoding::Float64 => "64-bit float",
        Encoding::MuLaw => "mu-law",
        Encoding::ALaw => "A-law",
    }
}
