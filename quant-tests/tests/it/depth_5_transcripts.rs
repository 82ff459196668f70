//! Depth 5: the words that every type hears, beside those that the f16 pair hears.

use crate::common::{Checks, KINDS, change_scales, convert, demo_checkpoint, open, optional};
use qasr::ModelFiles;
use qasr::endpoint::Detector;
use qasr::text::Language;
use qasr_measure::evaluation::{EvaluationOptions, FileResult, Manifest, Summary, compare, run};
use quant_tests::limits::Depth;
use std::path::Path;

/// The committed recordings of speakers that the digits model was not trained on, some noisy.
fn heldout() -> Manifest {
    Manifest::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("speech/heldout/manifest.tsv")).unwrap()
}

/// The digit strings of both lists; `None`, reported, where they are not there.
fn strings() -> Option<Manifest> {
    let folder = optional::shared("digits")?;
    let [dev, test] = ["strings_dev", "strings_test_seen"].map(|list| folder.join(format!("{list}.tsv")));
    let mut all = Manifest::read(&dev).unwrap();
    all.entries.extend(Manifest::read(&test).unwrap().entries);
    all.entries.iter_mut().for_each(|entry| entry.language = Language::find("English"));
    Some(all)
}

fn hear(files: &ModelFiles, manifest: &Manifest) -> Vec<FileResult> {
    let mut options = EvaluationOptions::default();
    options.transcribe.detector = Detector::Off; // the model alone: whole recordings
    run(&open(files), manifest, &options, None, &mut |_| {}).unwrap()
}

fn check(checks: &mut Checks, subject: &str, kind: &str, reference: &[FileResult], heard: &[FileResult]) {
    let [before, after] = [reference, heard].map(|results| Summary::new(results).all);
    let points = |rate: Option<f64>| 100.0 * rate.unwrap();
    let [ours, theirs] = [&after, &before].map(|group| points(group.words.as_ref().unwrap().rate));
    let difference = compare(reference, heard);
    let words = difference.words.unwrap();
    let place = format!(
        "{ours:.2} % of words wrong, {theirs:.2} % at f16, difference {:.2} to {:.2}, {} of {} texts the same",
        words.low, words.high, difference.same_text.count, difference.same_text.of
    );
    assert!((words.points - (ours - theirs)).abs() < 1e-9, "{} and {place}", words.points);
    checks.add(subject, kind, "word_error_points", words.points, &place);
    checks.add(subject, kind, "character_error_points", points(after.cer) - points(before.cer), "all texts");
    let disagreement = 100.0 - points(after.language_agreement.rate());
    checks.add(subject, kind, "language_disagreement", disagreement, "the language named");
    checks.add(subject, kind, "loop_rate", points(after.loops.rate()), "texts that repeat themselves");
    checks.add(subject, kind, "missing_rate", points(after.missing.rate()), "recordings without a word");
}

fn every_type(subject: &str, manifest: &Manifest) {
    let (_folder, files) = convert(&demo_checkpoint(), "f16");
    let reference = hear(&files, manifest);
    let mut checks = Checks::new(Depth::Transcripts);
    for kind in KINDS {
        let (_folder, files) = convert(&demo_checkpoint(), kind);
        check(&mut checks, subject, kind, &reference, &hear(&files, manifest));
    }
    checks.finish();
}

#[test]
fn every_type_hears_the_words_within_its_limits() {
    every_type("heldout", &heldout());
}

#[test]
fn every_type_hears_the_words_of_strings_within_its_limits() {
    let Some(manifest) = strings() else { return };
    every_type("strings", &manifest);
}

#[test]
fn a_damaged_projector_is_over_the_limits() {
    let manifest = heldout();
    let (_folder, files) = convert(&demo_checkpoint(), "f16");
    let reference = hear(&files, &manifest);
    let (_folder, files) = convert(&demo_checkpoint(), "q8_0");
    change_scales(&files.encoder, "mm.a.mlp.2.weight", 8.0);
    let mut checks = Checks::new(Depth::Transcripts);
    check(&mut checks, "heldout", "q8_0", &reference, &hear(&files, &manifest));
    let over = checks.over();
    assert!(over.iter().any(|line| line.starts_with("depth 5 (transcripts), q8_0, heldout, ")), "{over:?}");
    assert!(over.iter().any(|line| line.contains("word_error_points")), "{over:?}");
}
