//! Depth 5: whole transcripts of the demo model. At f32 they are the official package's, word for word; quantized,
//! the word error rate is measured and may not grow much.

use crate::common::{check_checkpoint, convert, demo_checkpoint, open, optional, say};
use qasr::audio::{ReadOptions, read_path};
use qasr::endpoint::Detector;
use qasr::{Model, Options, transcribe};
use quant_tests::golden::committed_folder;
use quant_tests::metrics::word_errors;
use quant_tests::strings::{Spoken, Strings};
use std::path::Path;

/// Percentage points that q8_0 may differ from f32 in word error rate, over both lists together.
const Q8_0_POINTS: f64 = 0.5;

fn strings() -> Strings {
    Strings::open(&committed_folder().join("digits/strings.json")).unwrap()
}

fn model(kind: &str) -> Model {
    let checkpoint = demo_checkpoint();
    check_checkpoint(&checkpoint, &strings().checkpoint_sha256);
    let (_folder, files) = convert(&checkpoint, kind);
    open(&files)
}

/// Language and text; with `Detector::Off` as the official package hears it: whole.
fn hear(model: &Model, folder: &Path, spoken: &Spoken, detector: Detector) -> (String, String) {
    let recording = read_path(&folder.join(&spoken.file), &ReadOptions::default()).unwrap();
    let mut options = Options::default();
    options.detector = detector;
    let transcript = transcribe(model, &recording.pcm, &options, &mut |_| {}).unwrap();
    assert!(transcript.complete, "{}: cut at the token limit", spoken.file);
    (transcript.languages.join(","), transcript.text)
}

#[test]
fn f32_tells_the_official_text() {
    let Some(folder) = optional::shared("digits") else { return };
    let model = model("f32");
    for (list, rows) in &strings().lists {
        for spoken in rows {
            let heard = hear(&model, &folder, spoken, Detector::Off);
            assert_eq!(heard, (spoken.language.clone(), spoken.text.clone()), "{}", spoken.file);
        }
        let closest = rows.iter().map(|spoken| spoken.smallest_margin).fold(f32::INFINITY, f32::min);
        say(&format!("strings, f32, {list}: {} texts identical (closest official margin {closest:.3})", rows.len()));
    }
}

#[test]
fn quantized_word_error_rates() {
    let Some(folder) = optional::shared("digits") else { return };
    let mut rates = Vec::new();
    for kind in ["f32", "q8_0", "q4_0"] {
        let model = model(kind);
        let (mut all, mut line) = ((0, 0), format!("strings, {kind}:"));
        for (list, rows) in &strings().lists {
            let (mut errors, mut words, mut same) = (0, 0, 0);
            for spoken in rows {
                let (_, text) = hear(&model, &folder, spoken, Detector::Off);
                let (wrong, count) = word_errors(&spoken.truth, &text);
                errors += wrong;
                words += count;
                same += usize::from(text == spoken.text);
            }
            let rate = 100.0 * errors as f64 / words as f64;
            line += &format!(" {list} {rate:.2} % word errors, {same} of {} texts as at f32;", rows.len());
            all = (all.0 + errors, all.1 + words);
        }
        rates.push(100.0 * all.0 as f64 / all.1 as f64);
        say(&format!("{line} both {:.2} %", rates[rates.len() - 1]));
    }
    let difference = (rates[1] - rates[0]).abs();
    assert!(difference <= Q8_0_POINTS, "q8_0 differs from f32 by {difference:.2} points of word error rate");
}
