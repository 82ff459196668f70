//! FLAC files, by symphonia's reader: frames carry their own numbers and checksums.

use super::{Bytes, Demuxer, Packet, Track};
use crate::audio::Fault;
use crate::audio::codec::Codec;
use crate::audio::source::Source;
use std::io::Read;
use std::sync::Mutex;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::formats::FormatReader;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::{MediaSourceStream, ReadOnlySource};

pub(crate) struct Flac {
    tracks: Vec<Track>,
    reader: Box<dyn FormatReader>,
    /// Frames by its header; 0 where it does not say.
    promised: u64,
    /// Frames so far.
    frames: u64,
    begun: bool,
}

/// Symphonia asks for a source that threads may share.
struct Shared(Mutex<Bytes>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Read::read(self.0.get_mut().map_err(|_| std::io::ErrorKind::Other)?, buffer)
    }
}

impl Flac {
    pub(crate) fn open(bytes: Bytes) -> Result<Self, Fault> {
        let source = Box::new(ReadOnlySource::new(Shared(Mutex::new(bytes))));
        let stream = MediaSourceStream::new(source, Default::default());
        let reader = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, Default::default(), Default::default())
            .map_err(|e| format!("cannot be opened as FLAC ({e}): it is damaged or cut"))?;
        let track = reader.tracks().first().ok_or("is a FLAC file without its header: it is damaged or cut")?;
        let Some(CodecParameters::Audio(parameters)) = &track.codec_params else {
            return Err("is a FLAC file without its header: it is damaged or cut".to_owned());
        };
        let extra = parameters.extra_data.as_deref().unwrap_or_default().to_vec();
        let channels = parameters.channels.as_ref().map_or(0, |channels| channels.count());
        let only = Track::only(Codec::Flac, parameters.sample_rate.unwrap_or(0), channels as u32, extra);
        let promised = track.num_frames.unwrap_or(0);
        Ok(Self { tracks: vec![only], reader, promised, frames: 0, begun: false })
    }

    fn rate(&self) -> f64 {
        f64::from(self.tracks[0].rate.max(1))
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

    fn select(&mut self, _track: usize) {}

    fn next(&mut self) -> Result<Option<Packet>, Fault> {
        let packet = match self.reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return self.end(),
            Err(symphonia::core::errors::Error::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                return self.end();
            }
            Err(e) => return Err(format!("cannot be read any further ({e})")),
        };
        let start = packet.pts.get().max(0) as u64;
        // A stream that was joined late has no length, and its first number is its beginning.
        let from_zero = self.begun || start < self.promised;
        let lost = if from_zero { start.saturating_sub(self.frames) } else { 0 };
        self.begun = true;
        let frames = packet.dur.get();
        self.frames = start + frames;
        Ok(Some(Packet {
            data: packet.data.into_vec(),
            duration: frames as f64 / self.rate(),
            lost: lost as f64 / self.rate(),
            ..Default::default()
        }))
    }

    fn into_source(self: Box<Self>) -> Option<Source> {
        None
    }
}

impl Flac {
    /// A header that knows the length shows a file that was cut.
    fn end(&self) -> Result<Option<Packet>, Fault> {
        match self.promised.checked_sub(self.frames) {
            Some(missing @ 1..) => {
                let missing = missing as f64 / self.rate();
                Err(format!("ends early: by its header its last {missing:.2} s are missing"))
            }
            _ => Ok(None),
        }
    }
}
