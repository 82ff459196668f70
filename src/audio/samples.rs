//! Uncompressed samples: bytes in blocks to floats in [-1, 1].

use super::collect::Collector;
use super::fault::Fault;
use std::io::Read;

/// Bytes read at a time, rounded down to whole frames.
const BLOCK_BYTES: usize = 1 << 16;

/// How one sample is written. Multi-byte samples are little-endian here; [`Layout::big_endian`] swaps first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// 8 bits, 128 is silence.
    Unsigned8,
    /// 1 to 4 or 8 bytes, two's complement, the value in the upper bits.
    Signed(u8),
    /// 24 bits in 4 bytes: upper bits as Microsoft's text has it, or lower bits as some recorders write them.
    Signed24In4,
    Float32,
    Float64,
    MuLaw,
    ALaw,
}

impl Encoding {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Unsigned8 | Self::MuLaw | Self::ALaw => 1,
            Self::Signed(bytes) => usize::from(bytes),
            Self::Signed24In4 | Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }
}

/// Everything one must know to read headerless samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) encoding: Encoding,
    pub(crate) big_endian: bool,
    pub(crate) channels: u16,
    pub(crate) rate: u32,
}

impl Layout {
    /// Bytes of one sample of every channel.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.encoding.bytes() * usize::from(self.channels)
    }
}

/// How the bytes that a header promised were found.
pub(crate) enum Ended {
    /// All promised bytes were there.
    AsPromised,
    /// As many as wished were read; there may be more.
    Enough,
    /// The source ended first.
    Early,
}

/// Reads samples until `limit` bytes (or the end, without one) and gives them to `collector`.
/// Memory does not depend on `limit`: it is a header's claim.
pub(crate) fn read_samples(
    source: &mut dyn Read,
    layout: Layout,
    limit: Option<u64>,
    collector: &mut Collector,
) -> Result<Ended, Fault> {
    let channels = usize::from(layout.channels);
    collector.format(layout.rate, channels)?;
    if !matches!(layout.encoding, Encoding::Float32 | Encoding::Float64) {
        collector.cannot_exceed();
    }
    if let Some(bytes) = limit {
        collector.expect(bytes as f64 / layout.frame_bytes().max(1) as f64 / f64::from(layout.rate));
    }
    let frame = layout.frame_bytes();
    let mut bytes = vec![0u8; (BLOCK_BYTES / frame).max(1) * frame];
    let mut floats = Vec::new();
    let mut left = limit.unwrap_or(u64::MAX);
    let mut low_24 = None;
    // Bytes of a frame whose rest is still to come.
    let mut carried = 0;
    while left > 0 {
        let room = (bytes.len() - carried).min(usize::try_from(left).unwrap_or(usize::MAX));
        let rest = &mut bytes[carried..carried + room];
        // One full block decides between the two layouts of 24 bits in 4 bytes.
        let undecided = layout.encoding == Encoding::Signed24In4 && low_24.is_none();
        let (read, ended) = if collector.is_live() && !undecided {
            let read = read_some(source, rest)?;
            (read, read == 0)
        } else {
            let read = read_full(source, rest)?;
            (read, read < room)
        };
        left -= read as u64;
        let got = carried + read;
        let whole = got - got % frame;
        carried = got - whole;
        let block = &mut bytes[..whole];
        if layout.big_endian {
            block.chunks_exact_mut(layout.encoding.bytes()).for_each(<[u8]>::reverse);
        }
        floats.clear();
        match layout.encoding {
            Encoding::Signed24In4 => {
                // Upper bits means an empty lowest byte in every sample.
                let low = *low_24.get_or_insert_with(|| block.chunks_exact(4).any(|s| s[0] != 0));
                if low {
                    // The fourth byte is the sign, or nothing: the lower three decide.
                    floats.extend(block.chunks_exact(4).map(|sample| signed(&sample[..3])));
                } else {
                    decode(Encoding::Signed(4), block, &mut floats);
                }
            }
            encoding => decode(encoding, block, &mut floats),
        }
        let more = collector.push(&floats, channels)?;
        if carried > 0 && (ended || left == 0) {
            collector.damaged(format!("its last {carried} bytes are not a whole frame and were left out"));
        }
        if ended {
            return Ok(if limit.is_some() { Ended::Early } else { Ended::AsPromised });
        }
        if !more {
            return Ok(Ended::Enough);
        }
        bytes.copy_within(whole..got, 0);
    }
    Ok(Ended::AsPromised)
}

/// Bytes of a quarter of a second: what follows the promised samples and is shorter may be a program's own mark, and
/// is not taken for sound.
pub(crate) fn short_rest(rate: u32, frame: usize) -> usize {
    (rate.max(1) as usize / 4).saturating_mul(frame.max(1)).min(1 << 22)
}

/// Decodes the whole samples of one packet.
pub(crate) fn decode_packet(encoding: Encoding, big_endian: bool, packet: &[u8], out: &mut Vec<f32>) {
    let whole = &packet[..packet.len() - packet.len() % encoding.bytes()];
    if !big_endian {
        return decode(encoding, whole, out);
    }
    let mut swapped = whole.to_vec();
    swapped.chunks_exact_mut(encoding.bytes()).for_each(<[u8]>::reverse);
    decode(encoding, &swapped, out);
}

/// Fills `buffer` as far as the source reaches.
pub(crate) fn read_full(source: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, Fault> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(format!("cannot be read: {e}")),
        }
    }
    Ok(filled)
}

/// Waits until there are some bytes and takes those that are there; 0 at the end.
fn read_some(source: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, Fault> {
    loop {
        match source.read(buffer) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other.map_err(|e| format!("cannot be read: {e}")),
        }
    }
}

/// Decodes whole little-endian samples.
fn decode(encoding: Encoding, bytes: &[u8], out: &mut Vec<f32>) {
    match encoding {
        Encoding::Unsigned8 => out.extend(bytes.iter().map(|&sample| (f32::from(sample) - 128.0) / 128.0)),
        Encoding::Signed(width) => out.extend(bytes.chunks_exact(usize::from(width)).map(signed)),
        Encoding::Signed24In4 => out.extend(bytes.chunks_exact(4).map(signed)),
        Encoding::Float32 => out.extend(bytes.as_chunks::<4>().0.iter().map(|sample| f32::from_le_bytes(*sample))),
        Encoding::Float64 => {
            out.extend(bytes.as_chunks::<8>().0.iter().map(|sample| f64::from_le_bytes(*sample) as f32))
        }
        Encoding::MuLaw => out.extend(bytes.iter().map(|&code| mu_law(code))),
        Encoding::ALaw => out.extend(bytes.iter().map(|&code| a_law(code))),
    }
}

/// A little-endian integer of up to eight bytes as a fraction of full scale.
fn signed(sample: &[u8]) -> f32 {
    let mut wide = [0u8; 8];
    wide[8 - sample.len()..].copy_from_slice(sample);
    (i64::from_le_bytes(wide) as f64 / 9_223_372_036_854_775_808.0) as f32
}

/// ITU-T G.711, mu-law: sign, 3 bits of exponent, 4 of mantissa, all inverted; 14 bits of range.
fn mu_law(code: u8) -> f32 {
    let code = !code;
    let magnitude = ((i32::from(code & 0x0f) << 1 | 0x21) << (code >> 4 & 7)) - 0x21;
    let value = if code & 0x80 == 0 { magnitude } else { -magnitude };
    value as f32 / 8192.0
}

/// ITU-T G.711, A-law: like mu-law, with every second bit inverted and 13 bits of range.
fn a_law(code: u8) -> f32 {
    let code = code ^ 0x55;
    let mantissa = i32::from(code & 0x0f) << 1 | 1;
    let exponent = code >> 4 & 7;
    let magnitude = if exponent == 0 { mantissa } else { (mantissa | 0x20) << (exponent - 1) };
    let value = if code & 0x80 == 0 { -magnitude } else { magnitude };
    value as f32 / 4096.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::WarningCode;

    fn decoded(encoding: Encoding, bytes: &[u8]) -> Vec<f32> {
        let mut out = Vec::new();
        decode(encoding, bytes, &mut out);
        out
    }

    #[test]
    fn every_encoding_reads_silence_and_the_extremes() {
        assert_eq!(decoded(Encoding::Unsigned8, &[128, 0, 255]), [0.0, -1.0, 127.0 / 128.0]);
        assert_eq!(decoded(Encoding::Signed(1), &[0, 0x80, 0x40]), [0.0, -1.0, 0.5]);
        for width in 2..=8u8 {
            let sample = |top: u8| [vec![0; usize::from(width) - 1], vec![top]].concat();
            let bytes = [sample(0), sample(0x80), sample(0x40), sample(0xc0)].concat();
            assert_eq!(decoded(Encoding::Signed(width), &bytes), [0.0, -1.0, 0.5, -0.5], "{width} bytes");
        }
        let floats: Vec<u8> = [0.25f32, -3.0].iter().flat_map(|f| f.to_le_bytes()).collect();
        assert_eq!(decoded(Encoding::Float32, &floats), [0.25, -3.0]);
        let doubles: Vec<u8> = [0.25f64, -3.0].iter().flat_map(|f| f.to_le_bytes()).collect();
        assert_eq!(decoded(Encoding::Float64, &doubles), [0.25, -3.0]);
    }

    #[test]
    fn g711_matches_the_tables_of_the_standard() {
        // Largest, smallest and a middle step of each law, as 14- and 13-bit integers.
        let mu: Vec<f32> = [0x00, 0x80, 0x7f, 0xff, 0xe0].map(mu_law).map(|v| v * 8192.0).to_vec();
        assert_eq!(mu, [-8031.0, 8031.0, 0.0, 0.0, 93.0]);
        let a: Vec<f32> = [0x2a, 0xaa, 0x55, 0xd5].map(a_law).map(|v| v * 4096.0).to_vec();
        assert_eq!(a, [-4032.0, 4032.0, -1.0, 1.0]);
    }

    #[test]
    fn both_ways_of_24_bits_in_4_bytes() {
        let run = |bytes: &[u8]| {
            let layout = Layout { encoding: Encoding::Signed24In4, big_endian: false, channels: 1, rate: 16_000 };
            let mut collector = Collector::new("x", &Default::default());
            read_samples(&mut &*bytes, layout, None, &mut collector).expect("readable");
            collector.finish("test").expect("readable").pcm.samples().to_vec()
        };
        assert_eq!(run(&[0, 0, 0, 0x40, 0, 1, 0, 0xc0]), [0.5, -0.5 + 1.0 / 8_388_608.0]);
        assert_eq!(run(&[0, 0, 0x40, 0, 1, 0, 0xc0, 0xff]), [0.5, -0.5 + 1.0 / 8_388_608.0]);
    }

    #[test]
    fn an_incomplete_frame_is_left_out_with_a_warning() {
        let layout = Layout { encoding: Encoding::Signed(2), big_endian: true, channels: 2, rate: 16_000 };
        let mut collector = Collector::new("x", &Default::default());
        let bytes = [0x40, 0, 0x40, 0, 0x20, 0, 0x20];
        let ended = read_samples(&mut &bytes[..], layout, Some(1 << 40), &mut collector).expect("readable");
        assert!(matches!(ended, Ended::Early));
        let got = collector.finish("test").expect("readable");
        assert_eq!((got.pcm.samples(), got.warnings[0].code), (&[0.5][..], WarningCode::AudioDamaged));
    }
}
