//! MPEG audio (MP1, MP2, MP3) and AAC in ADTS: frames one after another, each with a header of its own. The frames that
//! are there count, not what a Xing, Info or VBRI header or the size of the file promises; those only trim what an
//! encoder has put around the recording.

use super::{Bytes, Demuxer, Packet, Track, cut};
use crate::audio::aac;
use crate::audio::codec::Codec;
use crate::audio::fault::Fault;
use crate::audio::source::Source;
use std::collections::VecDeque;

/// Frames that are looked at before they are handed out, so that the last ones can be trimmed.
const HELD: usize = 4;
/// Frames that a decoder of layer III puts out before the first that was encoded.
const DECODER_DELAY: u32 = 529;
/// Bytes that are looked at: few, for a stream that comes slowly, and enough for two frames of any length.
const SMALLEST_WINDOW: usize = 1 << 12;
const LARGEST_WINDOW: usize = 1 << 15;
/// Bytes between frames that are no frame are as long as frames of their size would be, up to this many seconds.
const LONGEST_LOSS: f64 = 3600.0;

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    /// With its header.
    pub(crate) bytes: usize,
    pub(crate) samples: u32,
    pub(crate) rate: u32,
    pub(crate) channels: u32,
    /// Layer of MPEG audio; 4 for AAC.
    pub(crate) layer: u8,
    /// Bytes before the frame's data.
    header: usize,
    /// Header bits that do not change from frame to frame.
    pub(crate) fixed: u32,
    /// Bytes from the frame's beginning to where layer III keeps a Xing header.
    side: usize,
}

/// Reads the header of an MPEG audio frame.
pub(crate) fn mpeg_frame(bytes: &[u8]) -> Option<Frame> {
    let header = u32::from_be_bytes(*bytes.first_chunk::<4>()?);
    let field = |shift: u32, bits: u32| (header >> shift) & ((1 << bits) - 1);
    let (version, bitrate, rate) = (field(19, 2), field(12, 4) as usize, field(10, 2) as usize);
    let layer = 4 - field(17, 2) as u8;
    if field(21, 11) != 0x7ff || version == 1 || layer == 4 || bitrate == 0 || bitrate == 15 || rate == 3 {
        return None;
    }
    const RATES: [[u32; 14]; 5] = [
        [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    let first = version == 3;
    let table = match (first, layer) {
        (true, layer) => usize::from(layer) - 1,
        (false, 1) => 3,
        (false, _) => 4,
    };
    let kbit = RATES[table][bitrate - 1];
    let hz = [44_100, 48_000, 32_000][rate] >> if first { 0 } else { 1 + u32::from(version == 0) };
    let samples = match (layer, first) {
        (1, _) => 384,
        (2, _) | (3, true) => 1152,
        _ => 576,
    };
    let padding = field(9, 1);
    let bytes = match layer {
        1 => (12 * kbit * 1000 / hz + padding) * 4,
        _ => samples / 8 * kbit * 1000 / hz + padding,
    };
    let mono = field(6, 2) == 3;
    let side = match (first, mono) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    Some(Frame {
        bytes: bytes as usize,
        samples,
        rate: hz,
        channels: if mono { 1 } else { 2 },
        layer,
        header: 0,
        fixed: header & 0xfffe_0c00,
        side: 4 + side,
    })
}

/// The name of what the decoder of layer II refuses, because its standard does: much data for one channel.
pub(crate) fn beyond_layer_2(frame: Frame) -> Option<String> {
    let bits = frame.bytes as u64 * 8 * u64::from(frame.rate) / u64::from(frame.samples);
    let beyond = frame.layer == 2 && frame.channels == 1 && bits > 200_000;
    beyond.then(|| "MP2 with one channel at more than 192 kbit/s".to_owned())
}

/// Reads the header of an ADTS frame.
pub(crate) fn adts_frame(bytes: &[u8]) -> Option<Frame> {
    let [a, b, c, d, e, f, g] = *bytes.first_chunk::<7>()?;
    let length = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f) >> 5;
    let header = if b & 1 == 1 { 7 } else { 9 };
    let (config, _) = aac::Config::adts(c >> 6, c >> 2 & 15, (c & 1) << 2 | d >> 6)?;
    if a != 0xff || b & 0xf6 != 0xf0 || length <= header {
        return None;
    }
    let blocks = u32::from(g & 3) + 1;
    Some(Frame {
        bytes: length,
        samples: 1024 * blocks,
        rate: config.rate,
        channels: config.channels(),
        layer: 4,
        // Frames of several blocks, or with a layout of their own, are for a decoder that reads their headers.
        header: if blocks == 1 && config.channels() > 0 { header } else { 0 },
        fixed: u32::from_be_bytes([a, b & 0xfe, c & 0xfd, d & 0xc0]),
        side: 0,
    })
}

/// An encoder's notes in a first frame that holds no audio.
#[derive(Debug, Default, PartialEq)]
struct Note {
    /// Frames of the recording; 0 where it does not know.
    frames: u64,
    /// Samples that the encoder put before and after the recording.
    delay: u32,
    padding: u32,
}

/// Reads a Xing, Info or VBRI header.
fn note(frame: Frame, bytes: &[u8]) -> Option<Note> {
    let be32 = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    if bytes.get(36..40) == Some(b"VBRI") {
        return Some(Note { frames: u64::from(be32(36 + 14)?), ..Default::default() });
    }
    // A checksum comes before the side information, where an encoder writes any.
    let start = [frame.side, frame.side + 2]
        .into_iter()
        .find(|at| matches!(bytes.get(*at..*at + 4), Some(b"Xing" | b"Info")))?;
    let flags = be32(start + 4)?;
    let mut at = start + 8;
    let frames = if flags & 1 == 1 { be32(at).unwrap_or(0) } else { 0 };
    at += [(1, 4), (2, 4), (4, 100), (8, 4)]
        .iter()
        .map(|(flag, size)| if flags & flag != 0 { *size } else { 0 })
        .sum::<usize>();
    let mut note = Note { frames: u64::from(frames), ..Default::default() };
    // LAME and those who write as it does; the name of the encoder is followed by its numbers.
    let named = bytes.get(at..at + 4).is_some_and(|name| name.iter().all(|byte| (b' '..=b'z').contains(byte)));
    if let Some(&[a, b, c]) = bytes.get(at + 21..at + 24).and_then(|gap| gap.first_chunk::<3>())
        && named
    {
        note.delay = u32::from(a) << 4 | u32::from(b) >> 4;
        note.padding = u32::from(b & 15) << 8 | u32::from(c);
    }
    Some(note)
}

pub(crate) struct Mpeg {
    bytes: Bytes,
    read: fn(&[u8]) -> Option<Frame>,
    tracks: Vec<Track>,
    name: &'static str,
    /// Header bits of the frames.
    fixed: u32,
    /// Bytes that are no frame since the last one, and whether they are only tags and the like.
    skipped: u64,
    /// Bytes and seconds of all frames.
    sizes: u64,
    length: f64,
    note: Note,
    /// Frames since the note.
    frames: u64,
    /// Seconds still to leave out.
    trim_start: f64,
    held: VecDeque<Packet>,
    end: Option<Result<(), Fault>>,
    seconds: Option<f64>,
}

impl Mpeg {
    /// `name` is "mp3" or "aac".
    pub(crate) fn open(bytes: Bytes, name: &'static str) -> Result<Self, Fault> {
        let mut open = Self {
            bytes,
            read: if name == "aac" { adts_frame } else { mpeg_frame },
            tracks: Vec::new(),
            name,
            fixed: 0,
            skipped: 0,
            sizes: 0,
            length: 0.0,
            note: Note::default(),
            frames: 0,
            trim_start: 0.0,
            held: VecDeque::new(),
            end: None,
            seconds: None,
        };
        let Some((frame, _)) = open.find()? else {
            return Err("ends before its first sample: it is cut".to_owned());
        };
        open.skipped = 0;
        let bytes = open.bytes.peek(frame.bytes)?.to_vec();
        let track = open.track(frame, &bytes);
        open.tracks.push(track);
        if frame.layer < 4 {
            open.name = ["mp1", "mp2", "mp3"][usize::from(frame.layer) - 1];
        }
        if let Some(length) = open.bytes.length() {
            let rest = length.saturating_sub(open.bytes.position()) as f64;
            let each = f64::from(frame.samples) / f64::from(frame.rate);
            open.seconds = match note(frame, &bytes).filter(|_| frame.layer == 3) {
                Some(Note { frames: frames @ 1.., .. }) => Some(frames as f64 * each),
                _ => Some(rest / frame.bytes as f64 * each),
            };
        }
        Ok(open)
    }

    fn track(&self, frame: Frame, bytes: &[u8]) -> Track {
        let (codec, extra) = match frame.layer {
            4 => {
                let made = bytes.first_chunk::<4>().and_then(|head| {
                    aac::Config::adts(head[2] >> 6, head[2] >> 2 & 15, (head[2] & 1) << 2 | head[3] >> 6)
                });
                (Codec::Aac, if frame.header > 0 { made.map_or_else(Vec::new, |made| made.1) } else { Vec::new() })
            }
            layer => (beyond_layer_2(frame).map_or(Codec::Mpeg(layer), Codec::Other), Vec::new()),
        };
        Track::only(codec, frame.rate, frame.channels, extra)
    }

    /// Goes on to the next frame, which stays to be read; false when it is not whole. A frame like those before is one; any
    /// other needs a witness: another like it where it ends, a tag, or the end.
    fn find(&mut self) -> Result<Option<(Frame, bool)>, Fault> {
        let mut window = SMALLEST_WINDOW;
        loop {
            if self.skip_tag()? {
                continue;
            }
            if let Some(frame) = (self.read)(self.bytes.peek(7)?).filter(|frame| frame.fixed == self.fixed)
                && self.skipped == 0
            {
                let whole = self.bytes.peek(frame.bytes)?.len() == frame.bytes;
                return Ok(Some((frame, whole)));
            }
            let ahead = self.bytes.peek(window)?;
            if ahead.is_empty() {
                return Ok(None);
            }
            let at_end = ahead.len() < window;
            let mut passed = ahead.len();
            let mut found = None;
            for at in ahead.iter().enumerate().filter(|(_, byte)| **byte == 0xff).map(|(at, _)| at) {
                let Some(frame) = (self.read)(&ahead[at..]) else { continue };
                let next = ahead.get(at + frame.bytes..).unwrap_or_default();
                if next.len() < 16 && !at_end {
                    // Not enough to judge.
                    passed = at;
                    break;
                }
                let is_end = at + frame.bytes <= ahead.len() && next.len() < 4;
                if is_end || is_tag(next) || (self.read)(next).is_some_and(|next| next.fixed == frame.fixed) {
                    (passed, found) = (at, Some(frame));
                    break;
                }
            }
            self.skipped += passed as u64;
            self.bytes.pass(passed);
            match found {
                Some(frame) => return Ok(Some((frame, true))),
                None if passed == 0 => window = (window * 2).min(LARGEST_WINDOW),
                None => {}
            }
        }
    }

    /// Passes over a tag that stands here.
    fn skip_tag(&mut self) -> Result<bool, Fault> {
        let head = self.bytes.peek(32)?;
        let size = match head {
            [b'I', b'D', b'3', 2..=4, _, flags, a, b, c, d, ..] if [a, b, c, d].iter().all(|byte| **byte < 0x80) => {
                let size = [a, b, c, d].iter().fold(0u64, |size, byte| size << 7 | u64::from(**byte));
                size + if flags & 0x10 != 0 { 20 } else { 10 }
            }
            _ if head.starts_with(b"APETAGEX") && head.len() == 32 => {
                let (size, flags) = (&head[12..16], head[23]);
                let size = u64::from(u32::from_le_bytes([size[0], size[1], size[2], size[3]]));
                // The size is that of what follows a header, which holds the footer; a footer follows its tag.
                if flags & 0x20 != 0 { 32 + size } else { 32 }
            }
            _ if head.starts_with(b"TAG") => {
                // A tag of the first version ends a file, or a file that another was joined to.
                let after = self.bytes.peek(128 + 7)?.get(128..).unwrap_or_default().to_vec();
                if after.is_empty() || (self.read)(&after).is_some() || is_tag(&after) { 128 } else { 0 }
            }
            _ => 0,
        };
        if size == 0 {
            return Ok(false);
        }
        if !self.bytes.skip(size)? {
            // A tag that claims to be longer than the file.
            let rest = self.bytes.length().unwrap_or(u64::MAX);
            self.bytes.seek(rest)?;
        }
        Ok(true)
    }

    /// Reads one frame into the queue, or notes the end.
    fn step(&mut self) -> Result<(), Fault> {
        let start = self.bytes.position();
        let Some((frame, whole)) = self.find()? else {
            self.trim_end();
            self.end = Some(Ok(()));
            return Ok(());
        };
        let each = f64::from(frame.samples) / f64::from(frame.rate);
        let jumped = self.bytes.position() > start;
        let lost = self.lost(each);
        let data = self.bytes.read(frame.bytes as u64)?;
        if !whole || data.len() < frame.bytes {
            self.end = Some(match self.missing() {
                Some(missing) if missing > each => Err(cut(missing)),
                _ => Err("ends in the middle of a frame: it is cut".to_owned()),
            });
            return Ok(());
        }
        let first = self.length == 0.0 && self.frames == 0;
        if frame.layer == 3
            && (first || jumped || frame.fixed != self.fixed || is_silent_note(frame, &data))
            && let Some(note) = note(frame, &data)
        {
            // Another recording begins; the one before ends with its padding.
            self.trim_end();
            let decoder = if note.delay > 0 { DECODER_DELAY } else { 0 };
            self.trim_start = f64::from(note.delay + decoder) / f64::from(frame.rate);
            (self.note, self.frames, self.fixed) = (note, 0, frame.fixed);
            return Ok(());
        }
        let restart = (frame.layer == 4 && frame.fixed != self.fixed && self.fixed != 0)
            .then(|| Box::new(self.track(frame, &data)));
        self.fixed = frame.fixed;
        self.frames += 1;
        self.length += each;
        self.sizes += frame.bytes as u64;
        let trim = self.trim_start.min(each);
        self.trim_start -= trim;
        self.held.push_back(Packet {
            data: data[frame.header..].to_vec(),
            duration: each,
            lost,
            trim_start: trim,
            restart,
            ..Default::default()
        });
        Ok(())
    }

    /// Seconds that the skipped bytes probably were.
    fn lost(&mut self, each: f64) -> f64 {
        let skipped = std::mem::take(&mut self.skipped);
        if self.sizes == 0 || skipped == 0 {
            return 0.0;
        }
        // As many frames as would fit, and at least the one that is no longer whole.
        let all = (self.length / each).max(1.0);
        let frames = (skipped as f64 * all / self.sizes as f64).round().clamp(1.0, LONGEST_LOSS / each);
        self.frames += frames as u64;
        frames * each
    }

    /// Seconds that the note promises and that did not come.
    fn missing(&self) -> Option<f64> {
        let frames = self.note.frames.checked_sub(self.frames).filter(|frames| *frames > 0)?;
        Some(frames as f64 * self.length / self.frames.max(1) as f64)
    }

    /// Leaves out the padding at the end of what is held, where the note knows its length and all frames are there.
    fn trim_end(&mut self) {
        if self.note.frames != self.frames || self.note.padding == 0 {
            return;
        }
        let Some(last) = self.held.back() else { return };
        let rate = self.tracks.first().map_or(0.0, |track| f64::from(track.rate)).max(1.0);
        let each = last.duration;
        // The decoder's own delay has moved the recording to the end.
        let mut trim = f64::from(self.note.padding.saturating_sub(DECODER_DELAY)) / rate;
        for packet in self.held.iter_mut().rev() {
            packet.trim_end = trim.min(each - packet.trim_start).max(0.0);
            trim -= packet.trim_end;
        }
        self.note = Note::default();
    }

    /// Frames to look at before one is handed out.
    fn ahead(&self) -> usize {
        if self.note.frames > 0 && self.note.padding > 0 && self.frames + HELD as u64 >= self.note.frames {
            HELD
        } else {
            1
        }
    }
}

/// A note in the middle, where files were joined: its frame holds nothing but the note.
fn is_silent_note(frame: Frame, bytes: &[u8]) -> bool {
    bytes.get(4..frame.side).is_some_and(|side| side.iter().all(|byte| *byte == 0))
}

fn is_tag(bytes: &[u8]) -> bool {
    [&b"TAG"[..], b"ID3", b"APETAGEX", b"LYRICSBEGIN"].iter().any(|tag| bytes.starts_with(tag))
}

impl Demuxer for Mpeg {
    fn name(&self) -> &'static str {
        self.name
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn seconds(&self) -> Option<f64> {
        self.seconds
    }

    fn select(&mut self, _track: usize) {
        self.bytes.forget();
    }

    fn next(&mut self) -> Result<Option<Packet>, Fault> {
        while self.end.is_none() && self.held.len() < self.ahead() {
            self.step()?;
        }
        match (self.held.pop_front(), &mut self.end) {
            (Some(packet), _) => Ok(Some(packet)),
            (None, Some(end)) => {
                let missing = self.note.frames.saturating_sub(self.frames);
                std::mem::replace(end, Ok(()))?;
                // A few frames less are a decoder's or a cutter's way of counting.
                if missing > 1 && self.frames > 0 {
                    let missing = self.missing().unwrap_or(0.0);
                    self.note = Note::default();
                    return Err(format!("ends early: by its header its last {missing:.2} s are missing"));
                }
                Ok(None)
            }
            (None, None) => Ok(None),
        }
    }

    fn into_source(self: Box<Self>) -> Option<Source> {
        self.bytes.into_source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_know_their_size() {
        // MPEG-1 layer III 128 kbit/s 44.1 kHz; MPEG-2 layer III 32 kbit/s 16 kHz mono; layer II 192 kbit/s 48 kHz;
        // layer I 384 kbit/s 48 kHz; MPEG-2.5 layer III 8 kbit/s 8 kHz.
        for (header, bytes, samples, rate, layer) in [
            ([0xff, 0xfb, 0x90, 0x00], 417, 1152, 44_100, 3),
            ([0xff, 0xf3, 0x48, 0xc0], 144, 576, 16_000, 3),
            ([0xff, 0xfd, 0xa4, 0x00], 576, 1152, 48_000, 2),
            ([0xff, 0xff, 0xc4, 0x00], 384, 384, 48_000, 1),
            ([0xff, 0xe3, 0x18, 0xc0], 72, 576, 8000, 3),
        ] {
            let frame = mpeg_frame(&header).expect("a frame");
            assert_eq!(
                (frame.bytes, frame.samples, frame.rate, frame.layer),
                (bytes, samples, rate, layer),
                "{header:x?}"
            );
        }
        assert!(mpeg_frame(&[0xff, 0xfb, 0xf0, 0]).is_none() && mpeg_frame(&[0xff; 4]).is_none());
        let adts = adts_frame(&[0xff, 0xf1, 0x60, 0x40, 0x02, 0x1f, 0xfc]).expect("a frame");
        assert_eq!((adts.bytes, adts.rate, adts.channels, adts.header), (16, 16_000, 1, 7));
    }

    #[test]
    fn notes_are_read_where_they_stand() {
        let frame = mpeg_frame(&[0xff, 0xfb, 0x90, 0x00]).expect("a frame");
        let mut bytes = vec![0; 417];
        assert_eq!(note(frame, &bytes), None);
        bytes[36..44].copy_from_slice(b"Xing\0\0\0\x01");
        bytes[47] = 99;
        bytes[48..53].copy_from_slice(b"LAME3");
        bytes[48 + 21..48 + 24].copy_from_slice(&[0x24, 0x03, 0x21]);
        assert_eq!(note(frame, &bytes), Some(Note { frames: 99, delay: 0x240, padding: 0x321 }));
        bytes[36..40].copy_from_slice(b"VBRI");
        assert_eq!(note(frame, &bytes).map(|note| note.delay), Some(0));
    }
}
