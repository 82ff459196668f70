//! The header of an AAC track: the AudioSpecificConfig of ISO 14496-3, section 1.6.2.1, in all its spellings.

const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];

/// The parts that decide who decodes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Config {
    /// Of the core, below HE-AAC's upper half: 2 is LC.
    object: u32,
    /// Of the core.
    pub(crate) rate: u32,
    /// 0 where a channel layout of its own follows.
    layout: u32,
    /// The upper half of the spectrum is coded as HE-AAC does.
    high_efficiency: bool,
    /// Frames of 960 instead of 1024.
    short_frames: bool,
}

impl Config {
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes, at: 0 };
        let mut object = bits.object()?;
        let rate = bits.rate()?;
        let layout = bits.take(4)?;
        let high_efficiency = object == 5 || object == 29;
        if high_efficiency {
            bits.rate()?;
            object = bits.object()?;
        }
        // Of the object types with other headers only the name matters.
        let short_frames = bits.take(1).unwrap_or(0) == 1;
        (rate > 0).then_some(Self { object, rate, layout, high_efficiency, short_frames })
    }

    /// The same by the header of an ADTS frame.
    pub(crate) fn adts(profile: u8, rate_index: u8, layout: u8) -> Option<(Self, Vec<u8>)> {
        let (object, rate) = (u32::from(profile) + 1, *RATES.get(usize::from(rate_index))?);
        let bytes = vec![(object as u8) << 3 | rate_index >> 1, rate_index << 7 | layout << 3];
        Some((Self { object, rate, layout: u32::from(layout), high_efficiency: false, short_frames: false }, bytes))
    }

    /// A header for tracks that have none.
    pub(crate) fn made(rate: u32, channels: u32) -> Vec<u8> {
        let index = RATES.iter().position(|known| *known == rate).unwrap_or(4) as u8;
        let layout = if channels == 8 { 7 } else { channels.min(7) as u8 };
        vec![2 << 3 | index >> 1, index << 7 | layout << 3]
    }

    /// Channels; 0 where a layout of its own says so.
    pub(crate) fn channels(&self) -> u32 {
        match self.layout {
            layout @ 0..=6 => layout,
            11 => 7,
            7 | 12 | 14 => 8,
            13 => 24,
            _ => 0,
        }
    }

    /// The header of a core that is plain LC of one or two channels. HE-AAC's core holds the lower half of the spectrum,
    /// which is everything that is recognized where it reaches 8 kHz.
    pub(crate) fn plain_core(&self) -> Option<Vec<u8>> {
        let enough = !self.high_efficiency || self.rate >= 16_000;
        let plain = self.object == 2 && (1..=2).contains(&self.layout) && !self.short_frames && enough;
        let index = RATES.iter().position(|rate| *rate == self.rate);
        let header = match index {
            Some(index) => vec![2 << 3 | index as u8 >> 1, (index as u8) << 7 | (self.layout as u8) << 3],
            // The rate in full, after index 15.
            None => {
                let bits = 2u64 << 35 | 15 << 31 | u64::from(self.rate & 0xff_ffff) << 7 | u64::from(self.layout) << 3;
                bits.to_be_bytes()[3..].to_vec()
            }
        };
        plain.then_some(header)
    }

    /// Object types that are decoded here.
    pub(crate) fn is_known(&self) -> bool {
        matches!(self.object, 1..=4 | 17 | 19 | 23 | 39)
    }

    /// For the message that it cannot be decoded.
    pub(crate) fn name(&self) -> String {
        let kind = match self.object {
            1 => "AAC Main",
            2 if self.high_efficiency => "HE-AAC",
            2 => "AAC",
            3 => "AAC SSR",
            4 => "AAC LTP",
            6 | 20 => "AAC Scalable",
            23 => "AAC-LD",
            39 => "AAC-ELD",
            42 => "xHE-AAC",
            36 => "MPEG-4 ALS",
            32..=34 => "MPEG audio in AAC's place",
            other => return format!("AAC of object type {other}"),
        };
        match self.channels() {
            channels @ 3.. => format!("{kind} with {channels} channels"),
            _ => kind.to_owned(),
        }
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn object(&mut self) -> Option<u32> {
        match self.take(5)? {
            31 => Some(32 + self.take(6)?),
            object => Some(object),
        }
    }

    fn rate(&mut self) -> Option<u32> {
        match self.take(4)? {
            15 => self.take(24),
            index => RATES.get(index as usize).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_he_aac_has_the_same_core() {
        // LC 22.05 kHz mono; with a sync extension after it; HE-AAC to 44.1 kHz in front; HE-AAC v2 in front.
        let plain = [0x13, 0x88];
        let after = [0x13, 0x88, 0x56, 0xe5, 0xa0];
        let front = [0x2b, 0x8a, 0x08, 0x00];
        let stereo = [0xeb, 0x8a, 0x08, 0x00];
        for (bytes, high) in [(&plain[..], false), (&after, false), (&front, true), (&stereo, true)] {
            let config = Config::read(bytes).expect("readable");
            assert_eq!((config.rate, config.channels(), config.high_efficiency), (22_050, 1, high), "{bytes:x?}");
            assert_eq!(config.plain_core().expect("LC"), plain, "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_not_plain_goes_elsewhere() {
        // 5.1 at 48 kHz; Main; a layout of its own; a rate of 12 kHz below HE-AAC's upper half.
        for bytes in [&[0x11, 0xb0][..], &[0x09, 0x90], &[0x11, 0x80], &[0x2c, 0x8b, 0x08, 0x00]] {
            let config = Config::read(bytes).expect("readable");
            assert!(config.plain_core().is_none() && config.is_known(), "{bytes:x?}");
        }
        assert_eq!(Config::read(&[0x11, 0xb0]).expect("readable").name(), "AAC with 6 channels");
        let usac = Config::read(&[0xf9, 0x46, 0x40, 0, 0, 0]).expect("readable");
        assert!(usac.name() == "xHE-AAC" && !usac.is_known());
        assert!(Config::read(&[]).is_none() && Config::read(&[0x17]).is_none());
    }

    #[test]
    fn headers_that_are_made_read_back() {
        let config = Config::read(&Config::made(44_100, 2)).expect("readable");
        assert_eq!((config.rate, config.channels()), (44_100, 2));
        let (adts, bytes) = Config::adts(1, 8, 1).expect("known");
        assert_eq!(Config::read(&bytes), Some(adts));
        let odd = Config { rate: 17_000, ..adts };
        let core = odd.plain_core().expect("LC");
        assert_eq!(Config::read(&core), Some(odd));
    }
}
