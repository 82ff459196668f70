//! Containers: a source in, the packets of one audio track out, each with its time. Headers say where things are; how
//! much there is, is decided by what is there.

mod adpcm;
mod bytes;
pub(crate) mod caf;
mod flac;
pub(crate) mod iff;
pub(crate) mod matroska;
pub(crate) mod mp4;
mod mp4_boxes;
pub(crate) mod mpeg;
pub(crate) mod ogg;
mod ogg_packets;
mod tracks;

pub(crate) use adpcm::Adpcm;
pub(crate) use bytes::Bytes;
pub(crate) use flac::Flac;
pub(crate) use tracks::{choose, shape};

use super::codec::Codec;
use super::sniff::Kind;
use super::source::Source;
use crate::audio::fault::Fault;

/// Longer packets do not exist; a longer claim is damage.
pub(crate) const LONGEST_PACKET: u64 = 16 << 20;

/// One audio track, as its container describes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Track {
    pub(crate) codec: Codec,
    /// Frames per second, by the container; 0 where it does not say. The decoder has the last word.
    pub(crate) rate: u32,
    /// By the container; 0 where it does not say.
    pub(crate) channels: u32,
    /// ISO 639 or BCP 47; empty where it is not known.
    pub(crate) language: String,
    /// The container marks it as the one to take.
    pub(crate) is_default: bool,
    /// The decoder's own header.
    pub(crate) extra: Vec<u8>,
}

impl Track {
    /// A track of a container that has only one.
    pub(crate) fn only(codec: Codec, rate: u32, channels: u32, extra: Vec<u8>) -> Self {
        Self { codec, rate, channels, language: String::new(), is_default: true, extra }
    }
}

/// One packet for a decoder. Times are in seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Packet {
    pub(crate) data: Vec<u8>,
    /// When its first sample was recorded (one that is trimmed included); `None` right after the packet before.
    pub(crate) time: Option<f64>,
    /// How long it is, by the container; 0 where it does not say.
    pub(crate) duration: f64,
    /// The loss just before it: damaged or missing bytes.
    pub(crate) lost: f64,
    /// Decoder output at the start and end that is not part of the recording.
    pub(crate) trim_start: f64,
    pub(crate) trim_end: f64,
    /// From here on the track is this one: files that were joined.
    pub(crate) restart: Option<Box<Track>>,
}

/// The sentence for a source that ends before it should.
pub(crate) fn cut(missing: f64) -> Fault {
    match missing {
        0.01.. => format!("is cut: its last {missing:.2} s are missing"),
        _ => "is cut just before its end".to_owned(),
    }
}

/// An open container.
pub(crate) trait Demuxer {
    /// For the report.
    fn name(&self) -> &'static str;

    /// Its audio tracks, in the order in which people count them.
    fn tracks(&self) -> &[Track];

    /// How long it says that it is, in seconds: for progress and lists.
    fn seconds(&self) -> Option<f64>;

    /// Takes this track, before the first packet.
    fn select(&mut self, track: usize);

    /// The next packet of the track; `None` at the end.
    ///
    /// # Errors
    /// The source cannot be read on: a sentence for the warning.
    fn next(&mut self) -> Result<Option<Packet>, Fault>;

    /// The source itself, from its beginning, for another program; `None` where it cannot go back.
    fn into_source(self: Box<Self>) -> Option<Source>;
}

/// Opens a container that [`super::sniff`] recognised. `keep` remembers what is read of a stream, for
/// [`Demuxer::into_source`].
pub(crate) fn open(kind: Kind, source: Source, keep: bool) -> Result<Box<dyn Demuxer>, Fault> {
    let bytes = Bytes::new(source, keep);
    Ok(match kind {
        Kind::Mp4 => Box::new(mp4::Mp4::open(bytes)?),
        Kind::Matroska => Box::new(matroska::Matroska::open(bytes)?),
        Kind::Ogg => Box::new(ogg::Ogg::open(bytes)?),
        Kind::Mpeg => Box::new(mpeg::Mpeg::open(bytes, "mp3")?),
        Kind::Adts => Box::new(mpeg::Mpeg::open(bytes, "aac")?),
        Kind::Caf => Box::new(caf::Caf::open(bytes)?),
        Kind::Aiff => Box::new(iff::Aiff::open(bytes)?),
        Kind::Flac => Box::new(Flac::open(bytes)?),
        _ => return Err("is of no kind that has packets".to_owned()),
    })
}
