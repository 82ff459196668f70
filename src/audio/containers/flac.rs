//! FLAC files: frames with numbers and checksums, whatever the header promises. Files may be joined, cut and damaged, and
//! other programs' tags may stand before and after them.

use super::{Bytes, Demuxer, Packet, Track, cut};
use crate::audio::codec::Codec;
use crate::audio::fault::Fault;
use crate::audio::source::Source;

/// Headers with pictures have some MB.
const LONGEST_METADATA: u64 = 256 << 20;
/// Bytes of a frame's header at most.
const LONGEST_HEADER: usize = 16;
/// No frame is longer than its samples would be, and a little.
const SLACK: usize = 256;
/// Bytes that are searched at a time.
const WINDOW: usize = 1 << 13;

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Frame {
    /// Number of the frame, or of its first sample where block sizes vary.
    number: u64,
    varies: bool,
    samples: u32,
    /// Bytes that it can have at most.
    longest: usize,
    /// Rate, channels and bits, as they are coded: the same for all frames of a file.
    format: [u8; 2],
}

pub(crate) struct Flac {
    bytes: Bytes,
    tracks: Vec<Track>,
    /// Samples of one block, where all have the same.
    block: u32,
    /// Samples by the headers; 0 where one of them does not say.
    promised: u64,
    /// End of the last frame, in samples.
    reached: u64,
    /// Offset added to the frames' own numbers.
    shift: i64,
    begun: bool,
    format: Option<[u8; 2]>,
    restart: bool,
    /// Bytes before the next frame made no sense.
    damaged: bool,
}

impl Flac {
    pub(crate) fn open(mut bytes: Bytes) -> Result<Self, Fault> {
        skip_id3(&mut bytes)?;
        let info = metadata(&mut bytes)?.ok_or("is a FLAC file without its header: it is damaged or cut")?;
        let track = track(info);
        Ok(Self {
            bytes,
            tracks: vec![track],
            block: block(info),
            promised: promised(info),
            reached: 0,
            shift: 0,
            begun: false,
            format: None,
            restart: false,
            damaged: false,
        })
    }

    fn rate(&self) -> f64 {
        f64::from(self.tracks[0].rate.max(1))
    }

    /// Bytes of the frame that stands here; `None` where none ends as its checksum says.
    fn length(&mut self, frame: Frame) -> Result<Option<usize>, Fault> {
        let mut sum = 0u16;
        let mut at = 0;
        let mut possible = None;
        loop {
            let ahead = self.bytes.peek((at + WINDOW).min(frame.longest + LONGEST_HEADER))?;
            let is_all = ahead.len() < (at + WINDOW).min(frame.longest + LONGEST_HEADER) || ahead.len() > frame.longest;
            let judged = if is_all { ahead.len() } else { ahead.len() - LONGEST_HEADER };
            while at < judged {
                sum = sum << 8 ^ CRC16[usize::from((sum >> 8) as u8 ^ ahead[at])];
                at += 1;
                // A checksum that is part of what it is of makes 0.
                if sum == 0 && at > LONGEST_HEADER / 2 {
                    let next = &ahead[at..];
                    if next.is_empty() || header(next).is_some_and(|next| next.format == frame.format) || is_mark(next)
                    {
                        return Ok(Some(at));
                    }
                    possible = Some(at);
                }
            }
            if is_all {
                // Before something else, or before damage.
                return Ok(possible);
            }
        }
    }

    /// Goes on to something that can begin a frame. False at the end.
    fn resync(&mut self) -> Result<bool, Fault> {
        self.bytes.pass(1);
        loop {
            let ahead = self.bytes.peek(WINDOW)?;
            if ahead.len() < LONGEST_HEADER {
                return Ok(false);
            }
            let last = ahead.len() - LONGEST_HEADER;
            let found = (0..=last).find(|at| {
                let here = &ahead[*at..];
                here.starts_with(b"fLaC")
                    || header(here).is_some_and(|frame| self.format.is_none_or(|f| f == frame.format))
            });
            let passed = found.unwrap_or(last + 1);
            self.bytes.pass(passed);
            if found.is_some() {
                return Ok(true);
            }
        }
    }

    /// A header that knows the length shows a file that was cut.
    fn end(&self) -> Result<Option<Packet>, Fault> {
        match self.promised.checked_sub(self.reached) {
            Some(missing @ 1..) => Err(cut(missing as f64 / self.rate())),
            _ if self.damaged && self.promised == 0 => Err("ends in the middle of a frame: it is cut".to_owned()),
            _ => Ok(None),
        }
    }
}

impl Demuxer for Flac {
    fn name(&self) -> &'static str {
        "flac"
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn seconds(&self) -> Option<f64> {
        (self.promised > 0).then(|| self.promised as f64 / self.rate())
    }

    fn select(&mut self, _track: usize) {
        self.bytes.forget();
    }

    fn next(&mut self) -> Result<Option<Packet>, Fault> {
        loop {
            let ahead = self.bytes.peek(LONGEST_HEADER)?;
            if ahead.is_empty() {
                return self.end();
            }
            if ahead.starts_with(b"fLaC") {
                // Another file was joined.
                if let Some(info) = metadata(&mut self.bytes)? {
                    let more = promised(info);
                    self.promised = if self.promised > 0 && more > 0 { self.promised + more } else { 0 };
                    (self.tracks[0], self.block) = (track(info), block(info));
                    (self.shift, self.format, self.restart) = (self.reached as i64, None, true);
                }
                continue;
            }
            let found = header(ahead).filter(|frame| self.format.is_none_or(|format| format == frame.format));
            let length = match found {
                Some(frame) => self.length(frame)?,
                None => None,
            };
            let (Some(frame), Some(length)) = (found, length) else {
                let is_tag = self.bytes.peek(3)?.starts_with(b"TAG") || skip_id3(&mut self.bytes)?;
                self.damaged |= !is_tag;
                let goes_on = is_tag && !self.bytes.peek(3)?.starts_with(b"TAG");
                if !goes_on && !self.resync()? {
                    // The rest is no whole frame: an unfinished one, or not FLAC at all.
                    let rest = self.bytes.peek(LONGEST_HEADER)?.len();
                    self.bytes.pass(rest);
                }
                continue;
            };
            let data = self.bytes.read(length as u64)?;
            self.format = Some(frame.format);
            let block = if self.block > 0 { self.block } else { frame.samples };
            self.block = block;
            let number = if frame.varies { frame.number } else { frame.number.saturating_mul(u64::from(block)) };
            let mut start = number.saturating_add_signed(self.shift);
            // A stream that was joined late has no length, and its first number is its beginning; numbers that go back
            // are those of another recording.
            let is_late = !self.begun && start >= self.promised && !self.damaged;
            if is_late || start < self.reached {
                self.shift += self.reached as i64 - start as i64;
                start = self.reached;
            }
            let lost = start - self.reached;
            self.begun = true;
            self.damaged = false;
            self.reached = start + u64::from(frame.samples);
            let restart = std::mem::take(&mut self.restart).then(|| Box::new(self.tracks[0].clone()));
            return Ok(Some(Packet {
                data,
                duration: f64::from(frame.samples) / self.rate(),
                lost: lost as f64 / self.rate(),
                restart,
                ..Default::default()
            }));
        }
    }

    fn into_source(self: Box<Self>) -> Option<Source> {
        self.bytes.into_source()
    }
}

/// Passes over an ID3v2 tag. False where none stands here.
fn skip_id3(bytes: &mut Bytes) -> Result<bool, Fault> {
    let &[b'I', b'D', b'3', _, _, _, a, b, c, d] = bytes.peek(10)? else { return Ok(false) };
    let size = [a, b, c, d].iter().fold(0u64, |size, byte| size << 7 | u64::from(byte & 0x7f));
    bytes.skip(10 + size)?;
    Ok(true)
}

/// Reads the metadata blocks of a file; the stream information is the first. `None` where there is none.
fn metadata(bytes: &mut Bytes) -> Result<Option<[u8; 34]>, Fault> {
    // Padding may follow a tag.
    while bytes.peek(1)? == [0] {
        bytes.pass(1);
    }
    if bytes.peek(4)? != b"fLaC" {
        return Ok(None);
    }
    bytes.pass(4);
    let mut info = None;
    loop {
        let &[kind, a, b, c] = bytes.peek(4)? else { return Ok(info) };
        // A frame: the last block was not marked.
        if kind == 0xff {
            return Ok(info);
        }
        bytes.pass(4);
        let size = u64::from(u32::from_be_bytes([0, a, b, c]));
        if kind & 0x7f == 0 && size >= 34 {
            info = bytes.peek(34)?.first_chunk::<34>().copied();
        }
        if size > LONGEST_METADATA || !bytes.skip(size)? || kind & 0x80 != 0 {
            return Ok(info);
        }
    }
}

fn track(info: [u8; 34]) -> Track {
    let rate = u32::from_be_bytes([0, info[10], info[11], info[12]]) >> 4;
    Track::only(Codec::Flac, rate, u32::from(info[12] >> 1 & 7) + 1, info.to_vec())
}

fn promised(info: [u8; 34]) -> u64 {
    u64::from(info[13] & 15) << 32 | u64::from(u32::from_be_bytes([info[14], info[15], info[16], info[17]]))
}

/// Samples of all blocks; 0 where they vary.
fn block(info: [u8; 34]) -> u32 {
    let (least, most) = (u16::from_be_bytes([info[0], info[1]]), u16::from_be_bytes([info[2], info[3]]));
    if least == most { u32::from(least) } else { 0 }
}

/// Tags that other programs write after the last frame.
fn is_mark(next: &[u8]) -> bool {
    [&b"fLaC"[..], b"TAG", b"ID3", b"APETAGEX"].iter().any(|mark| next.starts_with(mark))
}

/// Reads a frame's header; `None` where its checksum or its bits say that it is none.
fn header(bytes: &[u8]) -> Option<Frame> {
    let [sync, strategy, sizes, channels, first] = *bytes.first_chunk::<5>()?;
    if sync != 0xff || strategy & 0xfe != 0xf8 || sizes >> 4 == 0 || sizes & 15 == 15 || channels & 1 == 1 {
        return None;
    }
    let (channel, bits) = (channels >> 4, channels >> 1 & 7);
    if channel > 10 || bits == 3 {
        return None;
    }
    // The number, written as UTF-8 writes characters, in up to 7 bytes.
    let length = match first.leading_ones() as usize {
        0 => 1,
        length @ 2..=7 => length,
        _ => return None,
    };
    let mut number = if length == 1 { u64::from(first) } else { u64::from(first) & ((1 << (7 - length)) - 1) };
    for byte in bytes.get(5..4 + length)? {
        if byte >> 6 != 2 {
            return None;
        }
        number = number << 6 | u64::from(byte & 0x3f);
    }
    let mut at = 4 + length;
    let mut next = |count: usize| {
        at += count;
        bytes.get(at - count..at).map(|bytes| bytes.iter().fold(0u32, |value, byte| value << 8 | u32::from(*byte)))
    };
    let samples = match sizes >> 4 {
        1 => 192,
        code @ 2..=5 => 576 << (code - 2),
        6 => next(1)? + 1,
        7 => next(2)? + 1,
        code => 256 << (code - 8),
    };
    next(match sizes & 15 {
        12 => 1,
        13 | 14 => 2,
        _ => 0,
    })?;
    let sum = bytes.get(..at)?.iter().fold(0u8, |sum, byte| CRC8[usize::from(sum ^ byte)]);
    if *bytes.get(at)? != sum {
        return None;
    }
    let count = if channel < 8 { usize::from(channel) + 1 } else { 2 };
    let width = [4, 1, 2, 4, 2, 3, 3, 4][usize::from(bits)];
    let longest = samples as usize * count * width + samples as usize / 4 + SLACK;
    // How the channels are joined may change from frame to frame.
    let format = [sizes & 15, (count as u8) << 3 | bits];
    Some(Frame { number, varies: strategy & 1 == 1, samples, longest, format })
}

const CRC8: [u8; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u8;
        let mut bit = 0;
        while bit < 8 {
            value = value << 1 ^ if value >> 7 == 1 { 0x07 } else { 0 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

const CRC16: [u16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            value = value << 1 ^ if value >> 15 == 1 { 0x8005 } else { 0 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn sample() -> Vec<u8> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("convert/demo/sample.flac");
        std::fs::read(path).expect("the sample is there")
    }

    fn packets(bytes: Vec<u8>) -> (f64, f64, Result<(), Fault>) {
        let bytes = Bytes::new(Source::Stream(Box::new(Cursor::new(bytes))), false);
        let mut flac = Flac::open(bytes).expect("a header");
        let (mut seconds, mut lost) = (0.0, 0.0);
        loop {
            match flac.next() {
                Ok(Some(packet)) => (seconds, lost) = (seconds + packet.duration, lost + packet.lost),
                Ok(None) => return (seconds, lost, Ok(())),
                Err(fault) => return (seconds, lost, Err(fault)),
            }
        }
    }

    #[test]
    fn all_frames_are_found_whatever_stands_around_them() {
        let sample = sample();
        let (seconds, lost, end) = packets(sample.clone());
        assert!(seconds > 2.0 && lost == 0.0 && end.is_ok(), "{seconds} {lost} {end:?}");
        let tagged = [&b"ID3\x04\0\0\0\0\0\x05abcde"[..], &sample, b"TAG", &[b'x'; 125]].concat();
        assert_eq!(packets(tagged), (seconds, 0.0, Ok(())));
        let garbage = [&sample[..], &[0x55; 300]].concat();
        assert_eq!(packets(garbage).0, seconds);
        let (twice, lost, end) = packets([sample.clone(), sample.clone()].concat());
        assert!((twice - 2.0 * seconds).abs() < 1e-9 && lost == 0.0 && end.is_ok(), "{twice} {lost} {end:?}");
    }

    #[test]
    fn damage_and_cuts_are_measured() {
        let mut sample = sample();
        let (seconds, ..) = packets(sample.clone());
        let middle = sample.len() / 2;
        let (whole, _, end) = packets(sample[..middle].to_vec());
        assert!(whole < seconds && end.is_err_and(|fault| fault.starts_with("is cut: its last ")), "{whole}");
        sample[middle] ^= 0xff;
        let (rest, lost, end) = packets(sample);
        assert!(lost > 0.0 && (rest + lost - seconds).abs() < 1e-9 && end.is_ok(), "{rest} {lost} {end:?}");
    }
}
