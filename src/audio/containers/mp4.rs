//! MP4, QuickTime and 3GP: an index of all samples, or fragments that each have their own.

use super::mp4_boxes::{Edit, Slice, Table, Trak, audio_tracks};
use super::{Bytes, Demuxer, LONGEST_PACKET, Packet, Track, cut};
use crate::audio::codec::Codec;
use crate::audio::fault::Fault;
use crate::audio::opus;
use crate::audio::source::Source;
use std::collections::VecDeque;

/// The index of a day has some 40 MB.
const LONGEST_INDEX: u64 = 512 << 20;
/// Frames of uncompressed samples in a packet.
const PCM_FRAMES: u32 = 4096;
/// Length that an edit list may leave out at the end without a warning: a decoder's padding, and rounding.
const PADDING: f64 = 0.2;

const CUT_FRAGMENT: &str = "ends in the middle of a fragment: it is cut";

pub(crate) struct Mp4 {
    bytes: Bytes,
    tracks: Vec<Track>,
    traks: Vec<Trak>,
    /// Seconds by the movie header.
    seconds: Option<f64>,
    /// Fragments may follow.
    fragmented: bool,
    /// Where the boxes after the index begin.
    after_index: u64,
    chosen: usize,
    parts: VecDeque<Part>,
    cursor: Cursor,
    fragments: Fragments,
    /// End of the last packet, in ticks of the track.
    reached: u64,
}

/// A part of the track that is presented.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    /// Presentation time of its beginning, in seconds.
    at: f64,
    /// Ticks of the track, from and to.
    from: u64,
    to: u64,
}

/// A place in the table of samples.
#[derive(Debug, Default, Clone)]
struct Cursor {
    chunk: usize,
    /// Index of the run in `runs` that holds for the chunk.
    run: usize,
    /// Samples of the chunk that are passed, and their bytes.
    in_chunk: u32,
    offset: u64,
    /// Samples passed in all.
    sample: u64,
    /// Index in `times`, and samples of it that are passed.
    time_run: usize,
    in_time_run: u32,
    ticks: u64,
}

/// A sample, or a row of units.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    offset: u64,
    size: u64,
    start: u64,
    ticks: u64,
}

/// Fragments as they come.
#[derive(Debug, Default)]
struct Fragments {
    /// Samples of the last fragment that have not been read.
    waiting: VecDeque<Sample>,
    /// Time of the earliest fragment of any track, in seconds.
    zero: Option<f64>,
    /// Where the next fragment of the track begins, where it does not say.
    ticks: u64,
    /// The box that is being read ends here.
    data_end: Option<u64>,
    data_start: Option<u64>,
    defaults: Vec<(u32, u32, u32)>,
    /// Bytes before the next sample made no sense.
    damaged: bool,
    over: bool,
}

impl Mp4 {
    pub(crate) fn open(mut bytes: Bytes) -> Result<Self, Fault> {
        let mut data = false;
        let moov = loop {
            let Some((name, size, header)) = box_header(&mut bytes)? else {
                return Err(match data {
                    true => "has sound but no index (no moov box): its recording was not finished, or it is cut; \
                             only its recorder or a repair program can make it readable"
                        .to_owned(),
                    false => "has no index (no moov box): the file is cut or damaged".to_owned(),
                });
            };
            let content = size.map(|size| size.saturating_sub(header));
            match &name {
                b"moov" => {
                    let content = content.unwrap_or(LONGEST_INDEX);
                    if content > LONGEST_INDEX {
                        return Err("has an index of more than 512 MB: the file is damaged".to_owned());
                    }
                    break bytes.read(content)?;
                }
                b"mdat" | b"moof" => {
                    data = true;
                    // The samples come before their index.
                    bytes.spool()?;
                }
                _ => {}
            }
            match content {
                Some(content) if bytes.skip(content)? => {}
                // A box to the end, or beyond it: nothing follows.
                _ => bytes.seek(bytes.length().unwrap_or(u64::MAX)).map(drop)?,
            }
        };
        let moov = Slice(&moov);
        let after_index = bytes.position();
        let (tracks, mut traks): (Vec<_>, Vec<_>) = audio_tracks(moov).into_iter().unzip();
        let gapless = gapless(moov.0);
        if let [trak] = &mut traks[..] {
            trak.gapless = gapless;
        }
        let defaults = moov.find(b"mvex").map_or_else(Vec::new, |mvex| {
            let extends = mvex.boxes().filter(|(name, _)| name == b"trex");
            extends.map(|(_, trex)| (trex.u32(4), trex.u32(12), trex.u32(16))).collect()
        });
        let seconds = moov.find(b"mvhd").and_then(|head| {
            let (scale, duration) = match head.u8(0) {
                1 => (head.u32(20), head.u64(24)),
                _ => (head.u32(12), u64::from(head.u32(16))),
            };
            let known = scale > 0 && duration > 0 && duration < u64::from(u32::MAX);
            known.then(|| duration as f64 / f64::from(scale))
        });
        Ok(Self {
            bytes,
            tracks,
            traks,
            seconds,
            fragmented: moov.find(b"mvex").is_some(),
            after_index,
            chosen: 0,
            parts: VecDeque::new(),
            cursor: Cursor::default(),
            fragments: Fragments { defaults, ..Default::default() },
            reached: 0,
        })
    }

    fn trak(&self) -> &Trak {
        &self.traks[self.chosen]
    }

    fn scale(&self) -> f64 {
        f64::from(self.trak().timescale)
    }

    /// The next packet of the table.
    fn next_of_table(&mut self) -> Result<Option<Packet>, Fault> {
        while let Some(part) = self.parts.front().copied() {
            let trak = &self.traks[self.chosen];
            let Some(sample) = self.cursor.next(&trak.table, trak.unit, self.tracks[self.chosen].rate, trak.timescale)
            else {
                self.parts.pop_front();
                self.cursor = Cursor::default();
                continue;
            };
            if sample.start >= part.to {
                self.parts.pop_front();
                self.cursor = Cursor::default();
                if self.parts.is_empty() {
                    let scale = self.scale();
                    let whole = self.trak().table.ticks();
                    let rest = whole.saturating_sub(part.to) as f64 / scale;
                    // Nothing plays there, by the wish of whoever cut the recording.
                    if rest > PADDING {
                        return Err(format!("leaves out its last {rest:.2} s by its own edit list"));
                    }
                }
                continue;
            }
            // One packet before the part makes a decoder ready for it.
            let end = sample.start + sample.ticks;
            if end + sample.ticks <= part.from {
                continue;
            }
            return self.packet(sample, Some(part)).map(Some);
        }
        Ok(None)
    }

    /// Reads a sample.
    fn packet(&mut self, sample: Sample, part: Option<Part>) -> Result<Packet, Fault> {
        let scale = self.scale();
        let damaged = sample.size > LONGEST_PACKET;
        let there = self.bytes.seek(sample.offset)?;
        if !there && !self.bytes.can_seek() && self.bytes.position() > sample.offset {
            return Err(
                "is not laid out to be read from its beginning: give it as a file, not through a pipe".to_owned()
            );
        }
        let data = if there && !damaged { self.bytes.read(sample.size)? } else { Vec::new() };
        if !damaged && (data.len() as u64) < sample.size {
            let end = self.trak().table.ticks().max(sample.start + sample.ticks);
            let end = part.map_or(end, |part| end.min(part.to));
            let missing = end.saturating_sub(sample.start) as f64 / scale;
            return Err(if self.parts.is_empty() { CUT_FRAGMENT.to_owned() } else { cut(missing) });
        }
        self.reached = sample.start + sample.ticks;
        let part = part.unwrap_or(Part { at: 0.0, from: 0, to: u64::MAX });
        let end = sample.start + sample.ticks;
        let seconds = |ticks: u64| ticks as f64 / scale;
        Ok(Packet {
            data,
            time: Some(part.at + (sample.start as f64 - part.from as f64) / scale),
            duration: seconds(sample.ticks),
            trim_start: seconds(part.from.saturating_sub(sample.start).min(sample.ticks)),
            trim_end: seconds(end.saturating_sub(part.to).min(sample.ticks)),
            ..Default::default()
        })
    }

    /// The next packet of the fragments.
    fn next_of_fragments(&mut self) -> Result<Option<Packet>, Fault> {
        loop {
            let sample = self.fragments.waiting.front().copied();
            if let Some(sample) = sample.filter(|sample| self.fragments.data_end.is_some_and(|end| sample.offset < end))
            {
                self.fragments.waiting.pop_front();
                let scale = self.scale();
                let zero = self.fragments.zero.unwrap_or(0.0);
                let first = self.first_part();
                let from = first.from + (zero * scale) as u64;
                let before = self.reached;
                let mut packet = self.packet(sample, Some(Part { from, to: u64::MAX, ..first }))?;
                if std::mem::take(&mut self.fragments.damaged) {
                    packet.lost = sample.start.saturating_sub(before) as f64 / scale;
                }
                if packet.trim_start >= packet.duration && packet.duration > 0.0 {
                    packet.time = None;
                }
                return Ok(Some(packet));
            }
            if let Some(end) = self.fragments.data_end.take() {
                self.fragments.waiting.retain(|sample| sample.offset >= end);
                if !self.bytes.seek(end)? {
                    return Err(CUT_FRAGMENT.to_owned());
                }
            }
            let start = self.bytes.position();
            if !is_box(self.bytes.peek(8)?) {
                // The data before may have been shorter than it says.
                if let Some(from) = self.fragments.data_start.take().filter(|_| self.bytes.can_seek()) {
                    self.bytes.seek(from)?;
                }
                if !self.find_fragment()? {
                    return if self.fragments.damaged { Err("is damaged up to its end".to_owned()) } else { Ok(None) };
                }
                continue;
            }
            let Some((name, size, header)) = box_header(&mut self.bytes)? else { return Ok(None) };
            let content = size.map(|size| size.saturating_sub(header));
            match &name {
                b"moof" => {
                    let content = content.filter(|content| *content <= LONGEST_PACKET);
                    let content = content.ok_or("has a fragment without end: it is damaged from there on")?;
                    let moof = self.bytes.read(content)?;
                    if (moof.len() as u64) < content {
                        return Err(CUT_FRAGMENT.to_owned());
                    }
                    self.fragment(Slice(&moof), start);
                }
                b"mdat" => {
                    let end = content.map_or(u64::MAX, |content| self.bytes.position().saturating_add(content));
                    self.fragments.data_end = Some(end);
                    self.fragments.data_start = Some(self.bytes.position());
                }
                _ => {
                    let Some(content) = content else { return Ok(None) };
                    if !self.bytes.skip(content)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Passes over damage, to where the next fragment begins. False at the end.
    fn find_fragment(&mut self) -> Result<bool, Fault> {
        if self.bytes.peek(1)?.is_empty() {
            return Ok(false);
        }
        self.fragments.damaged = true;
        loop {
            let ahead = self.bytes.peek(1 << 12)?;
            if ahead.len() < 8 {
                return Ok(false);
            }
            let found = ahead.windows(8).skip(1).position(|window| &window[4..] == b"moof" && is_box(window));
            let passed = found.map_or(ahead.len() - 7, |at| at + 1);
            self.bytes.pass(passed);
            if found.is_some() {
                return Ok(true);
            }
        }
    }

    /// Notes the samples of a fragment that begins at `start`.
    fn fragment(&mut self, moof: Slice, start: u64) {
        let id = self.trak().id;
        let mut data = start;
        for (_, traf) in moof.boxes().filter(|(name, _)| name == b"traf") {
            let Some(head) = traf.find(b"tfhd") else { continue };
            let (flags, track) = (head.u32(0) & 0xff_ffff, head.u32(4));
            let mut at = 8;
            let mut field = |flag: u32, size: usize| {
                (flags & flag != 0).then(|| {
                    at += size;
                    at - size
                })
            };
            let (base, _, duration, size) = (field(1, 8), field(2, 4), field(8, 4), field(16, 4));
            let trex = self.fragments.defaults.iter().find(|(of, ..)| *of == track).copied().unwrap_or_default();
            let duration = duration.map_or(trex.1, |at| head.u32(at));
            let size = size.map_or(trex.2, |at| head.u32(at));
            // With no base of its own, a track's data follows that of the track before.
            let base = match base {
                Some(at) => head.u64(at),
                None if flags & 0x02_0000 != 0 => start,
                None => data,
            };
            let time =
                traf.find(b"tfdt").map(|time| if time.u8(0) == 1 { time.u64(4) } else { u64::from(time.u32(4)) });
            if let (Some(time), Some(of)) = (time, self.traks.iter().find(|trak| trak.id == track)) {
                let seconds = time as f64 / f64::from(of.timescale);
                let zero = self.fragments.zero.get_or_insert(seconds);
                if self.reached == 0 {
                    *zero = zero.min(seconds);
                }
            }
            let mut ticks = time.unwrap_or(self.fragments.ticks);
            data = base;
            for (_, run) in traf.boxes().filter(|(name, _)| name == b"trun") {
                let flags = run.u32(0) & 0xff_ffff;
                let mut at = 8;
                if flags & 1 != 0 {
                    data = base.saturating_add_signed(i64::from(run.u32(at) as i32));
                    at += 4;
                }
                if flags & 4 != 0 {
                    at += 4;
                }
                let each = [0x100, 0x200, 0x400, 0x800].iter().filter(|flag| flags & **flag != 0).count() * 4;
                let there = run.0.len().saturating_sub(at).checked_div(each).unwrap_or(usize::MAX);
                for _ in 0..(run.u32(4) as usize).min(there).min(1 << 20) {
                    let mut inner = at;
                    let mut next = |flag: u32, default: u32| {
                        if flags & flag == 0 {
                            return default;
                        }
                        inner += 4;
                        run.u32(inner - 4)
                    };
                    let (duration, size) = (u64::from(next(0x100, duration)), u64::from(next(0x200, size)));
                    if track == id && size > 0 {
                        self.fragments.waiting.push_back(Sample { offset: data, size, start: ticks, ticks: duration });
                    }
                    data = data.saturating_add(size);
                    ticks += duration;
                    at += each;
                }
            }
            if track == id {
                self.fragments.ticks = ticks;
            }
        }
    }

    /// The first part of the presentation.
    fn first_part(&self) -> Part {
        parts(&self.tracks[self.chosen], self.trak()).first().copied().unwrap_or(Part {
            at: 0.0,
            from: 0,
            to: u64::MAX,
        })
    }
}

/// The parts of a track that are presented, in order.
fn parts(track: &Track, trak: &Trak) -> Vec<Part> {
    let scale = f64::from(trak.timescale);
    let mut at = 0.0;
    let mut parts = Vec::new();
    for (index, edit) in trak.edits.iter().enumerate() {
        let Edit { duration, media } = *edit;
        if let Some(from) = media {
            let last = index + 1 == trak.edits.len();
            let to = match (duration * scale).round() as u64 {
                0 if last => u64::MAX,
                0 => from,
                ticks => from.saturating_add(ticks),
            };
            parts.push(Part { at, from, to });
        }
        at += duration;
    }
    if parts.is_empty() {
        parts.push(Part { at, from: 0, to: u64::MAX });
    }
    if let [only @ Part { from: 0, to: u64::MAX, .. }] = &mut parts[..] {
        // The decoder's start, which other files give in an edit list.
        if let Some((start, valid)) = trak.gapless {
            let per_frame = scale / f64::from(track.rate.max(1));
            only.from = (start as f64 * per_frame).round() as u64;
            only.to = only.from + (valid as f64 * per_frame).round() as u64;
        } else if track.codec == Codec::Opus {
            only.from = (f64::from(opus::warm_up(&track.extra)) * scale / f64::from(opus::TICKS)).round() as u64;
        }
    }
    parts
}

impl Table {
    /// Ticks of all samples.
    fn ticks(&self) -> u64 {
        let mut left = self.samples;
        let mut sum = 0u64;
        for (index, (count, ticks)) in self.times.iter().enumerate() {
            let last = index + 1 == self.times.len();
            let count = if last { left } else { left.min(u64::from(*count)) };
            sum = sum.saturating_add(count.saturating_mul(u64::from(*ticks)));
            left -= count;
        }
        sum
    }
}

impl Cursor {
    /// The next sample, or row of units, of a table.
    fn next(&mut self, table: &Table, unit: Option<(u32, u32)>, rate: u32, timescale: u32) -> Option<Sample> {
        let base = *table.chunks.get(self.chunk)?;
        while table.runs.get(self.run + 1).is_some_and(|(first, _)| self.chunk as u64 + 1 >= u64::from(*first)) {
            self.run += 1;
        }
        let in_chunk = table.runs.get(self.run)?.1;
        if self.in_chunk >= in_chunk && unit.is_none() || in_chunk == 0 {
            return self.next_chunk(table, unit, rate, timescale);
        }
        let start = self.ticks;
        if let Some((bytes, frames)) = unit {
            // Chunks count frames, or units where the table gives them their size.
            let frames_each = (table.size / bytes).saturating_mul(frames).max(1);
            let in_chunk = in_chunk.saturating_mul(frames_each);
            let left = in_chunk.saturating_sub(self.in_chunk);
            if left == 0 {
                return self.next_chunk(table, unit, rate, timescale);
            }
            let units = (PCM_FRAMES / frames).max(1).min(left.div_ceil(frames));
            let passed = (units * frames).min(left);
            self.in_chunk += passed;
            let size = u64::from(units) * u64::from(bytes);
            let offset = base.saturating_add(self.offset);
            self.offset += size;
            self.sample += u64::from(passed);
            let ticks = u64::from(passed) * u64::from(timescale) / u64::from(rate.max(1));
            self.ticks = self.sample.saturating_mul(u64::from(timescale)) / u64::from(rate.max(1));
            return Some(Sample { offset, size, start, ticks });
        }
        if self.sample >= table.samples {
            return None;
        }
        let size = match table.size {
            0 => u64::from(*table.sizes.get(self.sample as usize)?),
            size => u64::from(size),
        };
        let offset = base.saturating_add(self.offset);
        (self.offset, self.in_chunk, self.sample) = (self.offset + size, self.in_chunk + 1, self.sample + 1);
        let ticks = match table.times.get(self.time_run) {
            Some((count, ticks)) => {
                self.in_time_run += 1;
                if self.in_time_run >= *count && self.time_run + 1 < table.times.len() {
                    (self.time_run, self.in_time_run) = (self.time_run + 1, 0);
                }
                u64::from(*ticks)
            }
            None => 0,
        };
        self.ticks = self.ticks.saturating_add(ticks);
        Some(Sample { offset, size, start, ticks })
    }

    fn next_chunk(&mut self, table: &Table, unit: Option<(u32, u32)>, rate: u32, timescale: u32) -> Option<Sample> {
        // A damaged table may have chunks without samples.
        loop {
            (self.chunk, self.in_chunk, self.offset) = (self.chunk + 1, 0, 0);
            table.chunks.get(self.chunk)?;
            while table.runs.get(self.run + 1).is_some_and(|(first, _)| self.chunk as u64 + 1 >= u64::from(*first)) {
                self.run += 1;
            }
            if table.runs.get(self.run)?.1 > 0 {
                return self.next(table, unit, rate, timescale);
            }
        }
    }
}

/// Whether a box that may stand between fragments begins so.
fn is_box(head: &[u8]) -> bool {
    match *head {
        [a, b, c, d, ref name @ ..] if name.len() >= 4 => {
            let size = u32::from_be_bytes([a, b, c, d]);
            const NAMES: [&[u8; 4]; 20] = [
                b"moof", b"mdat", b"free", b"skip", b"wide", b"mfra", b"sidx", b"ssix", b"styp", b"ftyp", b"emsg",
                b"prft", b"uuid", b"udta", b"meta", b"moov", b"pssh", b"pdin", b"bloc", b"mvex",
            ];
            !(2..8).contains(&size) && NAMES.iter().any(|known| known[..] == name[..4])
        }
        _ => head.is_empty(),
    }
}

/// Name, size with header (`None`: to the end) and size of the header.
type BoxHeader = ([u8; 4], Option<u64>, u64);

/// The header of the box that follows; `None` at the end.
fn box_header(bytes: &mut Bytes) -> Result<Option<BoxHeader>, Fault> {
    let Some(head) = bytes.array::<8>()? else { return Ok(None) };
    let name = [head[4], head[5], head[6], head[7]];
    Ok(match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
        0 => Some((name, None, 8)),
        1 => bytes.array::<8>()?.map(|size| (name, Some(u64::from_be_bytes(size)), 16)),
        // No box is shorter than its header: what follows is not a box.
        2..=7 => None,
        size => Some((name, Some(u64::from(size)), 8)),
    })
}

/// The iTunes note about a decoder's start and end: frames to leave out, and frames of the recording.
fn gapless(moov: &[u8]) -> Option<(u64, u64)> {
    let name = b"iTunSMPB";
    let at = moov.windows(name.len()).position(|window| window == name)?;
    let text = moov.get(at + name.len()..)?;
    let text = &text[..text.len().min(256)];
    let data = text.windows(4).position(|window| window == b"data")?;
    // Type and language of the text.
    let text =
        std::str::from_utf8(text.get(data + 12..)?.split(|byte| !byte.is_ascii_hexdigit() && *byte != b' ').next()?);
    let numbers: Vec<u64> =
        text.ok()?.split_ascii_whitespace().filter_map(|n| u64::from_str_radix(n, 16).ok()).collect();
    match numbers[..] {
        [_, start, _, valid, ..] if valid > 0 && start < 1 << 16 => Some((start, valid)),
        _ => None,
    }
}

impl Demuxer for Mp4 {
    fn name(&self) -> &'static str {
        "mp4"
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn seconds(&self) -> Option<f64> {
        let tables = self.traks.iter().map(|trak| trak.table.ticks() as f64 / f64::from(trak.timescale));
        tables.reduce(f64::max).filter(|seconds| *seconds > 0.0).or(self.seconds)
    }

    fn select(&mut self, track: usize) {
        self.bytes.forget();
        self.chosen = track;
        self.parts = parts(&self.tracks[track], self.trak()).into();
        self.fragments.ticks = 0;
    }

    fn next(&mut self) -> Result<Option<Packet>, Fault> {
        if !self.parts.is_empty() {
            if let Some(packet) = self.next_of_table()? {
                return Ok(Some(packet));
            }
            self.fragments.over = !self.fragmented || !self.bytes.seek(self.after_index)?;
        }
        if self.fragments.over { Ok(None) } else { self.next_of_fragments() }
    }

    fn into_source(self: Box<Self>) -> Option<Source> {
        self.bytes.into_source()
    }
}
