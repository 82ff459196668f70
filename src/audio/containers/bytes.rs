//! A source as bytes with positions: a file that can be read anywhere, or a stream that only goes on.

use crate::audio::fault::Fault;
use crate::audio::source::{Source, Spooled};
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};

/// Bytes read at a time.
const BLOCK: usize = 1 << 16;
/// The longest stream that is kept to be read anywhere.
const LONGEST_SPOOL: u64 = 4 << 30;

/// Where a container's bytes come from.
pub(crate) struct Bytes {
    source: Source,
    /// Bytes that were read and not taken yet.
    buffer: Vec<u8>,
    taken: usize,
    /// Position of the next byte.
    position: u64,
    /// Everything that was read of a stream, while it may be needed again.
    kept: Option<Vec<u8>>,
}

impl Bytes {
    /// With `keep`, what is read of a stream is remembered until [`Self::forget`].
    pub(crate) fn new(source: Source, keep: bool) -> Self {
        let kept = (keep && !source.can_seek()).then(Vec::new);
        Self { source, buffer: Vec::new(), taken: 0, position: 0, kept }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The length of a file; `None` for a stream.
    pub(crate) fn length(&self) -> Option<u64> {
        self.source.length()
    }

    pub(crate) fn can_seek(&self) -> bool {
        self.source.can_seek()
    }

    /// Keeps nothing any more.
    pub(crate) fn forget(&mut self) {
        self.kept = None;
    }

    /// Up to `count` of the bytes that come next, without taking them; fewer only at the end.
    pub(crate) fn peek(&mut self, count: usize) -> Result<&[u8], Fault> {
        while self.buffer.len() - self.taken < count {
            if self.taken > 0 {
                self.buffer.drain(..self.taken);
                self.taken = 0;
            }
            let start = self.buffer.len();
            self.buffer.resize(start + BLOCK.max(count - start), 0);
            let read = loop {
                match self.source.read(&mut self.buffer[start..]) {
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            let read = read.inspect_err(|_| self.buffer.truncate(start)).map_err(|e| format!("cannot be read: {e}"))?;
            self.buffer.truncate(start + read);
            if read == 0 {
                break;
            }
            if let Some(kept) = &mut self.kept {
                kept.extend_from_slice(&self.buffer[start..]);
            }
        }
        let there = (self.buffer.len() - self.taken).min(count);
        Ok(&self.buffer[self.taken..self.taken + there])
    }

    /// Takes bytes that [`Self::peek`] has shown.
    pub(crate) fn pass(&mut self, count: usize) {
        let count = count.min(self.buffer.len() - self.taken);
        self.taken += count;
        self.position += count as u64;
    }

    /// The next `count` bytes; fewer at the end. `count` is a header's claim: memory grows with what is there.
    pub(crate) fn read(&mut self, count: u64) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let mut left = count;
        while left > 0 {
            let some = self.peek(left.min(BLOCK as u64) as usize)?;
            let some = &some[..some.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            if some.is_empty() {
                break;
            }
            bytes.extend_from_slice(some);
            let read = some.len();
            self.pass(read);
            left -= read as u64;
        }
        Ok(bytes)
    }

    /// The next N bytes; `None` when there are fewer.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Fault> {
        let found = self.peek(N)?.first_chunk::<N>().copied();
        if found.is_some() {
            self.pass(N);
        }
        Ok(found)
    }

    /// Goes to a position. False when it lies after the end, or before what a stream has passed.
    pub(crate) fn seek(&mut self, position: u64) -> Result<bool, Fault> {
        let start = self.position - self.taken as u64;
        if (start..=start + self.buffer.len() as u64).contains(&position) {
            self.taken = (position - start) as usize;
            self.position = position;
            return Ok(true);
        }
        if let Some(length) = self.length() {
            if position > length {
                return Ok(false);
            }
            self.source.seek(SeekFrom::Start(position)).map_err(|e| format!("cannot be read: {e}"))?;
            self.buffer.clear();
            (self.taken, self.position) = (0, position);
            return Ok(true);
        }
        while self.position < position {
            let left = (position - self.position).min(BLOCK as u64) as usize;
            let there = self.peek(left)?.len();
            if there == 0 {
                return Ok(false);
            }
            self.pass(there);
        }
        Ok(self.position == position)
    }

    /// Passes over bytes. False when the source ends first.
    pub(crate) fn skip(&mut self, count: u64) -> Result<bool, Fault> {
        match self.position.checked_add(count) {
            Some(position) => self.seek(position),
            None => Ok(false),
        }
    }

    /// Makes a stream one that can be read anywhere, by writing the rest of it to a temporary file.
    pub(crate) fn spool(&mut self) -> Result<(), Fault> {
        if self.can_seek() {
            return Ok(());
        }
        let position = self.position;
        let mut spooled = Spooled::new().map_err(cannot_keep)?;
        let kept = self.kept.take();
        let rest = self.buffer.split_off(self.taken);
        match kept {
            Some(kept) => spooled.write(&kept),
            // Taken bytes are not needed again, but positions count them.
            None => spooled.leave(position).and_then(|()| spooled.write(&rest)),
        }
        .map_err(cannot_keep)?;
        let copied = spooled.fill(&mut self.source, LONGEST_SPOOL).map_err(cannot_keep)?;
        if !copied {
            return Err(format!(
                "has to be read from its end first and is longer than {} GB: give it as a file, not through a pipe",
                LONGEST_SPOOL >> 30
            ));
        }
        self.source = Source::Spooled(spooled);
        self.buffer.clear();
        self.taken = 0;
        self.source.seek(SeekFrom::Start(position)).map_err(cannot_keep)?;
        Ok(())
    }

    /// The source from its beginning; `None` for a stream that was not kept.
    pub(crate) fn into_source(self) -> Option<Source> {
        match self.source {
            Source::Stream(rest) => {
                let kept = self.kept?;
                Some(Source::Stream(Box::new(Cursor::new(kept).chain(rest))))
            }
            mut file => {
                file.seek(SeekFrom::Start(0)).ok()?;
                Some(file)
            }
        }
    }
}

fn cannot_keep(e: std::io::Error) -> Fault {
    format!("has to be read from its end first and cannot be kept in a temporary file ({e}): give it as a file")
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let there = if self.taken < self.buffer.len() {
            self.buffer.len() - self.taken
        } else {
            self.peek(1).map_err(std::io::Error::other)?.len().max(self.buffer.len() - self.taken)
        };
        let count = there.min(buffer.len());
        buffer[..count].copy_from_slice(&self.buffer[self.taken..self.taken + count]);
        self.pass(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(keep: bool) -> Bytes {
        let content: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        Bytes::new(Source::Stream(Box::new(Cursor::new(content))), keep)
    }

    #[test]
    fn a_stream_goes_on_and_back_only_within_what_is_at_hand() {
        let mut bytes = stream(false);
        assert_eq!(bytes.peek(3).expect("there"), [0, 1, 2]);
        assert!(bytes.seek(100).expect("there") && bytes.seek(50).expect("there"));
        assert_eq!(bytes.read(2).expect("there"), [50, 51]);
        assert!(bytes.seek(150_000).expect("there"));
        assert_eq!((bytes.read(1).expect("there"), bytes.position()), (vec![(150_000 % 251) as u8], 150_001));
        assert!(!bytes.seek(10).expect("no fault"));
        assert_eq!(bytes.read(1 << 40).expect("there").len(), 49_999);
        assert!(!bytes.skip(1).expect("no fault") && bytes.into_source().is_none());
    }

    #[test]
    fn a_kept_stream_begins_again() {
        for spooled in [false, true] {
            let mut bytes = stream(true);
            assert!(bytes.seek(70_000).expect("there"));
            if spooled {
                bytes.spool().expect("kept");
                assert_eq!(bytes.length(), Some(200_000));
            }
            assert_eq!(bytes.read(1).expect("there"), [(70_000 % 251) as u8]);
            let mut again = Bytes::new(bytes.into_source().expect("kept"), false);
            assert_eq!(again.read(u64::MAX).expect("there").len(), 200_000);
        }
    }

    #[test]
    fn a_spooled_stream_keeps_its_positions() {
        let mut bytes = stream(false);
        assert!(bytes.seek(70_000).expect("there"));
        bytes.spool().expect("kept");
        assert!(bytes.seek(199_999).expect("there") && bytes.seek(70_001).expect("there"));
        assert_eq!(bytes.read(1).expect("there"), [(70_001 % 251) as u8]);
    }
}
