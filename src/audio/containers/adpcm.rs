//! ADPCM in a wave file: blocks of one size.

use super::{Demuxer, Packet, Track, cut};
use crate::audio::codec::{Adpcm as Kind, Codec};
use crate::audio::fault::Fault;
use crate::audio::samples::read_full;
use crate::audio::source::Source;
use crate::audio::wav::Data;
use std::io::Read;

pub(crate) struct Adpcm<R> {
    tracks: Vec<Track>,
    block: usize,
    frames: u32,
    data: Data<R>,
}

impl<R: Read> Adpcm<R> {
    /// `data` is what the data chunk holds.
    pub(crate) fn new(kind: Kind, rate: u32, channels: u32, data: Data<R>) -> Result<Self, Fault> {
        let (block, frames) = (kind.block(channels), kind.frames(channels));
        if frames == 0 {
            return Err(format!("claims ADPCM in blocks of {block} bytes, which do not exist: the file is damaged"));
        }
        let track = Track::only(Codec::Adpcm(kind), rate, channels, Vec::new());
        Ok(Self { tracks: vec![track], block: block as usize, frames, data })
    }
}

impl<R: Read> Demuxer for Adpcm<R> {
    fn name(&self) -> &'static str {
        "wave"
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn seconds(&self) -> Option<f64> {
        None
    }

    fn select(&mut self, _track: usize) {}

    fn next(&mut self) -> Result<Option<Packet>, Fault> {
        let mut data = vec![0; self.block];
        let read = read_full(&mut self.data, &mut data)?;
        let duration = f64::from(self.frames) / f64::from(self.tracks[0].rate.max(1));
        if read < self.block {
            // Some programs write a last block that is not full.
            let missing = self.data.missing() as f64 / self.block as f64 * duration;
            return if missing > 0.0 { Err(cut(missing)) } else { Ok(None) };
        }
        Ok(Some(Packet { data, duration, ..Default::default() }))
    }

    fn into_source(self: Box<Self>) -> Option<Source> {
        None
    }
}
