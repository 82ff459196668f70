//! The types a tensor can be stored in: number in the file, name, and how many bytes a run of values takes.

use std::fmt;

/// A ggml type. Only types of the table below exist; [`GgmlType::from_id`] refuses every other number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GgmlType(u32);

/// Number, name, values per quantization block, bytes per quantization block.
type Row = (u32, &'static str, u64, u64);

/// Every type that a file of today may hold. The sizes are sums of the fields of a quantization block: a scale
/// (2 bytes, half precision), perhaps a minimum or packed sub-scales, and the values with a fixed number of bits each.
const TABLE: &[Row] = &[
    (0, "f32", 1, 4),
    (1, "f16", 1, 2),
    (2, "q4_0", 32, 2 + 16),
    (3, "q4_1", 32, 4 + 16),
    (6, "q5_0", 32, 2 + 4 + 16),
    (7, "q5_1", 32, 4 + 4 + 16),
    (8, "q8_0", 32, 2 + 32),
    (9, "q8_1", 32, 4 + 32),
    (10, "q2_k", 256, 4 + 16 + 64),
    (11, "q3_k", 256, 2 + 12 + 32 + 64),
    (12, "q4_k", 256, 4 + 12 + 128),
    (13, "q5_k", 256, 4 + 12 + 32 + 128),
    (14, "q6_k", 256, 2 + 16 + 64 + 128),
    (15, "q8_k", 256, 4 + 256 + 32),
    (16, "iq2_xxs", 256, 2 + 64),
    (17, "iq2_xs", 256, 2 + 64 + 8),
    (18, "iq3_xxs", 256, 2 + 96),
    (19, "iq1_s", 256, 2 + 32 + 16),
    (20, "iq4_nl", 32, 2 + 16),
    (21, "iq3_s", 256, 2 + 104 + 4),
    (22, "iq2_s", 256, 2 + 64 + 16),
    (23, "iq4_xs", 256, 2 + 2 + 4 + 128),
    (24, "i8", 1, 1),
    (25, "i16", 1, 2),
    (26, "i32", 1, 4),
    (27, "i64", 1, 8),
    (28, "f64", 1, 8),
    (29, "iq1_m", 256, 32 + 16 + 8),
    (30, "bf16", 1, 2),
    (34, "tq1_0", 256, 2 + 4 + 48),
    (35, "tq2_0", 256, 2 + 64),
    (39, "mxfp4", 32, 1 + 16),
    (40, "nvfp4", 64, 4 + 32),
    (41, "q1_0", 128, 2 + 16),
    (42, "q2_0", 64, 2 + 16),
];

impl GgmlType {
    /// 32-bit floats.
    pub const F32: Self = Self(0);
    /// 16-bit floats, IEEE 754.
    pub const F16: Self = Self(1);
    /// 4 bits, blocks of 32 with one scale.
    pub const Q4_0: Self = Self(2);
    /// 5 bits, blocks of 32 with one scale.
    pub const Q5_0: Self = Self(6);
    /// 8 bits, blocks of 32 with one scale.
    pub const Q8_0: Self = Self(8);
    /// 4 bits, blocks of 256 in 8 parts, each with a scale and a minimum.
    pub const Q4_K: Self = Self(12);
    /// 5 bits, blocks of 256 in 8 parts, each with a scale and a minimum.
    pub const Q5_K: Self = Self(13);
    /// 6 bits, blocks of 256 in 16 parts, each with a scale.
    pub const Q6_K: Self = Self(14);
    /// 4 bits on an uneven grid, blocks of 32 with one scale.
    pub const IQ4_NL: Self = Self(20);
    /// 16-bit floats with the exponent of 32-bit ones.
    pub const BF16: Self = Self(30);

    /// The type with this number in a GGUF file, or `None` for a number that no known type has.
    pub fn from_id(id: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.0 == id).map(|row| Self(row.0))
    }

    /// The type of this name, in any letter case ("q8_0", "Q4_K").
    pub fn find(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(name)).map(|row| Self(row.0))
    }

    /// Every known type, by number.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| Self(row.0))
    }

    fn row(self) -> &'static Row {
        // Private field: a value can only have been made from the table, so the first row is never a substitute.
        TABLE.iter().find(|row| row.0 == self.0).unwrap_or(&TABLE[0])
    }

    /// The number that stands for the type in a GGUF file and in ggml.
    pub fn id(self) -> u32 {
        self.0
    }

    /// Lower-case name: "q8_0".
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Values per quantization block; 1 for types without blocks.
    pub fn block_len(self) -> u64 {
        self.row().2
    }

    /// Bytes per quantization block, or per value for types without blocks.
    pub fn block_bytes(self) -> u64 {
        self.row().3
    }

    /// Whether values are stored in blocks that share a scale.
    pub fn is_quantized(self) -> bool {
        self.block_len() > 1
    }

    /// Mean number of bits one value takes.
    pub fn bits_per_value(self) -> f64 {
        self.block_bytes() as f64 * 8.0 / self.block_len() as f64
    }

    /// Bytes of a row of `n` values, or `None` when `n` is no multiple of the block length (or overflows).
    pub fn row_bytes(self, n: u64) -> Option<u64> {
        if !n.is_multiple_of(self.block_len()) {
            return None;
        }
        (n / self.block_len()).checked_mul(self.block_bytes())
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_in_the_table_under_their_names() {
        let named = [
            (GgmlType::F32, "f32"),
            (GgmlType::F16, "f16"),
            (GgmlType::BF16, "bf16"),
            (GgmlType::Q8_0, "q8_0"),
            (GgmlType::Q6_K, "q6_k"),
            (GgmlType::Q5_K, "q5_k"),
            (GgmlType::Q5_0, "q5_0"),
            (GgmlType::Q4_K, "q4_k"),
            (GgmlType::Q4_0, "q4_0"),
            (GgmlType::IQ4_NL, "iq4_nl"),
        ];
        for (kind, name) in named {
            assert_eq!(kind.name(), name);
            assert_eq!(GgmlType::from_id(kind.id()), Some(kind));
            assert_eq!(GgmlType::find(&name.to_uppercase()), Some(kind));
        }
    }

    #[test]
    fn numbers_without_a_type_are_refused() {
        for id in [4, 5, 31, 32, 33, 36, 37, 38, 43, 1000, u32::MAX] {
            assert_eq!(GgmlType::from_id(id), None, "{id}");
        }
    }

    #[test]
    fn row_sizes_count_whole_blocks() {
        assert_eq!(GgmlType::Q8_0.row_bytes(896), Some(28 * 34));
        assert_eq!(GgmlType::Q6_K.row_bytes(1024), Some(4 * 210));
        assert_eq!(GgmlType::Q4_K.row_bytes(896), None);
        assert_eq!(GgmlType::F32.row_bytes(3), Some(12));
        assert_eq!(GgmlType::F32.row_bytes(u64::MAX / 2), None);
        assert_eq!(GgmlType::Q4_0.bits_per_value(), 4.5);
    }
}
