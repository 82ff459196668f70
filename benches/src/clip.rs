//! How long a recording lasts, from its header: a definition says for which length it is, and the wrong recording
//! would be timed just as happily as the right one.

use crate::failure::Failure;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How far a recording may be from the definition's length.
const TOLERANCE: f64 = 0.05;

/// Seconds, where the header of a WAV or FLAC file tells; other containers are for decoders to judge.
pub fn seconds(path: &Path) -> Result<Option<f64>, Failure> {
    let mut head = Vec::new();
    let file = File::open(path)
        .map_err(|error| Failure::usage(format!("the recording {} cannot be opened: {error}", path.display())))?;
    file.take(64 * 1024)
        .read_to_end(&mut head)
        .map_err(|error| Failure::other(format!("{} cannot be read: {error}", path.display())))?;
    Ok(wav_seconds(&head).or_else(|| flac_seconds(&head)))
}

/// Refuses a recording of another length than the definition is for.
pub fn check(path: &Path, definition: &str, expected: f64) -> Result<Option<f64>, Failure> {
    let found = seconds(path)?;
    match found {
        Some(seconds) if (seconds - expected).abs() > TOLERANCE * expected => Err(Failure::usage(format!(
            "{} lasts {seconds:.2} s, and `{definition}` is for {expected} s: give it such a recording, or another definition",
            path.display()
        ))),
        _ => Ok(found),
    }
}

fn wav_seconds(head: &[u8]) -> Option<f64> {
    if head.get(..4)? != b"RIFF" || head.get(8..12)? != b"WAVE" {
        return None;
    }
    let mut at = 12usize;
    let mut bytes_per_second = None;
    loop {
        let size = u32::from_le_bytes(head.get(at + 4..at + 8)?.try_into().ok()?);
        match head.get(at..at + 4)? {
            b"fmt " => {
                bytes_per_second =
                    Some(u32::from_le_bytes(head.get(at + 16..at + 20)?.try_into().ok()?)).filter(|rate| *rate > 0)
            }
            // A program that wrote to a pipe did not know the size.
            b"data" if size == 0 || size == u32::MAX => return None,
            b"data" => return Some(f64::from(size) / f64::from(bytes_per_second?)),
            _ => {}
        }
        at = at.checked_add(8)?.checked_add(size as usize)?.checked_next_multiple_of(2)?;
    }
}

fn flac_seconds(head: &[u8]) -> Option<f64> {
    // Marker, block header, then STREAMINFO: 20 bits rate, 8 bits shape, 36 bits samples from its byte 10 on.
    if head.get(..4)? != b"fLaC" {
        return None;
    }
    let packed = u64::from_be_bytes(head.get(18..26)?.try_into().ok()?);
    let (rate, samples) = (packed >> 44, packed & 0xf_ffff_ffff);
    (rate > 0 && samples > 0).then(|| samples as f64 / rate as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(data_bytes: u32) -> Vec<u8> {
        let mut wav = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0\x01\0\x01\0".to_vec();
        wav.extend(16_000u32.to_le_bytes());
        wav.extend(32_000u32.to_le_bytes());
        wav.extend(*b"\x02\0\x10\0data");
        wav.extend(data_bytes.to_le_bytes());
        wav
    }

    #[test]
    fn lengths_come_from_headers() {
        assert_eq!(wav_seconds(&wav(48_000)), Some(1.5));
        assert_eq!(wav_seconds(&wav(u32::MAX)), None);
        let mut flac = b"fLaC\0\0\0\x22".to_vec();
        flac.extend([0; 10]);
        flac.extend(((16_000u64 << 44) | (15 << 36) | 40_000).to_be_bytes());
        assert_eq!(flac_seconds(&flac), Some(2.5));
        for cut in 0..flac.len() {
            assert_eq!(flac_seconds(&flac[..cut]), None);
        }
        let whole = wav(48_000);
        for cut in 0..whole.len() {
            assert_eq!(wav_seconds(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(wav_seconds(b"ID3"), None);
    }

    #[test]
    fn another_length_is_refused() {
        let path = std::env::temp_dir().join(format!("qasr-bench-clip-{}.wav", std::process::id()));
        std::fs::write(&path, wav(32_000 * 11)).unwrap();
        let results = (check(&path, "short-11s", 11.0), check(&path, "long-60s", 60.0));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(results.0.unwrap(), Some(11.0));
        let message = results.1.unwrap_err().to_string();
        assert!(message.contains("lasts 11.00 s") && message.contains("`long-60s`"), "{message}");
    }
}
