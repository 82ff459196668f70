//! The type of a whole file, and which ggml type each tensor gets under it, and why.

use std::fmt;

use qasr_format::GgmlType;
use qasr_format::schema;

/// A type label such as q4_k_m; it maps every tensor of a file to a ggml type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileType {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// bfloat16, the type of published checkpoints.
    Bf16,
    /// 8 bits.
    Q8_0,
    /// 6 bits.
    Q6K,
    /// 5 bits, sensitive tensors 6.
    Q5KM,
    /// 5 bits.
    Q5_0,
    /// 4 bits, sensitive tensors 6.
    Q4KM,
    /// 4 bits, evenly spaced levels.
    Q4_0,
    /// 4 bits, levels denser around zero.
    Iq4Nl,
}

impl FileType {
    /// All file types, the most exact first.
    pub const ALL: [Self; 10] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q8_0,
        Self::Q6K,
        Self::Q5KM,
        Self::Q5_0,
        Self::Q4KM,
        Self::Q4_0,
        Self::Iq4Nl,
    ];

    /// Name as typed and as in file names: "q4_k_m".
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q6K => "q6_k",
            Self::Q5KM => "q5_k_m",
            Self::Q5_0 => "q5_0",
            Self::Q4KM => "q4_k_m",
            Self::Q4_0 => "q4_0",
            Self::Iq4Nl => "iq4_nl",
        }
    }

    /// The file type of this name, in any letter case; also by llama-quantize's short names "q4_k" and "q5_k".
    pub fn find(name: &str) -> Option<Self> {
        let is_named = |file_type: &Self| {
            let full = file_type.name();
            full.eq_ignore_ascii_case(name)
                || full.strip_suffix("_m").is_some_and(|short| short.eq_ignore_ascii_case(name))
        };
        Self::ALL.into_iter().find(is_named)
    }

    /// llama.cpp's number for it.
    pub fn file_type(self) -> u32 {
        // Every file type has a number; the test below keeps it so.
        schema::file_type(self.name()).unwrap_or_default()
    }

    /// The type of ordinary matrices.
    fn base(self) -> GgmlType {
        match self {
            Self::F32 => GgmlType::F32,
            Self::F16 => GgmlType::F16,
            Self::Bf16 => GgmlType::BF16,
            Self::Q8_0 => GgmlType::Q8_0,
            Self::Q6K => GgmlType::Q6_K,
            Self::Q5KM => GgmlType::Q5_K,
            Self::Q5_0 => GgmlType::Q5_0,
            Self::Q4KM => GgmlType::Q4_K,
            Self::Q4_0 => GgmlType::Q4_0,
            Self::Iq4Nl => GgmlType::IQ4_NL,
        }
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The role of a tensor, which decides its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Norms, biases: one row, added or multiplied element by element.
    Vector,
    /// The computed sinusoids.
    Positions,
    /// A 3 × 3 kernel.
    Convolution,
    /// The token table, which is the output head too, or a separate head.
    Table,
    /// The single matrices that every value passes on its way in or out: the layer after the convolutions and the
    /// projector.
    Passage,
    /// Value and down projections of layer `layer` of `layers`: known to suffer most from few bits.
    Sensitive {
        /// Counted from 0.
        layer: usize,
        /// How many there are.
        layers: usize,
    },
    /// Every other matrix.
    Ordinary,
}

/// A type and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The type.
    pub kind: GgmlType,
    /// Why, in a few words.
    pub reason: &'static str,
    /// The type that was wanted, when rows of this length cannot have it.
    pub instead_of: Option<GgmlType>,
}

/// The type for a tensor of this role with rows of `row_len` values.
///
/// - Vectors and the position table are f32: they take under a thousandth of the file, and ggml adds and multiplies
///   f32.
/// - Convolutions are f16 (f32 only in the f32 file type): in ggml's layout their rows are 3 wide, so no quantization
///   block fits, and ggml's convolution takes f16 and f32 kernels only, not bf16. They are 2 % of the encoder.
/// - Below 6 bits the token table gets 6: it is the output head as well, its error goes into every choice of a token
///   undamped, and looking up one row does not get slower.
/// - The `_m` types give 6 bits to the sensitive matrices of the first and last eighth of the layers and to every
///   third between, and to the passages.
pub fn choose(file_type: FileType, role: Role, row_len: u64) -> Choice {
    let base = file_type.base();
    let below_six_bits = base.bits_per_value() < GgmlType::Q6_K.bits_per_value();
    let is_mixed = matches!(file_type, FileType::Q4KM | FileType::Q5KM);
    let (kind, reason) = match role {
        Role::Vector => (GgmlType::F32, "a vector, added or multiplied as it is"),
        Role::Positions => (GgmlType::F32, "computed, only 13 rows are used"),
        Role::Convolution if file_type == FileType::F32 => (GgmlType::F32, "as asked"),
        Role::Convolution => {
            (GgmlType::F16, "convolution: rows of 3 hold no quantization block, and ggml's takes f16 or f32")
        }
        Role::Table if below_six_bits => (GgmlType::Q6_K, "the output head too: its error reaches every choice"),
        Role::Passage if is_mixed => (GgmlType::Q6_K, "every value passes this one matrix"),
        Role::Sensitive { layer, layers } if is_mixed && gets_more_bits(layer, layers) => {
            (GgmlType::Q6_K, "sensitive, and in the first or last layers or every third between")
        }
        _ => (base, "as asked"),
    };
    fit(kind, reason, row_len)
}

/// The type `kind` for a tensor of this role that was named by itself, with the same regard for what fits as above.
pub fn choose_as_told(kind: GgmlType, role: Role, row_len: u64) -> Choice {
    if role == Role::Convolution && kind != GgmlType::F32 && kind != GgmlType::F16 {
        return Choice { instead_of: Some(kind), ..choose(FileType::F16, role, row_len) };
    }
    fit(kind, "as asked for by name", row_len)
}

/// Replaces a type whose blocks do not divide the rows by the one of 32-value blocks nearest to it: q5_k by q5_0 (the
/// same 5.5 bits), q6_k by q8_0 (the smallest that loses nothing, as there is no 6-bit type of 32), q4_k by iq4_nl.
/// Of the two 4.5-bit types of 32 values iq4_nl is nearer to q4_k: mean relative error over the matrices of the
/// trained digits checkpoint 7.1 % for q4_k, 7.6 % for iq4_nl, 8.6 % for q4_0.
fn fit(kind: GgmlType, reason: &'static str, row_len: u64) -> Choice {
    if row_len.is_multiple_of(kind.block_len()) {
        return Choice { kind, reason, instead_of: None };
    }
    let nearest = match kind {
        GgmlType::Q4_K => GgmlType::IQ4_NL,
        GgmlType::Q5_K => GgmlType::Q5_0,
        _ => GgmlType::Q8_0,
    };
    if row_len.is_multiple_of(nearest.block_len()) {
        return Choice { kind: nearest, reason: "rows do not divide into blocks of 256", instead_of: Some(kind) };
    }
    // No published size comes here: rows that are not even multiples of 32 fit no quantized type at all.
    Choice { kind: GgmlType::F16, reason: "rows do not even divide into blocks of 32", instead_of: Some(kind) }
}

/// The first and the last eighth of the layers (at least one each), and every third between them.
fn gets_more_bits(layer: usize, layers: usize) -> bool {
    let edge = (layers / 8).max(1);
    layer < edge || layer + edge >= layers || (layer - edge) % 3 == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_type_is_found_by_name_and_has_its_own_number() {
        let numbers: std::collections::HashSet<u32> = FileType::ALL.into_iter().map(FileType::file_type).collect();
        assert_eq!(numbers.len(), 10);
        for file_type in FileType::ALL {
            assert_eq!(FileType::find(&file_type.name().to_uppercase()), Some(file_type));
            assert!(schema::file_type(file_type.name()).is_some());
        }
        assert_eq!((FileType::find("Q4_K"), FileType::find("q5_k")), (Some(FileType::Q4KM), Some(FileType::Q5KM)));
        assert_eq!((FileType::find("q3_k"), FileType::find("q6")), (None, None));
    }

    #[test]
    fn rows_of_896_fall_back_to_blocks_of_32_and_never_to_f16() {
        for (file_type, wanted, got) in [
            (FileType::Q6K, GgmlType::Q6_K, GgmlType::Q8_0),
            (FileType::Q5KM, GgmlType::Q5_K, GgmlType::Q5_0),
            (FileType::Q4KM, GgmlType::Q4_K, GgmlType::IQ4_NL),
        ] {
            let choice = choose(file_type, Role::Ordinary, 896);
            assert_eq!((choice.kind, choice.instead_of), (got, Some(wanted)));
            assert_eq!(choose(file_type, Role::Ordinary, 1024).instead_of, None);
        }
        for file_type in [FileType::Q8_0, FileType::Q5_0, FileType::Q4_0, FileType::Iq4Nl] {
            assert_eq!(choose(file_type, Role::Ordinary, 896).instead_of, None);
        }
        // A table that cannot have 6 bits gets 8, not fewer.
        assert_eq!(choose(FileType::Q4_0, Role::Table, 896).kind, GgmlType::Q8_0);
    }

    #[test]
    fn convolutions_and_vectors_are_never_quantized() {
        for file_type in FileType::ALL {
            let conv = choose(file_type, Role::Convolution, 3).kind;
            assert_eq!(conv, if file_type == FileType::F32 { GgmlType::F32 } else { GgmlType::F16 });
            assert_eq!(choose(file_type, Role::Vector, 1024).kind, GgmlType::F32);
            assert_eq!(choose(file_type, Role::Positions, 1024).kind, GgmlType::F32);
        }
    }

    #[test]
    fn tables_keep_at_least_six_bits() {
        for file_type in FileType::ALL {
            let table = choose(file_type, Role::Table, 1024).kind;
            assert!(table.bits_per_value() >= GgmlType::Q6_K.bits_per_value(), "{file_type}: {table}");
            assert!(table.bits_per_value() >= file_type.base().bits_per_value());
        }
    }

    #[test]
    fn mixed_types_spend_bits_on_edges_and_thirds() {
        let chosen: Vec<usize> = (0..28).filter(|&layer| gets_more_bits(layer, 28)).collect();
        assert_eq!(chosen, [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 25, 26, 27]);
        assert_eq!((0..2).filter(|&layer| gets_more_bits(layer, 2)).count(), 2);
        assert!(gets_more_bits(0, 1));
        let sensitive = Role::Sensitive { layer: 0, layers: 28 };
        assert_eq!(choose(FileType::Q4KM, sensitive, 1024).kind, GgmlType::Q6_K);
        assert_eq!(choose(FileType::Q4_0, sensitive, 1024).kind, GgmlType::Q4_0);
        assert_eq!(choose(FileType::Q4KM, Role::Passage, 7680).kind, GgmlType::Q6_K);
    }
}
