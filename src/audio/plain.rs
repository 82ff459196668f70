//! Two plain containers of the speech world: Sun/NeXT AU and NIST SPHERE. A header, then samples.

use super::collect::Collector;
use super::containers::cut;
use super::fault::Fault;
use super::samples::{Encoding, Ended, Layout, read_full, read_samples, short_rest};
use super::wav::bytes;
use super::wav_format::encoding_name;
use std::io::Read;

/// The longest header that is read; both formats stay far below.
const LONGEST_HEADER: u64 = 1 << 20;

/// Reads Sun/NeXT audio: six big-endian numbers, a comment, samples.
pub(crate) fn read_au(mut source: impl Read, collector: &mut Collector) -> Result<String, Fault> {
    let (layout, size) = au_header(&mut source)?;
    finish("au", layout, size, source, collector)
}

/// How the samples of Sun/NeXT audio are written.
pub(crate) fn au_layout(source: &mut impl Read) -> Result<Layout, Fault> {
    au_header(source).map(|(layout, _)| layout)
}

/// Layout and bytes of the samples, which come next.
fn au_header(mut source: &mut impl Read) -> Result<(Layout, Option<u64>), Fault> {
    let head: [u8; 24] = bytes(&mut source)?;
    let number = |index: usize| u32::from_be_bytes(head.as_chunks::<4>().0[index]);
    let (offset, size, code, rate, channels) = (number(1), number(2), number(3), number(4), number(5));
    let encoding = match code {
        1 => Encoding::MuLaw,
        2 => Encoding::Signed(1),
        3 => Encoding::Signed(2),
        4 => Encoding::Signed(3),
        5 => Encoding::Signed(4),
        6 => Encoding::Float32,
        7 => Encoding::Float64,
        27 => Encoding::ALaw,
        _ => return Err(format!("is AU audio with encoding {code}, which is not supported")),
    };
    skip_header(source, u64::from(offset), 24)?;
    // Unknown, or to be filled in at the end, which never came.
    let size = if [0, u32::MAX].contains(&size) { None } else { Some(u64::from(size)) };
    Ok((layout(encoding, true, rate, channels), size))
}

/// Reads NIST SPHERE: a text header of `name -type value` lines, padded to the length that its second line gives.
pub(crate) fn read_sphere(mut source: impl Read, collector: &mut Collector) -> Result<String, Fault> {
    let (layout, size) = sphere_header(&mut source)?;
    finish("sphere", layout, size, source, collector)
}

/// How the samples of NIST SPHERE are written.
pub(crate) fn sphere_layout(source: &mut impl Read) -> Result<Layout, Fault> {
    sphere_header(source).map(|(layout, _)| layout)
}

/// Layout and bytes of the samples, which come next.
fn sphere_header(mut source: &mut impl Read) -> Result<(Layout, Option<u64>), Fault> {
    let head: [u8; 16] = bytes(&mut source)?;
    let length = std::str::from_utf8(&head[8..]).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let Some(length @ 16..=LONGEST_HEADER) = length else {
        return Err("is NIST SPHERE audio without a readable header length: the file is damaged".to_owned());
    };
    let mut header = Vec::new();
    source.take(length - 16).read_to_end(&mut header).map_err(|e| format!("cannot be read: {e}"))?;
    let header = String::from_utf8_lossy(&header);
    let field = |name: &str| {
        header.lines().take_while(|line| *line != "end_head").find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next() == Some(name)).then(|| words.nth(1).unwrap_or("")).map(str::to_owned)
        })
    };
    let number = |name: &str| field(name).and_then(|value| value.parse::<u32>().ok());
    let coding = field("sample_coding").unwrap_or_else(|| "pcm".to_owned());
    let encoding = match (coding.as_str(), number("sample_n_bytes")) {
        ("pcm", Some(width @ 1..=4)) => Encoding::Signed(width as u8),
        ("ulaw" | "mu-law", _) => Encoding::MuLaw,
        ("alaw", _) => Encoding::ALaw,
        _ => {
            return Err(format!(
                "is NIST SPHERE audio with coding \"{}\", which is not supported",
                coding.escape_default()
            ));
        }
    };
    let (Some(rate), Some(channels)) = (number("sample_rate"), number("channel_count")) else {
        return Err("is NIST SPHERE audio that names no sample rate or channel count: the file is damaged".to_owned());
    };
    let big_endian = field("sample_byte_format").is_some_and(|order| order.starts_with("10"));
    let layout = layout(encoding, big_endian, rate, channels);
    let frames = number("sample_count").filter(|frames| *frames > 0);
    Ok((layout, frames.map(|frames| u64::from(frames) * layout.frame_bytes() as u64)))
}

fn layout(encoding: Encoding, big_endian: bool, rate: u32, channels: u32) -> Layout {
    Layout { encoding, big_endian, channels: u16::try_from(channels).unwrap_or(u16::MAX), rate }
}

fn finish(
    name: &str,
    layout: Layout,
    size: Option<u64>,
    mut source: impl Read,
    collector: &mut Collector,
) -> Result<String, Fault> {
    // A size may be too small, and a frame that it cuts be whole.
    let whole = size.map(|size| size - size % layout.frame_bytes().max(1) as u64);
    match (read_samples(&mut source, layout, whole, collector)?, size) {
        (Ended::Early, Some(size)) => {
            let missing = size.saturating_sub(collector.frames() * layout.frame_bytes() as u64);
            let missing = missing as f64 / layout.frame_bytes() as f64 / f64::from(layout.rate);
            collector.damaged(cut(missing));
        }
        (Ended::AsPromised, Some(size)) => {
            let mut rest = vec![0; short_rest(layout.rate, layout.frame_bytes())];
            let got = read_full(&mut source, &mut rest)?;
            if got == rest.len() {
                collector.damaged(format!(
                    "its header promises {size} bytes of samples, but more follow, which are read too"
                ));
                read_samples(&mut rest.chain(source), layout, None, collector)?;
            }
        }
        _ => {}
    }
    Ok(format!("{name} ({})", encoding_name(layout.encoding)))
}

/// Passes over the rest of a header of which `read` bytes are read.
fn skip_header(source: &mut impl Read, length: u64, read: u64) -> Result<(), Fault> {
    let rest = length.checked_sub(read).filter(|rest| *rest <= LONGEST_HEADER);
    let Some(rest) = rest else {
        return Err(format!("claims a header of {length} bytes: the file is damaged"));
    };
    if read_full(source, &mut vec![0u8; rest as usize])? as u64 != rest {
        return Err("ends inside its header: the file is cut".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::recording::Recording;

    fn au(fields: [u32; 6], samples: &[u8]) -> Result<Recording, Fault> {
        let bytes: Vec<u8> = fields.iter().flat_map(|f| f.to_be_bytes()).chain(samples.iter().copied()).collect();
        let mut collector = Collector::new("x", &Default::default());
        let name = read_au(&bytes[..], &mut collector)?;
        collector.finish(&name)
    }

    const SND: u32 = u32::from_be_bytes(*b".snd");

    #[test]
    fn au_is_big_endian() {
        let got = au([SND, 24, 4, 3, 16_000, 1], &[0x40, 0, 0xc0, 0]).expect("readable");
        assert_eq!((got.pcm.samples(), got.format.as_str()), (&[0.5, -0.5][..], "au (16-bit)"));
        assert!(got.warnings.is_empty());
        for (size, samples, warnings) in
            [(0, 8002, 0), (u32::MAX, 8002, 0), (4, 8002, 1), (99_999, 8002, 1), (16_000, 8000, 0)]
        {
            let got = au([SND, 24, size, 3, 16_000, 1], &[0x40; 16_004]).expect("readable");
            assert_eq!((got.pcm.len(), got.warnings.len()), (samples, warnings), "{size}");
        }
        assert!(au([SND, u32::MAX, 4, 3, 16_000, 1], &[]).is_err());
        assert!(au([SND, 24, 4, 99, 16_000, 1], &[]).is_err());
        assert!(au([SND, 24, 4, 3, 16_000, 0], &[]).is_err());
    }

    #[test]
    fn sphere_reads_its_text_header() {
        let read = |header: &str| {
            let mut bytes = format!("NIST_1A\n   1024\n{header}end_head\n").into_bytes();
            bytes.resize(1024, b' ');
            bytes.extend([0, 0x40, 0, 0xc0]);
            let mut collector = Collector::new("x", &Default::default());
            read_sphere(&bytes[..], &mut collector).and_then(|name| collector.finish(&name))
        };
        let header = "channel_count -i 1\nsample_rate -i 16000\nsample_n_bytes -i 2\nsample_byte_format -s2 01\n";
        assert_eq!(read(header).expect("readable").pcm.samples(), [0.5, -0.5]);
        let shorten = format!("{header}sample_coding -s26 pcm,embedded-shorten-v2.00\n");
        assert!(read(&shorten).expect_err("not supported").contains("shorten"));
        assert!(read("sample_n_bytes -i 2\n").is_err());
    }
}
