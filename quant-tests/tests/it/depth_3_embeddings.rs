//! Depth 3: the encoder's rows at every type beside the f16 pair's, layer by layer, short and long, clean and noisy.

use crate::common::{
    Checks, KINDS, KINDS_OF_REAL_WIDTHS, change_scales, convert, demo_checkpoint, of_real_widths, open, recording,
    strings,
};
use qasr::Model;
use qasr::mel::log_mel;
use qasr_measure::depths::Clip;
use qasr_measure::depths::embeddings::{RowsDistance, by_length, compare, of_length};
use qasr_measure::depths::noise::{Noise, add};
use quant_tests::limits::Depth;
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;

fn opened(checkpoint: &Path, kind: &str) -> (TempDir, Model) {
    let (folder, files) = convert(checkpoint, kind);
    let model = open(&files);
    (folder, model)
}

/// Pieces of every length that `material` allows, clean and with two noises in them.
fn clips(material: &[Clip], lengths: &[f64]) -> Vec<Clip> {
    let mut clips = Vec::new();
    for &seconds in lengths {
        for clean in of_length(material, seconds, 1) {
            clips.push(add(&clean, Noise::White(7), 10.0));
            clips.push(add(&clean, Noise::Babble(material), 10.0));
            clips.push(clean);
        }
    }
    clips
}

/// Checks every place of the encoder at the length and condition where it is worst.
fn check(checks: &mut Checks, subject: &str, kind: &str, reference: &Model, other: &Model, clips: &[Clip]) {
    let mut worst = BTreeMap::<String, (f64, f64, String)>::new();
    for length in by_length(&compare(reference, other, clips, &mut |_| {}).unwrap()) {
        let layers = length.layers.iter().enumerate().map(|(layer, distance)| (format!("layer_{layer}"), distance));
        for (place, RowsDistance { cosine_min, relative_rms, .. }) in
            layers.chain([("output".to_owned(), &length.output)])
        {
            let found = worst.entry(place).or_default();
            if *relative_rms > found.0 {
                (found.0, found.2) = (*relative_rms, format!("{} s, {}", length.seconds, length.condition));
            }
            found.1 = found.1.max(1.0 - cosine_min);
        }
        println!("{kind}: {} s, {}: {:?}", length.seconds, length.condition, length.output);
    }
    for (place, (relative_rms, angle, where_found)) in worst {
        checks.add(subject, kind, &format!("{place}_rms"), relative_rms, &format!("{place} at {where_found}"));
        if place == "output" {
            checks.add(subject, kind, "output_angle", angle, "the row furthest off (1 - cosine)");
        }
    }
}

fn every_type(subject: &str, checkpoint: &Path, kinds: &[&str], clips: &[Clip]) {
    let (_folder, reference) = opened(checkpoint, "f16");
    let mut checks = Checks::new(Depth::Embeddings);
    for kind in kinds {
        let (_folder, other) = opened(checkpoint, kind);
        check(&mut checks, subject, kind, &reference, &other, clips);
    }
    checks.finish();
}

#[test]
fn rows_of_every_type_stay_within_their_limits() {
    let clips = clips(&[recording("six_words"), recording("sample")], &[1.0, 2.0, 5.0, 8.5]);
    every_type("recordings", &demo_checkpoint(), &KINDS, &clips);
}

#[test]
fn rows_of_every_type_stay_within_their_limits_on_strings() {
    let Some(material) = strings("strings_test_seen", 24) else { return };
    every_type("strings", &demo_checkpoint(), &KINDS, &clips(&material, &[1.0, 5.0, 20.0, 119.0]));
}

/// Rows of 896, which blocks of 256 do not fit, through the products of their types.
#[test]
fn rows_of_real_widths_stay_within_their_limits() {
    let clips = of_length(&[recording("six_words")], 2.5, 1);
    every_type("real_widths", of_real_widths().path(), &KINDS_OF_REAL_WIDTHS, &clips);
}

/// One window after the other, watched, is what the encoder gives anyway; and there is a value for every second.
#[test]
fn what_is_compared_is_what_the_encoder_gives() {
    let (_folder, files) = convert(&demo_checkpoint(), "q8_0");
    let model = open(&files);
    let clip = of_length(&[recording("six_words"), recording("sample")], 8.5, 1).remove(0);
    let itself = compare(&model, &model, std::slice::from_ref(&clip), &mut |_| {}).unwrap().remove(0);
    assert_eq!((itself.layers.len(), itself.output_by_second.len(), itself.seconds), (4, 9, 8.5));
    for distance in itself.layers.iter().chain([&itself.output]) {
        assert_eq!(distance.relative_rms, 0.0);
        assert!(distance.cosine_min > 1.0 - 1e-12 && distance.cosine_mean > 1.0 - 1e-12);
    }
    // Of two types, by hand.
    let (_other_folder, other_files) = convert(&demo_checkpoint(), "q4_0");
    let other = open(&other_files);
    let measured = compare(&model, &other, std::slice::from_ref(&clip), &mut |_| {});
    let output = measured.unwrap().remove(0).output;
    let [ours, theirs] = [&model, &other].map(|model| model.encoder().encode(&log_mel(&clip.samples)).unwrap());
    let width = ours.windows[0].width();
    let [ours, theirs] = [ours.to_vec(), theirs.to_vec()];
    let expected = qasr_measure::depths::metrics::relative_rms(&ours, &theirs);
    assert!((output.relative_rms - expected).abs() < 1e-9, "{} and {expected}", output.relative_rms);
    let smallest = ours.chunks(width).zip(theirs.chunks(width));
    let smallest = smallest.map(|(a, b)| qasr_measure::depths::metrics::cosine(a, b)).fold(1.0, f64::min);
    assert!((output.cosine_min - smallest).abs() < 1e-9, "{} and {smallest}", output.cosine_min);
}

#[test]
fn a_damaged_layer_is_over_its_limit_and_those_before_are_not() {
    let clips = clips(&[recording("six_words"), recording("sample")], &[1.0, 2.0, 5.0, 8.5]);
    let (_reference, reference) = opened(&demo_checkpoint(), "f16");
    let (_folder, files) = convert(&demo_checkpoint(), "q8_0");
    change_scales(&files.encoder, "a.blk.2.ffn_up.weight", 1.05);
    let damaged = open(&files);
    let mut checks = Checks::new(Depth::Embeddings);
    check(&mut checks, "recordings", "q8_0", &reference, &damaged, &clips);
    let over = checks.over();
    assert!(over.iter().any(|line| line.contains("recordings, layer_2 at ")), "{over:?}");
    assert!(!over.iter().any(|line| line.contains("layer_0 ") || line.contains("layer_1 ")), "{over:?}");
}
