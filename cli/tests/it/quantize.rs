//! The built command writes a pair in other types: it still transcribes, recipes and exceptions and importance reach
//! the files, and everything that is refused is one sentence with the right code and leaves nothing.

use crate::command;

use crate::command::{Finished, Scratch, qasr};
use qasr_format::{ColumnSums, Gguf, Importance};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/demo-q8_0.gguf");
const DEMO_CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/checkpoint");
const TINY_CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../quant-tests/golden/tiny/checkpoint");
/// The words of the recording.
const WORDS: &str = "seven six nine two five go\n";

fn quantize(args: &[&str]) -> command::Prepared {
    qasr(&[&["quantize", "-t", "1"], args].concat())
}

/// The tiny checkpoint as a bf16 pair in `m/`: its decoder file.
fn tiny(scratch: &Scratch) -> String {
    qasr(&["convert", TINY_CHECKPOINT, "--type", "bf16", "--name", "tiny", "--no-prints", "-o", &scratch.path("m")])
        .succeeds();
    scratch.path("m/tiny-bf16.gguf")
}

fn listing(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Type and bytes of every tensor of a file.
fn tensors(path: &str) -> BTreeMap<String, (String, Vec<u8>)> {
    let gguf = Gguf::open(Path::new(path)).unwrap_or_else(|error| panic!("{error}"));
    let bytes = fs::read(path).unwrap();
    let data = |start: u64, len: u64| bytes[start as usize..(start + len) as usize].to_vec();
    let part = |info: &qasr_format::TensorInfo| (info.kind.name().to_owned(), data(info.offset, info.bytes));
    gguf.tensors().iter().map(|info| (info.name.clone(), part(info))).collect()
}

fn kind(path: &str, tensor: &str) -> String {
    tensors(path)[tensor].0.clone()
}

#[test]
fn the_demo_in_four_bits_still_transcribes() {
    let scratch = Scratch::new("requantized");
    let run = quantize(&[DEMO, &scratch.path("new/"), "Q4_0"]).succeeds();
    assert_eq!(listing(&scratch.path("new")), ["demo-q4_0.gguf", "mmproj-demo-q4_0.gguf"]);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("warning: the source has fewer than 16 bits ("), "{}", run.stderr);
    assert_eq!(run.stderr.matches("wrote ").count(), 2, "{}", run.stderr);
    let model = scratch.path("new/demo-q4_0.gguf");
    assert_eq!(kind(&model, "blk.0.attn_q.weight"), "q4_0");
    assert_eq!(qasr(&["transcribe", "-np", "-m", &model, RECORDING]).succeeds().stdout, WORDS);
    // With a name for the decoder file, its encoder is named after it.
    quantize(&[DEMO, &scratch.path("x.gguf"), "q4_k", "--encoder-type", "Q8_0", "--no-prints"]).succeeds();
    assert_eq!(scratch.names(), ["mmproj-x.gguf", "new", "x.gguf"]);
    assert_eq!(kind(&scratch.path("x.gguf"), "blk.0.attn_q.weight"), "q4_k");
    assert_eq!(kind(&scratch.path("mmproj-x.gguf"), "a.blk.0.attn_q.weight"), "q8_0");
    assert_eq!(qasr(&["transcribe", "-np", "-m", &scratch.path("x.gguf"), RECORDING]).succeeds().stdout, WORDS);
}

#[test]
fn recipes_by_name_and_by_file_transcribe_and_are_named_in_the_files() {
    let scratch = Scratch::new("recipes");
    qasr(&["convert", DEMO_CHECKPOINT, "--type", "bf16", "--name", "demo", "--no-prints", "-o", &scratch.path("m")])
        .succeeds();
    let source = scratch.path("m/demo-bf16.gguf");
    let text = "qasr-recipe 1\n# mine\nname mine\ndecoder q5_0\nencoder q8_0\ntensor token_embd q8_0\ncost kl 0.25\n";
    let file = scratch.write("mine.recipe", text.as_bytes());
    let out = scratch.path("out/");
    let mut sizes = Vec::new();
    for (typed, name) in [("small", "small"), ("Balanced", "balanced"), ("safe", "safe"), (file.as_str(), "mine")] {
        let run = quantize(&[&source, &out, "--recipe", typed]).succeeds();
        assert!(!run.stderr.contains("fallback") && !run.stderr.contains("warning"), "{}", run.stderr);
        let model = scratch.path(&format!("out/demo-{name}.gguf"));
        let run = qasr(&["transcribe", "-np", "-ojson", "-of", "-", "-m", &model, RECORDING]).succeeds();
        let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(json["text"], WORDS.trim());
        assert_eq!((&json["model"]["quant"], &json["model"]["encoder_quant"]), (&name.into(), &name.into()));
        sizes.push(fs::metadata(&model).unwrap().len());
    }
    assert!(sizes[0] < sizes[1] && sizes[1] < sizes[2], "{sizes:?}");
    let run = qasr(&["inspect", "-v", &scratch.path("out/demo-mine.gguf")]).succeeds();
    assert!(run.stdout.contains("[\"kl 0.25\"]") && run.stdout.contains("decoder q5_0"), "{}", run.stdout);
    // What is typed comes before what the recipe says, and is not that recipe any more.
    quantize(&[&source, &out, "--recipe", &file, "--tensor-type", "token_embd=q6_k", "--no-prints"]).succeeds();
    let custom = scratch.path("out/demo-mine-custom.gguf");
    assert_eq!(kind(&custom, "token_embd.weight"), "q6_k");
    assert!(!qasr(&["inspect", "-v", &custom]).succeeds().stdout.contains("kl 0.25"));
}

#[test]
fn converting_takes_the_same_flags_to_the_same_bytes() {
    let scratch = Scratch::new("same-flags");
    let source = tiny(&scratch);
    let importance = importance(&scratch, 64);
    let flags = [
        "--encoder-type",
        "q5_0",
        "--tensor-type",
        "ffn_up=q8_0",
        "--tensor-type",
        "ffn=q6_k",
        "--imatrix",
        &importance,
    ];
    quantize(&[&[source.as_str(), &scratch.path("q/"), "q4_0"], &flags[..]].concat()).succeeds();
    let convert = ["convert", TINY_CHECKPOINT, "--type", "q4_0", "--name", "tiny", "-o", &scratch.path("c")];
    qasr(&[&convert[..], &flags].concat()).succeeds();
    assert_eq!(listing(&scratch.path("q")), ["mmproj-tiny-q5_0-custom.gguf", "tiny-q4_0-custom.gguf"]);
    for name in listing(&scratch.path("q")) {
        let [ours, theirs] = ["q", "c"].map(|folder| tensors(&scratch.path(&format!("{folder}/{name}"))));
        assert!(ours == theirs, "{name}");
    }
    let decoder = scratch.path("q/tiny-q4_0-custom.gguf");
    assert_eq!(kind(&decoder, "blk.0.ffn_up.weight"), "q8_0", "the first exception counts");
    // Rows of 64 fit no block of 256.
    assert_eq!(kind(&decoder, "blk.0.ffn_gate.weight"), "q8_0");
    assert_eq!(kind(&decoder, "blk.0.attn_q.weight"), "q4_0");
    for recipe in ["q", "c"] {
        let command = if recipe == "q" { vec!["quantize", &source] } else { vec!["convert", TINY_CHECKPOINT, "-o"] };
        let out = scratch.path(&format!("{recipe}-safe/"));
        let name: &[&str] = if recipe == "q" { &[] } else { &["--name", "tiny"] };
        qasr(&[&command[..], &[&out, "--recipe", "safe", "--no-prints"], name].concat()).succeeds();
    }
    for name in ["tiny-safe.gguf", "mmproj-tiny-safe.gguf"] {
        let [ours, theirs] = ["q", "c"].map(|folder| tensors(&scratch.path(&format!("{folder}-safe/{name}"))));
        assert!(ours == theirs, "{name}");
    }
}

/// An importance matrix over the first layer of the decoder, for rows of `columns` values.
fn importance(scratch: &Scratch, columns: usize) -> String {
    let squares = (0..columns).map(|i| if i % 7 == 0 { 900.0 } else { 1.0 }).collect();
    let matrices = [("blk.0.attn_q.weight".to_owned(), ColumnSums { squares, rows: 3.0 })].into();
    let path = scratch.path("importance.gguf");
    let matrix = Importance { datasets: vec!["talk.tsv".into()], chunks: 2, chunk_size: 0, matrices };
    std::fs::write(&path, matrix.to_bytes().unwrap()).unwrap();
    path
}

#[test]
fn importance_changes_what_it_is_about_and_is_named_in_the_file() {
    let scratch = Scratch::new("importance");
    let source = tiny(&scratch);
    let importance = importance(&scratch, 64);
    quantize(&[&source, &scratch.path("without/"), "q4_0"]).succeeds();
    let run = quantize(&[&source, &scratch.path("with/"), "q4_0", "--imatrix", &importance]).succeeds();
    assert!(run.stderr.contains("importance from importance.gguf: used for 1 matrices"), "{}", run.stderr);
    assert!(run.stderr.contains("warning: importance.gguf says nothing about "), "{}", run.stderr);
    let [without, with] = ["without", "with"].map(|folder| tensors(&scratch.path(&format!("{folder}/tiny-q4_0.gguf"))));
    let changed: Vec<&String> = without.keys().filter(|name| without[*name] != with[*name]).collect();
    assert_eq!(changed, ["blk.0.attn_q.weight"]);
    let run = qasr(&["inspect", "-v", &scratch.path("with/tiny-q4_0.gguf")]).succeeds();
    for part in ["quantize.imatrix.file", "\"importance.gguf\"", "\"talk.tsv\"", "quantize.imatrix.chunks_count"] {
        assert!(run.stdout.contains(part), "{part}: {}", run.stdout);
    }
    // A file with these keys opens.
    let limit = ["--max-new-tokens", "4", "-d", "1000", RECORDING];
    qasr(&[&["transcribe", "-np", "-m", &scratch.path("with")], &limit[..]].concat()).succeeds_or_fails_with(5);
    // Nothing was used for the encoder, and its file does not say otherwise.
    assert!(
        !qasr(&["inspect", "-v", &scratch.path("with/mmproj-tiny-q4_0.gguf")]).succeeds().stdout.contains("imatrix")
    );
}

/// One line on standard error that has `part` in it, perhaps with a list below, and this code.
fn is_refused(run: command::Prepared, code: i32, part: &str) -> Finished {
    let run = run.fails_with(code);
    assert!(run.stderr.starts_with("qasr: error: ") && run.stderr.contains(part), "{part}: {}", run.stderr);
    assert!(run.stderr.lines().skip(1).all(|line| line.starts_with("  ")), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    run
}

#[test]
fn what_makes_no_sense_is_refused_and_leaves_nothing() {
    let scratch = Scratch::new("senseless");
    let source = tiny(&scratch);
    let out = scratch.path("out/");
    let no_text = scratch.write("no-text.recipe", b"qasr-recipe 1\nname \xff\ndecoder f16\n");
    let before = scratch.names();
    let usage = |args: &[&str], part: &str| {
        is_refused(quantize(args), 2, part);
        assert_eq!(scratch.names(), before, "{args:?}");
    };
    usage(&[&source, &out], "<TYPE|RECIPE>");
    usage(&[&source, &out, "q3_k"], "q4_k_m");
    usage(&[&source, &out, "q4_0", "--recipe", "safe"], "--recipe");
    usage(&[&source, &out, "--encoder-type", "q4_0", "--recipe", "safe"], "--encoder-type");
    usage(&[&source, &out, "--recipe", "medium"], "small, balanced, safe");
    usage(&[&source, &out, "--recipe", &no_text], "no-text.recipe: cannot read the file");
    usage(&[&source, &out, "q4_0", "--tensor-type", "ffn_down"], "REGEX=TYPE");
    usage(&[&source, &out, "q4_0", "--tensor-type", "ffn_down=q3_k"], "'q3_k' is no type of a tensor");
    usage(&[&source, &out, "q4_0", "--tensor-type", "(=f16"], "no regular expression");
    usage(&[&source, &out, "q4_0", "--tensor-type", "ffn_left=f16"], "'ffn_left=f16' matches no tensor");
    usage(&[&source, &out, "q4_0", "--tensor-type", "bias$=q8_0"], "stay f32, such as a.");
    usage(&[&source, &out, "q4_0", "--name", "a/b"], "--name");
    usage(&[&source, &scratch.path("out"), "q4_0"], "is no folder and does not end in .gguf");
    usage(&[&source, &source, "q4_0"], "is the file that is read");
    usage(&[&source, &scratch.path("m"), "bf16"], "is the file that is read");
    is_refused(qasr(&["quantize", &source, &out, "q4_0", "-t", "0"]), 2, "--threads");
}

#[test]
fn models_and_importance_that_cannot_be_used_are_refused() {
    let scratch = Scratch::new("unusable");
    let source = tiny(&scratch);
    let out = scratch.path("out/");
    let bad_model = |args: &[&str], part: &str| {
        is_refused(quantize(args), 4, part);
        assert_eq!(listing(&out), [""; 0], "{args:?}");
    };
    bad_model(&[&scratch.path("none.gguf"), &out, "q4_0"], "none.gguf: cannot open");
    bad_model(
        &[RECORDING, &out, "q4_0", "--mmproj", &scratch.path("m/mmproj-tiny-bf16.gguf")],
        "six_words.wav: not a GGUF",
    );
    bad_model(&[&source, &out, "q4_0", "--mmproj", &source], "is no audio encoder");
    bad_model(
        &[&source, &out, "q4_0", "--mmproj", &DEMO.replace("demo-q8", "mmproj-demo-q8")],
        "do not belong together",
    );
    let alone = scratch.copy(&source, "alone.gguf");
    bad_model(&[&alone, &out, "q4_0"], "no audio encoder beside it");
    let cut = scratch.write("cut.gguf", &fs::read(&source).unwrap()[..100_000]);
    bad_model(&[&cut, &out, "q4_0", "--mmproj", &scratch.path("m/mmproj-tiny-bf16.gguf")], "cut.gguf");
    bad_model(&[&source, &out, "q4_0", "--imatrix", &source], "not an importance matrix");
    bad_model(&[&source, &out, "q4_0", "--imatrix", &scratch.path("none.gguf")], "none.gguf: cannot open");
    let wide = importance(&scratch, 96);
    bad_model(&[&source, &out, "q4_0", "--imatrix", &wide], "'blk.0.attn_q.weight': 96 instead of 64");
    let run = qasr(&["convert", TINY_CHECKPOINT, "--type", "q4_0", "-o", &out, "--imatrix", &wide]);
    is_refused(run, 4, "96 instead of 64");
    let file = scratch.write("file", b"in the way");
    is_refused(quantize(&[&source, &format!("{file}/x/"), "q4_0"]), 6, "file");
}

#[test]
fn a_dry_run_prints_every_tensor_and_writes_nothing() {
    let scratch = Scratch::new("quantize-dry");
    let source = tiny(&scratch);
    let args = [&source, &scratch.path("out/"), "q4_0", "--dry-run", "-v", "--tensor-type", "mm.a.mlp.2=f16"];
    let run = quantize(&args).succeeds();
    for part in [
        "token_embd.weight",
        "blk.0.attn_q.weight",
        "a.conv2d.1.weight",
        "tiny-q4_0-custom.gguf",
        "as asked for by name",
    ] {
        assert!(run.stdout.contains(part), "{part} is not in {}", run.stdout);
    }
    assert_eq!(scratch.names(), ["m"]);
}

/// A disk that is full in the middle of the first or of the second file.
#[cfg(unix)]
#[test]
fn an_interruption_leaves_nothing() {
    let scratch = Scratch::new("interrupted");
    let source = tiny(&scratch);
    quantize(&[&source, &scratch.path("whole/"), "f32", "--no-prints"]).succeeds();
    let size = |name: &str| fs::metadata(scratch.path(&format!("whole/{name}"))).unwrap().len();
    let (decoder, encoder) = (size("tiny-f32.gguf"), size("mmproj-tiny-f32.gguf"));
    // Shells count blocks of 512 or of 1024 bytes: both lie below the smaller file at first, then between the two.
    assert!(decoder > 200 * 1024 && decoder < 1200 * 512 && encoder > 1200 * 1024, "{decoder} {encoder}");
    for (blocks, name) in [(200, "out/tiny-f32.gguf"), (1200, "out/mmproj-tiny-f32.gguf")] {
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_qasr"), "quantize", &source, &scratch.path("out/"), "f32"]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains(name) && said.contains("cannot write"), "{said}");
        assert_eq!(listing(&scratch.path("out")), [""; 0], "{said}");
    }
}
