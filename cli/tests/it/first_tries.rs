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

#[test]
fn a_recording_without_a_subcommand_is_transcribed() {
    for args in [&["-np", RECORDING][..], &[RECORDING, "-np"], &["-np", "-t", "1", "-f", RECORDING]] {
        assert_eq!(qasr(args).succeeds().stdout, WORDS, "{args:?}");
    }
    let run = qasr(&["missing.wav"]).fails_with(3);
    assert!(run.stderr.contains("missing.wav") && !run.stderr.contains("subcommand"), "{}", run.stderr);
    let run = qasr(&["trnscribe", RECORDING]).fails_with(2);
    assert!(run.stderr.contains("trnscribe") && run.stderr.contains("transcribe"), "{}", run.stderr);
    let run = qasr(&["download", "Qwen/Qwen3-ASR-0.6B"]).fails_with(2);
    assert!(run.stderr.contains(DOWNLOAD), "{}", run.stderr);
}

#[test]
fn names_from_other_tools_are_taken() {
    let scratch = Scratch::new("other-names");
    let recording = scratch.copy(RECORDING, "talk.wav");
    for flag in ["-o", "--output-dir", "--output_dir"] {
        let folder = scratch.path(&flag[1..]);
        qasr(&["transcribe", "-np", "-otxt", flag, &folder, &recording]).succeeds();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "{flag}");
    }
    let run = qasr(&["transcribe", "-np", "-o", "talk.srt", &recording]).fails_with(2);
    assert!(run.stderr.contains("-osrt -of talk"), "{}", run.stderr);
    for flag in ["--hotwords", "--prompt", "--initial-prompt"] {
        assert_eq!(qasr(&["transcribe", "-np", flag, "seven", RECORDING]).succeeds().stdout, WORDS, "{flag}");
    }
}

#[test]
fn the_languages_are_listed() {
    for args in [&["--list-languages"][..], &["transcribe", "--list-languages"], &["listen", "--list-languages"]] {
        let run = qasr(args).succeeds();
        assert_eq!(run.stdout.lines().count(), 30, "{args:?}");
        assert!(run.stdout.contains("de   German\n") && run.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_recipe_is_taken_where_a_type_is_and_q8_0_is_the_default() {
    let scratch = Scratch::new("wanted");
    let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/checkpoint");
    let converted = scratch.path("m");
    let run = qasr(&["convert", checkpoint, "--name", "plain", "-o", &converted]).succeeds();
    assert!(run.stderr.contains("no --type given: writing q8_0"), "{}", run.stderr);
    let plain = std::fs::read(scratch.path("m/plain-q8_0.gguf")).unwrap();
    qasr(&["convert", checkpoint, "--name", "plain", "--type", "q8_0", "-o", &scratch.path("again")]).succeeds();
    assert_eq!(plain, std::fs::read(scratch.path("again/plain-q8_0.gguf")).unwrap());
    // A recipe gives the same files under both flags, and as the third word of quantize.
    let (by_type, by_recipe) = (scratch.path("type"), scratch.path("recipe"));
    qasr(&["convert", checkpoint, "--name", "x", "--type", "balanced", "-o", &by_type]).succeeds();
    qasr(&["convert", checkpoint, "--name", "x", "--recipe", "balanced", "-o", &by_recipe]).succeeds();
    let read = |folder: &str| std::fs::read(scratch.path(&format!("{folder}/x-balanced.gguf"))).unwrap();
    assert_eq!(read("type"), read("recipe"));
    let input = scratch.path("m/plain-q8_0.gguf");
    qasr(&["quantize", &input, &scratch.path("small/"), "balanced"]).succeeds();
    assert!(std::path::Path::new(&scratch.path("small/plain-balanced.gguf")).is_file(), "{:?}", scratch.names());
    let run = qasr(&["quantize", &input, &scratch.path("small/"), "balances"]).fails_with(2);
    assert!(run.stderr.contains("q4_0") && run.stderr.contains("small, balanced, safe"), "{}", run.stderr);
}

#[test]
fn completions_and_pages_for_man_are_printed() {
    for (shell, part) in
        [("bash", "_qasr()"), ("zsh", "#compdef qasr"), ("fish", "complete -c qasr"), ("powershell", "qasr;transcribe")]
    {
        let run = qasr(&["completions", shell]).succeeds();
        assert!(run.stdout.contains(part) && run.stdout.contains("output-srt") && run.stderr.is_empty(), "{shell}");
    }
    assert!(qasr(&["man"]).succeeds().stdout.contains(".TH qasr 1"));
    let page = qasr(&["man", "transcribe"]).succeeds().stdout;
    assert!(page.contains(".TH qasr-transcribe 1") && page.contains("output\\-srt"), "{page}");
    assert!(qasr(&["man", "transkribe"]).fails_with(2).stderr.contains("transkribe"));
    qasr(&["completions", "tcsh"]).fails_with(2);
}

#[test]
fn short_help_has_one_line_for_each_flag_and_no_line_is_wide() {
    let commands = qasr(&["--help"]).succeeds().stdout;
    let (_, commands) = commands.split_once("Commands:\n").unwrap();
    let names: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert!(names.len() > 12 && names.last() == Some(&"help") && names.contains(&"listen"), "{names:?}");
    for name in names.iter().filter(|name| **name != "help") {
        let short = qasr(&[name, "-h"]).succeeds().stdout;
        for line in short.lines().skip(1).take_while(|line| !line.starts_with("Examples")) {
            // A heading, a flag, an argument of the command, or nothing; never the rest of a flag's text.
            let is_rest = line.starts_with("          ") && !line.trim_start().starts_with("--");
            assert!(!is_rest, "{name}: {line}");
        }
        for line in short.lines().chain(qasr(&[name, "--help"]).succeeds().stdout.lines()) {
            assert!(line.chars().count() <= 100, "{name}: {line}");
        }
    }
    // What only developers need comes last.
    let listen = qasr(&["listen", "-h"]).succeeds().stdout;
    let (before, developers) = listen.split_once("For developers:").unwrap();
    for flag in ["--simulate", "--no-reuse", "--unfixed-chunks", "--rollback", "--trace"] {
        assert!(developers.contains(flag) && !before.contains(flag), "{flag}");
    }
}
