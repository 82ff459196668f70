//! Codecs in Ogg streams: the codec of a first packet, its number of headers, the length of its packets.

use super::Track;
use crate::audio::codec::Codec;
use crate::audio::opus;

/// One logical stream, as its first packet describes it.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) track: Track,
    /// Ticks of granule positions in a second.
    pub(crate) ticks: u32,
    /// Packets at the start that are no audio.
    pub(crate) headers: usize,
    /// Ticks at the start that only warm the decoder up.
    pub(crate) delay: u64,
    lengths: Lengths,
}

/// How the length of a packet is found.
#[derive(Debug)]
enum Lengths {
    Opus,
    Vorbis(Vorbis),
    Flac,
    /// The same for all.
    Unknown,
}

/// Block sizes of a Vorbis stream.
#[derive(Debug, Default)]
struct Vorbis {
    sizes: [u32; 2],
    /// For every mode, whether it is of long blocks.
    modes: Vec<bool>,
    before: Option<u32>,
}

impl Mapping {
    /// The codec that begins with this packet; `None` if it is no audio.
    pub(crate) fn of(packet: &[u8]) -> Option<Self> {
        let at = |at: usize| packet.get(at).copied().unwrap_or(0);
        let le32 = |from: usize| u32::from_le_bytes([at(from), at(from + 1), at(from + 2), at(from + 3)]);
        let other = |name: &str, rate, channels, headers| Self {
            track: Track::only(Codec::Other(name.to_owned()), rate, channels, Vec::new()),
            ticks: rate.max(1),
            headers,
            delay: 0,
            lengths: Lengths::Unknown,
        };
        Some(if packet.starts_with(b"OpusHead") {
            Self {
                track: Track::only(Codec::Opus, opus::TICKS, u32::from(at(9)), packet.to_vec()),
                ticks: opus::TICKS,
                headers: 2,
                delay: u64::from(opus::warm_up(packet)),
                lengths: Lengths::Opus,
            }
        } else if packet.starts_with(b"\x01vorbis") {
            let sizes = [1 << (at(28) & 15), 1 << (at(28) >> 4)];
            Self {
                track: Track::only(Codec::Vorbis, le32(12), u32::from(at(11)), packet.to_vec()),
                ticks: le32(12).max(1),
                headers: 3,
                delay: 0,
                lengths: Lengths::Vorbis(Vorbis { sizes, ..Default::default() }),
            }
        } else if packet.starts_with(b"\x7fFLAC") {
            let info = packet.get(17..51)?;
            let rate = u32::from_be_bytes([0, info[10], info[11], info[12]]) >> 4;
            Self {
                track: Track::only(Codec::Flac, rate, u32::from(info[12] >> 1 & 7) + 1, info.to_vec()),
                ticks: rate.max(1),
                // The headers that follow, or as many as come: see `is_header`.
                headers: 1,
                delay: 0,
                lengths: Lengths::Flac,
            }
        } else if packet.starts_with(b"Speex   ") {
            other("Speex", le32(36), le32(48), 2)
        } else if packet.starts_with(b"PCM     ") {
            other("PCM in Ogg", 0, 0, 2)
        } else if packet.starts_with(b"\x80CELT") || packet.starts_with(b"CELT    ") {
            other("CELT", 0, 0, 2)
        } else {
            return None;
        })
    }

    /// Whether a packet that has the number of an audio packet is a header after all.
    pub(crate) fn is_header(&self, packet: &[u8]) -> bool {
        match self.lengths {
            Lengths::Flac => packet.first() != Some(&0xff),
            Lengths::Vorbis(_) => packet.first().is_some_and(|first| first & 1 == 1),
            _ => packet.starts_with(b"OpusTags"),
        }
    }

    /// Takes what a header says that decoders need.
    pub(crate) fn header(&mut self, packet: &[u8]) {
        if let Lengths::Vorbis(vorbis) = &mut self.lengths
            && packet.starts_with(b"\x05vorbis")
            && vorbis.modes.is_empty()
        {
            // The decoder takes the first and the third header in one.
            self.track.extra.extend_from_slice(packet);
            vorbis.modes = modes(packet).unwrap_or_default();
        }
    }

    /// Ticks of an audio packet; 0 where it does not say. Packets must come in order.
    pub(crate) fn length(&mut self, packet: &[u8]) -> u64 {
        match &mut self.lengths {
            Lengths::Opus => u64::from(opus::ticks(packet)),
            Lengths::Flac => flac_frames(packet),
            Lengths::Unknown => 0,
            Lengths::Vorbis(vorbis) => {
                let Some(&first) = packet.first() else { return 0 };
                let bits = usize::BITS - vorbis.modes.len().saturating_sub(1).leading_zeros();
                let mode = usize::from(first >> 1) & ((1 << bits) - 1);
                let Some(&long) = vorbis.modes.get(mode) else { return 0 };
                let size = vorbis.sizes[usize::from(long)];
                let before = vorbis.before.replace(size);
                // The first packet only prepares the second.
                before.map_or(0, |before| u64::from((before + size) / 4))
            }
        }
    }
}

/// Frames of a FLAC frame, by its header.
fn flac_frames(packet: &[u8]) -> u64 {
    let (Some(&[0xff, sync, sizes, _]), Some(&number)) = (packet.first_chunk::<4>(), packet.get(4)) else { return 0 };
    if sync & 0xfc != 0xf8 {
        return 0;
    }
    // The frame's number, in as many bytes as its first ones say.
    let at = 4 + (number.leading_ones() as usize).max(1);
    match sizes >> 4 {
        1 => 192,
        code @ 2..=5 => 576 << (code - 2),
        6 => packet.get(at).map_or(0, |size| u64::from(*size) + 1),
        7 => packet.get(at..at + 2).map_or(0, |size| u64::from(u16::from_be_bytes([size[0], size[1]])) + 1),
        code @ 8..=15 => 256 << (code - 8),
        _ => 0,
    }
}

/// For every mode of a Vorbis setup header, whether it is of long blocks. The modes stand at the header's end, so they
/// are read backwards: 8 bits of mapping, 16 of transform and 16 of window type that are 0, one bit for the block size,
/// and before all of them 6 bits with their number less one.
fn modes(setup: &[u8]) -> Option<Vec<bool>> {
    let total = setup.len() * 8;
    let bit = |at: usize| setup[at / 8] >> (at % 8) & 1;
    // The last bit that is set frames the header.
    let end = (0..total).rev().find(|at| bit(*at) == 1)?;
    let number = |from: usize, count: usize| (0..count).fold(0u64, |value, n| value | u64::from(bit(from + n)) << n);
    let mut modes = Vec::new();
    let mut best = None;
    let mut at = end;
    while modes.len() < 64 && at >= 41 + 6 {
        let start = at - 41;
        if number(start + 1, 32) != 0 || number(start + 33, 8) > 63 {
            break;
        }
        modes.push(bit(start) == 1);
        at = start;
        if number(at - 6, 6) as usize + 1 == modes.len() {
            best = Some(modes.len());
        }
    }
    modes.truncate(best?);
    modes.reverse();
    Some(modes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flac_frames_know_their_length() {
        for (frame, frames) in [
            (&[0xff, 0xf8, 0xc9, 0x18, 0][..], 4096),
            (&[0xff, 0xf8, 0x69, 0x18, 0, 99], 100),
            (&[0xff, 0xf8, 0x79, 0x18, 0xc2, 0x80, 1, 0], 257),
            (&[0xff, 0xf8, 0x29, 0x18, 0], 576),
            (&[0xff], 0),
        ] {
            assert_eq!(flac_frames(frame), frames, "{frame:x?}");
        }
    }

    #[test]
    fn modes_are_read_from_the_end() {
        // Two modes, short then long, and the framing bit.
        let mut bits = vec![1u8, 0, 1, 1, 0, 1, 1, 1];
        bits.extend([1, 0, 0, 0, 0, 0]);
        for (long, mapping) in [(0, 0), (1, 1)] {
            bits.push(long);
            bits.extend([0; 32]);
            bits.extend([mapping, 0, 0, 0, 0, 0, 0, 0]);
        }
        bits.push(1);
        bits.resize(bits.len().next_multiple_of(8), 0);
        let bytes: Vec<u8> = bits.chunks(8).map(|byte| (0..8).fold(0, |b, n| b | byte[n] << n)).collect();
        assert_eq!(modes(&bytes), Some(vec![false, true]));
        assert_eq!(modes(&[]), None);
        assert_eq!(modes(&[0; 40]), None);
    }
}
