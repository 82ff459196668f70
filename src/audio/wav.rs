//! The wave family: RIFF, big-endian RIFX, RF64/BW64 and Sony's Wave64.
//!
//! The walk over the chunks is our own, because real headers are cut, streamed (sizes unknown), unfinished (sizes 0),
//! of 64 bits, or in an odd order; the samples themselves go through `hound` (see [`super::samples`]).

use super::Fault;
use super::collect::Collector;
use super::samples::{Encoding, Ended, Layout, read_full, read_samples};
use std::io::Read;

/// What the samples of a wave file are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Inside {
    /// Uncompressed, or G.711.
    Plain(Layout),
    /// MPEG audio frames: the data chunk is an MP3 stream of its own.
    Mpeg,
    /// ADPCM, which symphonia reads, container and all.
    Adpcm,
}

/// How the chunk headers are written.
#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    Riff,
    Rifx,
    Wave64,
}

/// The rest of Wave64's chunk names, after their four letters.
const WAVE64_TAIL: [u8; 12] = [0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1, 0x00, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a];
/// The rest of the extensible format's names for ordinary format tags.
const TAG_GUID_TAIL: [u8; 8] = [0x80, 0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71];
/// Sizes from here on are placeholders of programs that write to a pipe: 0xFFFFFFFF (ffmpeg), 0x7FFFF000 and its
/// neighbours (sox).
const STREAMED: u64 = 0x7fff_0000;
/// No format chunk is longer; it is read into memory.
const LONGEST_FORMAT: u64 = 4096;

/// A walk over the chunks of one file.
pub(crate) struct Chunks<R> {
    source: R,
    dialect: Dialect,
    /// The size that the outermost header gives.
    claimed: u64,
    /// Size of the data chunk from an RF64 `ds64` chunk.
    data_size_64: Option<u64>,
    inside: Option<Inside>,
}

impl<R: Read> Chunks<R> {
    /// Reads the outermost header.
    pub(crate) fn open(mut source: R) -> Result<Self, Fault> {
        let head: [u8; 12] = bytes(&mut source)?;
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        let (dialect, form, claimed) = match &head[..4] {
            b"riff" => {
                let rest: [u8; 28] = bytes(&mut source)?;
                if rest[16..] != WAVE64_TAIL {
                    return Err("is not a Wave64 file although it begins like one: the header is damaged".to_owned());
                }
                (Dialect::Wave64, [rest[12], rest[13], rest[14], rest[15]], u64::MAX)
            }
            b"RIFX" => (Dialect::Rifx, [head[8], head[9], head[10], head[11]], u64::from(size.swap_bytes())),
            _ => (Dialect::Riff, [head[8], head[9], head[10], head[11]], u64::from(size)),
        };
        if !form.eq_ignore_ascii_case(b"WAVE") {
            return Err(format!("is a RIFF file of type {}, not WAVE", printable(&form)));
        }
        Ok(Self { source, dialect, claimed, data_size_64: None, inside: None })
    }

    /// Goes on to the next data chunk and returns what it holds and its length in bytes (`None`: to the end).
    /// `Ok(None)` when the chunks end before one is found.
    fn next_data(&mut self) -> Result<Option<(Inside, Option<u64>)>, Fault> {
        while let Some((id, size)) = self.chunk_header()? {
            match &id {
                b"data" => {
                    let Some(inside) = self.inside else {
                        return Err(
                            "has its data chunk before its format chunk: convert it to an ordinary WAV".to_owned()
                        );
                    };
                    let size = match self.data_size_64 {
                        Some(size) if size < u64::MAX / 2 => Some(size),
                        // An unfinished recording: both sizes were to be filled in at the end.
                        _ if size == 0 && matches!(self.claimed, 0 | 0xffff_ffff) => None,
                        _ if self.dialect != Dialect::Wave64 && size >= STREAMED => None,
                        _ => Some(size),
                    };
                    return Ok(Some((inside, size)));
                }
                b"fmt " if self.inside.is_none() => self.inside = Some(self.format(size)?),
                b"ds64" if size >= 16 => {
                    let sizes: [u8; 16] = bytes(&mut self.source)?;
                    let data = sizes.as_chunks::<8>().0[1];
                    self.data_size_64 = Some(u64::from_le_bytes(data));
                    self.skip(&id, size, 16)?;
                }
                _ => self.skip(&id, size, 0)?,
            }
        }
        Ok(None)
    }

    /// Name and length of the content of the next chunk; `None` at the end.
    fn chunk_header(&mut self) -> Result<Option<([u8; 4], u64)>, Fault> {
        let mut head = [0u8; 24];
        let length = if self.dialect == Dialect::Wave64 { 24 } else { 8 };
        if read_full(&mut self.source, &mut head[..length])? < length {
            return Ok(None);
        }
        let id = [head[0], head[1], head[2], head[3]];
        let small = [head[4], head[5], head[6], head[7]];
        let size = match self.dialect {
            Dialect::Riff => u64::from(u32::from_le_bytes(small)),
            Dialect::Rifx => u64::from(u32::from_be_bytes(small)),
            Dialect::Wave64 => {
                let with_header = u64::from_le_bytes(head.as_chunks::<8>().0[2]);
                with_header.checked_sub(24).ok_or("has a chunk shorter than its own header: the file is damaged")?
            }
        };
        Ok(Some((id, size)))
    }

    /// Passes over the rest of a chunk of which `read` bytes are read, and over its padding.
    fn skip(&mut self, id: &[u8; 4], size: u64, read: u64) -> Result<(), Fault> {
        let rest = size - read;
        let skipped = std::io::copy(&mut (&mut self.source).take(rest), &mut std::io::sink())
            .map_err(|e| format!("cannot be read: {e}"))?;
        if skipped < rest && self.inside.is_none() {
            return Err(format!(
                "ends inside its {} chunk, before any format or samples: the file is cut or damaged",
                printable(id)
            ));
        }
        self.skip_padding(size)
    }

    /// Chunks begin at even offsets, in Wave64 at multiples of 8.
    fn skip_padding(&mut self, size: u64) -> Result<(), Fault> {
        let grid = if self.dialect == Dialect::Wave64 { 8 } else { 2 };
        let padding = (size.next_multiple_of(grid) - size) as usize;
        read_full(&mut self.source, &mut [0u8; 8][..padding])?;
        Ok(())
    }

    /// Reads the format chunk.
    fn format(&mut self, size: u64) -> Result<Inside, Fault> {
        if !(16..=LONGEST_FORMAT).contains(&size) {
            return Err(format!("has a format chunk of {size} bytes instead of 16 to 40: the file is damaged"));
        }
        let mut chunk = vec![0u8; size as usize];
        if read_full(&mut self.source, &mut chunk)? < chunk.len() {
            return Err("ends inside its format chunk: the file is cut".to_owned());
        }
        self.skip_padding(size)?;
        inside(&chunk, self.dialect == Dialect::Rifx)
    }
}

/// Decodes everything in the data chunks. MPEG and ADPCM are the caller's: see [`peek`].
pub(crate) fn read(source: impl Read, collector: &mut Collector) -> Result<String, Fault> {
    let mut chunks = Chunks::open(source)?;
    let mut found = 0;
    let mut name = String::new();
    // Damage behind the samples is no reason to lose them.
    while let Some((inside, size)) = chunks.next_data().or_else(|e| if found > 0 { Ok(None) } else { Err(e) })? {
        let Inside::Plain(layout) = inside else {
            return Err("holds compressed samples where plain ones were expected".to_owned());
        };
        found += 1;
        name = format!("wav ({})", encoding_name(layout.encoding));
        let before = collector.frames();
        let ended = read_samples(&mut chunks.source, layout, size, collector)?;
        match size {
            None => break,
            Some(size) => {
                if let Ended::Early = ended {
                    let got = (collector.frames() - before) as f64 / f64::from(layout.rate);
                    collector
                        .damaged(format!("its header promises {size} bytes of samples, but it ends after {got:.2} s"));
                    break;
                }
                chunks.skip_padding(size)?;
            }
        }
    }
    if found == 0 {
        return Err(match chunks.inside {
            Some(_) => "ends before its samples (no data chunk): the file is cut".to_owned(),
            None => "ends before its format chunk: the file is cut".to_owned(),
        });
    }
    if found > 1 {
        collector.damaged(format!("has {found} data chunks, which were joined"));
    }
    Ok(name)
}

/// What the data chunk holds, from the first bytes of a file; `None` when they do not reach that far or are damaged,
/// in which case [`read`] says why.
pub(crate) fn peek(prefix: &[u8]) -> Option<Inside> {
    let mut chunks = Chunks::open(prefix).ok()?;
    while chunks.inside.is_none() {
        let (id, size) = chunks.chunk_header().ok()??;
        if &id == b"fmt " {
            chunks.inside = Some(chunks.format(size).ok()?);
        } else {
            chunks.skip(&id, size, 0).ok()?;
        }
    }
    chunks.inside
}

/// The bytes of the first data chunk, as a stream of their own.
pub(crate) fn data_stream<R: Read>(source: R) -> Result<std::io::Take<R>, Fault> {
    let mut chunks = Chunks::open(source)?;
    match chunks.next_data()? {
        Some((_, size)) => Ok(chunks.source.take(size.unwrap_or(u64::MAX))),
        None => Err("ends before its samples (no data chunk): the file is cut".to_owned()),
    }
}

/// Understands a format chunk of at least 16 bytes.
fn inside(chunk: &[u8], big_endian: bool) -> Result<Inside, Fault> {
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
        (2 | 0x11, _) => return Ok(Inside::Adpcm),
        (0x50 | 0x55, _) => return Ok(Inside::Mpeg),
        (1 | 3 | 6 | 7, _) => {
            return Err(format!(
                "claims samples of {bits} bits in blocks of {block} bytes, which do not exist: the file is damaged"
            ));
        }
        _ => return Err(format!("has samples of format {tag:#06x}{}, which is not supported", tag_name(tag))),
    };
    Ok(Inside::Plain(Layout { encoding, big_endian, channels, rate }))
}

/// Formats that people have and that are not read.
fn tag_name(tag: u16) -> &'static str {
    match tag {
        0x31 => " (GSM)",
        0x92 | 0x2000 => " (AC-3)",
        0x160..=0x163 => " (Windows Media)",
        0x674f..=0x6771 => " (Vorbis in WAV)",
        _ => "",
    }
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

/// Exactly N bytes, or the sentence that the file is too short for a header.
pub(crate) fn bytes<const N: usize>(source: &mut dyn Read) -> Result<[u8; N], Fault> {
    let mut buffer = [0u8; N];
    if read_full(source, &mut buffer)? < N {
        return Err("ends inside its header: the file is cut".to_owned());
    }
    Ok(buffer)
}

/// A chunk name for an error message, whatever bytes it has.
fn printable(id: &[u8]) -> String {
    format!("\"{}\"", id.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Recording;

    fn decoded(bytes: &[u8]) -> Result<Recording, Fault> {
        let mut collector = Collector::new("x", &Default::default());
        let name = read(bytes, &mut collector)?;
        collector.finish(&name)
    }

    /// tag, channels, rate, byte rate (ignored), block, bits: 16-bit mono at 16 kHz.
    fn format() -> Vec<u8> {
        [1u16, 1, 16_000, 0, 0, 0, 2, 16].iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn chunk(id: &[u8; 4], size: u32, content: &[u8]) -> Vec<u8> {
        [id, &size.to_le_bytes()[..], content].concat()
    }

    const SAMPLES: [u8; 4] = [0, 0x40, 0, 0xc0];

    #[test]
    fn rf64_takes_its_length_from_ds64() {
        let sizes = [100u64, 4, 2, 0].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let head = chunk(b"RF64", u32::MAX, b"WAVE");
        let data = chunk(b"data", u32::MAX, &[&SAMPLES[..], b"LISTxxxx"].concat());
        let file = [head, chunk(b"ds64", 32, &sizes), chunk(b"fmt ", 16, &format()), data].concat();
        let got = decoded(&file).expect("readable");
        assert_eq!((got.pcm.samples(), got.warnings.len()), (&[0.5, -0.5][..], 0));
    }

    #[test]
    fn rifx_is_big_endian_throughout() {
        let mut file = b"RIFX\0\0\0\x28WAVEfmt \0\0\0\x10\0\x01\0\x01\0\0\x3e\x80\0\0\x7d\0\0\x02\0\x10".to_vec();
        file.extend(b"data\0\0\0\x04\x40\0\xc0\0");
        let got = decoded(&file).expect("readable");
        assert_eq!((got.pcm.samples(), got.source_rate), (&[0.5, -0.5][..], 16_000));
    }

    #[test]
    fn wave64_has_long_names_and_sizes_with_header() {
        let guid = |id: &[u8; 4], content: &[u8]| {
            let mut part = [&id[..], &WAVE64_TAIL, &(24 + content.len() as u64).to_le_bytes(), content].concat();
            part.resize(part.len().next_multiple_of(8), 0);
            part
        };
        let mut file = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0".to_vec();
        file.extend(200u64.to_le_bytes());
        file.extend([&b"wave"[..], &WAVE64_TAIL].concat());
        file.extend([guid(b"junk", &[1; 5]), guid(b"fmt ", &format()), guid(b"data", &SAMPLES)].concat());
        assert_eq!(decoded(&file).expect("readable").pcm.samples(), [0.5, -0.5]);
        let shorter_than_its_header = file.len() - 16;
        file[shorter_than_its_header..][..8].copy_from_slice(&3u64.to_le_bytes());
        assert!(decoded(&file).is_err());
    }

    #[test]
    fn placeholder_sizes_mean_the_rest_of_the_file() {
        for (riff, data, frames, warnings) in [
            (0, 0, 2, 0),
            (u32::MAX, u32::MAX, 2, 0),
            (1 << 31, 0x7fff_f000, 2, 0),
            (40, 0, 0, 0),
            (40, 2, 1, 0),
            (40, 99, 2, 1),
        ] {
            let head = chunk(b"RIFF", riff, b"WAVE");
            let file = [head, chunk(b"fmt ", 16, &format()), chunk(b"data", data, &SAMPLES)].concat();
            let got = decoded(&file).expect("readable");
            assert_eq!((got.pcm.len(), got.warnings.len()), (frames, warnings), "{riff:#x} {data:#x}");
        }
    }

    #[test]
    fn a_second_data_chunk_is_joined_and_reported() {
        let data = chunk(b"data", 4, &SAMPLES);
        let file =
            [chunk(b"RIFF", 0, b"WAVE"), chunk(b"fmt ", 16, &format()), data.clone(), chunk(b"LIST", 1, b"x\0"), data]
                .concat();
        let got = decoded(&file).expect("readable");
        assert_eq!((got.pcm.samples(), got.warnings[0].code), (&[0.5, -0.5, 0.5, -0.5][..], "audio_damaged"));
    }
}
