//! What people type first: names, flags and places of other tools. They work, or the message has the next step.

use crate::command::{Scratch, qasr};

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const WORDS: &str = "seven six nine two five go\n";

/// The commands that lead to a real model, for the repository of the smaller one.
const DOWNLOAD: &str = "hf download Qwen/Qwen3-ASR-0.6B --local-dir Qwen3-ASR-0.6B";

#[test]
fn the_way_to_a_real_model_is_said_where_it_is_missed() {
    for args in [&["--help"][..], &["convert", "--help"]] {
        let help = qasr(args).succeeds().stdout;
        for part in [DOWNLOAD, "qasr convert Qwen3-ASR-0.6B", "1.7B", "balanced", "memory"] {
            assert!(help.contains(part), "{args:?}: no {part} in {help}");
        }
    }
    let run = qasr(&["transcribe", RECORDING]).succeeds();
    assert!(run.stderr.contains(DOWNLOAD) && run.stderr.contains("qasr convert --help"), "{}", run.stderr);
}

#[test]
fn a_repository_is_not_a_place_and_the_message_has_the_download() {
    let scratch = Scratch::new("repository");
    let out = scratch.path("m/");
    for args in [
        &["convert", "Qwen/Qwen3-ASR-0.6B", "--type", "q8_0", "-o", &out][..],
        &["transcribe", "-m", "Qwen/Qwen3-ASR-0.6B", RECORDING],
        &["quantize", "Qwen/Qwen3-ASR-0.6B", &out, "q8_0"],
        &["inspect", "Qwen/Qwen3-ASR-0.6B"],
    ] {
        let run = qasr(args).fails_with(4);
        assert!(run.stderr.contains(DOWNLOAD) && run.stderr.lines().count() == 1, "{args:?}: {}", run.stderr);
    }
    let run = qasr(&["transcribe", "-m", "me/my-asr", RECORDING]).fails_with(4);
    assert!(run.stderr.contains("hf download me/my-asr --local-dir my-asr"), "{}", run.stderr);
}

#[test]
fn a_flag_that_downloads_elsewhere_is_no_call_for_help() {
    for args in
        [&["transcribe", "-hf", "Qwen/Qwen3-ASR-0.6B", RECORDING][..], &["-hf", "Qwen/Qwen3-ASR-0.6B", RECORDING]]
    {
        let run = qasr(args).fails_with(2);
        assert!(run.stdout.is_empty() && run.stderr.contains(DOWNLOAD), "{args:?}: {run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
}
