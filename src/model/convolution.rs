//! The kernels of the convolutions in the type that this CPU multiplies fastest.

use qasr_format::GgmlType;

/// The features of a CPU, as ggml names them, by which the type is chosen for kernels that a file has in half precision:
/// the first row of which the CPU has the feature. A CPU with none of them multiplies what the file has.
///
/// - `FMA`: half precision is widened in the innermost loop, value by value. With AVX-512 (a Xeon with AVX512_BF16, one
///   thread, 480 x 4320 by 208 and 800 columns) f32 took 10 and 49 ms, f16 11.3 and 60, bf16 11.7 and 58; with AVX2 alone
///   f32 was twice as fast as f16 and bf16. Beside f32, bf16 would only round the rows.
/// - `DOTPROD`: f32 would be slower than half precision there, and q8_0 has a layout of its own. Not measured.
const FASTEST: [(&str, GgmlType); 2] = [("FMA", GgmlType::F32), ("DOTPROD", GgmlType::Q8_0)];

/// The type that a kernel stored as `stored` is copied to while loading; `None` where it stays as it is. `matrices` is the
/// type of the encoder's other matrices: a kernel is never coarser than both, so a pair in f32 is computed in f32.
pub(super) fn type_of_copy(stored: GgmlType, matrices: GgmlType, features: &[String]) -> Option<GgmlType> {
    let (_, fastest) = FASTEST.into_iter().find(|(feature, _)| features.iter().any(|have| have == feature))?;
    let is_coarser = fastest.is_quantized() && !matrices.is_quantized();
    (stored != GgmlType::F32 && stored != fastest && !is_coarser).then_some(fastest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kernel_becomes_coarser_than_its_file() {
        let types = [GgmlType::F32, GgmlType::F16, GgmlType::BF16];
        for features in [&["SSE3", "FMA", "AVX512_BF16"][..], &["NEON", "DOTPROD"], &["NEON"]] {
            let features: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
            for stored in types {
                for matrices in types {
                    let copy = type_of_copy(stored, matrices, &features);
                    assert!(copy.is_none_or(|copy| copy == GgmlType::F32), "{stored} beside {matrices}: {copy:?}");
                }
                assert!(stored != GgmlType::F32 || type_of_copy(stored, GgmlType::Q8_0, &features).is_none());
            }
        }
        let on = |feature: &str| type_of_copy(GgmlType::F16, GgmlType::Q8_0, &[feature.to_owned()]);
        assert_eq!([on("FMA"), on("DOTPROD"), on("NEON")], [Some(GgmlType::F32), Some(GgmlType::Q8_0), None]);
    }
}
