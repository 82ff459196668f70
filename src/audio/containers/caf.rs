//! Apple's Core Audio Format: a description, data whose size may be unknown, and for codecs with packets of many sizes
//! a table of them, which often comes after the data.

use super::{Bytes, Demuxer, LONGEST_PACKET, Packet, Track, cut};
use crate::audio::aac;
use crate::audio::codec::{Adpcm, Codec};
use crate::audio::fault::Fault;
use crate::audio::samples::{Encoding, short_rest};
use crate::audio::source::Source;
use std::collections::VecDeque;

/// Headers and tables have some MB at most.
const LONGEST_CHUNK: u64 = 256 << 20;
/// Frames of uncompressed samples in a packet.
const PCM_FRAMES: u32 = 4096;

pub(crate) struct Caf {
    bytes: Bytes,
    tracks: Vec<Track>,
    /// Where the data is.
    start: u64,
    end: Option<u64>,
    /// Bytes and frames of every packet; 0 where they differ.
    packet_bytes: u32,
    packet_frames: u32,
    table: VecDeque<(u32, u32)>,
    /// Frames that the table should list and does not.
    unlisted: u64,
    /// Frames of the recording, and those before it, by the table.
    valid: Option<u64>,
    priming: u64,
    /// Frames so far.
    frames: u64,
    begun: bool,
}

impl Caf {
    pub(crate) fn open(mut bytes: Bytes) -> Result<Self, Fault> {
        bytes.array::<8>()?.ok_or("ends inside its header: the file is cut")?;
        let mut description = None;
        let (mut cookie, mut table) = (Vec::new(), None);
        let mut data = None;
        while let Some(head) = bytes.array::<12>()? {
            let name = [head[0], head[1], head[2], head[3]];
            let size = i64::from_be_bytes([head[4], head[5], head[6], head[7], head[8], head[9], head[10], head[11]]);
            let start = bytes.position();
            match (&name, u64::try_from(size)) {
                (b"data", size) => {
                    // An edit count comes first. Unknown, unfinished or damaged sizes mean: to the end.
                    let packets_differ = description.is_some_and(|head: Description| head.packet_bytes == 0);
                    let end = size.ok().filter(|size| *size > 4).map(|size| start.saturating_add(size));
                    data = Some((start + 4, end));
                    if end.is_none() || !(bytes.can_seek() || packets_differ && table.is_none()) {
                        break;
                    }
                    if packets_differ && table.is_none() {
                        bytes.spool()?;
                    }
                    let Some(end) = end else { break };
                    if !bytes.seek(end)? {
                        break;
                    }
                    if !is_end(bytes.peek(12)?, 0) {
                        break;
                    }
                }
                (_, Ok(size)) if size <= LONGEST_CHUNK && [*b"desc", *b"kuki", *b"pakt"].contains(&name) => {
                    let chunk = bytes.read(size)?;
                    match &name {
                        b"desc" => description = Description::read(&chunk),
                        b"kuki" => cookie = chunk,
                        _ => table = Some(chunk),
                    }
                }
                (_, Ok(size)) if bytes.skip(size)? => {}
                _ => break,
            }
        }
        let description = description.ok_or("has no description of its audio: the file is cut or damaged")?;
        let (start, end) = data.ok_or("ends before its samples (no data chunk): the file is cut")?;
        let track = description.track(cookie)?;
        let mut open = Self {
            bytes,
            tracks: vec![track],
            start,
            end,
            packet_bytes: description.packet_bytes,
            packet_frames: description.packet_frames,
            table: VecDeque::new(),
            unlisted: 0,
            valid: None,
            priming: 0,
            frames: 0,
            begun: false,
        };
        if let Some(table) = table {
            open.read_table(&table);
        }
        if let Codec::Pcm { encoding, .. } = &open.tracks[0].codec {
            open.packet_bytes = encoding.bytes() as u32 * description.channels;
            open.packet_frames = 1;
        }
        if open.packet_bytes == 0 && open.table.is_empty() && Decodable::of(&open.tracks[0].codec) {
            return Err(
                "has no list of its packets (no packet table): its recording was not finished, or it is cut".to_owned()
            );
        }
        Ok(open)
    }

    /// Reads a packet table: counts, then the sizes and lengths that differ from packet to packet.
    fn read_table(&mut self, table: &[u8]) {
        let be = |at: usize, size: usize| {
            table.get(at..at + size).map_or(0, |b| b.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)))
        };
        let (packets, valid, priming) = (be(0, 8), be(8, 8), be(16, 4));
        let remainder = be(20, 4);
        let mut at = 24;
        let mut number = || {
            let mut value = 0u32;
            while let Some(byte) = table.get(at) {
                at += 1;
                value = value << 7 | u32::from(byte & 0x7f);
                if byte & 0x80 == 0 {
                    return Some(value);
                }
            }
            None
        };
        if self.packet_bytes == 0 || self.packet_frames == 0 {
            for _ in 0..packets {
                let size = if self.packet_bytes == 0 { number() } else { Some(self.packet_bytes) };
                let frames = if self.packet_frames == 0 { number() } else { Some(self.packet_frames) };
                let (Some(size), Some(frames)) = (size, frames) else { break };
                self.table.push_back((size, frames));
            }
        }
        let listed = self.table.len() as u64;
        if self.packet_bytes == 0 && listed < packets {
            let each = self.table.back().map_or(0, |(_, frames)| u64::from(*frames));
            self.unlisted = (packets - listed).saturating_mul(each);
        }
        let there: u64 = self.table.iter().map(|(_, frames)| u64::from(*frames)).sum();
        self.priming = priming;
        // Counts that do not fit the packets are not believed.
        if valid > 0 && (there == 0 || valid + priming + remainder == there) {
            self.valid = Some(valid);
        }
    }

    fn rate(&self) -> f64 {
        f64::from(self.tracks[0].rate.max(1))
    }
}

/// Whether nothing, fewer than this number of bytes, or another chunk follows.
fn is_end(ahead: &[u8], least: usize) -> bool {
    match ahead {
        [] => true,
        ahead if ahead.len() < least => true,
        [a, b, c, d, 0, ..] if ahead.len() >= 12 => {
            [a, b, c, d].iter().all(|byte| byte.is_ascii_alphanumeric() || **byte == b' ')
        }
        _ => false,
    }
}

/// Codecs whose packets have to be known.
struct Decodable;

impl Decodable {
    fn of(codec: &Codec) -> bool {
        !matches!(codec, Codec::Other(_))
    }
}

/// The description chunk.
#[derive(Debug, Clone, Copy)]
struct Description {
    rate: f64,
    format: [u8; 4],
    flags: u32,
    packet_bytes: u32,
    packet_frames: u32,
    channels: u32,
    bits: u32,
}

impl Description {
    fn read(chunk: &[u8]) -> Option<Self> {
        let be32 = |at: usize| chunk.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        Some(Self {
            rate: f64::from_bits(u64::from(be32(0)?) << 32 | u64::from(be32(4)?)),
            format: be32(8)?.to_be_bytes(),
            flags: be32(12)?,
            packet_bytes: be32(16)?,
            packet_frames: be32(20)?,
            channels: be32(24)?,
            bits: be32(28)?,
        })
    }

    /// The information block that a FLAC decoder wants, from the description.
    fn flac_info(&self) -> Vec<u8> {
        let bits = u64::from(if self.bits == 0 { 16 } else { self.bits.min(32) });
        let format = (self.rate as u64) << 44 | u64::from(self.channels.clamp(1, 8) - 1) << 41 | (bits - 1) << 36;
        let mut info = vec![0, 16, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
        info.extend(format.to_be_bytes());
        info.resize(34, 0);
        info
    }

    fn track(&self, cookie: Vec<u8>) -> Result<Track, Fault> {
        let pcm = |encoding, big_endian| Codec::Pcm { encoding, big_endian };
        let mut extra = Vec::new();
        let codec = match (&self.format, self.flags & 1, self.bits) {
            (b"lpcm", 1, 64) => pcm(Encoding::Float64, self.flags & 2 == 0),
            (b"lpcm", 1, _) => pcm(Encoding::Float32, self.flags & 2 == 0),
            (b"lpcm", _, bits @ 1..=64) => {
                let bytes = match self.packet_bytes.checked_div(self.channels) {
                    Some(bytes @ 1..=8) => bytes,
                    _ => bits.div_ceil(8),
                };
                pcm(Encoding::Signed(bytes as u8), self.flags & 2 == 0)
            }
            (b"alaw", ..) => pcm(Encoding::ALaw, true),
            (b"ulaw", ..) => pcm(Encoding::MuLaw, true),
            (b"ima4", ..) => Codec::Adpcm(Adpcm::QuickTime),
            (b"alac", ..) => {
                extra = cookie;
                Codec::Alac
            }
            (b"aac " | b"aacl" | b"aach" | b"aacp", ..) => {
                // The cookie is an elementary stream descriptor, or the bare header.
                extra = super::mp4_boxes::aac_header(&cookie);
                if extra.is_empty() {
                    extra = aac::Config::made(self.rate as u32, self.channels);
                }
                Codec::Aac
            }
            (b".mp3", ..) => Codec::Mpeg(3),
            (b".mp2", ..) => Codec::Mpeg(2),
            (b".mp1", ..) => Codec::Mpeg(1),
            (b"flac", ..) => {
                // Apple writes a box of MP4 as the cookie; others the blocks of a FLAC file.
                let info = cookie.windows(4).position(|four| four == [0, 0, 0, 34] || four == [0x80, 0, 0, 34]);
                extra = match (info.and_then(|at| cookie.get(at + 4..at + 38)), cookie.len()) {
                    (Some(info), _) => info.to_vec(),
                    (None, 34) => cookie,
                    // Frames say most of it themselves.
                    _ => self.flac_info(),
                };
                Codec::Flac
            }
            (b"opus", ..) => {
                extra = match cookie.starts_with(b"OpusHead") {
                    true => cookie,
                    false => {
                        let mut head = b"OpusHead\x01".to_vec();
                        head.extend([self.channels.min(2) as u8, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0]);
                        head
                    }
                };
                Codec::Opus
            }
            (format, ..) => Codec::Other(super::mp4_boxes::known_name(format)),
        };
        if !(1.0..=768_000.0).contains(&self.rate) {
            return Err(format!("has a sample rate of {} Hz: the file is damaged", self.rate));
        }
        if self.channels == 0 {
            return Err("has 0 channels by its header: the file is damaged".to_owned());
        }
        Ok(Track::only(codec, self.rate as u32, self.channels, extra))
    }
}

impl Demuxer for Caf {
    fn name(&self) -> &'static str {
        "caf"
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn seconds(&self) -> Option<f64> {
        let end = self.end.or(self.bytes.length())?;
        let frames = match self.packet_bytes {
            0 => self.table.iter().map(|(_, frames)| u64::from(*frames)).sum(),
            bytes => end.saturating_sub(self.start) / u64::from(bytes) * u64::from(self.packet_frames),
        };
        Some(self.valid.unwrap_or(frames) as f64 / self.rate())
    }

    fn select(&mut self, _track: usize) {
        self.bytes.forget();
    }

    fn next(&mut self) -> Result<Option<Packet>, Fault> {
        if !std::mem::replace(&mut self.begun, true) && !self.bytes.seek(self.start)? {
            return Err("ends before its samples: it is cut".to_owned());
        }
        let mut left = self.end.map(|end| end.saturating_sub(self.bytes.position()));
        if self.packet_bytes > 0 && left.is_some_and(|left| left < u64::from(self.packet_bytes)) {
            let some = short_rest(self.tracks[0].rate, (self.packet_bytes / self.packet_frames.max(1)) as usize);
            if is_end(self.bytes.peek(some.max(12))?, some) {
                return Ok(None);
            }
            // More follows than the size says.
            (left, self.end) = (None, None);
        }
        let (size, frames) = match (self.packet_bytes, self.packet_frames) {
            (0, _) | (_, 0) => match self.table.pop_front() {
                Some(packet) => packet,
                None => {
                    // The table itself was cut.
                    let missing = std::mem::take(&mut self.unlisted) as f64 / self.rate();
                    return if missing > 0.0 { Err(cut(missing)) } else { Ok(None) };
                }
            },
            (bytes, frames) => {
                let many = (PCM_FRAMES / frames).max(1);
                let most = left.map_or(u64::from(many), |left| (left / u64::from(bytes)).min(u64::from(many)));
                (bytes.saturating_mul(most as u32), frames * most as u32)
            }
        };
        if size == 0 {
            return Ok(None);
        }
        if u64::from(size) > LONGEST_PACKET {
            return Err("has a packet of absurd size: it is damaged from there on".to_owned());
        }
        let mut data = self.bytes.read(u64::from(size))?;
        if data.len() < size as usize {
            let whole = match self.packet_bytes {
                0 => 0,
                bytes => data.len() / bytes as usize,
            };
            if whole == 0 {
                let rest = self.table.iter().map(|(_, frames)| u64::from(*frames)).sum::<u64>() + u64::from(frames);
                return match (self.end, self.packet_bytes) {
                    (Some(end), bytes @ 1..) => {
                        let frames = end.saturating_sub(self.bytes.position()) / u64::from(bytes)
                            * u64::from(self.packet_frames);
                        let missing = frames as f64 / self.rate();
                        if missing > 0.0 { Err(cut(missing)) } else { Ok(None) }
                    }
                    (None, 1..) => Ok(None),
                    _ => Err(cut(rest as f64 / self.rate())),
                };
            }
            data.truncate(whole * self.packet_bytes as usize);
        }
        let frames = match self.packet_bytes {
            0 => frames,
            bytes => (data.len() / bytes as usize) as u32 * self.packet_frames,
        };
        let at = self.frames;
        self.frames += u64::from(frames);
        let seconds = |frames: u64| frames as f64 / self.rate();
        let after = self.valid.map_or(0, |valid| self.frames.saturating_sub(self.priming + valid));
        Ok(Some(Packet {
            data,
            duration: seconds(u64::from(frames)),
            trim_start: seconds(self.priming.saturating_sub(at).min(u64::from(frames))),
            trim_end: seconds(after.min(u64::from(frames))),
            ..Default::default()
        }))
    }

    fn into_source(self: Box<Self>) -> Option<Source> {
        self.bytes.into_source()
    }
}
