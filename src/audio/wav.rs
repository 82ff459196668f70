//! The wave family: RIFF, big-endian RIFX, RF64/BW64 and Sony's Wave64.
//!
//! The walk over the chunks is our own, because real headers are cut, streamed (sizes unknown), unfinished (sizes 0),
//! of 64 bits, or in an odd order; the samples themselves are decoded by [`super::samples`].

use super::collect::Collector;
use super::fault::Fault;
use super::samples::{Ended, Layout, read_full, read_samples};
use super::wav_format::{Inside, encoding_name, inside, tag_name};
use std::io::{Cursor, Read};

/// How the chunk headers are written.
#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    Riff,
    Rifx,
    Wave64,
}

/// The rest of Wave64's chunk names, after their four letters.
const WAVE64_TAIL: [u8; 12] = [0xf3, 0xac, 0xd3, 0x11, 0x8c, 0xd1, 0x00, 0xc0, 0x4f, 0x8e, 0xdb, 0x8a];
/// Sizes from here on are placeholders of programs that write to a pipe: 0xFFFFFFFF (ffmpeg), 0x7FFFF000 and its
/// neighbours (sox).
const STREAMED: u64 = 0x7fff_0000;
/// No format chunk is longer; it is read into memory.
const LONGEST_FORMAT: u64 = 4096;

/// A walk over the chunks of one file.
pub(crate) struct Chunks<R> {
    source: Pushback<R>,
    dialect: Dialect,
    /// A size of 0 says nothing about what is still to come.
    live: bool,
    /// The size that the outermost header gives.
    claimed: u64,
    /// Size of the data chunk from an RF64 `ds64` chunk.
    data_size_64: Option<u64>,
    inside: Option<Inside>,
}

impl<R: Read> Chunks<R> {
    /// Reads the outermost header.
    pub(crate) fn open(source: R) -> Result<Self, Fault> {
        let mut source = Pushback { first: Cursor::default(), source };
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
        Ok(Self { source, dialect, live: false, claimed, data_size_64: None, inside: None })
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
                    // An unfinished recording: sizes were to be filled in at the end.
                    let unfinished =
                        size == 0 && (self.live || matches!(self.claimed, 0 | 0xffff_ffff) || self.has_samples()?);
                    let size = match self.data_size_64 {
                        Some(size @ 1..) if size < u64::MAX / 2 => Some(size),
                        _ if unfinished => None,
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
                match (u64::from_le_bytes(head.as_chunks::<8>().0[2]), &id) {
                    // To be filled in at the end, which never came.
                    (0 | 0x7fff_ffff_ffff_ffff.., b"data") => 0,
                    (size, _) => {
                        size.checked_sub(24).ok_or("has a chunk shorter than its own header: the file is damaged")?
                    }
                }
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
    fn padding(&self, size: u64) -> usize {
        let grid = if self.dialect == Dialect::Wave64 { 8 } else { 2 };
        (size.next_multiple_of(grid) - size) as usize
    }

    fn skip_padding(&mut self, size: u64) -> Result<(), Fault> {
        let padding = self.padding(size);
        read_full(&mut self.source, &mut [0u8; 8][..padding])?;
        Ok(())
    }

    /// After a data chunk of `size` bytes by its header, all of which are read but `rest`: true when more samples
    /// follow instead of the end or another chunk. Chunk names are letters, digits, spaces and the like; four bytes
    /// of a quiet signal are not.
    fn goes_on(&mut self, size: u64, rest: usize) -> Result<bool, Fault> {
        let skipped = rest + self.padding(size);
        let mut next = vec![0u8; skipped + 4];
        let mut got = read_full(&mut self.source, &mut next)?;
        next.truncate(got);
        // A few bytes at the end are no samples. Live, nobody waits for more to know.
        if got > skipped + 3 && !is_name(&next[skipped..]) && !self.live {
            let some = self.inside.map_or(0, Inside::short_rest);
            next.resize(skipped + some.max(4), 0);
            got += read_full(&mut self.source, &mut next[got..])?;
            let short = got < next.len();
            next.truncate(if short { 0 } else { got });
            got = next.len();
        }
        if got <= skipped + 3 || is_name(&next[skipped..skipped + 4]) {
            next.drain(..skipped.min(got));
            self.source.give_back(next);
            return Ok(false);
        }
        self.source.give_back(next);
        Ok(true)
    }

    /// After the header of a data chunk of size 0: samples follow instead of the end or another chunk.
    fn has_samples(&mut self) -> Result<bool, Fault> {
        let mut next = vec![0u8; 8];
        let got = read_full(&mut self.source, &mut next)?;
        next.truncate(got);
        let samples = got > 0 && !(got == 8 && is_name(&next[..4]));
        self.source.give_back(next);
        Ok(samples)
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

/// Letters, digits, spaces and the like.
fn is_name(id: &[u8]) -> bool {
    id.iter().all(|byte| byte.is_ascii_alphanumeric() || b" _-.".contains(byte))
}

/// A source that some of what was read from it can be given back to.
pub(crate) struct Pushback<R> {
    first: Cursor<Vec<u8>>,
    source: R,
}

impl<R> Pushback<R> {
    /// Bytes that come next once more.
    fn give_back(&mut self, mut bytes: Vec<u8>) {
        bytes.extend_from_slice(&self.first.get_ref()[self.first.position() as usize..]);
        self.first = Cursor::new(bytes);
    }
}

impl<R: Read> Read for Pushback<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.first.read(buffer)? {
            0 => self.source.read(buffer),
            count => Ok(count),
        }
    }
}

/// Decodes everything in the data chunks. MPEG and ADPCM are the caller's: see [`peek`].
pub(crate) fn read(source: impl Read, collector: &mut Collector) -> Result<String, Fault> {
    let mut chunks = Chunks::open(source)?;
    chunks.live = collector.is_live();
    let mut found = 0;
    let mut name = String::new();
    // Damage after the samples is no reason to lose them.
    while let Some((inside, size)) = chunks.next_data().or_else(|e| if found > 0 { Ok(None) } else { Err(e) })? {
        let layout = match inside {
            Inside::Plain(layout) => layout,
            Inside::Unknown(tag) => return Err(super::ffmpeg::refusal(&tag_name(tag), "")),
            _ => return Err("holds compressed samples where plain ones were expected".to_owned()),
        };
        found += 1;
        name = format!("wav ({})", encoding_name(layout.encoding));
        let before = collector.frames();
        // The size may be too small, and a frame that it cuts be whole.
        let rest = size.map_or(0, |size| size % layout.frame_bytes().max(1) as u64);
        let ended = read_samples(&mut chunks.source, layout, size.map(|size| size - rest), collector)?;
        match size {
            None => break,
            Some(_) if matches!(ended, Ended::Enough) => break,
            Some(size) => {
                if let Ended::Early = ended {
                    let got = (collector.frames() - before) as f64 / f64::from(layout.rate);
                    collector
                        .damaged(format!("its header promises {size} bytes of samples, but it ends after {got:.2} s"));
                    break;
                }
                if chunks.goes_on(size, rest as usize)? {
                    collector.damaged(format!(
                        "its header promises {size} bytes of samples, but more follow, which are read too"
                    ));
                    read_samples(&mut chunks.source, layout, None, collector)?;
                    break;
                }
                if rest > 0 {
                    collector.damaged(format!("its last {rest} bytes are not a whole frame and were left out"));
                }
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

/// The content of the data chunk, from the first bytes of a file; `None` when they do not reach that far or are damaged,
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

/// How the samples are written, and where they begin.
pub(crate) fn layout(source: impl Read) -> Result<(Layout, u64), Fault> {
    let mut chunks = Chunks::open(source)?;
    match chunks.next_data()? {
        Some((Inside::Plain(layout), _)) => Ok((layout, 44)),
        Some((Inside::Unknown(tag), _)) => Err(super::ffmpeg::refusal(&tag_name(tag), "")),
        _ => Err("ends before its samples (no data chunk): the file is cut".to_owned()),
    }
}

/// The kind of the first data chunk's content, and the content as a stream of its own.
pub(crate) fn data_stream<R: Read>(source: R) -> Result<(Inside, Data<R>), Fault> {
    let mut chunks = Chunks::open(source)?;
    match chunks.next_data()? {
        Some((inside, left)) => Ok((inside, Data { chunks, size: left.unwrap_or(0), left })),
        None => Err("ends before its samples (no data chunk): the file is cut".to_owned()),
    }
}

/// The content of a data chunk. It ends with the chunk, unless more follows that is no other chunk.
pub(crate) struct Data<R> {
    chunks: Chunks<R>,
    size: u64,
    left: Option<u64>,
}

impl<R> Data<R> {
    /// Promised bytes that have not come.
    pub(crate) fn missing(&self) -> u64 {
        self.left.unwrap_or(0)
    }
}

impl<R: Read> Read for Data<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == Some(0) {
            if !self.chunks.goes_on(self.size, 0).map_err(std::io::Error::other)? {
                return Ok(0);
            }
            self.left = None;
        }
        let most = self.left.map_or(buffer.len(), |left| buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        let read = self.chunks.source.read(&mut buffer[..most])?;
        self.left = self.left.map(|left| left - read as u64);
        Ok(read)
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
    use crate::audio::recording::Recording;
    use crate::transcript::WarningCode;

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
            (40, 0, 2, 0),
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
        assert_eq!((got.pcm.samples(), got.warnings[0].code), (&[0.5, -0.5, 0.5, -0.5][..], WarningCode::AudioDamaged));
    }
}
