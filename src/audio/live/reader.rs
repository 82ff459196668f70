//! Audio from bytes as they arrive: standard input, a named pipe, a socket. A thread reads and decodes; what it reads
//! is decided by the first bytes, as for files.

use super::queue::Queue;
use super::{Block, Inner, Source};
use crate::audio::collect::Collector;
use crate::audio::decode::decode;
use crate::audio::fault::Fault;
use crate::audio::recording::{RawFormat, ReadOptions};
use crate::audio::sniff::{Kind, sniff};
use crate::audio::source::Source as Bytes;
use crate::audio::wav;
use crate::error::{Error, Result};
use crate::transcript::Warning;
use crate::units::SampleIndex;
use std::io::{self, Cursor, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// First bytes after which a stream without a known magic number is judged by what is there. An MP3 stream needs three
/// frames, at most 4,314 bytes.
const ENOUGH: usize = 8192;
/// Magic numbers lie within the first bytes.
const MAGIC: usize = 40;
/// Number of bytes by which text is recognized.
const TEXT: usize = 512;
/// How long to wait where a source says "not now" instead of waiting itself.
const PAUSE: Duration = Duration::from_millis(5);

/// Starts to read audio from `source`: with `raw`, headerless signed 16-bit little-endian samples; without, whatever
/// [`crate::audio::read_stream`] reads. WAV needs no more than its header to begin, and lengths in it that are 0, a
/// placeholder or too small do not end it: as long as samples come, it goes on.
///
/// Returns at once; a source that turns out to be no audio is an error of [`Source::next`]. A live stream has no peak
/// yet, so what is louder than full scale is clipped, where a file would be scaled down.
///
/// A thread reads ahead by up to 30 s and then waits, so nothing is lost. It ends with the source, or at its next read
/// after the [`Source`] is dropped.
///
/// # Errors
/// [`crate::error::ErrorKind::Internal`] when no thread can be started.
pub fn stream(source: impl Read + Send + 'static, name: &str, raw: Option<RawFormat>) -> Result<Source> {
    let called = name.to_owned();
    reader(name, move |queue| read(source, &called, raw, queue))
}

/// Starts to decode a recording that begins with `prefix`. As [`stream`], but with everything that a whole recording
/// allows: its wished part, its channel, its level.
///
/// # Errors
/// As [`stream`].
pub(crate) fn recording(source: Bytes, prefix: Vec<u8>, name: &str, options: ReadOptions) -> Result<Source> {
    let called = name.to_owned();
    reader(name, move |queue| {
        let mut collector = source.collector(Collector::passing_on(&called, &options, queue.clone()));
        finish(decode(source, &prefix, &options, &mut collector), collector)
    })
}

/// A source whose samples `work` puts into the queue, in a thread of its own.
fn reader(
    name: &str,
    work: impl FnOnce(&Arc<Queue>) -> std::result::Result<(), Fault> + Send + 'static,
) -> Result<Source> {
    let queue = Arc::new(Queue::default());
    let theirs = queue.clone();
    std::thread::Builder::new()
        .name("audio-reader".to_owned())
        .spawn(move || {
            // The decoders are other people's code and the bytes may be anybody's.
            let end = catch_unwind(AssertUnwindSafe(|| work(&theirs)))
                .unwrap_or_else(|_| Err("is damaged in a way that its decoder did not expect".to_owned()));
            theirs.end(end);
        })
        .map_err(|e| Error::internal(format!("{name}: no thread can be started to read it: {e}")))?;
    Ok(Source::new(name, Inner::Reader(Reader { name: name.to_owned(), queue })))
}

/// Everything that was decoded goes to the queue, also when it ends in a fault.
fn finish(decoded: std::result::Result<String, Fault>, mut collector: Collector) -> std::result::Result<(), Fault> {
    collector.flush()?;
    collector.finish(&decoded?).map(|_| ())
}

/// The consumer's end.
pub(super) struct Reader {
    name: String,
    queue: Arc<Queue>,
}

impl Reader {
    pub(super) fn next(&self, wait: Duration, most: usize) -> Result<Option<Block>> {
        self.queue.take(wait, most).map_err(|fault| Error::audio(format!("{}: {fault}", self.name)))
    }

    pub(super) fn format(&self) -> Option<RawFormat> {
        self.queue.format()
    }

    pub(super) fn wait_for_samples(&self) {
        self.queue.wait_for_samples();
    }

    pub(super) fn start(&self) -> SampleIndex {
        self.queue.start()
    }

    pub(super) fn expected(&self) -> Option<SampleIndex> {
        self.queue.expected().map(SampleIndex)
    }

    pub(super) fn warnings(&self) -> Vec<Warning> {
        self.queue.warnings()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The work of a live stream's thread.
fn read(
    source: impl Read + Send + 'static,
    name: &str,
    raw: Option<RawFormat>,
    queue: &Arc<Queue>,
) -> std::result::Result<(), Fault> {
    let mut source = Patient { source: Mutex::new(source), queue: queue.clone() };
    let mut prefix = Vec::new();
    if raw.is_none() {
        while !is_recognised(&prefix) && arrives(&mut source, &mut prefix)? {}
    }
    let mut collector = Collector::live(name, queue.clone());
    let options = ReadOptions { raw, ..Default::default() };
    let whole = Bytes::Stream(Box::new(Cursor::new(prefix.clone()).chain(source)));
    finish(decode(whole, &prefix, &options, &mut collector), collector)
}

/// True when more bytes would not change what the stream is taken for.
fn is_recognised(prefix: &[u8]) -> bool {
    prefix.len() >= ENOUGH
        || match sniff(prefix) {
            // The format chunk says how to go on.
            Kind::Wav => wav::peek(prefix).is_some(),
            Kind::Unknown | Kind::Mpeg | Kind::Adts | Kind::Flac => false,
            Kind::NotSound(_) => prefix.len() >= TEXT,
            _ => prefix.len() >= MAGIC,
        }
}

/// Waits for some bytes and appends them; false at the end.
fn arrives(source: &mut impl Read, prefix: &mut Vec<u8>) -> std::result::Result<bool, Fault> {
    let mut buffer = [0u8; 1024];
    let count = source.read(&mut buffer).map_err(|e| format!("cannot be read: {e}"))?;
    prefix.extend_from_slice(&buffer[..count]);
    Ok(count > 0)
}

/// A source that waits where the one inside does not, and ends when nobody listens any more. The lock is never
/// contended: it makes any reader fit for decoders that want to be shared between threads.
struct Patient<R> {
    source: Mutex<R>,
    queue: Arc<Queue>,
}

impl<R: Read> Read for Patient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let source = self.source.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.queue.is_closed() {
                return Ok(0);
            }
            match source.read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
                // Not every decoder tries again.
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_stream_is_recognised_by_its_format_chunk() {
        let head =
            b"RIFF\xff\xff\xff\xffWAVELIST\x04\0\0\0abcdfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0";
        let first = (0..=head.len()).find(|&length| is_recognised(&head[..length]));
        assert_eq!(first, Some(head.len()));
    }

    #[test]
    fn what_is_no_audio_is_told_early() {
        let first = |bytes: &[u8]| (0..=bytes.len()).find(|&length| is_recognised(&bytes[..length]));
        assert_eq!(first(&[b'x'; 9000]), Some(TEXT));
        assert_eq!(first(&[0xfe; 9000]), Some(ENOUGH));
        assert_eq!(first(&[b"OggS", &[0u8; 9000][..]].concat()), Some(MAGIC));
    }
}
