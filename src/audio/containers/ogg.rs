//! Ogg: pages with numbers, checksums and positions in time. Streams may be chained, interleaved, joined late and cut.

use super::ogg_packets::Mapping;
use super::{Bytes, Demuxer, LONGEST_PACKET, Packet, Track};
use crate::audio::fault::Fault;
use crate::audio::source::Source;
use std::collections::VecDeque;

/// Pages before the first that is no header of a stream.
const MOST_STREAMS: usize = 256;
/// Positions that differ less from the packets' own lengths are rounding.
const JITTER: f64 = 0.1;
/// More missing pages after the headers are not damage.
const FEW_PAGES: u32 = 4;
/// A film whose sound begins later was joined late. In seconds.
const LATEST_START: f64 = 600.0;
/// A longer hole before the last page, which no other page confirms, makes no sense. In seconds.
const LONGEST_LAST_HOLE: f64 = 60.0;

/// One page.
#[derive(Debug, Clone)]
struct Page {
    flags: u8,
    /// Ticks at its end; -1 where no packet ends in it.
    granule: i64,
    serial: u32,
    number: u32,
    /// Packets, the last of which may go on in the next page.
    packets: Vec<Vec<u8>>,
    goes_on: bool,
    /// Bytes before it made no sense.
    damaged: bool,
}

impl Page {
    fn continues(&self) -> bool {
        self.flags & 1 != 0
    }

    fn begins(&self) -> bool {
        self.flags & 2 != 0
    }

    fn ends(&self) -> bool {
        self.flags & 4 != 0
    }
}

pub(crate) struct Ogg {
    bytes: Bytes,
    tracks: Vec<Track>,
    /// Streams of the tracks.
    streams: Vec<(u32, Mapping)>,
    /// The file has pictures too, so its times are those of a film.
    film: bool,
    pages: VecDeque<Page>,
    chosen: usize,
    waiting: VecDeque<Packet>,
    /// Audio of the stream so far.
    state: State,
}

/// How far the chosen stream is.
#[derive(Debug, Default)]
struct State {
    headers: usize,
    /// Of the page before.
    number: Option<u32>,
    /// The beginning of a packet.
    partial: Vec<u8>,
    /// Packets without a position so far, and their ticks.
    pending: Vec<(Vec<u8>, u64)>,
    /// Ticks, by positions, at the end of what came; `None` before the first position.
    reached: Option<i64>,
    /// Ticks at which the recording begins: what was decoded before is left out.
    begin: i64,
    /// Ticks that are time 0.
    base: i64,
    /// Seconds of the streams before this one.
    before: f64,
    /// Something was lost since the last packet.
    lost: bool,
    /// The recording begins in the middle of a stream.
    late: bool,
    /// The next packet needs another decoder.
    restart: bool,
}

impl Ogg {
    pub(crate) fn open(bytes: Bytes) -> Result<Self, Fault> {
        let mut open = Self {
            bytes,
            tracks: Vec::new(),
            streams: Vec::new(),
            film: false,
            pages: VecDeque::new(),
            chosen: 0,
            waiting: VecDeque::new(),
            state: State::default(),
        };
        // All streams begin before the first of them goes on.
        while open.pages.len() < MOST_STREAMS {
            let Some(page) = open.page()? else { break };
            let begins = page.begins();
            if begins && let Some(first) = page.packets.first() {
                match Mapping::of(first) {
                    Some(mapping) => open.streams.push((page.serial, mapping)),
                    None => open.film |= !first.starts_with(b"fishead"),
                }
            }
            open.pages.push_back(page);
            if !begins {
                break;
            }
        }
        if open.pages.is_empty() {
            return Err("has no whole page: it is cut or damaged".to_owned());
        }
        // A recording that was cut at its front has no headers any more.
        if open.streams.is_empty() && !open.pages.iter().any(Page::begins) {
            return Err("begins in the middle of a stream, without the headers that its decoder needs".to_owned());
        }
        open.read_headers()?;
        open.tracks = open.streams.iter().map(|(_, mapping)| mapping.track.clone()).collect();
        Ok(open)
    }

    /// Reads pages until every stream's headers are there, for the decoders; the pages wait for their turn.
    fn read_headers(&mut self) -> Result<(), Fault> {
        for index in 0..self.streams.len() {
            loop {
                let (serial, mapping) = &mut self.streams[index];
                let mut packets: Vec<Vec<u8>> = Vec::new();
                let mut goes_on = false;
                for page in self.pages.iter().filter(|page| page.serial == *serial) {
                    for (at, packet) in page.packets.iter().enumerate() {
                        match packets.last_mut() {
                            Some(last) if at == 0 && goes_on => last.extend_from_slice(packet),
                            _ => packets.push(packet.clone()),
                        }
                    }
                    goes_on = page.goes_on;
                }
                let whole = packets.len() - usize::from(goes_on && !packets.is_empty());
                if whole >= mapping.headers || self.pages.len() >= MOST_STREAMS {
                    packets.iter().take(mapping.headers).for_each(|packet| mapping.header(packet));
                    break;
                }
                match self.page() {
                    Ok(Some(page)) => self.pages.push_back(page),
                    // The end, which comes up again when it is its turn.
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// The next whole page of any stream; `None` at the end.
    fn page(&mut self) -> Result<Option<Page>, Fault> {
        let mut damaged = false;
        loop {
            let head = self.bytes.peek(27)?;
            if head.is_empty() {
                return Ok(None);
            }
            if !head.starts_with(b"OggS") {
                damaged = true;
                let ahead = self.bytes.peek(1 << 12)?;
                let next = ahead[1..].iter().position(|byte| *byte == b'O').map_or(ahead.len(), |at| at + 1);
                self.bytes.pass(next);
                continue;
            }
            if head.len() < 27 {
                return Err("ends in the middle of a page: it is cut".to_owned());
            }
            let segments = usize::from(head[26]);
            let table = self.bytes.peek(27 + segments)?;
            let size = table[27.min(table.len())..].iter().map(|size| usize::from(*size)).sum::<usize>();
            let whole = 27 + segments + size;
            let page = self.bytes.peek(whole)?;
            if page.len() < whole {
                // A damaged header may claim more than there is.
                if page[4..].windows(4).any(|window| window == b"OggS") {
                    damaged = true;
                    self.bytes.pass(4);
                    continue;
                }
                return Err("ends in the middle of a page: it is cut".to_owned());
            }
            let claimed = u32::from_le_bytes([page[22], page[23], page[24], page[25]]);
            if checksum(page) != claimed {
                damaged = true;
                self.bytes.pass(4);
                continue;
            }
            let le32 = |at: usize| u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
            let granule = (u64::from(le32(10)) << 32 | u64::from(le32(6))) as i64;
            let (mut packets, mut goes_on) = (Vec::new(), false);
            let mut at = 27 + segments;
            for &size in &page[27..27 + segments] {
                if !goes_on {
                    packets.push(Vec::new());
                }
                if let Some(packet) = packets.last_mut() {
                    packet.extend_from_slice(&page[at..at + usize::from(size)]);
                }
                at += usize::from(size);
                goes_on = size == 255;
            }
            let (flags, serial, number) = (page[5], le32(14), le32(18));
            self.bytes.pass(whole);
            return Ok(Some(Page { flags, granule, serial, number, packets, goes_on, damaged }));
        }
    }

    /// The next page, of those that were looked at before or of the source.
    fn next_page(&mut self) -> Result<Option<Page>, Fault> {
        match self.pages.pop_front() {
            Some(page) => Ok(Some(page)),
            None => self.page(),
        }
    }

    /// Reads on until packets are waiting. False at the end.
    fn fill(&mut self) -> Result<bool, Fault> {
        while self.waiting.is_empty() {
            let Some(page) = self.next_page()? else {
                // Packets without a position at the end.
                self.flush(None, false)?;
                return Ok(!self.waiting.is_empty());
            };
            let serial = self.streams[self.chosen].0;
            if page.damaged {
                self.state.lost = true;
            }
            if page.begins() && (page.serial != serial || self.state.number.is_some()) {
                self.chain(&page)?;
            }
            if page.serial == self.streams[self.chosen].0 {
                self.take(page)?;
            }
        }
        Ok(true)
    }

    /// A stream that begins where the chosen one has been: files that were joined, a radio station's next title.
    fn chain(&mut self, page: &Page) -> Result<(), Fault> {
        let known = self.streams.iter().any(|(serial, _)| *serial == page.serial);
        let (true, Some(mapping)) =
            (!known || self.state.number.is_some(), page.packets.first().and_then(|p| Mapping::of(p)))
        else {
            return Ok(());
        };
        if known && page.serial != self.streams[self.chosen].0 {
            return Ok(());
        }
        self.flush(None, false)?;
        let seconds = self.state.before + self.seconds_since_base();
        self.streams[self.chosen] = (page.serial, mapping);
        self.state = State { before: seconds, restart: true, ..Default::default() };
        Ok(())
    }

    fn seconds_since_base(&self) -> f64 {
        let ticks = f64::from(self.streams[self.chosen].1.ticks);
        self.state.reached.map_or(0.0, |reached| (reached - self.state.base) as f64 / ticks)
    }

    /// Divides a page of the stream into packets.
    fn take(&mut self, page: Page) -> Result<(), Fault> {
        let expected = self.state.number.replace(page.number).map(|number| number.wrapping_add(1));
        if let Some(expected) = expected.filter(|expected| *expected != page.number) {
            self.state.lost = true;
            self.state.late |= self.state.reached.is_none() && page.number.wrapping_sub(expected) > FEW_PAGES;
        }
        if self.state.lost {
            self.state.partial.clear();
        }
        let (continues, ends) = (page.continues(), page.ends());
        let mut packets = page.packets.into_iter().enumerate().peekable();
        while let Some((index, packet)) = packets.next() {
            let mut whole = packet;
            if index == 0 && continues {
                if self.state.partial.is_empty() {
                    // Its beginning was lost, or came before the recording.
                    self.state.lost |= self.state.reached.is_some();
                    continue;
                }
                let mut joined = std::mem::take(&mut self.state.partial);
                joined.extend_from_slice(&whole);
                whole = joined;
            }
            if packets.peek().is_none() && page.goes_on {
                if whole.len() as u64 <= LONGEST_PACKET {
                    self.state.partial = whole;
                }
                break;
            }
            let mapping = &mut self.streams[self.chosen].1;
            if self.state.headers < mapping.headers || mapping.is_header(&whole) {
                self.state.headers += 1;
                mapping.header(&whole);
                continue;
            }
            let ticks = mapping.length(&whole);
            self.state.pending.push((whole, ticks));
        }
        if page.granule >= 0 && !self.state.pending.is_empty() {
            self.flush(Some(page.granule), ends)?;
        }
        Ok(())
    }

    /// Hands out the pending packets, which end at this position.
    fn flush(&mut self, granule: Option<i64>, last: bool) -> Result<(), Fault> {
        let pending = std::mem::take(&mut self.state.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let ticks = pending.iter().map(|(_, ticks)| *ticks as i64).sum::<i64>();
        let mapping = &self.streams[self.chosen].1;
        let (per_second, delay) = (f64::from(mapping.ticks), mapping.delay as i64);
        let (mut lost, mut hole, mut trim_end) = (0, 0, 0);
        match (self.state.reached, granule.map(|granule| granule.saturating_sub(ticks))) {
            // The first position says when the recording began.
            (None, start) => {
                let mut start = start.unwrap_or(0);
                if start < 0 && last {
                    // A recording of one page: the last samples are padding, not the first.
                    (trim_end, start) = (-start, 0);
                }
                // Pages after the headers are missing: few of them were lost, many say that it was joined late.
                if self.state.lost && !self.state.late && start as f64 <= LATEST_START * per_second {
                    (lost, start) = (start.max(0), 0);
                }
                self.state.begin = start.max(0) + delay;
                let late = self.state.begin as f64 / per_second;
                let as_in_film = self.film && self.state.before == 0.0 && late < LATEST_START;
                self.state.base = if as_in_film { delay } else { self.state.begin };
                self.state.reached = Some(start);
            }
            (Some(expected), Some(start)) => {
                let missing = start.saturating_sub(expected);
                if last && missing < 0 {
                    // Padding at the end; more than that is a position that makes no sense.
                    trim_end = if -missing < ticks { -missing } else { 0 };
                } else if self.state.lost && missing > 0 {
                    lost = missing;
                } else if missing as f64 > JITTER * per_second && self.is_true(expected + ticks, missing, per_second)? {
                    hole = missing;
                }
            }
            _ => {}
        }
        let mut at = self.state.reached.unwrap_or(0) + lost + hole;
        let end = at + ticks;
        self.state.reached = Some(end - trim_end);
        let seconds = |ticks: i64| ticks as f64 / per_second;
        let time = self.state.before + seconds(at - self.state.base);
        for (index, (data, ticks)) in pending.into_iter().enumerate() {
            let ticks = ticks as i64;
            let restart = std::mem::take(&mut self.state.restart);
            self.waiting.push_back(Packet {
                data,
                time: (index == 0).then_some(time),
                duration: seconds(ticks),
                lost: if index == 0 { seconds(lost) } else { 0.0 },
                trim_start: seconds((self.state.begin - at).clamp(0, ticks)),
                trim_end: seconds((trim_end - (end - at - ticks)).clamp(0, ticks)),
                restart: restart.then(|| Box::new(self.streams[self.chosen].1.track.clone())),
            });
            at += ticks;
        }
        self.state.lost = false;
        Ok(())
    }

    /// Whether a later position is a hole of `missing` ticks: the next page must agree with it. One that goes on from
    /// `expected` as if nothing were missing shows that the position makes no sense.
    fn is_true(&mut self, expected: i64, missing: i64, per_second: f64) -> Result<bool, Fault> {
        let serial = self.streams[self.chosen].0;
        let agrees = |page: &Page| page.granule.saturating_sub(expected) > missing / 2;
        let counts = |page: &Page| page.serial == serial && page.granule >= 0;
        if let Some(page) = self.pages.iter().find(|page| counts(page)) {
            return Ok(agrees(page));
        }
        while self.pages.len() < MOST_STREAMS {
            // A fault there is found when the page is read.
            let Ok(Some(page)) = self.page() else { break };
            let found = counts(&page).then(|| agrees(&page));
            self.pages.push_back(page);
            if let Some(agrees) = found {
                return Ok(agrees);
            }
        }
        Ok((missing as f64) < LONGEST_LAST_HOLE * per_second)
    }
}

impl Demuxer for Ogg {
    fn name(&self) -> &'static str {
        "ogg"
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn seconds(&self) -> Option<f64> {
        None
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

/// The checksum of a page, its own field taken as 0 (RFC 3533, section 6).
fn checksum(page: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = (index as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                value = value << 1 ^ if value >> 31 == 1 { 0x04c1_1db7 } else { 0 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    page.iter().enumerate().fold(0, |sum, (at, byte)| {
        let byte = if (22..26).contains(&at) { 0 } else { *byte };
        sum << 8 ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)]
    })
}
