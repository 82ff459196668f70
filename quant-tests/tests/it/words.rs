//! Depth 5 on single words: the word error rate of the demo model over the dev and test lists of spoken words, per
//! type. One-word clips of a second are not what the model was trained for, so the rates are higher than on strings;
//! what is tested is that quantization does not add to them.

use crate::common;

use crate::common::{convert, open, optional, say};
use qasr::audio::{Pcm16k, ReadOptions, read_path};
use qasr::endpoint::Detector;
use qasr::{Model, Options, transcribe};
use quant_tests::metrics::word_errors;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Percentage points by which q8_0 may differ from f32, over all lists together.
const Q8_0_POINTS: f64 = 0.5;

/// One clip: where it lies in its pack, and the word spoken.
struct Clip {
    pack: String,
    start: usize,
    frames: usize,
    word: String,
}

/// The clips of a list whose word the model can know.
fn clips(folder: &Path, list: &str) -> Vec<Clip> {
    let text = fs::read_to_string(folder.join(format!("{list}.tsv"))).unwrap();
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let column = |name: &str| head.iter().position(|field| *field == name).unwrap();
    let [pack, start, frames, word, kind] = ["pack", "start", "frames", "text", "kind"].map(column);
    lines
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|fields| ["digit", "command"].contains(&fields[kind]))
        .map(|fields| Clip {
            pack: fields[pack].into(),
            start: fields[start].parse().unwrap(),
            frames: fields[frames].parse().unwrap(),
            word: fields[word].into(),
        })
        .collect()
}

/// Errors and words of one list.
fn measure(model: &Model, list: &[Clip], packs: &HashMap<String, Pcm16k>) -> (usize, usize) {
    let (mut errors, mut words) = (0, 0);
    let mut options = Options::default();
    options.detector = Detector::Off; // the model alone: whole clips
    for clip in list {
        let audio = packs[&clip.pack].slice(clip.start..clip.start + clip.frames);
        let transcript = transcribe(model, &audio, &options, &mut |_| {}).unwrap();
        let (wrong, count) = word_errors(&clip.word, &transcript.text);
        errors += wrong;
        words += count;
    }
    (errors, words)
}

#[test]
fn word_error_rates_of_single_words() {
    let Some(folder) = optional::shared("digits") else { return };
    let checkpoint = common::demo_checkpoint();
    let lists = ["dev", "test", "test_seen"].map(|name| (name, clips(&folder, name)));
    let mut packs = HashMap::new();
    for clip in lists.iter().flat_map(|(_, clips)| clips) {
        packs
            .entry(clip.pack.clone())
            .or_insert_with(|| read_path(&folder.join(&clip.pack), &ReadOptions::default()).unwrap().pcm);
    }
    let mut rates = Vec::new();
    for kind in ["f32", "q8_0", "q4_0"] {
        let (_folder, files) = convert(&checkpoint, kind);
        let model = open(&files);
        let mut line = format!("single words, {kind}:");
        let mut all = (0, 0);
        for (name, clips) in &lists {
            let (errors, words) = measure(&model, clips, &packs);
            line += &format!(" {name} {:.2} % of {words};", 100.0 * errors as f64 / words as f64);
            all = (all.0 + errors, all.1 + words);
        }
        rates.push(100.0 * all.0 as f64 / all.1 as f64);
        say(&format!("{line} together {:.2} %", rates[rates.len() - 1]));
    }
    let difference = (rates[1] - rates[0]).abs();
    assert!(difference <= Q8_0_POINTS, "q8_0 differs from f32 by {difference:.2} points of word error rate");
}
