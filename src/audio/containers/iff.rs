//! AIFF and AIFF-C: a chunk that describes the samples, and one that holds them; sizes may be unknown, unfinished or
//! wrong.

use super::{Bytes, Demuxer, Packet, Track, cut};
use crate::audio::codec::{Adpcm, Codec};
use crate::audio::fault::Fault;
use crate::audio::samples::{Encoding, short_rest};
use crate::audio::source::Source;

/// Frames of uncompressed samples in a packet.
const PCM_FRAMES: u32 = 4096;
/// Sizes from here on are placeholders of programs that write to a pipe.
const STREAMED: u64 = 0x7fff_0000;
const LONGEST_CHUNK: u64 = 1 << 20;

pub(crate) struct Aiff {
    bytes: Bytes,
    tracks: Vec<Track>,
    start: u64,
    /// Where the sound ends, by its chunk.
    end: Option<u64>,
    /// Bytes and frames of one unit.
    unit: (u32, u32),
    begun: bool,
    name: &'static str,
}

impl Aiff {
    pub(crate) fn open(mut bytes: Bytes) -> Result<Self, Fault> {
        let head = bytes.array::<12>()?.ok_or("ends inside its header: the file is cut")?;
        let name = if &head[8..] == b"AIFC" { "aiff-c" } else { "aiff" };
        let (mut track, mut sound) = (None, None);
        while let Some(head) = bytes.array::<8>()? {
            let size = u64::from(u32::from_be_bytes([head[4], head[5], head[6], head[7]]));
            let padded = size + size % 2;
            let start = bytes.position();
            match &head[..4] {
                b"COMM" if (18..=LONGEST_CHUNK).contains(&size) => {
                    let chunk = bytes.read(padded)?;
                    track = Some(describe(&chunk, name == "aiff-c")?);
                }
                b"SSND" => {
                    let offsets = bytes.array::<8>()?.ok_or("ends before its samples: it is cut")?;
                    let offset = u64::from(u32::from_be_bytes([offsets[0], offsets[1], offsets[2], offsets[3]]));
                    // Some programs write nonsense there.
                    let offset = if offset < size { offset } else { 0 };
                    let end = if size <= 8 || size >= STREAMED { None } else { Some(start + size) };
                    sound = Some((start + 8 + offset, end));
                    // The description nearly always comes first.
                    if track.is_some() {
                        break;
                    }
                    bytes.spool()?;
                    if end.is_none() || !bytes.seek(start + padded)? {
                        break;
                    }
                }
                _ if bytes.skip(padded)? => {}
                _ => break,
            }
        }
        let track = track.ok_or("has no description of its samples (no COMM chunk): it is cut or damaged")?;
        let (start, end) = sound.ok_or("ends before its samples (no SSND chunk): it is cut")?;
        let unit = match &track.codec {
            Codec::Pcm { encoding, .. } => (encoding.bytes() as u32 * track.channels, 1),
            Codec::Adpcm(kind) => (kind.block(track.channels), kind.frames(track.channels)),
            _ => (0, 0),
        };
        Ok(Self { bytes, tracks: vec![track], start, end, unit, begun: false, name })
    }

    /// At the end by the chunk's size: nothing, or another chunk, follows. Else the size is too small.
    fn is_end(&mut self) -> Result<bool, Fault> {
        let some = short_rest(self.tracks[0].rate, self.unit.0 as usize / self.unit.1.max(1) as usize);
        let ahead = self.bytes.peek(some.max(9))?;
        if ahead.len() < some {
            return Ok(true);
        }
        // One byte of padding may come before.
        let name = |at: usize| {
            ahead.get(at..at + 4).is_some_and(|name| name.iter().all(|b| b.is_ascii_graphic() || *b == b' '))
        };
        Ok(ahead.len() < 8 || name(0) || name(1))
    }
}

/// Reads the description of the samples.
fn describe(chunk: &[u8], compressed: bool) -> Result<Track, Fault> {
    let be16 = |at: usize| chunk.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
    let (channels, bits) = (u32::from(be16(0)), be16(6));
    let rate = extended(chunk.get(8..18).unwrap_or_default());
    let pcm = |encoding, big_endian| Codec::Pcm { encoding, big_endian };
    let bytes = bits.div_ceil(8).clamp(1, 8) as u8;
    let kind = chunk.get(18..22).filter(|_| compressed).unwrap_or(b"NONE");
    let codec = match kind {
        b"NONE" | b"twos" => pcm(Encoding::Signed(bytes), true),
        b"sowt" => pcm(Encoding::Signed(bytes), false),
        b"raw " => pcm(Encoding::Unsigned8, true),
        b"in24" => pcm(Encoding::Signed(3), true),
        b"in32" => pcm(Encoding::Signed(4), true),
        b"42ni" => pcm(Encoding::Signed(3), false),
        b"23ni" => pcm(Encoding::Signed(4), false),
        b"fl32" | b"FL32" => pcm(Encoding::Float32, true),
        b"fl64" | b"FL64" => pcm(Encoding::Float64, true),
        b"alaw" | b"ALAW" => pcm(Encoding::ALaw, true),
        b"ulaw" | b"ULAW" => pcm(Encoding::MuLaw, true),
        b"ima4" => Codec::Adpcm(Adpcm::QuickTime),
        other => Codec::Other(other.first_chunk::<4>().map_or_else(String::new, super::mp4_boxes::known_name)),
    };
    if !(1.0..=768_000.0).contains(&rate) {
        return Err(format!("has a sample rate of {rate} Hz: the file is damaged"));
    }
    if channels == 0 {
        return Err("has 0 channels by its header: the file is damaged".to_owned());
    }
    Ok(Track::only(codec, rate.round() as u32, channels, Vec::new()))
}

/// An 80-bit number: sign and 15 bits of exponent, 64 of mantissa.
fn extended(bytes: &[u8]) -> f64 {
    let Some((head, mantissa)) = bytes.split_first_chunk::<2>() else { return 0.0 };
    let exponent = i32::from(u16::from_be_bytes(*head) & 0x7fff) - 16_383 - 63;
    let mantissa = mantissa.iter().take(8).fold(0u64, |n, b| n << 8 | u64::from(*b));
    mantissa as f64 * f64::from(exponent).exp2()
}

impl Demuxer for Aiff {
    fn name(&self) -> &'static str {
        self.name
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn seconds(&self) -> Option<f64> {
        let end = self.end.or(self.bytes.length())?;
        let (bytes, frames) = self.unit;
        let units = end.saturating_sub(self.start).checked_div(u64::from(bytes))?;
        Some((units * u64::from(frames)) as f64 / f64::from(self.tracks[0].rate.max(1)))
    }

    fn select(&mut self, _track: usize) {
        self.bytes.forget();
    }

    fn next(&mut self) -> Result<Option<Packet>, Fault> {
        if !std::mem::replace(&mut self.begun, true) && !self.bytes.seek(self.start)? {
            return Err("ends before its samples: it is cut".to_owned());
        }
        let (unit, frames) = self.unit;
        if unit == 0 {
            return Ok(None);
        }
        let left = self.end.map(|end| end.saturating_sub(self.bytes.position()));
        if left.is_some_and(|left| left < u64::from(unit)) {
            if self.is_end()? {
                return Ok(None);
            }
            self.end = None;
        }
        let most = u64::from((PCM_FRAMES / frames).max(1));
        let units = self.end.map_or(most, |_| left.map_or(most, |left| most.min(left / u64::from(unit))));
        let mut data = self.bytes.read(units * u64::from(unit))?;
        data.truncate(data.len() - data.len() % unit as usize);
        let rate = f64::from(self.tracks[0].rate.max(1));
        if data.is_empty() {
            let missing = self.end.map_or(0, |end| end.saturating_sub(self.bytes.position()) / u64::from(unit));
            return match missing * u64::from(frames) {
                0 => Ok(None),
                frames => Err(cut(frames as f64 / rate)),
            };
        }
        let duration = (data.len() / unit as usize) as f64 * f64::from(frames) / rate;
        Ok(Some(Packet { data, duration, ..Default::default() }))
    }

    fn into_source(self: Box<Self>) -> Option<Source> {
        self.bytes.into_source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_numbers_are_read() {
        assert_eq!(extended(&[0x40, 0x0e, 0xac, 0x44, 0, 0, 0, 0, 0, 0]), 44_100.0);
        assert_eq!(extended(&[0x40, 0x0c, 0xfa, 0, 0, 0, 0, 0, 0, 0]), 16_000.0);
        assert_eq!(extended(&[]), 0.0);
    }
}
