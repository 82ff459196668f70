//! Depth 2: every tensor of every type beside the f16 pair's.

use crate::common::{Checks, KINDS, change_scales, convert, demo_checkpoint, of_real_widths};
use qasr::ModelFiles;
use qasr_convert::distance::{TensorDistance, tensors};
use quant_tests::limits::Depth;
use std::collections::BTreeMap;
use std::path::Path;

fn compare(reference: &ModelFiles, other: &ModelFiles) -> Vec<TensorDistance> {
    tensors([&reference.decoder, &reference.encoder], [&other.decoder, &other.encoder], &mut |_, _, _| {}).unwrap()
}

/// Checks the worst tensor of every type it finds. A type's limit is the same in all recipes: how far rounding moves a
/// tensor depends on its own type only.
fn check(checks: &mut Checks, subject: &str, distances: Vec<TensorDistance>) {
    let mut worst = BTreeMap::<&str, (f64, String)>::new();
    for tensor in distances {
        let worst = worst.entry(tensor.kind.name()).or_default();
        if worst.1.is_empty() || tensor.relative_rms.is_nan() || tensor.relative_rms > worst.0 {
            *worst = (tensor.relative_rms, format!("tensor {} of the {} file", tensor.name, tensor.file));
        }
    }
    for (kind, (value, place)) in worst {
        checks.add(subject, kind, "relative_rms", value, &place);
    }
}

fn every_tensor_of(subject: &str, checkpoint: &Path) {
    let (_reference, reference) = convert(checkpoint, "f16");
    let mut checks = Checks::new(Depth::Tensors);
    for kind in KINDS {
        let (_other, other) = convert(checkpoint, kind);
        check(&mut checks, subject, compare(&reference, &other));
    }
    checks.finish();
}

#[test]
fn every_tensor_of_the_digits_model_stays_within_its_limits() {
    every_tensor_of("digits", &demo_checkpoint());
}

#[test]
fn every_tensor_of_real_widths_stays_within_its_limits() {
    every_tensor_of("real_widths", of_real_widths().path());
}

#[test]
fn scales_5_percent_too_large_are_over_the_limit_and_the_tensor_is_named() {
    let (_reference, reference) = convert(&demo_checkpoint(), "f16");
    for (kind, tensor) in
        [("q8_0", "blk.3.attn_k.weight"), ("q4_0", "a.blk.2.ffn_up.weight"), ("q4_0", "blk.1.attn_q.weight")]
    {
        let (_other, other) = convert(&demo_checkpoint(), kind);
        change_scales(if tensor.starts_with("a.") { &other.encoder } else { &other.decoder }, tensor, 1.05);
        let mut checks = Checks::new(Depth::Tensors);
        check(&mut checks, "digits", compare(&reference, &other));
        let over = checks.over();
        assert_eq!(over.len(), 1, "{over:?}");
        assert!(
            over[0].starts_with(&format!("depth 2 (tensors), {kind}, digits, tensor {tensor} of the ")),
            "{}",
            over[0]
        );
    }
}

#[test]
fn a_pair_is_itself_and_pairs_of_other_models_are_refused() {
    let (_one, files) = convert(&demo_checkpoint(), "q4_0");
    let distances = compare(&files, &files);
    assert!(distances.len() > 100, "{} tensors", distances.len());
    for tensor in &distances {
        assert_eq!((tensor.relative_rms, tensor.max_abs), (0.0, 0.0), "{}", tensor.name);
        assert!((tensor.cosine - 1.0).abs() < 1e-12, "{}: {}", tensor.name, tensor.cosine);
    }
    let bytes = distances.iter().map(|tensor| tensor.bytes).sum::<u64>();
    let stored = [&files.decoder, &files.encoder].map(|file| std::fs::metadata(file).unwrap().len());
    assert!(bytes < stored.iter().sum() && 10 * bytes > 9 * stored.iter().sum::<u64>(), "{bytes} of {stored:?}");

    let checkpoint = of_real_widths();
    let (_two, other) = convert(checkpoint.path(), "q4_0");
    let error = tensors([&files.decoder, &files.encoder], [&other.decoder, &other.encoder], &mut |_, _, _| {})
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("tensor 'token_embd.weight' is [1024, 512] instead of [256, 512]")
            && error.contains("is not the same model as"),
        "{error}"
    );
}
