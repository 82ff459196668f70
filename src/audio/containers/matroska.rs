//! Matroska and WebM, read forward: no index, no length and no end is needed. After damage it goes on at the next
//! element that makes sense.

use super::{Bytes, Demuxer, LONGEST_PACKET, Packet, Track, cut};
use crate::audio::aac;
use crate::audio::codec::{Adpcm, Codec};
use crate::audio::fault::Fault;
use crate::audio::opus;
use crate::audio::samples::Encoding;
use crate::audio::source::Source;
use crate::audio::wav_format::{Inside, inside, tag_name};
use std::collections::VecDeque;

/// Descriptions of tracks have some kB.
const LONGEST_HEADER: u64 = 64 << 20;
/// Elements that are looked at for whether they make sense after damage.
const LOOK: usize = 1 << 20;
/// Times that go further than this at once must lie in the recording. In seconds.
const LONGEST_LEAP: f64 = 60.0;
/// Frames of one block at most.
const LACED: usize = 256;

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const INFO: u32 = 0x1549_a966;
const TRACKS: u32 = 0x1654_ae6b;
const BLOCK_GROUP: u32 = 0xa0;
const SIMPLE_BLOCK: u32 = 0xa3;
const TIMESTAMP: u32 = 0xe7;

pub(crate) struct Matroska {
    bytes: Bytes,
    name: &'static str,
    tracks: Vec<Track>,
    numbers: Vec<Numbers>,
    /// Seconds of one unit of time.
    scale: f64,
    seconds: Option<f64>,
    /// Where the segment ends, by its header.
    segment_end: Option<u64>,
    /// Time of the cluster, in units.
    cluster: u64,
    /// The container's time of the beginning, in seconds.
    zero: Option<f64>,
    chosen: usize,
    waiting: VecDeque<Packet>,
    /// End of the last packet, in seconds; `None` before the first.
    reached: Option<f64>,
    /// Bytes were damaged since then.
    damaged: bool,
    /// The cluster's time is that of its blocks.
    trusted: bool,
    /// Of the last block of the track, in its cluster.
    relative: i16,
    /// Time and frames of the last block, and seconds of a frame by them.
    block_time: Option<f64>,
    block_frames: usize,
    usual: f64,
}

/// State for the blocks of a track.
#[derive(Debug, Default, Clone)]
struct Numbers {
    number: u64,
    /// Seconds of one frame, by the header; 0 where it does not say.
    each: f64,
    /// Seconds at the start that only warm the decoder up.
    delay: f64,
    /// Bytes that every frame begins with and that are not written.
    stripped: Vec<u8>,
}

impl Matroska {
    pub(crate) fn open(bytes: Bytes) -> Result<Self, Fault> {
        let mut open = Self {
            bytes,
            name: "matroska",
            tracks: Vec::new(),
            numbers: Vec::new(),
            scale: 1e-3,
            seconds: None,
            segment_end: None,
            cluster: 0,
            zero: None,
            chosen: 0,
            waiting: VecDeque::new(),
            reached: None,
            damaged: false,
            trusted: true,
            relative: i16::MIN,
            block_time: None,
            block_frames: 0,
            usual: 0.0,
        };
        let mut duration = None;
        loop {
            let Some((id, size)) = open.element()? else {
                return Err("ends before its list of tracks: it is cut or damaged".to_owned());
            };
            match (id, size) {
                (SEGMENT, size) => open.segment_end = size.map(|size| open.bytes.position().saturating_add(size)),
                (0x1a45_dfa3, Some(size)) => {
                    let head = open.bytes.read(size.min(LONGEST_HEADER))?;
                    if find(&head, 0x4282).is_some_and(|kind| kind.starts_with(b"webm")) {
                        open.name = "webm";
                    }
                }
                (INFO, Some(size)) => {
                    let info = open.bytes.read(size.min(LONGEST_HEADER))?;
                    let scale = find(&info, 0x2a_d7b1).map_or(1_000_000, number);
                    open.scale = scale.max(1) as f64 * 1e-9;
                    duration = find(&info, 0x4489).map(float);
                }
                (TRACKS, Some(size)) => {
                    let tracks = open.bytes.read(size.min(LONGEST_HEADER))?;
                    let entries = elements(&tracks).filter(|(id, _)| *id == 0xae);
                    (open.tracks, open.numbers) = entries.filter_map(|(_, entry)| audio_track(entry)).unzip();
                    break;
                }
                (CLUSTER, _) => return Err("has sound before its list of tracks: it is damaged".to_owned()),
                (_, Some(size)) if open.bytes.skip(size)? => {}
                _ => return Err("ends before its list of tracks: it is cut or damaged".to_owned()),
            }
        }
        open.seconds = duration.map(|duration| duration * open.scale).filter(|seconds| seconds.is_finite());
        Ok(open)
    }

    /// Name and size (`None`: unknown) of the element that follows; `None` at the end or where there is none.
    fn element(&mut self) -> Result<Option<(u32, Option<u64>)>, Fault> {
        let head = self.bytes.peek(12)?;
        let Some((id, size, length)) = header(head) else { return Ok(None) };
        self.bytes.pass(length);
        Ok(Some((id, size)))
    }

    /// Reads on until packets are waiting. False at the end.
    fn fill(&mut self) -> Result<bool, Fault> {
        while self.waiting.is_empty() {
            let start = self.bytes.position();
            if self.bytes.peek(1)?.is_empty() {
                return self.end();
            }
            let Some((id, size)) = self.element()? else {
                if self.bytes.peek(13)?.len() < 12 && !self.damaged {
                    return Err(self.cut());
                }
                self.resync(start)?;
                continue;
            };
            let beyond = size.is_some_and(|size| {
                self.bytes.length().is_some_and(|length| size > length.saturating_sub(self.bytes.position()))
            });
            match (id, size) {
                (SEGMENT, size) => {
                    // Another recording follows: files that were joined.
                    self.segment_end = size.map(|size| self.bytes.position().saturating_add(size));
                    (self.zero, self.cluster) = (None, 0);
                }
                (CLUSTER, _) => {}
                (TIMESTAMP, Some(size @ 0..=8)) => {
                    let time = self.bytes.read(size)?;
                    self.cluster = number(&time);
                    (self.trusted, self.relative) = (true, i16::MIN);
                }
                (SIMPLE_BLOCK | BLOCK_GROUP, Some(size)) if size <= LONGEST_PACKET => {
                    if !self.block(id, size)? {
                        return Err(self.cut());
                    }
                }
                (id, Some(size)) if is_known(id) => {
                    if beyond || !self.bytes.skip(size)? {
                        return Err(self.cut());
                    }
                }
                // One that is newer than this program, or damage.
                (_, Some(size)) if size < LOOK as u64 && self.is_followed(size as usize)? => {
                    self.bytes.skip(size)?;
                }
                _ => self.resync(start)?,
            }
        }
        Ok(true)
    }

    /// Whether a known element comes after this number of bytes.
    fn is_followed(&mut self, size: usize) -> Result<bool, Fault> {
        let ahead = self.bytes.peek(size + 12)?;
        Ok(match header(ahead.get(size..).unwrap_or_default()) {
            Some((id, ..)) => is_known(id) || id == CLUSTER,
            None => ahead.len() == size,
        })
    }

    /// Reads the frames of a block, if it is of the track. False when the source ends first.
    fn block(&mut self, id: u32, size: u64) -> Result<bool, Fault> {
        // Number, time and flags are enough for the blocks of other tracks.
        if id == SIMPLE_BLOCK {
            let head = self.bytes.peek(size.min(12) as usize)?;
            let Some((track, time, _)) = block_head(head) else { return self.bytes.skip(size) };
            self.begin(time);
            if track != self.numbers[self.chosen].number {
                let end = self.bytes.position().saturating_add(size);
                return Ok(self.bytes.skip(size)? && self.bytes.position() == end);
            }
        }
        let content = self.bytes.read(size)?;
        if (content.len() as u64) < size {
            return Ok(false);
        }
        let (block, mut discard) = match id {
            BLOCK_GROUP => {
                let Some(block) = find(&content, 0xa1) else { return Ok(true) };
                (block, find(&content, 0x75a2).map_or(0.0, |time| signed(time) as f64 * 1e-9))
            }
            _ => (&content[..], 0.0),
        };
        let Some((track, time, mut at)) = block_head(block) else {
            self.damaged = true;
            return Ok(true);
        };
        self.begin(time);
        let numbers = &self.numbers[self.chosen];
        if track != numbers.number {
            return Ok(true);
        }
        let flags = block.get(at - 1).copied().unwrap_or(0);
        let Some(sizes) = laced(block, flags >> 1 & 3, &mut at) else {
            self.damaged = true;
            return Ok(true);
        };
        // After damage, a block that seems to go back belongs to a cluster whose time was lost.
        self.trusted &= !(self.damaged && time < self.relative);
        self.relative = time;
        let ticks = self.cluster as i64 + i64::from(time);
        let mut time = ticks as f64 * self.scale - self.zero.unwrap_or(0.0) - numbers.delay;
        // A leap over the end of the recording is a damaged time, not a hole.
        let reached = self.reached.unwrap_or(0.0);
        let leaps = time - reached > LONGEST_LEAP && self.seconds.is_some_and(|end| end > 0.0 && time > end);
        if !self.trusted || leaps {
            time = reached;
        }
        let count = sizes.len();
        // Where nothing says how long frames are, the distance of the blocks does.
        if let Some(before) = self.block_time.replace(time).filter(|before| (0.0..2.0).contains(&(time - before)))
            && !self.damaged
        {
            self.usual = (time - before) / self.block_frames.max(1) as f64;
        }
        self.block_frames = count;
        for (index, size) in sizes.into_iter().enumerate() {
            let Some(data) = block.get(at..at + size) else {
                self.damaged = true;
                break;
            };
            at += size;
            let data = [&numbers.stripped, data].concat();
            let known = if numbers.each > 0.0 { numbers.each } else { self.length_of(&data) };
            let duration = if known > 0.0 { known } else { self.usual };
            let mut packet = Packet { data, duration: known, ..Default::default() };
            // Only the first of a block has a time.
            if index == 0 && self.trusted && !leaps {
                packet.time = Some(time);
                if std::mem::take(&mut self.damaged) {
                    packet.lost = (time - self.reached.unwrap_or(0.0)).max(0.0);
                }
            }
            if self.reached.is_none() {
                packet.trim_start = numbers.delay;
            }
            if index + 1 == count {
                packet.trim_end = std::mem::take(&mut discard).max(0.0);
            }
            time += duration;
            self.reached = Some(time);
            self.waiting.push_back(packet);
        }
        Ok(true)
    }

    /// A file that was finished counts from its own beginning. A stream, which has no length, may have been joined late:
    /// there the earliest block of any track is the beginning.
    fn begin(&mut self, time: i16) {
        let seconds = (self.cluster as i64 + i64::from(time)) as f64 * self.scale;
        self.zero.get_or_insert(if self.segment_end.is_some() { 0.0 } else { seconds });
    }

    /// The length of a frame, where its codec shows it.
    fn length_of(&self, frame: &[u8]) -> f64 {
        let track = &self.tracks[self.chosen];
        match &track.codec {
            Codec::Opus => f64::from(opus::ticks(frame)) / f64::from(opus::TICKS),
            Codec::Aac => 1024.0 / f64::from(track.rate.max(1)),
            Codec::Pcm { encoding, .. } => {
                let bytes = encoding.bytes() * track.channels.max(1) as usize;
                (frame.len() / bytes.max(1)) as f64 / f64::from(track.rate.max(1))
            }
            _ => 0.0,
        }
    }

    /// After damage at `start`: looks for a cluster, or for a block of a known track that another element follows.
    fn resync(&mut self, start: u64) -> Result<(), Fault> {
        self.damaged = true;
        // One byte after what made no sense.
        if self.bytes.position() <= start {
            self.bytes.pass(1);
        } else {
            self.bytes.seek(start + 1)?;
        }
        loop {
            let ahead = self.bytes.peek(1 << 12)?;
            if ahead.is_empty() {
                return Ok(());
            }
            let found = ahead.iter().position(|byte| [0x1f, 0xa3, 0xa0].contains(byte));
            let Some(found) = found else {
                let all = ahead.len();
                self.bytes.pass(all);
                continue;
            };
            self.bytes.pass(found);
            if self.makes_sense()? {
                return Ok(());
            }
            self.bytes.pass(1);
        }
    }

    /// Whether a cluster or a block stands here.
    fn makes_sense(&mut self) -> Result<bool, Fault> {
        let Some((id, size, length)) = header(self.bytes.peek(12)?) else { return Ok(false) };
        if id == CLUSTER {
            return Ok(true);
        }
        let Some(size) = size.filter(|size| *size < LOOK as u64) else { return Ok(false) };
        let end = length + size as usize;
        let known: Vec<u64> = self.numbers.iter().map(|numbers| numbers.number).collect();
        let ahead = self.bytes.peek(end + 4)?;
        let Some(content) = ahead.get(length..end) else { return Ok(false) };
        let block = if id == BLOCK_GROUP { find(content, 0xa1) } else { Some(content) };
        let is_block = [SIMPLE_BLOCK, BLOCK_GROUP].contains(&id)
            && block.and_then(block_head).is_some_and(|(track, ..)| known.contains(&track));
        let after = &ahead[end..];
        let follows = match after {
            [] | [0xa3 | 0xa0 | 0xe7 | 0xab, ..] => true,
            after => header(&[after, &[0x80]].concat()).is_some_and(|(id, ..)| id == CLUSTER || is_known(id)),
        };
        Ok(is_block && follows)
    }

    /// The end of the source.
    fn end(&mut self) -> Result<bool, Fault> {
        if self.damaged {
            return Err(match self.missing() {
                Some(missing) => format!("is damaged at its end: {missing:.2} s are missing"),
                None => "is damaged at its end".to_owned(),
            });
        }
        match self.segment_end {
            Some(end) if end > self.bytes.position() && !self.is_complete() => Err(self.cut()),
            _ => Ok(false),
        }
    }

    /// All of the promised length is there, whatever the size of the file should be.
    fn is_complete(&self) -> bool {
        self.missing().is_some_and(|missing| missing < 0.5)
    }

    fn missing(&self) -> Option<f64> {
        let seconds = self.seconds.filter(|seconds| *seconds > 0.0)?;
        Some((seconds - self.reached.unwrap_or(0.0)).max(0.0))
    }

    fn cut(&self) -> Fault {
        match self.missing() {
            Some(missing @ 0.01..) => cut(missing),
            _ => "ends before its own end: it is cut".to_owned(),
        }
    }
}

impl Demuxer for Matroska {
    fn name(&self) -> &'static str {
        self.name
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn seconds(&self) -> Option<f64> {
        self.seconds
    }

    fn select(&mut self, track: usize) {
        self.bytes.forget();
        self.chosen = track;
    }

    fn next(&mut self) -> Result<Option<Packet>, Fault> {
        Ok(if self.fill()? { self.waiting.pop_front() } else { None })
    }

    fn into_source(self: Box<Self>) -> Option<Source> {
        self.bytes.into_source()
    }
}

/// Name, size and length of an element's header; `None` where there is none.
fn header(bytes: &[u8]) -> Option<(u32, Option<u64>, usize)> {
    let length = bytes.first()?.leading_zeros() as usize + 1;
    if length > 4 {
        return None;
    }
    let id = bytes.get(..length)?.iter().fold(0u32, |id, byte| id << 8 | u32::from(*byte));
    let (size, more) = vint(&bytes[length..])?;
    Some((id, size, length + more))
}

/// A number of variable length (`None` where all its bits are set: unknown) and its length.
fn vint(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > 8 {
        return None;
    }
    let mask = (1u64 << (7 * length)) - 1;
    let value = bytes.get(..length)?.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)) & mask;
    Some(((value != mask).then_some(value), length))
}

/// The elements that a master consists of.
fn elements(bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (id, size, length) = header(rest)?;
        let end = size.map_or(rest.len(), |size| length.saturating_add(size as usize).min(rest.len()));
        let content = rest.get(length..end)?;
        rest = &rest[end..];
        Some((id, content))
    })
}

fn find(bytes: &[u8], id: u32) -> Option<&[u8]> {
    elements(bytes).find(|(found, _)| *found == id).map(|(_, content)| content)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn signed(bytes: &[u8]) -> i64 {
    let shift = 64 - 8 * bytes.len().clamp(1, 8);
    ((number(bytes) << shift) as i64) >> shift
}

fn float(bytes: &[u8]) -> f64 {
    match bytes.len() {
        4 => f64::from(f32::from_bits(number(bytes) as u32)),
        8 => f64::from_bits(number(bytes)),
        _ => 0.0,
    }
}

/// Elements that are passed over without a doubt. Any other may be damage.
fn is_known(id: u32) -> bool {
    const KNOWN: [u32; 18] = [
        0x1a45_dfa3,
        0x114d_9b74,
        INFO,
        TRACKS,
        0x1c53_bb6b,
        0x1941_a469,
        0x1043_a770,
        0x1254_c367,
        0xec,
        0xbf,
        0xa7,
        0xab,
        0x5854,
        0xaf,
        0xa0,
        0xa3,
        TIMESTAMP,
        0x4dbb,
    ];
    KNOWN.contains(&id)
}

/// Track, time and length of a block's head.
fn block_head(block: &[u8]) -> Option<(u64, i16, usize)> {
    let (track, length) = vint(block)?;
    let rest = block.get(length..length + 3)?;
    Some((track?, i16::from_be_bytes([rest[0], rest[1]]), length + 3))
}

/// The sizes of a block's frames; moves `at` to the first of them.
fn laced(block: &[u8], lacing: u8, at: &mut usize) -> Option<Vec<usize>> {
    let all = block.len().checked_sub(*at)?;
    if lacing == 0 {
        return Some(vec![all]);
    }
    let count = usize::from(*block.get(*at)?) + 1;
    *at += 1;
    let mut sizes = Vec::with_capacity(count.min(LACED));
    match lacing {
        1 => {
            for _ in 1..count {
                let mut size = 0;
                loop {
                    let byte = *block.get(*at)?;
                    *at += 1;
                    size += usize::from(byte);
                    if byte != 255 {
                        break;
                    }
                }
                sizes.push(size);
            }
        }
        3 => {
            let mut size = 0i64;
            for index in 1..count {
                let (value, length) = vint(block.get(*at..)?)?;
                *at += length;
                let value = value? as i64;
                size = if index == 1 { value } else { size + value - ((1i64 << (7 * length - 1)) - 1) };
                sizes.push(usize::try_from(size).ok()?);
            }
        }
        _ => return Some(vec![(block.len().checked_sub(*at)?) / count; count]),
    }
    let used: usize = sizes.iter().try_fold(0usize, |sum, size| sum.checked_add(*size))?;
    sizes.push(block.len().checked_sub(*at)?.checked_sub(used)?);
    Some(sizes)
}

fn audio_track(entry: &[u8]) -> Option<(Track, Numbers)> {
    if find(entry, 0x83).map(number) != Some(2) {
        return None;
    }
    let audio = find(entry, 0xe1).unwrap_or_default();
    let rate = find(audio, 0xb5).map_or(8000.0, float);
    let channels = find(audio, 0x9f).map_or(1, number) as u32;
    let bits = find(audio, 0x6264).map_or(0, number);
    let private = find(entry, 0x63a2).unwrap_or_default();
    let id = String::from_utf8_lossy(find(entry, 0x86).unwrap_or_default()).trim_end_matches('\0').to_owned();
    let language = find(entry, 0x22_b59d).or_else(|| find(entry, 0x22_b59c));
    let language = language.map_or_else(|| "eng".to_owned(), |name| String::from_utf8_lossy(name).into_owned());
    let language = language.trim_end_matches('\0').to_owned();
    let mut track = Track {
        codec: Codec::Other(id.clone()),
        rate: rate.clamp(0.0, 4e9) as u32,
        channels,
        language: if language == "und" { String::new() } else { language },
        is_default: find(entry, 0x88).is_none_or(|flag| number(flag) != 0),
        extra: private.to_vec(),
    };
    describe_codec(&mut track, &id, bits as u32, private);
    let mut numbers = Numbers {
        number: find(entry, 0xd7).map_or(0, number),
        each: find(entry, 0x23_e383).map_or(0.0, |time| number(time) as f64 * 1e-9),
        delay: find(entry, 0x56aa).map_or(0.0, |time| number(time) as f64 * 1e-9),
        stripped: Vec::new(),
    };
    // Old files have Opus without a delay, and its header knows it.
    if numbers.delay == 0.0 && track.codec == Codec::Opus {
        numbers.delay = f64::from(opus::warm_up(private)) / f64::from(opus::TICKS);
    }
    for (_, encoding) in elements(find(entry, 0x6d80).unwrap_or_default()).filter(|(id, _)| *id == 0x6240) {
        if find(encoding, 0x5032).map_or(1, number) & 1 == 0 {
            continue;
        }
        let compression = find(encoding, 0x5034);
        match compression.map(|compression| find(compression, 0x4254).map_or(0, number)) {
            Some(3) => numbers.stripped = compression.and_then(|c| find(c, 0x4255)).unwrap_or_default().to_vec(),
            Some(_) => track.codec = Codec::Other(format!("{} that is compressed once more", track.codec.name())),
            None => track.codec = Codec::Other(format!("encrypted {}", track.codec.name())),
        }
    }
    Some((track, numbers))
}

/// The codec of a name (<https://www.matroska.org/technical/codec_specs.html>).
fn describe_codec(track: &mut Track, id: &str, bits: u32, private: &[u8]) {
    let pcm = |encoding, big_endian| Codec::Pcm { encoding, big_endian };
    track.codec = match id {
        "A_AAC" => Codec::Aac,
        id if id.starts_with("A_AAC/") => Codec::Aac,
        "A_OPUS" | "A_OPUS/EXPERIMENTAL" => Codec::Opus,
        "A_VORBIS" => Codec::Vorbis,
        "A_FLAC" => {
            // The stream's head; its first block is the one that decoders need.
            track.extra = private.get(8..42).unwrap_or_default().to_vec();
            Codec::Flac
        }
        "A_ALAC" => Codec::Alac,
        "A_MPEG/L1" => Codec::Mpeg(1),
        "A_MPEG/L2" => Codec::Mpeg(2),
        "A_MPEG/L3" => Codec::Mpeg(3),
        "A_PCM/INT/LIT" if bits <= 8 => pcm(Encoding::Unsigned8, false),
        "A_PCM/INT/LIT" => pcm(Encoding::Signed(bits.div_ceil(8).min(8) as u8), false),
        "A_PCM/INT/BIG" => pcm(Encoding::Signed(bits.div_ceil(8).clamp(1, 8) as u8), true),
        "A_PCM/FLOAT/IEEE" if bits == 64 => pcm(Encoding::Float64, false),
        "A_PCM/FLOAT/IEEE" => pcm(Encoding::Float32, false),
        // A wave file's format chunk.
        "A_MS/ACM" => match (private.len() >= 16).then(|| inside(private, false)) {
            Some(Ok(Inside::Plain(layout))) => pcm(layout.encoding, false),
            Some(Ok(Inside::Mpeg)) => Codec::Mpeg(3),
            Some(Ok(Inside::Adpcm { kind, .. })) => Codec::Adpcm(kind),
            Some(Ok(Inside::Unknown(tag))) => Codec::Other(tag_name(tag)),
            _ => Codec::Other("audio of an unnamed format".to_owned()),
        },
        // A sample description of QuickTime.
        "A_QUICKTIME" => match private.get(4..8) {
            Some(b"ima4") => Codec::Adpcm(Adpcm::QuickTime),
            Some(b"alaw") => pcm(Encoding::ALaw, true),
            Some(b"ulaw") => pcm(Encoding::MuLaw, true),
            _ => Codec::Other("audio of QuickTime".to_owned()),
        },
        id => Codec::Other(
            match id.split('/').next().unwrap_or(id) {
                "A_AC3" => "AC-3",
                "A_EAC3" => "E-AC-3",
                "A_AC4" => "AC-4",
                "A_DTS" => "DTS",
                "A_TRUEHD" | "A_MLP" => "TrueHD",
                "A_REAL" => "RealAudio",
                "A_WAVPACK4" => "WavPack",
                "A_TTA1" => "True Audio",
                "A_MPC" => "Musepack",
                "A_ATRAC" => "ATRAC",
                other => other,
            }
            .to_owned(),
        ),
    };
    if track.codec == Codec::Aac {
        if track.extra.is_empty() {
            track.extra = aac::Config::made(track.rate, track.channels);
        }
        if let Some(config) = aac::Config::read(&track.extra).filter(|config| config.channels() > 0) {
            track.channels = config.channels();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_variable_lengths() {
        assert_eq!(vint(&[0x81]), Some((Some(1), 1)));
        assert_eq!(vint(&[0x40, 0x02]), Some((Some(2), 2)));
        assert_eq!(vint(&[0xff]), Some((None, 1)));
        assert_eq!(vint(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Some((None, 8)));
        assert_eq!((vint(&[0]), vint(&[0x40]), vint(&[])), (None, None, None));
        assert_eq!(header(&[0x1f, 0x43, 0xb6, 0x75, 0x82]), Some((CLUSTER, Some(2), 5)));
        assert_eq!((signed(&[0xff]), signed(&[0, 1]), signed(&[])), (-1, 1, 0));
    }

    #[test]
    fn laces_are_untied() {
        let sizes = |block: &[u8], lacing| {
            let mut at = 0;
            laced(block, lacing, &mut at).map(|sizes| (sizes, at))
        };
        assert_eq!(sizes(&[9; 5], 0), Some((vec![5], 0)));
        let xiph = [&[2u8, 255, 1, 2][..], &[0; 256 + 2 + 7]].concat();
        assert_eq!(sizes(&xiph, 1), Some((vec![256, 2, 7], 4)));
        // 3, then one less, then the rest.
        let ebml = [&[2u8, 0x83, 0xbe][..], &[0; 3 + 2 + 4]].concat();
        assert_eq!(sizes(&ebml, 3), Some((vec![3, 2, 4], 3)));
        assert_eq!(sizes(&[1, 0, 0, 0, 0], 2), Some((vec![2, 2], 1)));
        assert_eq!(sizes(&[2, 0x83], 3), None);
        assert_eq!(sizes(&[1, 9, 0], 1), None);
    }
}
