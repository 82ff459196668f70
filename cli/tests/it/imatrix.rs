//! `qasr imatrix` through the binary, with the demo model and the recordings of the repository.

use crate::command::{Scratch, qasr};
use qasr_format::imatrix::Importance;
use std::fs;
use std::path::Path;

const SIX_WORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/sample.flac");

/// A manifest of these files: its path.
fn manifest(scratch: &Scratch, name: &str, files: &[&str]) -> String {
    let lines: Vec<String> = files.iter().map(|file| format!("{file}\t-\ten\n")).collect();
    fs::write(scratch.path(name), format!("file\ttext\tlanguage\n{}", lines.concat())).unwrap();
    scratch.path(name)
}

#[test]
fn sums_of_both_files_are_written_and_add_up_over_recordings() {
    let scratch = Scratch::new("imatrix");
    let (one, other) = (manifest(&scratch, "one.tsv", &[SIX_WORDS]), manifest(&scratch, "other.tsv", &[SAMPLE]));
    let collect = |manifests: &[&str], out: &str| {
        let run = qasr(&[&["imatrix"], manifests, &["-o", &scratch.path(out)]].concat()).succeeds();
        assert!(run.stdout.is_empty() && run.stderr.contains("English"), "{}", run.stderr);
        Importance::read(Path::new(&scratch.path(out))).unwrap()
    };
    let (first, second) = (collect(&[&one], "one.gguf"), collect(&[&other], "other.gguf"));
    let both = collect(&[&one, &other], "both.gguf");
    assert_eq!((both.chunks, &both.datasets), (2, &vec![one.clone(), other.clone()]));
    // Four encoder layers of six matrices, six decoder layers of seven; the stem's, two of the projector, the head.
    assert_eq!(both.matrices.len(), 4 * 6 + 6 * 7 + 1 + 2 + 1, "{:?}", both.matrices.keys());
    for (name, sums) in &both.matrices {
        let (a, b) = (&first.matrices[name], &second.matrices[name]);
        assert_eq!(sums.rows, a.rows + b.rows, "{name}");
        assert!(a.rows > 0.0 && a.squares != b.squares, "{name}");
        for ((sum, a), b) in sums.squares.iter().zip(&a.squares).zip(&b.squares) {
            assert!((sum - (a + b)).abs() <= 1e-5 * sum, "{name}: {sum} is not {a} + {b}");
        }
    }
    let name = "a.conv_out.weight";
    // 13 rows for each of its 6 s.
    assert_eq!((first.matrices[name].rows, first.matrices[name].squares.len()), (78.0, 512));
}

#[test]
fn a_recording_that_cannot_be_read_is_named_and_the_others_count() {
    let scratch = Scratch::new("imatrix-bad");
    fs::write(scratch.path("noise.wav"), "no sound").unwrap();
    let list = manifest(&scratch, "list.tsv", &["noise.wav", SIX_WORDS]);
    let run = qasr(&["imatrix", &list, "-o", &scratch.path("out.gguf")]).fails_with(3);
    assert!(run.stderr.contains("noise.wav"), "{}", run.stderr);
    assert_eq!(Importance::read(Path::new(&scratch.path("out.gguf"))).unwrap().chunks, 1);

    let only = manifest(&scratch, "only.tsv", &["noise.wav"]);
    qasr(&["imatrix", &only, "-o", &scratch.path("none.gguf")]).fails_with(3);
    assert!(!Path::new(&scratch.path("none.gguf")).exists());
}

#[test]
fn what_cannot_be_done_is_said() {
    let scratch = Scratch::new("imatrix-refused");
    let list = manifest(&scratch, "list.tsv", &[SIX_WORDS]);
    let run = qasr(&["imatrix", &list, "-o", &scratch.path("no/such/folder/out.gguf")]).fails_with(6);
    assert!(run.stderr.contains("no/such/folder"), "{}", run.stderr);
    qasr(&["imatrix", &scratch.path("absent.tsv"), "-o", &scratch.path("out.gguf")]).fails_with(2);
    qasr(&["imatrix", &list]).fails_with(2);
    qasr(&["imatrix", &list, "-m", &scratch.path("absent.gguf"), "-o", &scratch.path("out.gguf")]).fails_with(4);
    assert_eq!(scratch.names(), ["list.tsv"]);
    // What is read is never written over.
    let run = qasr(&["imatrix", &list, "-o", &list]).fails_with(2);
    assert!(run.stderr.contains("list.tsv would replace a list of recordings"), "{}", run.stderr);
    let demo = |name: &str| format!("{}/../convert/demo/{name}demo-q8_0.gguf", env!("CARGO_MANIFEST_DIR"));
    let model = scratch.copy(&demo(""), "demo.gguf");
    let encoder = scratch.copy(&demo("mmproj-"), "mmproj-demo.gguf");
    for own in [&model, &encoder] {
        qasr(&["imatrix", &list, "-m", &model, "-o", own]).fails_with(2);
    }
    assert_eq!(fs::read(&model).unwrap(), fs::read(demo("")).unwrap());
}
