//! Depth 4: token probabilities of every type along given texts, compared with those of the f16 pair.

use crate::common::{
    Checks, KINDS, KINDS_OF_REAL_WIDTHS, change_scales, convert, demo_checkpoint, heldout, of_real_widths, open,
    recording, strings,
};
use qasr::mel::log_mel;
use qasr::model::decoder::{Input, OUTPUTS_AT_ONCE};
use qasr::text::Prompt;
use qasr::text::prompt::ControlTokens;
use qasr_measure::depths::Clip;
use qasr_measure::depths::logits::{LogitsCost, Reference, compare, force};
use qasr_measure::depths::metrics::{max_difference, top1};
use quant_tests::limits::Depth;
use std::path::Path;

/// Batches, windows that are passes of their own, and the one output before any id: all of it must come to the same as
/// reading everything in one go and the ids one by one.
#[test]
fn forced_ids_are_read_one_by_one_whatever_the_batches() {
    let (_folder, files) = convert(&demo_checkpoint(), "f32");
    let model = open(&files);
    // 12 s: a whole attention window and a tail.
    let once = recording("six_words").samples;
    let samples: Vec<f32> = once.iter().chain(once.iter()).copied().collect();
    let text = "seven six nine two five go ".repeat(8);
    let ids = model.tokenizer().encode(&text).unwrap();
    assert!(ids.len() > 2 * OUTPUTS_AT_ONCE, "{} ids fit into two batches", ids.len());

    let audio = model.encoder().encode(&log_mel(&samples)).unwrap();
    let prompt = Prompt::build(model.tokenizer(), "", None).unwrap();
    let mut session = model.session(prompt.positions(audio.rows()) + ids.len()).unwrap();
    session
        .append(&[Input::Tokens(&prompt.before), Input::Rows(&audio.to_vec()), Input::Tokens(&prompt.after)], 1)
        .unwrap();
    let mut expected = vec![session.logits(0).to_vec()];
    for id in &ids[..ids.len() - 1] {
        session.append(&[Input::Tokens(&[*id])], 1).unwrap();
        expected.push(session.logits(0).to_vec());
    }

    let mut seen = Vec::new();
    force(&model, &samples, &ids, &mut |index, logits| {
        assert_eq!(index, seen.len());
        seen.push(logits.to_vec());
        Ok(())
    })
    .unwrap();
    assert_eq!(seen.len(), ids.len());
    for (index, (ours, theirs)) in seen.iter().zip(&expected).enumerate() {
        let difference = max_difference(ours, theirs);
        assert!(difference < 1e-3, "logits before id {index} differ by {difference}");
    }
}

#[test]
fn ids_of_another_vocabulary_are_refused() {
    let (_folder, files) = convert(&demo_checkpoint(), "q8_0");
    let model = open(&files);
    let error = force(&model, &recording("six_words").samples, &[4711], &mut |_, _| Ok(())).unwrap_err();
    assert!(error.to_string().contains("token 4711 is not in the model's vocabulary of 512"), "{error}");
}

/// Without a text the model's own is read, so the most likely token is the next one everywhere.
#[test]
fn the_reference_says_its_own_text_and_costs_itself_nothing() {
    let (_folder, files) = convert(&demo_checkpoint(), "f16");
    let model = open(&files);
    let mut clip = recording("six_words");
    clip.text = None;
    let reference = Reference::measure(&model, std::slice::from_ref(&clip), &mut |_| {}).unwrap();
    let cost = compare(&model, &reference, &mut |_| {}).unwrap();
    assert_eq!((cost.kl.max, cost.flip_rate), (0.0, 0.0));
    assert_eq!(cost.perplexity, cost.perplexity_reference);
    assert_eq!(cost.positions.len(), cost.clips[0].positions);

    let spoken = "language English<asr_text>";
    let mut ids = model.tokenizer().encode("language English").unwrap();
    let control = ControlTokens::find(model.tokenizer()).unwrap();
    ids.push(control.asr_text);
    ids.extend(model.tokenizer().encode("seven six nine two five go").unwrap());
    ids.push(control.im_end);
    let mut said = Vec::new();
    force(&model, &clip.samples, &ids, &mut |_, logits| {
        said.push(top1(logits).unwrap() as u32);
        Ok(())
    })
    .unwrap();
    assert_eq!(said, ids, "{spoken}… is what it says: {}", model.tokenizer().decode(&said));
    assert_eq!(cost.positions.len(), ids.len());

    // The same clip with its text, with and without its language, is the same ids.
    for language in [None, recording("six_words").language] {
        let known = Clip { language, ..recording("six_words") };
        let known = Reference::measure(&model, &[known], &mut |_| {}).unwrap();
        assert_eq!(compare(&model, &known, &mut |_| {}).unwrap(), cost);
    }
}

fn check(checks: &mut Checks, subject: &str, kind: &str, cost: &LogitsCost) {
    let worst = cost.positions.iter().max_by(|a, b| a.kl.total_cmp(&b.kl)).unwrap();
    let place = format!("most at token {} of {}", worst.index, cost.clips[worst.clip].name);
    checks.add(subject, kind, "mean_kl", cost.kl.mean, &place);
    // Random weights prefer no token.
    if subject != "real_widths" {
        checks.add(subject, kind, "flip_rate", cost.flip_rate, &format!("{} tokens", cost.positions.len()));
    }
    println!("{kind}: perplexity {:.5}, reference {:.5}, {:?}", cost.perplexity, cost.perplexity_reference, cost.kl);
}

fn every_type(subject: &str, checkpoint: &Path, kinds: &[&str], clips: &[Clip]) {
    let (_folder, files) = convert(checkpoint, "f16");
    let reference = Reference::measure(&open(&files), clips, &mut |_| {}).unwrap();
    let mut checks = Checks::new(Depth::Logits);
    for kind in kinds {
        let (_folder, files) = convert(checkpoint, kind);
        check(&mut checks, subject, kind, &compare(&open(&files), &reference, &mut |_| {}).unwrap());
    }
    checks.finish();
}

#[test]
fn every_type_stays_within_its_limits() {
    every_type("heldout", &demo_checkpoint(), &KINDS, &heldout());
}

#[test]
fn every_type_stays_within_its_limits_on_strings() {
    let Some(clips) = strings("strings_test_seen", 40) else { return };
    every_type("strings", &demo_checkpoint(), &KINDS, &clips);
}

#[test]
fn real_widths_stay_within_their_limits() {
    every_type("real_widths", of_real_widths().path(), &KINDS_OF_REAL_WIDTHS, &[recording("sample")]);
}

/// In the first layer 5 % are ten times the limit; further up the same damage hardly shows here, which is why there is
/// depth 2.
#[test]
fn a_damaged_decoder_is_over_its_limit_and_an_undamaged_one_is_not() {
    let clips = heldout();
    let (_folder, files) = convert(&demo_checkpoint(), "f16");
    let reference = Reference::measure(&open(&files), &clips, &mut |_| {}).unwrap();
    let (_folder, files) = convert(&demo_checkpoint(), "q8_0");
    let over = || {
        let mut checks = Checks::new(Depth::Logits);
        check(&mut checks, "heldout", "q8_0", &compare(&open(&files), &reference, &mut |_| {}).unwrap());
        checks.over()
    };
    assert_eq!(over(), Vec::<String>::new());
    change_scales(&files.decoder, "blk.0.attn_v.weight", 1.05);
    let over = over();
    assert!(over.iter().any(|line| line.contains("mean_kl is ")), "{over:?}");
    assert!(over.iter().all(|line| line.starts_with("depth 4 (logits), q8_0, heldout, most at token ")), "{over:?}");
}
