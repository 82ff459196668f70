//! The built command with model files: from a checkpoint to a pair to a text, and everything that can be wrong with
//! the files. The checkpoint is the tiny one with random weights that the golden values were made from.

use crate::command::{Scratch, qasr};
use crate::damage::Part;
use std::fs;
use std::path::Path;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../quant-tests/golden/tiny/checkpoint");

/// The tiny checkpoint as a pair: the paths of decoder and encoder file.
fn pair(scratch: &Scratch, kind: &str) -> (String, String) {
    qasr(&["convert", CHECKPOINT, "--type", kind, "--name", "tiny", "--no-prints", "-o", &scratch.path("")]).succeeds();
    let (encoders, decoders): (Vec<_>, Vec<_>) =
        scratch.names().into_iter().filter(|name| name.contains(kind)).partition(|name| name.contains("mmproj"));
    assert_eq!((encoders.len(), decoders.len()), (1, 1), "{encoders:?} {decoders:?}");
    (scratch.path(&decoders[0]), scratch.path(&encoders[0]))
}

/// `qasr transcribe` with this model ends with the bad-model code, one sentence and no text.
fn is_refused(args: &[&str], named: &str) {
    let run = qasr(&[&["transcribe", "-np"], args, &[RECORDING]].concat()).fails_with(4);
    assert_eq!((run.stdout.as_str(), run.stderr.lines().count()), ("", 1), "{args:?}: {}", run.stderr);
    assert!(run.stderr.starts_with("qasr: error: ") && run.stderr.contains(named), "{args:?}: {}", run.stderr);
}

#[test]
fn a_checkpoint_becomes_a_pair_that_transcribes() {
    let scratch = Scratch::new("pair");
    let (decoder, encoder) = pair(&scratch, "q8_0");
    assert_eq!(scratch.names().len(), 2, "{:?}", scratch.names());
    // By the decoder's name, by the folder, with both names, and by the folder and the encoder's name.
    let folder = scratch.path("");
    for model in [
        &["-m", &decoder][..],
        &["-m", &folder],
        &["-m", &decoder, "--mmproj", &encoder],
        &["-m", &folder, "--mmproj", &encoder],
    ] {
        // The weights are random: the text means nothing, and may well run into the limit.
        let limit = ["--max-new-tokens", "8", "-d", "2000", "-ojson", "-of", "-", RECORDING];
        let run = qasr(&[&["transcribe", "-np"], model, &limit].concat()).succeeds_or_fails_with(5);
        let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!((&json["model"]["name"], &json["model"]["quant"]), (&"tiny".into(), &"q8_0".into()));
        assert_eq!(
            json["model"]["decoder_file"].as_str().map(fs::canonicalize).unwrap().unwrap(),
            fs::canonicalize(&decoder).unwrap()
        );
        assert_eq!(json["timing"]["audio_tokens"], 26);
        assert_eq!(run.code == Some(0), json["complete"] == true);
    }
    let run = qasr(&["inspect", "-v", &encoder]).succeeds();
    assert!(run.stdout.contains("clip.audio") && run.stdout.contains("q8_0"), "{}", run.stdout);
}

#[test]
fn a_dry_run_prints_the_sizes_that_the_files_get_and_writes_nothing() {
    let scratch = Scratch::new("dry");
    let out = scratch.path("out");
    let args = ["convert", CHECKPOINT, "--type", "q4_k_m", "--encoder-type", "q8_0", "-o", &out];
    let planned = qasr(&[&args[..], &["--dry-run"]].concat()).succeeds();
    for name in
        ["token_embd.weight", "blk.*.attn_q.weight", "a.conv2d.1.weight", "a.conv2d.*.weight", "mm.a.mlp.1.weight"]
    {
        assert!(planned.stdout.contains(name), "{name} is not in {}", planned.stdout);
    }
    let widest = planned.stdout.lines().filter(|line| !line.contains(&out)).map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|widest| widest <= 100), "{}", planned.stdout);
    let every = qasr(&[&args[..], &["--dry-run", "-v"]].concat()).succeeds();
    assert!(every.stdout.contains("blk.0.attn_q.weight") && every.stdout.contains("[as asked]"), "{}", every.stdout);
    assert_eq!(scratch.names(), Vec::<String>::new());
    let written = qasr(&args).succeeds();
    assert!(written.stderr.contains("largest rounding error: "), "{}", written.stderr);
    let files = fs::read_dir(&out).unwrap();
    let sizes: Vec<u64> = files.map(|file| file.unwrap().metadata().unwrap().len()).collect();
    assert_eq!(sizes.len(), 2);
    for size in &sizes {
        assert!(planned.stdout.contains(&format!("\n  {size} bytes\n")), "{size}: {}", planned.stdout);
    }
    assert!(planned.stdout.contains(&format!("({} bytes)", sizes.iter().sum::<u64>())), "{}", planned.stdout);
}

#[test]
fn converting_again_says_that_files_are_replaced() {
    let scratch = Scratch::new("again");
    let args = ["convert", CHECKPOINT, "--type", "q8_0", "--name", "tiny", "-o", &scratch.path("")];
    let replaced = || -> Vec<bool> {
        let run = qasr(&args).succeeds();
        let written = run.stderr.lines().filter(|line| line.contains("wrote "));
        written.map(|line| line.contains("replacing the file of that name")).collect()
    };
    assert_eq!(replaced(), [false, false]);
    fs::remove_file(scratch.path("mmproj-tiny-q8_0.gguf")).unwrap();
    // The decoder file comes first.
    assert_eq!(replaced(), [true, false]);
    assert_eq!(replaced(), [true, true]);
}

#[test]
fn a_segment_length_is_recorded_only_if_the_model_then_opens() {
    let scratch = Scratch::new("seconds");
    let convert = |seconds: &str| {
        qasr(&["convert", CHECKPOINT, "--type", "q8_0", "-o", &scratch.path("m"), "--segment-seconds", seconds])
    };
    for seconds in ["0", "0.99", "1200.1", "5000", "-1", "nan", "inf"] {
        // What starts with a dash is refused as an option before it is read as a number.
        let run = convert(seconds).fails_with(2);
        assert_eq!(run.stderr.lines().count(), 1, "{seconds}: {}", run.stderr);
        assert!(seconds == "-1" || run.stderr.contains("1 to 1200 seconds"), "{seconds}: {}", run.stderr);
        assert!(!scratch.names().contains(&"m".to_owned()), "{seconds}");
    }
    for seconds in ["1", "1200"] {
        convert(seconds).succeeds();
        let limit = ["--max-new-tokens", "4", "-d", "1000", RECORDING];
        qasr(&[&["transcribe", "-np", "-m", &scratch.path("m")], &limit[..]].concat()).succeeds_or_fails_with(5);
    }
}

#[test]
fn what_cannot_be_converted_is_one_sentence() {
    let scratch = Scratch::new("unconvertible");
    let out = scratch.path("out");
    let run = qasr(&["convert", &scratch.path(""), "--type", "f16", "-o", &out]).fails_with(4);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    let run = qasr(&["convert", CHECKPOINT, "--type", "q3_k", "-o", &out]).fails_with(2);
    assert!(run.stderr.contains("q3_k") && run.stderr.contains("q4_k_m"), "{}", run.stderr);
    let file = scratch.write("file", b"in the way");
    let run = qasr(&["convert", CHECKPOINT, "--type", "f16", "-o", &file]).fails_with(6);
    assert!(run.stderr.contains(&file), "{}", run.stderr);
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let scratch = Scratch::new("cut");
    let (decoder, encoder) = pair(&scratch, "q4_0");
    for (whole, other, is_decoder) in [(&decoder, &encoder, true), (&encoder, &decoder, false)] {
        let bytes = fs::read(whole).unwrap();
        for part in [0.0, 0.0001, 0.001, 0.01, 0.3, 0.7, 0.999] {
            let cut = scratch.write("cut.gguf", &bytes[..(bytes.len() as f64 * part) as usize]);
            let (model, mmproj) = if is_decoder { (&cut, other) } else { (other, &cut) };
            is_refused(&["-m", model, "--mmproj", mmproj], "cut.gguf");
        }
    }
}

#[test]
fn files_that_are_no_pair_are_refused() {
    let scratch = Scratch::new("mixed");
    let (decoder, encoder) = pair(&scratch, "q8_0");
    let demo_encoder = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/mmproj-demo-q8_0.gguf");
    is_refused(&["-m", &encoder], "--mmproj");
    is_refused(&["-m", &decoder, "--mmproj", &decoder], &decoder);
    is_refused(&["-m", &encoder, "--mmproj", &decoder], &encoder);
    is_refused(&["-m", &decoder, "--mmproj", demo_encoder], "mmproj-demo");
    is_refused(&["-m", RECORDING], "six_words.wav");
    fs::remove_file(&encoder).unwrap();
    is_refused(&["-m", &decoder], "--mmproj");
}

#[test]
fn wrong_bytes_in_a_header_are_refused() {
    let scratch = Scratch::new("header");
    let (decoder, encoder) = pair(&scratch, "q8_0");
    let bytes = fs::read(&decoder).unwrap();
    // Magic, version, number of tensors, number of keys, length of the first key.
    for (place, patch) in [(0, &b"GGUX"[..]), (4, &[99, 0, 0, 0]), (8, &[0xff; 8]), (16, &[0xff; 8]), (24, &[0xff; 8])]
    {
        let mut damaged = bytes.clone();
        damaged[place..place + patch.len()].copy_from_slice(patch);
        let model = scratch.write("damaged.gguf", &damaged);
        is_refused(&["-m", &model, "--mmproj", &encoder], "damaged.gguf");
    }
    let text = b"general.architecture";
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap() + text.len();
    let mut other = bytes.clone();
    let name = other[at..].windows(5).position(|window| window == b"qwen3").unwrap() + at;
    other[name..name + 5].copy_from_slice(b"llama");
    let model = scratch.write("other.gguf", &other);
    is_refused(&["-m", &model, "--mmproj", &encoder], "other.gguf");
}

/// llama.cpp's quantizer keeps our keys and writes its own number for the new types: the recipe it keeps is out of date.
#[test]
fn a_recipe_that_another_quantizer_left_behind_is_not_believed() {
    let scratch = Scratch::new("stale");
    let (decoder, encoder) = pair(&scratch, "q8_0");
    let stale = Part::read(Path::new(&decoder)).with("qasr.recipe", "f16").bytes();
    let stale = scratch.write("stale.gguf", &stale);
    let quant = |decoder: &str| {
        let limit = ["--max-new-tokens", "1", "-d", "1000", "-ojson", "-of", "-", RECORDING];
        let run = qasr(&[&["transcribe", "-np", "-m", decoder, "--mmproj", &encoder], &limit[..]].concat());
        let json: serde_json::Value = serde_json::from_str(&run.succeeds_or_fails_with(5).stdout).unwrap();
        json["model"]["quant"].as_str().unwrap().to_owned()
    };
    assert_eq!((quant(&decoder), quant(&stale)), ("q8_0".to_owned(), "q8_0".to_owned()));
}
