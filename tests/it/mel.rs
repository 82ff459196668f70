//! Log-mel features against the official package's, and what must hold for any audio.
//!
//! The golden values come from quant-tests/reference/mel.py. The same script dumps a folder of recordings; point
//! QASR_REFERENCE_DIR to the dumps to compare every one of them.

use crate::optional;

use crate::signals::{number, rows, signal};
use qasr::mel::{BANDS, LogMel, MelEnergies, frame_count, log_mel};
use std::error::Error;
use std::path::Path;

/// Of normalized values: 4e-4 decades.
const TOLERANCE: f32 = 1e-4;

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// The 0.8 s of speech stored with the golden values.
fn speech() -> Vec<f32> {
    let bytes = include_bytes!("../../quant-tests/golden/mel_speech.s16le");
    bytes.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect()
}

fn samples_of(kind: &str, n: usize, seed: u32) -> Vec<f32> {
    if kind == "speech" { speech() } else { signal(kind, n, seed) }
}

/// Largest |difference|; NaN on either side counts as infinite.
fn distance(ours: &[f32], official: &[f32]) -> f32 {
    assert_eq!(ours.len(), official.len());
    let differences = ours.iter().zip(official).map(|(a, b)| (a - b).abs());
    differences.map(|d| if d.is_nan() { f32::INFINITY } else { d }).fold(0.0, f32::max)
}

#[test]
fn distance_notices_what_is_not_a_number() {
    assert_eq!(distance(&[0.0, f32::NAN, 0.0], &[0.0; 3]), f32::INFINITY);
    assert_eq!(distance(&[0.0; 3], &[f32::NAN, 0.0, 0.0]), f32::INFINITY);
    assert_eq!(distance(&[0.0, 1.0, 0.0], &[0.5, -1.0, 0.0]), 2.0);
}

fn extremes(mel: &LogMel) -> (f32, f32) {
    mel.data.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)))
}

#[test]
fn golden_features_are_the_official_ones() {
    let rows = rows(include_str!("../../quant-tests/golden/mel.tsv"));
    let values = floats(include_bytes!("../../quant-tests/golden/mel.bin"));
    let (mut rest, mut compared, mut refused) = (values.as_slice(), 0, 0);
    for row in rows {
        let [kind, seed, n, frames, min, max, stored] = row[..] else { panic!("mel.tsv: {row:?}") };
        let samples = samples_of(kind, number(n), number(seed));
        let ours = log_mel(&samples);
        if frames == "-1" {
            assert_eq!((ours.frames, ours.data.len()), (0, 0), "{kind}, {n} samples: officially an error");
            refused += 1;
            continue;
        }
        assert_eq!(ours.frames, number::<usize>(frames), "frames of {kind}, {n} samples");
        assert_eq!(ours.data.len(), ours.frames * BANDS);
        let (low, high) = extremes(&ours);
        assert!(distance(&[low, high], &[number(min), number(max)]) <= TOLERANCE, "{kind}, {n} samples: {low} {high}");
        assert!((4.0 * high - 4.0 - ours.peak).abs() <= 1e-5, "{kind}, {n} samples: peak {}", ours.peak);
        for frame in stored.split(',').map(number::<usize>) {
            let (official, after) = rest.split_at(BANDS);
            rest = after;
            let worst = distance(&ours.data[frame * BANDS..][..BANDS], official);
            assert!(worst <= TOLERANCE, "{kind}, {n} samples, frame {frame}: {worst:e} from the official values");
            compared += 1;
        }
    }
    assert!(rest.is_empty(), "mel.bin holds more than mel.tsv lists");
    assert!(compared >= 200 && refused == 5, "{compared} frames compared, {refused} recordings refused");
}

#[test]
fn every_dumped_recording_has_the_official_features() -> Result<(), Box<dyn Error>> {
    let Some(folder) = std::env::var_os("QASR_REFERENCE_DIR") else {
        optional::skip(
            "QASR_REFERENCE_DIR names no folder that `quant-tests/reference/mel.py CHECKPOINT_DIR --clips FOLDER --out FOLDER` has written",
        );
        return Ok(());
    };
    let folder = Path::new(&folder);
    let index = std::fs::read_to_string(folder.join("index.tsv"))?;
    let (mut worst, mut frames_total, mut recordings) = ((0.0, String::new()), 0, 0);
    for row in rows(&index) {
        let [name, n, frames] = row[..] else { panic!("index.tsv: {row:?}") };
        let samples = floats(&std::fs::read(folder.join(format!("{name}.f32")))?);
        let official = floats(&std::fs::read(folder.join(format!("{name}.mel.f32")))?);
        assert_eq!(samples.len(), number::<usize>(n), "{name}: the dump was cut");
        let ours = log_mel(&samples);
        assert_eq!(ours.frames, number::<isize>(frames).max(0) as usize, "frames of {name}");
        let far = distance(&ours.data, &official);
        assert!(far <= TOLERANCE, "{name}: {far:e} from the official features");
        if far > worst.0 {
            worst = (far, name.to_owned());
        }
        frames_total += ours.frames;
        recordings += 1;
    }
    assert!(recordings > 0, "index.tsv lists nothing");
    eprintln!("{recordings} recordings, {frames_total} frames; farthest: {} with {:e}", worst.1, worst.0);
    Ok(())
}

#[test]
fn blocks_of_any_size_give_the_same_bits() {
    for samples in [signal("bursts", 16_160, 5), signal("hiss", 401, 6), signal("hiss", 201, 7), speech()] {
        let whole = log_mel(&samples);
        for size in [1, 7, 159, 160, 161, 199, 200, 201, 400, 1000, 4096, 15_999] {
            let mut energies = MelEnergies::new();
            samples.chunks(size).for_each(|block| energies.append(block));
            energies.finish();
            assert_eq!(energies.peak().to_bits(), whole.peak.to_bits());
            let pieces = energies.log_mel(0..energies.frames(), energies.peak());
            assert_eq!(pieces.frames, whole.frames, "blocks of {size}");
            let same = pieces.data.iter().zip(&whole.data).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{} samples in blocks of {size} differ", samples.len());
        }
    }
}

#[test]
fn frames_appear_when_heard_and_never_change() {
    let samples = signal("bursts", 3000, 8);
    let mut energies = MelEnergies::new();
    let (mut seen, mut peak) = (Vec::new(), energies.peak());
    for (at, &sample) in samples.iter().enumerate() {
        energies.append(&[sample]);
        let n = at + 1;
        let due = if n <= 200 { 0 } else { (n - 40) / 160 };
        assert_eq!((energies.frames(), energies.samples()), (due, n));
        let now = energies.energies(0..due);
        assert_eq!(&now[..seen.len()], seen, "frames changed at sample {n}");
        seen = now.to_vec();
        assert!(energies.peak() >= peak);
        peak = energies.peak();
        let expected = seen.iter().copied().fold(-10.0, f32::max);
        assert_eq!(peak, expected, "peak at sample {n}");
    }
}

#[test]
fn every_prefix_can_be_finished_provisionally() {
    let samples = signal("bursts", 1000, 9);
    let mut energies = MelEnergies::new();
    for n in 1..=samples.len() {
        energies.append(&samples[n - 1..n]);
        let last = energies.last_frame();
        let mut ended = energies.clone();
        ended.finish();
        ended.finish();
        assert_eq!(ended.frames(), frame_count(n), "{n} samples");
        assert_eq!(ended.last_frame(), None);
        let heard = energies.frames();
        assert_eq!(ended.energies(heard..ended.frames()), last.as_slice().concat(), "{n} samples");
        let whole = log_mel(&samples[..n]);
        assert_eq!(ended.log_mel(0..ended.frames(), ended.peak()), whole, "{n} samples");
    }
}

#[test]
fn frame_counts_are_whole_hops_and_none_up_to_200_samples() {
    let samples = signal("hiss", 16_160, 10);
    for n in (0..=700).chain([15_999, 16_000, 16_001, 16_159, 16_160]) {
        let expected = if n <= 200 { 0 } else { n / 160 };
        assert_eq!((frame_count(n), log_mel(&samples[..n]).frames), (expected, expected), "{n} samples");
    }
}

#[test]
fn a_range_is_normalized_against_the_peak_it_is_given() {
    let mut energies = MelEnergies::new();
    energies.append(&signal("click", 16_000, 11));
    energies.finish();
    let own = energies.log_mel(0..energies.frames(), energies.peak());
    let part = energies.log_mel(10..30, energies.peak());
    assert_eq!((part.frames, part.peak), (20, own.peak));
    assert_eq!(part.data, own.data[10 * BANDS..30 * BANDS]);

    // Before the click, the soft noise was normalized against its own peak: nothing was raised.
    let soft_peak = energies.energies(0..90).iter().copied().fold(f32::MIN, f32::max);
    assert!(soft_peak + 1.0 < energies.peak(), "the click is louder than the noise");
    let earlier = energies.log_mel(10..30, soft_peak + 5.0);
    let floor = (soft_peak + 5.0 - 8.0 + 4.0) / 4.0;
    assert!(earlier.data.iter().all(|&value| value >= floor));
    assert!(earlier.data.contains(&floor), "a high peak raises the quiet ones");
    assert_ne!(earlier.data, part.data);
}

#[test]
fn silence_is_finite_and_flat() {
    for n in [201, 1600, 16_001] {
        let mel = log_mel(&vec![0.0; n]);
        assert_eq!(mel.peak, -10.0);
        assert!(mel.data.iter().all(|&value| value == -1.5), "{n} samples of silence");
    }
}

#[test]
#[should_panic(expected = "append after finish")]
fn nothing_can_follow_the_end() {
    let mut energies = MelEnergies::new();
    energies.finish();
    energies.append(&[0.0]);
}
