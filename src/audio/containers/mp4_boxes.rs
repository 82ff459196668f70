//! The boxes of MP4 and QuickTime that describe audio tracks: `moov` and what lies in it.

use super::Track;
use crate::audio::aac;
use crate::audio::codec::{Adpcm, Codec};
use crate::audio::opus;
use crate::audio::samples::Encoding;

/// Big-endian numbers and boxes in a slice; what lies beyond its end is 0 or missing.
#[derive(Clone, Copy)]
pub(crate) struct Slice<'a>(pub(crate) &'a [u8]);

impl<'a> Slice<'a> {
    pub(crate) fn u8(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    pub(crate) fn u16(self, at: usize) -> u16 {
        u16::from(self.u8(at)) << 8 | u16::from(self.u8(at + 1))
    }

    pub(crate) fn u32(self, at: usize) -> u32 {
        u32::from(self.u16(at)) << 16 | u32::from(self.u16(at + 2))
    }

    pub(crate) fn u64(self, at: usize) -> u64 {
        u64::from(self.u32(at)) << 32 | u64::from(self.u32(at + 4))
    }

    pub(crate) fn from(self, at: usize) -> Self {
        Self(self.0.get(at..).unwrap_or_default())
    }

    /// The boxes that it consists of; a box that reaches beyond the end is cut there.
    pub(crate) fn boxes(self) -> impl Iterator<Item = ([u8; 4], Slice<'a>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let head = Slice(rest);
            let name = *rest.get(4..8)?.first_chunk::<4>()?;
            let (start, size) = match head.u32(0) {
                0 => (8, rest.len() as u64),
                1 => (16, head.u64(8)),
                size => (8, u64::from(size)),
            };
            let end = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
            let content = rest.get(start..end)?;
            rest = &rest[end..];
            Some((name, Slice(content)))
        })
    }

    pub(crate) fn find(self, name: &[u8; 4]) -> Option<Slice<'a>> {
        self.boxes().find(|(found, _)| found == name).map(|(_, content)| content)
    }

    /// The box at the end of a path of names.
    pub(crate) fn at(self, path: &[&[u8; 4]]) -> Option<Slice<'a>> {
        path.iter().try_fold(self, |inside, name| inside.find(name))
    }
}

/// One audio track of a `moov` box.
#[derive(Debug, Default)]
pub(crate) struct Trak {
    pub(crate) id: u32,
    pub(crate) timescale: u32,
    pub(crate) edits: Vec<Edit>,
    pub(crate) table: Table,
    /// Bytes and frames of one unit where chunks consist of units instead of samples: PCM and its like.
    pub(crate) unit: Option<(u32, u32)>,
    /// Frames, by iTunes: at the start that only warm the decoder up, and of the recording.
    pub(crate) gapless: Option<(u64, u64)>,
}

/// One part of the presentation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Edit {
    /// Seconds; 0 means to the end.
    pub(crate) duration: f64,
    /// Ticks of the track; `None` where nothing plays.
    pub(crate) media: Option<u64>,
}

/// Where the samples of a track are.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Samples and ticks of each.
    pub(crate) times: Vec<(u32, u32)>,
    /// First chunk, from 1, and samples in it and those that follow.
    pub(crate) runs: Vec<(u32, u32)>,
    pub(crate) chunks: Vec<u64>,
    /// Bytes of every sample, or 0: `sizes` has them.
    pub(crate) size: u32,
    pub(crate) sizes: Vec<u32>,
    pub(crate) samples: u64,
}

/// The audio tracks of a `moov` box.
pub(crate) fn audio_tracks(moov: Slice) -> Vec<(Track, Trak)> {
    let movie_timescale = moov.find(b"mvhd").map_or(0, |head| head.u32(if head.u8(0) == 1 { 20 } else { 12 }));
    moov.boxes()
        .filter(|(name, _)| name == b"trak")
        .filter_map(|(_, trak)| audio_track(trak, movie_timescale))
        .collect()
}

fn audio_track(trak: Slice, movie_timescale: u32) -> Option<(Track, Trak)> {
    let media = trak.find(b"mdia")?;
    if media.find(b"hdlr")?.0.get(8..12)? != b"soun" {
        return None;
    }
    let head = media.find(b"mdhd")?;
    let (timescale, language) = match head.u8(0) {
        1 => (head.u32(20), head.u16(32)),
        _ => (head.u32(12), head.u16(20)),
    };
    let track_head = trak.find(b"tkhd")?;
    let id = track_head.u32(if track_head.u8(0) == 1 { 20 } else { 12 });
    let table = media.at(&[b"minf", b"stbl"])?;
    let entry = entry(table.find(b"stsd")?)?;
    let mut track = entry.track;
    track.is_default = track_head.u8(3) & 1 == 1;
    track.language = letters(language);
    let edits = trak.at(&[b"edts", b"elst"]).map_or_else(Vec::new, |edits| read_edits(edits, movie_timescale));
    let table = read_table(table);
    // Times need a scale; where it is damaged, the rate is nearly always the same number.
    let timescale = if timescale == 0 { track.rate.max(1) } else { timescale };
    Some((track, Trak { id, timescale, edits, table, unit: entry.unit, gapless: None }))
}

/// ISO 639-2 in three times 5 bits; old QuickTime numbers are not worth a table.
fn letters(language: u16) -> String {
    let letters: Vec<u8> = [10, 5, 0].iter().map(|shift| (language >> shift & 31) as u8 + 0x60).collect();
    match String::from_utf8(letters) {
        Ok(letters) if letters.bytes().all(|b| b.is_ascii_lowercase()) && letters != "und" => letters,
        _ => String::new(),
    }
}

fn read_edits(list: Slice, movie_timescale: u32) -> Vec<Edit> {
    let long = list.u8(0) == 1;
    let size = if long { 20 } else { 12 };
    let entries = list.from(8).0.chunks_exact(size).take(list.u32(4) as usize);
    entries
        .map(|entry| {
            let entry = Slice(entry);
            let (duration, media) = match long {
                true => (entry.u64(0), entry.u64(8) as i64),
                false => (u64::from(entry.u32(0)), i64::from(entry.u32(4) as i32)),
            };
            let duration = match duration {
                u64::MAX | 0xffff_ffff => 0.0,
                duration => duration as f64 / f64::from(movie_timescale.max(1)),
            };
            Edit { duration, media: u64::try_from(media).ok() }
        })
        .collect()
}

fn read_table(table: Slice) -> Table {
    let pairs = |name, size: usize| {
        let list = table.find(name).unwrap_or(Slice(&[]));
        let entries = list.from(8).0.chunks_exact(size).take(list.u32(4) as usize);
        entries.map(|entry| (Slice(entry).u32(0), Slice(entry).u32(4))).collect::<Vec<_>>()
    };
    let chunks = match (table.find(b"stco"), table.find(b"co64")) {
        (_, Some(list)) => {
            list.from(8).0.chunks_exact(8).take(list.u32(4) as usize).map(|entry| Slice(entry).u64(0)).collect()
        }
        (Some(list), None) => {
            let entries = list.from(8).0.chunks_exact(4).take(list.u32(4) as usize);
            entries.map(|entry| u64::from(Slice(entry).u32(0))).collect()
        }
        (None, None) => Vec::new(),
    };
    let (mut size, mut sizes, mut samples) = (0, Vec::new(), 0);
    if let Some(list) = table.find(b"stsz") {
        (size, samples) = (list.u32(4), u64::from(list.u32(8)));
        if size == 0 {
            sizes = list.from(12).0.chunks_exact(4).take(samples as usize).map(|entry| Slice(entry).u32(0)).collect();
            samples = sizes.len() as u64;
        }
    } else if let Some(list) = table.find(b"stz2") {
        let (bits, count) = (list.u8(7), list.u32(8) as usize);
        let data = list.from(12);
        let there = data.0.len() * 8 / usize::from(bits.max(1));
        sizes = (0..count.min(there))
            .map(|index| match bits {
                4 => u32::from(data.u8(index / 2) >> (4 - index % 2 * 4) & 15),
                8 => u32::from(data.u8(index)),
                _ => u32::from(data.u16(index * 2)),
            })
            .collect();
        samples = sizes.len() as u64;
    }
    Table { times: pairs(b"stts", 8), runs: pairs(b"stsc", 12), chunks, size, sizes, samples }
}

/// A sample description.
struct Entry {
    track: Track,
    unit: Option<(u32, u32)>,
}

fn entry(descriptions: Slice) -> Option<Entry> {
    let (name, entry) = descriptions.from(8).boxes().next()?;
    let version = entry.u16(8);
    let (mut channels, mut rate) = (u32::from(entry.u16(16)), u32::from(entry.u16(24)));
    let bits = u32::from(entry.u16(18));
    let mut unit = None;
    // QuickTime's longer headers; an ISO file may have either version's boxes at either place.
    let mut flags = 0;
    let mut bits_v2 = 0;
    let inner = match version {
        1 => {
            unit = Some((entry.u32(36), entry.u32(28))).filter(|(bytes, frames)| *bytes > 0 && *frames > 0);
            entry.from(44)
        }
        2 => {
            rate = f64::from_bits(entry.u64(32)) as u32;
            channels = entry.u32(40);
            (bits_v2, flags) = (entry.u32(48), entry.u32(52));
            entry.from(64)
        }
        _ => entry.from(28),
    };
    let inner = if version > 0 && inner.boxes().next().is_none_or(|(name, _)| !is_name(&name)) {
        // Version 1 of ISO has no longer header.
        let plain = entry.from(28);
        if plain.boxes().next().is_some_and(|(name, _)| is_name(&name)) { plain } else { inner }
    } else {
        inner
    };
    let wave = inner.find(b"wave");
    let find = |name| inner.find(name).or_else(|| wave.and_then(|wave| wave.find(name)));
    let little = find(b"enda").is_some_and(|enda| enda.u16(0) == 1);
    let mut extra = Vec::new();
    let pcm = |encoding, big_endian| Codec::Pcm { encoding, big_endian };
    let signed = |bits: u32| match bits {
        8 => Encoding::Signed(1),
        24 => Encoding::Signed(3),
        32 => Encoding::Signed(4),
        _ => Encoding::Signed(2),
    };
    let codec = match &name {
        b"mp4a" | b"enca" if find(b"esds").is_some() => {
            let (object, config) = elementary_stream(find(b"esds")?.from(4).0);
            extra = config;
            let codec = by_object(object, &extra);
            if &name == b"enca" { Codec::Other("encrypted audio (copy protection)".to_owned()) } else { codec }
        }
        b"mp4a" => Codec::Aac,
        b"alac" => {
            // The cookie follows 4 bytes of version, in a box of the same name.
            extra = find(b"alac")?.from(4).0.to_vec();
            Codec::Alac
        }
        b"fLaC" => {
            // Version, then metadata blocks with headers of 4 bytes; stream information is the first.
            extra = find(b"dfLa")?.from(8).0.get(..34)?.to_vec();
            Codec::Flac
        }
        b"Opus" => {
            extra = opus::head_of_dops(find(b"dOps")?.0)?;
            Codec::Opus
        }
        b".mp3" | b"ms\0\x55" => Codec::Mpeg(3),
        b".mp2" | b"ms\0\x50" => Codec::Mpeg(2),
        b".mp1" => Codec::Mpeg(1),
        b"twos" => pcm(signed(bits), !little),
        b"sowt" => pcm(signed(bits), false),
        b"in24" => pcm(Encoding::Signed(3), !little),
        b"in32" => pcm(Encoding::Signed(4), !little),
        b"fl32" => pcm(Encoding::Float32, !little),
        b"fl64" => pcm(Encoding::Float64, !little),
        b"raw " | b"NONE" if bits <= 8 => pcm(Encoding::Unsigned8, true),
        b"raw " | b"NONE" => pcm(signed(bits), !little),
        b"alaw" => pcm(Encoding::ALaw, true),
        b"ulaw" => pcm(Encoding::MuLaw, true),
        b"lpcm" => match (flags & 1, bits_v2) {
            (1, 64) => pcm(Encoding::Float64, flags & 2 != 0),
            (1, _) => pcm(Encoding::Float32, flags & 2 != 0),
            (_, 8) if flags & 4 == 0 => pcm(Encoding::Unsigned8, true),
            _ => pcm(signed(bits_v2), flags & 2 != 0),
        },
        b"ipcm" | b"fpcm" => {
            let config = find(b"pcmC")?;
            let big_endian = config.u8(4) & 1 == 0;
            match (&name, config.u8(5)) {
                (b"fpcm", 64) => pcm(Encoding::Float64, big_endian),
                (b"fpcm", _) => pcm(Encoding::Float32, big_endian),
                (_, bits) => pcm(signed(u32::from(bits)), big_endian),
            }
        }
        b"ima4" => Codec::Adpcm(Adpcm::QuickTime),
        b"ms\0\x02" => Codec::Adpcm(Adpcm::Microsoft { block: unit.map_or(0, |(bytes, _)| bytes) }),
        b"ms\0\x11" => Codec::Adpcm(Adpcm::Ima { block: unit.map_or(0, |(bytes, _)| bytes) }),
        _ => Codec::Other(known_name(&name)),
    };
    if codec == Codec::Aac && extra.is_empty() {
        extra = aac::Config::made(rate, channels);
    }
    if codec == Codec::Opus {
        // Always 48 kHz, and the channels of its own header.
        (rate, channels) = (opus::TICKS, u32::from(extra[9]));
    }
    if let Some(config) = Some(&extra).filter(|_| codec == Codec::Aac).and_then(|extra| aac::Config::read(extra)) {
        channels = if config.channels() > 0 { config.channels() } else { channels };
        rate = if rate == 0 { config.rate } else { rate };
    }
    unit = match &codec {
        Codec::Pcm { encoding, .. } => Some((encoding.bytes() as u32 * channels, 1)),
        Codec::Adpcm(kind) => Some((kind.block(channels), kind.frames(channels))),
        _ => None,
    };
    unit = unit.filter(|(bytes, frames)| *bytes > 0 && *frames > 0);
    let track = Track { codec, rate, channels, language: String::new(), is_default: false, extra };
    Some(Entry { track, unit })
}

fn is_name(name: &[u8; 4]) -> bool {
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || b" _-.".contains(byte))
}

/// The codec of an MPEG-4 elementary stream, by the table of registered object types.
fn by_object(object: u8, extra: &[u8]) -> Codec {
    match object {
        // Layers 1 to 3 can be written as object types of AAC too.
        0x40 | 0x66..=0x68 | 0 => match extra[..] {
            [0xf8..=0xff, ..] if extra.len() > 1 && matches!((extra[0] & 7) << 3 | extra[1] >> 5, 0..=2) => {
                Codec::Mpeg(((extra[0] & 7) << 3 | extra[1] >> 5) + 1)
            }
            _ => Codec::Aac,
        },
        0x69 | 0x6b => Codec::Mpeg(3),
        0xa5 => Codec::Other("AC-3".to_owned()),
        0xa6 => Codec::Other("E-AC-3".to_owned()),
        0xa9..=0xac => Codec::Other("DTS".to_owned()),
        0xdd => Codec::Vorbis,
        0xe1 => Codec::Other("QCELP".to_owned()),
        other => Codec::Other(format!("MPEG-4 audio of kind {other:#04x}")),
    }
}

/// Object type and decoder header of an elementary stream descriptor (ISO 14496-1, section 7.2.6).
fn elementary_stream(mut bytes: &[u8]) -> (u8, Vec<u8>) {
    let mut object = 0;
    let mut config = Vec::new();
    while let Some((&tag, rest)) = bytes.split_first() {
        let mut size = 0usize;
        let mut at = 0;
        while let Some(byte) = rest.get(at).filter(|_| at < 4) {
            size = size << 7 | usize::from(byte & 0x7f);
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let content = &rest[at..];
        match tag {
            // Number, flags, and what the flags say is there.
            3 => {
                let Some(flags) = content.get(2) else { break };
                let mut skip = 3;
                if flags & 0x80 != 0 {
                    skip += 2;
                }
                if flags & 0x40 != 0 {
                    skip += 1 + usize::from(content.get(skip).copied().unwrap_or(0));
                }
                if flags & 0x20 != 0 {
                    skip += 2;
                }
                bytes = content.get(skip..).unwrap_or_default();
            }
            4 => {
                object = content.first().copied().unwrap_or(0);
                bytes = content.get(13..).unwrap_or_default();
            }
            5 => {
                config = content[..size.min(content.len())].to_vec();
                break;
            }
            _ => bytes = content.get(size..).unwrap_or_default(),
        }
    }
    (object, config)
}

/// The AAC header in a cookie of CAF: a descriptor, or the bare header.
pub(crate) fn aac_header(cookie: &[u8]) -> Vec<u8> {
    match cookie.first() {
        Some(3) => elementary_stream(cookie).1,
        _ => cookie.to_vec(),
    }
}

/// The codec's name for the message that it cannot be decoded.
pub(crate) fn known_name(name: &[u8; 4]) -> String {
    match name {
        b"samr" => "AMR-NB",
        b"sawb" => "AMR-WB",
        b"sawp" => "AMR-WB+",
        b"ac-3" | b"sac3" | b"AC-3" | b"ms\x20\x00" => "AC-3",
        b"ec-3" => "E-AC-3",
        b"ac-4" => "AC-4",
        b"dtsc" | b"dtsh" | b"dtsl" | b"dtse" | b"dts " | b"dtsx" => "DTS",
        b"mlpa" => "TrueHD",
        b"QDM2" | b"QDMC" => "QDesign Music",
        b"Qclp" | b"QCLP" | b"sqcp" => "QCELP",
        b"sevc" => "EVRC",
        b"ssmv" => "SMV",
        b"agsm" | b"ms\x001" => "GSM",
        b"MAC3" | b"MAC6" => "MACE",
        b"spex" | b"Spex" => "Speex",
        b"mha1" | b"mhm1" | b"mha2" | b"mhm2" => "MPEG-H 3D Audio",
        b"enca" | b"drms" => "encrypted audio (copy protection)",
        b"WMA2" | b"wma " | b"owma" => "Windows Media Audio",
        b"nmos" => "Nellymoser",
        b"dvca" | b"dvau" => "DV audio",
        b"iamf" => "IAMF",
        other => return format!("\"{}\"", other.escape_ascii()),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_end_where_their_slice_ends() {
        let bytes = [&[0, 0, 0, 9][..], b"abcd", &[7], &[0, 0, 1, 0], b"efgh", &[1, 2]].concat();
        let boxes: Vec<_> = Slice(&bytes).boxes().map(|(name, content)| (name, content.0.to_vec())).collect();
        assert_eq!(boxes, [(*b"abcd", vec![7]), (*b"efgh", vec![1, 2])]);
        assert!(Slice(&[0, 0, 0, 3, b'a', b'b', b'c', b'd']).boxes().next().is_none());
    }

    #[test]
    fn elementary_streams_are_found_with_long_and_short_lengths() {
        let decoder = |length: &[u8]| {
            let mut bytes = [&[3][..], length, &[0, 1, 0], &[4], length, &[0x40]].concat();
            bytes.extend([0; 12]);
            bytes.extend([&[5][..], &[2], &[0x12, 0x10]].concat());
            elementary_stream(&bytes)
        };
        assert_eq!(decoder(&[25]), (0x40, vec![0x12, 0x10]));
        assert_eq!(decoder(&[0x80, 0x80, 0x80, 25]), (0x40, vec![0x12, 0x10]));
        assert_eq!(elementary_stream(&[3]), (0, vec![]));
    }

    #[test]
    fn languages_are_three_letters() {
        assert_eq!(
            (letters(0x15c7), letters(0x55c4), letters(0), letters(0x7fff)),
            ("eng".into(), "".into(), "".into(), "".into())
        );
    }
}
