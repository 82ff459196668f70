//! The examples do what they say.

#[allow(dead_code)]
#[path = "../../examples/errors.rs"]
mod errors;
#[allow(dead_code)]
#[path = "../../examples/live.rs"]
mod live;
#[allow(dead_code)]
#[path = "../../examples/transcribe.rs"]
mod transcribe;

use qasr::audio::{ReadOptions, open_path};
use qasr::{Model, ModelOptions};
use std::path::Path;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/convert/demo/sample.flac");

#[test]
fn the_first_example_transcribes_the_sample() {
    let lines = transcribe::lines(None, SAMPLE).unwrap();
    assert!(!lines.is_empty() && lines.iter().all(|line| !line.starts_with("warning")), "{lines:?}");
    // "start end  words", in order.
    let starts: Vec<f64> = lines.iter().map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect();
    assert!(starts.is_sorted() && lines.iter().all(|line| line.split_whitespace().count() > 2), "{lines:?}");
}

#[test]
fn the_live_example_ends_with_the_offline_text() {
    let model = Model::open_demo(&ModelOptions::default()).unwrap();
    let source = open_path(Path::new(SAMPLE), &ReadOptions::default()).unwrap();
    let mut shown = Vec::new();
    live::listen(&model, source, &mut |line| shown.push(line.to_owned())).unwrap();
    let finals: Vec<&str> = shown.iter().filter_map(|line| line.split_once(" s: ")).map(|(_, text)| text).collect();
    let offline = transcribe::lines(None, SAMPLE).unwrap();
    let offline: Vec<&str> = offline.iter().map(|line| line.splitn(2, "  ").last().unwrap()).collect();
    assert_eq!(finals.len(), offline.len());
    assert!(finals.iter().zip(&offline).all(|(live, offline)| offline.ends_with(live)), "{finals:?}, {offline:?}");
    assert!(shown.iter().any(|line| line.starts_with("  ") && line.contains(" | ")), "{shown:?}");
}

#[test]
fn the_errors_example_has_a_sentence_for_everything() {
    let lines = errors::lines();
    for (line, part) in lines.iter().zip([
        "cannot be loaded: ",
        "cannot be loaded: ",
        "cannot be heard: ",
        "cannot be done: segments of 5000 s",
        "stopped, as you wished",
    ]) {
        assert!(line.contains(part), "{line}");
    }
    assert!(lines[0].ends_with("holds no decoder file (*.gguf) (press *Get a model*)"), "{}", lines[0]);
    assert_eq!(lines.len(), 5);
}
