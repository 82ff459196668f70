//! Opus packets: `opus-rs`, whose output at 16 kHz equals libopus' to 1e-7.

use super::fault::Fault;
use opus_rs::OpusDecoder;
use opus_rs::multistream::{ChannelMappingTable, MultistreamDecoder};

/// Opus counts time in this rate, whatever rate it decodes to.
pub(crate) const TICKS: u32 = 48_000;
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
    buffer: Vec<f32>,
}

impl OpusTrack {
    /// Reads the identification header (RFC 7845, section 5.1) that the container keeps.
    pub(crate) fn new(head: &[u8]) -> Result<Self, Fault> {
        if head.len() < 19 || !head.starts_with(b"OpusHead") {
            return Err("has an Opus track without its header: the file is damaged".to_owned());
        }
        let channels = usize::from(head[9]);
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
        Ok(Self { decoder, rate, channels, gain: 10f32.powf(f32::from(gain) / (20.0 * 256.0)), buffer })
    }

    /// Decodes one packet into `out`. Returns rate and channel count.
    pub(crate) fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<(u32, usize), String> {
        let room = self.buffer.len() / self.channels;
        let frames = match &mut self.decoder {
            _ if packet.is_empty() => return Err("an empty packet".to_owned()),
            Decoder::Simple(decoder) => decoder.decode(packet, room, &mut self.buffer)?,
            Decoder::Multistream(decoder) => decoder.decode(packet, room, &mut self.buffer)?,
        };
        let samples = self.buffer.get(..frames * self.channels).ok_or("a packet is longer than Opus allows")?;
        out.extend(samples.iter().map(|s| s * self.gain));
        Ok((self.rate, self.channels))
    }
}

/// Ticks at the start that only warm the decoder up, by the identification header.
pub(crate) fn warm_up(head: &[u8]) -> u32 {
    match head.get(10..12) {
        Some(&[low, high]) => u32::from(u16::from_le_bytes([low, high])),
        _ => 0,
    }
}

/// The length of a packet in ticks, by its first bytes (RFC 6716, section 3.1); 0 where they make no sense.
pub(crate) fn ticks(packet: &[u8]) -> u32 {
    let Some(&toc) = packet.first() else { return 0 };
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1).copied().unwrap_or(0) & 0x3f),
    };
    if frame * frames > LONGEST_PACKET as u32 { 0 } else { frame * frames }
}

/// The identification header of MP4's `dOps` box, which is big-endian and without magic.
pub(crate) fn head_of_dops(dops: &[u8]) -> Option<Vec<u8>> {
    let fixed = dops.first_chunk::<11>()?;
    let mut head = b"OpusHead\x01".to_vec();
    head.push(fixed[1]);
    head.extend([fixed[3], fixed[2], fixed[7], fixed[6], fixed[5], fixed[4], fixed[9], fixed[8], fixed[10]]);
    head.extend(&dops[11..]);
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_know_their_length() {
        // CELT 20 ms; SILK 60 ms; two frames of 20 ms; three of 2.5 ms; nonsense.
        for (packet, ticks) in
            [(&[0xf8][..], 960), (&[0x18], 2880), (&[0xf9], 1920), (&[0x83, 3], 360), (&[0x1b, 63], 0)]
        {
            assert_eq!(super::ticks(packet), ticks, "{packet:x?}");
        }
        assert_eq!(super::ticks(&[]), 0);
    }

    #[test]
    fn the_header_in_mp4_is_big_endian() {
        let head = head_of_dops(&[0, 2, 0x01, 0x38, 0, 0, 0x3e, 0x80, 0, 1, 0]).expect("whole");
        assert_eq!((warm_up(&head), head.len(), head[9]), (312, 19, 2));
        assert_eq!((&head[12..16], &head[16..18]), (&16_000u32.to_le_bytes()[..], &[1, 0][..]));
        assert!(head_of_dops(&[0; 5]).is_none());
    }
}
