//! Random values in the types that whisper.cpp reads.

use std::io::{self, Write};

/// How values are stored; the numbers are ggml's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    F32,
    F16,
    Q5_0,
    Q8_0,
}

/// The largest value, roughly the initial range of linear layers of these widths.
const LARGEST: f32 = 0.035;
/// Values in a quantized block.
const BLOCK: u64 = 32;

impl Storage {
    pub fn find(name: &str) -> Option<Self> {
        [("f16", Self::F16), ("q5_0", Self::Q5_0), ("q8_0", Self::Q8_0)]
            .into_iter()
            .find_map(|(known, storage)| (known == name).then_some(storage))
    }

    /// Of a tensor.
    pub fn tensor_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q5_0 => 6,
            Self::Q8_0 => 8,
        }
    }

    /// Of a file whose matrices are stored so; in thousands the version of the quantized types.
    pub fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q5_0 => 2008,
            Self::Q8_0 => 2007,
        }
    }

    /// Writes this many random values. Rows are whole blocks in every shape there is.
    pub fn write(self, file: &mut dyn Write, values: u64, random: &mut Random) -> io::Result<()> {
        match self {
            Self::F32 => (0..values).try_for_each(|_| file.write_all(&random.value().to_le_bytes())),
            Self::F16 => (0..values).try_for_each(|_| file.write_all(&half(random.value()).to_le_bytes())),
            // A scale and random whole numbers: each bit pattern is one.
            Self::Q5_0 => blocks(file, values, 20, LARGEST / 16.0, random),
            Self::Q8_0 => blocks(file, values, 32, LARGEST / 128.0, random),
        }
    }
}

fn blocks(file: &mut dyn Write, values: u64, bytes: usize, scale: f32, random: &mut Random) -> io::Result<()> {
    let mut block = [0u8; 2 + 32];
    block[..2].copy_from_slice(&half(scale).to_le_bytes());
    for _ in 0..values / BLOCK {
        for chunk in block[2..2 + bytes].chunks_mut(8) {
            chunk.copy_from_slice(&random.next().to_le_bytes()[..chunk.len()]);
        }
        file.write_all(&block[..2 + bytes])?;
    }
    Ok(())
}

/// Numbers that follow from a seed: a counter whose bits are mixed (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly from -LARGEST to LARGEST.
    fn value(&mut self) -> f32 {
        ((self.next() >> 40) as f32 / (1u32 << 23) as f32 - 1.0) * LARGEST
    }
}

/// A 16-bit float for a small value: rounded towards zero, and zero below the smallest normal one.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let exponent = (bits >> 23 & 0xff) as i32 - 127 + 15;
    if exponent < 1 { sign } else { sign | (exponent.min(30) as u16) << 10 | (bits >> 13 & 0x3ff) as u16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_those_of_the_standard() {
        assert_eq!([1.0, -2.0, 0.5, 0.0, 1e-9, 0.0333].map(half), [0x3c00, 0xc000, 0x3800, 0, 0, 0x2843]);
    }

    #[test]
    fn a_seed_gives_the_same_bytes_and_each_type_its_size() {
        let bytes = |storage: Storage, seed| {
            let mut bytes = Vec::new();
            storage.write(&mut bytes, 64, &mut Random::new(seed)).unwrap();
            bytes
        };
        assert_eq!(bytes(Storage::F16, 1), bytes(Storage::F16, 1));
        assert_ne!(bytes(Storage::F16, 1), bytes(Storage::F16, 2));
        let sizes = [Storage::F32, Storage::F16, Storage::Q5_0, Storage::Q8_0].map(|storage| bytes(storage, 1).len());
        assert_eq!(sizes, [256, 128, 44, 68]);
    }

    #[test]
    fn values_are_small_and_on_both_sides_of_zero() {
        let mut random = Random::new(7);
        let values: Vec<f32> = (0..1000).map(|_| random.value()).collect();
        assert!(values.iter().all(|value| value.abs() <= LARGEST));
        assert!(values.iter().filter(|value| **value > 0.0).count().abs_diff(500) < 100);
    }
}
