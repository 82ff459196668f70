//! A pair in the layout of llama.cpp's own converter, made by another program than ours, opens and means the same.

use crate::common::{convert, open, say};
use qasr::Model;
use qasr::mel::log_mel;
use qasr::model::ModelFiles;
use qasr::model::decoder::{Input, most_likely};
use quant_tests::golden::{Clip, Decoded, Golden, committed_folder};
use quant_tests::metrics::{cosine, max_difference};
use std::path::Path;

/// The type of the committed pair. At f16 the two converters store the same bits but for the head, stored twice, and the
/// last bits of the position table; at q8_0 the other one also keeps `conv_out` at f16 (rows then 1 - 1.2e-4).
const KIND: &str = "f16";
/// Smallest cosine of first logits and of all the encoder's rows as one vector, between the two converters' pairs.
const COSINE: f64 = 0.999_999;
/// Greedy tokens compared.
const TOKENS: usize = 8;

/// A model's results for a clip: rows of the encoder, logits of the first step, greedy tokens.
struct Heard {
    rows: Vec<f32>,
    logits: Vec<f32>,
    tokens: Vec<u32>,
}

fn hear(model: &Model, golden: &Golden, clip: &Clip, prompt: &Decoded) -> Heard {
    let rows = model.encoder().encode(&log_mel(&golden.samples(clip).unwrap())).unwrap().to_vec();
    let mut session = model.session(prompt.before.len() + clip.tokens + prompt.after.len() + TOKENS).unwrap();
    session.append(&[Input::Tokens(&prompt.before), Input::Rows(&rows), Input::Tokens(&prompt.after)], 1).unwrap();
    let logits = session.logits(0).to_vec();
    let mut tokens = Vec::new();
    for _ in 0..TOKENS {
        let token = most_likely(session.logits(0)).unwrap().token;
        session.append(&[Input::Tokens(&[token])], 1).unwrap();
        tokens.push(token);
    }
    Heard { rows, logits, tokens }
}

/// Whether a file's header names a separate output head, by the length and the bytes of the name.
fn has_head(file: &Path) -> bool {
    let name = b"output.weight";
    let wanted = [&(name.len() as u64).to_le_bytes(), name.as_slice()].concat();
    std::fs::read(file).unwrap().windows(wanted.len()).any(|bytes| bytes == wanted)
}

#[test]
fn a_pair_of_the_other_converter_means_the_same() {
    let tiny = committed_folder().join("tiny");
    let golden = Golden::open(&tiny).unwrap();
    let theirs = ModelFiles::find(&tiny.join("llama-layout")).unwrap();
    assert_eq!(theirs, ModelFiles::find(&theirs.decoder).unwrap(), "by its folder and by its decoder file");
    let (_folder, ours) = convert(&tiny.join("checkpoint"), KIND);
    assert!(has_head(&theirs.decoder) && !has_head(&ours.decoder), "only the other converter stores the head twice");

    let clip = golden.clips().iter().find(|clip| clip.name == "jfk").unwrap();
    let prompt = &clip.prompts[0];
    let [theirs, ours] = [theirs, ours].map(|files| hear(&open(&files), &golden, clip, prompt));
    let (rows, logits) = (cosine(&theirs.rows, &ours.rows), cosine(&theirs.logits, &ours.logits));
    say(&format!(
        "other converter's layout, {KIND}, {}: rows 1 - {:.1e}, logits 1 - {:.1e} (largest difference {:.1e}), tokens {:?}",
        clip.name,
        1.0 - rows,
        1.0 - logits,
        max_difference(&theirs.logits, &ours.logits),
        theirs.tokens
    ));
    assert!(rows >= COSINE, "cosine of the encoder's rows is {rows:.8}");
    assert!(logits >= COSINE, "cosine of the first logits is {logits:.8}");
    assert_eq!(theirs.tokens, ours.tokens, "greedy tokens");

    // Close to another pair is worth something only if a coarser one is not.
    let (_folder, coarse) = convert(&tiny.join("checkpoint"), "q4_0");
    let coarse = cosine(&theirs.logits, &hear(&open(&coarse), &golden, clip, prompt).logits);
    say(&format!("other converter's layout, {KIND} against our q4_0: logits {coarse:.6}"));
    assert!(coarse < COSINE, "q4_0 goes unnoticed: cosine {coarse:.8}");
}
