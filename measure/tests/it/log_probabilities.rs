//! The log-probabilities of a text's tokens, against logits of a pass of their own along the same tokens.

use qasr::audio::{self, ReadOptions};
use qasr::{Model, ModelOptions, Options, transcribe};
use qasr_measure::depths::logits::force;
use std::path::Path;

#[test]
fn log_probabilities_are_those_of_the_logits() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
    let recording = audio::read_path(Path::new(recording), &ReadOptions::default()).unwrap();
    let model = Model::open_demo(&ModelOptions::default()).unwrap();
    let transcript = transcribe(&model, &recording.pcm, &Options::default(), &mut |_| {}).unwrap();
    let [segment] = &transcript.segments[..] else { panic!("{transcript:?}") };
    assert_eq!(segment.log_probabilities.len(), segment.tokens.len());
    let mut direct = Vec::new();
    force(&model, recording.pcm.samples(), &segment.tokens, &mut |index, logits| {
        let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        direct.push(f64::from(logits[segment.tokens[index] as usize]) - sum.ln());
        Ok(())
    })
    .unwrap();
    assert_eq!(direct.len(), segment.tokens.len());
    for (found, direct) in segment.log_probabilities.iter().zip(&direct) {
        // The passes have other rows, so the last bits differ.
        assert!((f64::from(*found) - direct).abs() < 0.05, "{:?}\n{direct:?}", segment.log_probabilities);
    }
    let mean = direct.iter().sum::<f64>() / direct.len() as f64;
    let told = segment.mean_log_probability().unwrap();
    assert!((told - mean).abs() < 0.01 && told < -0.001, "{told} {mean}");
}
