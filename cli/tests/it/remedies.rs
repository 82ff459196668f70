//! The library's errors and warnings name no flags. Here a user of the command still meets the flag that helps.

use crate::command::{Scratch, qasr, wav};

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const DECODER: &str = "convert/demo/demo-q8_0.gguf";
const ENCODER: &str = "convert/demo/mmproj-demo-q8_0.gguf";

/// `qasr transcribe` with these arguments ends with this code and one sentence that ends with the remedy.
fn is_refused(args: &[&str], code: i32, remedy: &str) {
    let run = qasr(&[&["transcribe", "-np", RECORDING], args].concat()).fails_with(code);
    assert!(run.stderr.trim_end().ends_with(remedy) && run.stderr.lines().count() == 1, "{args:?}: {}", run.stderr);
}

#[test]
fn what_is_wrong_with_a_models_place_ends_with_the_flag_that_helps() {
    let scratch = Scratch::new("remedies");
    let folder = scratch.path("");
    is_refused(&["-m", &folder], 4, "holds no decoder file (*.gguf); make a pair with `qasr convert`");
    let decoder = scratch.copy(DECODER, "a.gguf");
    is_refused(
        &["-m", &decoder],
        4,
        "no audio encoder beside it; put its mmproj-*.gguf beside it or name it with --mmproj",
    );
    let encoder = scratch.copy(ENCODER, "mmproj-x.gguf");
    is_refused(&["-m", &encoder], 4, "(mmproj); give the decoder file with -m, and this one with --mmproj");
    scratch.copy(ENCODER, "mmproj-y.gguf");
    is_refused(&["-m", &decoder], 4, "(mmproj-x.gguf, mmproj-y.gguf); choose one with --mmproj");
    scratch.copy(DECODER, "b.gguf");
    is_refused(&["-m", &folder], 4, "holds several models (a.gguf, b.gguf); name one of them with -m");
    // The same in front of the name of a flag.
    let run = qasr(&["compare", "-m", &folder, "-o", &scratch.path("out"), RECORDING]).fails_with(4);
    assert!(
        run.stderr.contains(&format!("-m {folder}: ")) && run.stderr.contains("name one of them with -m"),
        "{}",
        run.stderr
    );
}

#[test]
fn what_does_not_fit_ends_with_the_flags_that_help() {
    // Three tokens each, more than the demo model has positions.
    let context = "龘".repeat(30_000);
    is_refused(&["-m", "demo", "--context", &context], 2, "; shorten --context or lower --segment-seconds");
}

#[test]
fn warnings_end_with_the_flag_that_helps_also_in_json_and_live() {
    let scratch = Scratch::new("remedies-warnings");
    let silence = scratch.write("silence.wav", &wav(&[0; 32_000]));
    let no_speech = "no speech was found, so nothing was transcribed; --vad off transcribes everything";
    let run = qasr(&["transcribe", "-np", "-m", "demo", &silence, "-ojson", "-of", &scratch.path("s")]).succeeds();
    assert!(run.stderr.contains(no_speech), "{}", run.stderr);
    let json: serde_json::Value = serde_json::from_str(&scratch.read("s.json")).unwrap();
    assert_eq!(json["warnings"][0], serde_json::json!({"code": "no_speech", "message": no_speech}));
    let cut = "may lack its end; allow more with --max-new-tokens or cut sooner with --segment-seconds";
    let run = qasr(&["transcribe", "-np", RECORDING, "--max-new-tokens", "5"]).fails_with(5);
    assert!(run.stderr.contains(cut), "{}", run.stderr);
    let run = qasr(&["listen", "--json", "--input", RECORDING, "--max-new-tokens", "5"]).succeeds_or_fails_with(5);
    assert!(run.stdout.contains("\"code\":\"token_limit\"") && run.stdout.contains(cut), "{}", run.stdout);
}

#[test]
fn importance_without_a_matrix_ends_with_the_flag_that_helps() {
    let scratch = Scratch::new("remedies-importance");
    let recording = scratch.copy("tests/recordings/six_words.wav", "six.wav");
    let manifest = scratch.write("m.tsv", format!("file\ttext\n{recording}\tone two\n").as_bytes());
    let args = ["quant-report", DECODER, &manifest, "--types", "q4_0+imatrix", "-o", &scratch.path("r.html")];
    let run = qasr(&args).fails_with(2);
    assert!(run.stderr.contains("there is no importance matrix; give one with --imatrix"), "{}", run.stderr);
}
