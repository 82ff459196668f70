//! The kernels of the convolutions in the form that this CPU multiplies fastest, and what the first one is multiplied by.

use super::config::MEL_BINS;
use ggml::Convolution;
use qasr_format::GgmlType;

/// All three are 3 by 3, move by two pixels, and have one pixel of padding around the image.
pub(super) const SHAPE: Convolution = Convolution { kernel: 3, stride: 2, padding: 1 };
/// Values of a kernel of one channel: 3 by 3.
const TAPS: usize = 9;

/// The features of a CPU, as ggml names them, by which the type is chosen for kernels that a file has in half precision:
/// the first row of which the CPU has the feature. A CPU with none of them multiplies what the file has.
///
/// - `FMA`: half precision is widened in the innermost loop, value by value. With AVX-512 (a Xeon with AVX512_BF16, one
///   thread, 480 x 4320 by 208 and 800 columns) f32 took 10 and 49 ms, f16 11.3 and 60, bf16 11.7 and 58; with AVX2 alone
///   f32 was twice as fast as f16 and bf16. Beside f32, bf16 would only round the rows.
/// - `DOTPROD`: f32 would be slower than half precision there, and q8_0 has a layout of its own. Not measured.
const FASTEST: [(&str, GgmlType); 2] = [("FMA", GgmlType::F32), ("DOTPROD", GgmlType::Q8_0)];

/// The type that a kernel stored as `stored` has while at work. `matrices` is the type of the encoder's other matrices: a
/// kernel is never coarser than both, so a pair in f32 is computed in f32.
pub(super) fn type_of_kernel(stored: GgmlType, matrices: GgmlType, features: &[String]) -> GgmlType {
    let fastest = FASTEST.into_iter().find(|(feature, _)| features.iter().any(|have| have == feature));
    match fastest {
        Some((_, fastest)) if stored != GgmlType::F32 && (!fastest.is_quantized() || matrices.is_quantized()) => {
            fastest
        }
        _ => stored,
    }
}

/// A kernel `[3, 3, channels, outputs]`, as in the file, as `[channels, 3, 3, outputs]`.
pub(super) fn channels_first(kernel: &[f32], channels: usize) -> Vec<f32> {
    let of_output = |kernel: &[f32]| -> Vec<f32> {
        (0..TAPS).flat_map(|tap| kernel.iter().skip(tap).step_by(TAPS)).copied().collect()
    };
    kernel.chunks(TAPS * channels.max(1)).flat_map(of_output).collect()
}

/// The kernel of the first convolution, `[channels][9]` as in the file, and its bias, `[channels]`, as the ten factors of an
/// outer product: `[10][channels]`.
pub(super) fn factors(kernel: &[f32], bias: &[f32]) -> Vec<f32> {
    let of_tap = |tap| kernel.iter().skip(tap).step_by(TAPS);
    (0..TAPS).flat_map(of_tap).chain(bias).copied().collect()
}

/// What the first convolution, 3 by 3 with stride 2 and one value of padding, multiplies by [`factors`]: ten images,
/// `[10][64][ceil(width / 2)]`, time fastest. Nine have the values under one tap each, the last is 1 for the bias. `frames`
/// are `[frames][128]`; up to `width` frames they are filled up with 0.0.
pub(super) fn patches(frames: &[f32], width: usize) -> Vec<f32> {
    let [times, bins] = [width.div_ceil(2), MEL_BINS.div_ceil(2)];
    let mut patches = vec![0.0; TAPS * times * bins];
    for (tap, image) in patches.chunks_exact_mut(times * bins).enumerate() {
        let (left, up) = (tap % 3, tap / 3);
        for time in 0..times {
            let Some(frame) = (2 * time + left).checked_sub(1) else { continue };
            let Some(frame) = frames.chunks_exact(MEL_BINS).nth(frame) else { continue };
            for bin in 0..bins {
                let value = (2 * bin + up).checked_sub(1).and_then(|bin| frame.get(bin));
                image[bin * times + time] = value.copied().unwrap_or(0.0);
            }
        }
    }
    patches.resize(patches.len() + times * bins, 1.0);
    patches
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the definition of a convolution.
    #[test]
    fn patches_times_factors_are_the_convolution() {
        for (count, width) in [(1, 1), (5, 5), (6, 6), (4, 9), (2, 100)] {
            let frames: Vec<f32> = (0..count * MEL_BINS).map(|at| (at * 37 % 101) as f32).collect();
            let kernel: Vec<f32> = (0..2 * TAPS).map(|at| at as f32 - 7.0).collect();
            let (patches, factors) = (patches(&frames, width), factors(&kernel, &[0.5, -2.0]));
            let (times, bins) = (width.div_ceil(2), MEL_BINS / 2);
            assert_eq!((patches.len(), factors.len()), (10 * times * bins, 10 * 2));
            let at = |time: usize, bin: usize, left: usize, up: usize| {
                let (time, bin) = ((2 * time + left).checked_sub(1)?, (2 * bin + up).checked_sub(1)?);
                (bin < MEL_BINS).then(|| frames.get(time * MEL_BINS + bin).copied()).flatten()
            };
            for (channel, bias) in [0.5, -2.0].into_iter().enumerate() {
                for (time, bin) in (0..times).flat_map(|time| (0..bins).map(move |bin| (time, bin))) {
                    let place = bin * times + time;
                    let found: f32 =
                        (0..10).map(|tap| patches[tap * times * bins + place] * factors[tap * 2 + channel]).sum();
                    let taps = (0..TAPS)
                        .map(|tap| at(time, bin, tap % 3, tap / 3).unwrap_or(0.0) * kernel[channel * TAPS + tap]);
                    assert_eq!(found, taps.sum::<f32>() + bias, "{count} of {width} frames, {channel} {time} {bin}");
                }
            }
        }
    }

    #[test]
    fn no_kernel_becomes_coarser_than_its_file() {
        let types = [GgmlType::F32, GgmlType::F16, GgmlType::BF16];
        for features in [&["SSE3", "FMA", "AVX512_BF16"][..], &["NEON", "DOTPROD"], &["NEON"]] {
            let features: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
            for stored in types {
                for matrices in types {
                    let kind = type_of_kernel(stored, matrices, &features);
                    assert!([stored, GgmlType::F32].contains(&kind), "{stored} beside {matrices}: {kind}");
                }
                assert!(stored != GgmlType::F32 || type_of_kernel(stored, GgmlType::Q8_0, &features) == stored);
            }
        }
        let on = |feature: &str| type_of_kernel(GgmlType::F16, GgmlType::Q8_0, &[feature.to_owned()]);
        assert_eq!([on("FMA"), on("DOTPROD"), on("NEON")], [GgmlType::F32, GgmlType::Q8_0, GgmlType::F16]);
    }

    #[test]
    fn a_kernel_is_turned() {
        let kernel: Vec<f32> = (0..2 * 3 * TAPS).map(|at| at as f32).collect();
        let turned = channels_first(&kernel, 3);
        for (output, tap, channel) in [(0, 0, 0), (0, 0, 2), (0, 8, 1), (1, 4, 2)] {
            assert_eq!(turned[(output * TAPS + tap) * 3 + channel], kernel[(output * 3 + channel) * TAPS + tap]);
        }
    }
}
