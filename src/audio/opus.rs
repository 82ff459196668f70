//! Opus packets, which symphonia finds but does not decode: `opus-rs`, whose output at 16 kHz equals libopus' to 1e-7.

use super::Fault;
use opus_rs::OpusDecoder;
use opus_rs::multistream::{ChannelMappingTable, MultistreamDecoder};
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::packet::Packet;

/// Opus counts time in this rate, whatever rate it decodes to.
const TICKS: u32 = 48_000;
/// 120 ms, the longest packet there is, in ticks.
const LONGEST_PACKET: usize = 5760;

enum Decoder {
    Simple(Box<OpusDecoder>),
    Multistream(Box<MultistreamDecoder>),
}

/// The decoder of one Opus track.
pub(crate) struct OpusTrack {
    decoder: Decoder,
    rate: u32,
    channels: usize,
    /// Factor of the header's output gain.
    gain: f32,
    /// Ticks at the start that only warm the decoder up.
    skip: usize,
    buffer: Vec<f32>,
}

impl OpusTrack {
    /// Reads the identification header (RFC 7845, section 5.1) that the container keeps.
    pub(crate) fn new(parameters: &AudioCodecParameters) -> Result<Self, Fault> {
        let head = parameters.extra_data.as_deref().unwrap_or_default();
        if head.len() < 19 || !head.starts_with(b"OpusHead") {
            return Err("has an Opus track without its header: the file is damaged".to_owned());
        }
        let channels = usize::from(head[9]);
        let skip = usize::from(u16::from_le_bytes([head[10], head[11]]));
        let original = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
        let gain = i16::from_le_bytes([head[16], head[17]]);
        // Decoding at the rate the encoder was fed needs no resampling, and is what libsndfile, and with it the
        // official package, does.
        let rate = if [8000, 12_000, 16_000, 24_000].contains(&original) { original } else { TICKS };
        let bad = |e| format!("has an Opus header that makes no sense ({e}): the file is damaged");
        let decoder = match (head[18], channels) {
            (0, 1 | 2) => Decoder::Simple(Box::new(OpusDecoder::new(rate as i32, channels).map_err(bad)?)),
            (family @ 1.., 1..) => {
                let table =
                    ChannelMappingTable::parse(family, head[9], &head[19..]).ok_or_else(|| bad("no mapping"))?;
                Decoder::Multistream(Box::new(MultistreamDecoder::new(rate as i32, table).map_err(bad)?))
            }
            _ => {
                return Err(format!(
                    "has an Opus track of {channels} channels, which has no meaning: the file is damaged"
                ));
            }
        };
        let buffer = vec![0.0; LONGEST_PACKET * rate as usize / TICKS as usize * channels];
        Ok(Self { decoder, rate, channels, gain: 10f32.powf(f32::from(gain) / (20.0 * 256.0)), skip, buffer })
    }

    /// The time of so many decoded frames, as containers count it.
    pub(crate) fn ticks(&self, frames: u64) -> u64 {
        frames.saturating_mul(u64::from(TICKS / self.rate))
    }

    /// Decodes one packet into `out`, without the warm-up at the start and the padding at the end.
    /// Returns rate and channel count.
    pub(crate) fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<(u32, usize), String> {
        out.clear();
        let room = self.buffer.len() / self.channels;
        let frames = match &mut self.decoder {
            _ if packet.data.is_empty() => return Err("an empty packet".to_owned()),
            Decoder::Simple(decoder) => decoder.decode(&packet.data, room, &mut self.buffer)?,
            Decoder::Multistream(decoder) => decoder.decode(&packet.data, room, &mut self.buffer)?,
        };
        let ticks_per_frame = (TICKS / self.rate) as usize;
        let ticks = frames * ticks_per_frame;
        let front = self.skip.min(ticks);
        self.skip -= front;
        let back = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX).min(ticks - front);
        let kept = front / ticks_per_frame * self.channels..(ticks - back) / ticks_per_frame * self.channels;
        let samples = self.buffer.get(kept).ok_or("a packet is longer than Opus allows")?;
        out.extend(samples.iter().map(|s| s * self.gain));
        Ok((self.rate, self.channels))
    }
}
