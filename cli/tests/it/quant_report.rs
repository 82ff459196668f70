//! `qasr quant-report` through the binary: the numbers, the page, going on after an interruption.

use crate::command::{Scratch, qasr};
use serde_json::Value;
use std::fs;

const CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/checkpoint");
const SIX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");

const THREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/sample.flac");

fn folder(test: &str) -> Scratch {
    let scratch = Scratch::new(test);
    scratch.copy(SIX, "six.wav");
    scratch.write("list.tsv", b"file\ttext\tlanguage\tcategory\nsix.wav\tseven six nine two five go\ten\tclean\n");
    scratch
}

#[test]
fn five_depths_are_measured_shown_and_not_measured_twice() {
    let scratch = folder("quant-report");
    let (list, page, json, work) =
        (scratch.path("list.tsv"), scratch.path("page.html"), scratch.path("numbers.json"), scratch.path("work"));
    let fixed = ["quant-report", CHECKPOINT, &list, "--types", "q8_0,q4_0", "-o", &page, "-oj", &json];
    let run = qasr(&[&fixed[..], &["--work", &work]].concat()).succeeds();
    assert!(run.stderr.contains("measuring q4_0"), "{}", run.stderr);
    let rows: Vec<&str> = run.stdout.lines().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    for (table, first) in rows.iter().enumerate().filter(|(_, first)| **first == "type") {
        assert_eq!(rows[table..table + 4], [first, "f16", "q8_0", "q4_0"], "{}", run.stdout);
    }
    assert_eq!(rows.iter().filter(|first| **first == "type").count(), 2, "{}", run.stdout);
    assert!(run.stdout.lines().all(|line| line.chars().count() <= 80), "{}", run.stdout);
    // One recording decides nothing, and the first line says so.
    assert!(
        run.stdout.starts_with("No difference in errors can be told on this recording (6 words)"),
        "{}",
        run.stdout
    );
    let report: Value = serde_json::from_str(&scratch.read("numbers.json")).unwrap();

    // Each depth finds q8_0 nearer to f16 than q4_0, and neither the same as f16.
    let types = report["types"].as_array().unwrap();
    assert_eq!(types.iter().map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>(), ["q8_0", "q4_0"]);
    let block = |kind: &str| {
        let rows = report["blocks"].as_array().unwrap();
        rows.iter().find(|row| row["kind"] == kind).unwrap()["errors"][0][1].as_f64().unwrap()
    };
    let tensor = |one: &Value| {
        let tensors = one["tensors"].as_array().unwrap();
        tensors.iter().find(|row| row["name"] == "blk.2.ffn_up.weight").unwrap()["relative_rms"].as_f64().unwrap()
    };
    let rows = |one: &Value| one["cost"]["embeddings"][0]["output"]["relative_rms"].as_f64().unwrap();
    let kl = |one: &Value| one["cost"]["kl"]["mean"].as_f64().unwrap();
    for (depth, better, worse) in [
        (1, block("q8_0"), block("q4_0")),
        (2, tensor(&types[0]), tensor(&types[1])),
        (3, rows(&types[0]), rows(&types[1])),
        (4, kl(&types[0]), kl(&types[1])),
    ] {
        assert!(better > 0.0 && better < worse, "depth {depth}: q8_0 {better}, q4_0 {worse}");
    }
    assert_eq!((kl(&report["reference"]), tensor(&report["reference"])), (0.0, 0.0));
    for one in types.iter().chain([&report["reference"]]) {
        assert!(one["cost"]["summary"]["all"]["rtf"].as_f64().unwrap() > 0.0, "{one}");
        if cfg!(target_os = "linux") {
            assert!(one["peak_bytes"].as_u64().unwrap() > one["file_bytes"].as_u64().unwrap(), "{one}");
        }
    }
    assert_eq!(types[0]["cost"]["results"][0]["heard"], "seven six nine two five go");
    assert_eq!(types[0]["cost"]["summary"]["all"]["language_agreement"]["count"], 1);

    // The page stands alone, and has the numbers too.
    let html = scratch.read("page.html");
    for part in [
        "1 · Blocks",
        "2 · Tensors",
        "3 · Embeddings",
        "4 · Logits",
        "5 · Transcripts",
        "<svg",
        "q4_0",
        "No difference in errors",
    ] {
        assert!(html.contains(part), "no {part}");
    }
    assert!(html.contains(&format!("{}", kl(&types[1]))), "the page's own numbers are others");

    // Nothing is measured again, and a result that an interruption lost is.
    let again = qasr(&[&fixed[..], &["--work", &work]].concat()).succeeds();
    assert!(!again.stderr.contains("measuring"), "{}", again.stderr);
    assert!(scratch.read("page.html") == html, "kept results read back as other ones");
    let journals = || -> Vec<_> {
        let entries = fs::read_dir(&work).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).collect()
    };
    let [journal] = &journals()[..] else { panic!("one journal for one measurement: {:?}", journals()) };
    let text = fs::read_to_string(journal).unwrap();
    let last = text.trim_end().rfind('\n').unwrap();
    assert!(text[last..].contains("\"name\":\"q4_0\""));
    fs::write(journal, &text[..last + 100]).unwrap();
    let rest = qasr(&[&fixed[..], &["--work", &work]].concat()).succeeds();
    assert!(rest.stderr.contains("measuring q4_0") && !rest.stderr.contains("measuring q8_0"), "{}", rest.stderr);

    // A damaged line is named, and the remedy is one that this command has.
    fs::write(journal, text.replacen("{\"model\"", "{\"modal\"", 1)).unwrap();
    let refused = qasr(&[&fixed[..], &["--work", &work]].concat()).fails_with(2);
    assert!(refused.stderr.contains("line 2: is damaged") && refused.stderr.contains("--work"), "{}", refused.stderr);
    fs::write(journal, &text).unwrap();

    // What was measured on another recording does not count, nor on other texts.
    scratch.copy(THREE, "six.wav");
    let other = qasr(&[&fixed[..], &["--work", &work]].concat()).succeeds();
    assert!(other.stderr.contains("measuring q8_0") && other.stderr.contains("measuring q4_0"), "{}", other.stderr);
    scratch.write("list.tsv", b"file\ttext\tlanguage\tcategory\nsix.wav\tsix words\ten\tclean\n");
    let other = qasr(&[&fixed[..], &["--work", &work]].concat()).succeeds();
    assert!(other.stderr.contains("measuring q8_0") && other.stderr.contains("measuring q4_0"), "{}", other.stderr);
}

/// The demo model keeps its place for eight seconds; its checkpoint says so, and so do the files made from it.
#[test]
fn the_segment_length_of_the_checkpoint_counts() {
    let scratch = folder("quant-report-segments");
    let (list, page, work) = (scratch.path("list.tsv"), scratch.path("page.html"), scratch.path("work"));
    let fixed = ["quant-report", CHECKPOINT, &list, "--types", "q8_0", "-o", &page, "--work", &work];
    qasr(&fixed).succeeds();
    let made = fs::read_dir(&work).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let decoders: Vec<String> = made
        .map(|folder| folder.join("checkpoint-q8_0.gguf"))
        .filter(|file| file.exists())
        .map(|file| file.display().to_string())
        .collect();
    assert_eq!(decoders.len(), 1);
    let inspected = qasr(&["inspect", "-v", &decoders[0]]).succeeds();
    let line = inspected.stdout.lines().find(|line| line.contains("qasr.segment_seconds"));
    assert!(line.is_some_and(|line| line.trim_end().ends_with(" 8.0")), "{line:?}");
    // Another length is another measurement, and is passed on.
    let refused = qasr(&[&fixed[..], &["--segment-seconds", "0"]].concat()).fails_with(2);
    assert!(refused.stderr.contains("segment"), "{refused:?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_finished_types_or_leaves_nothing() {
    use std::io::{BufRead, BufReader, Read};
    let scratch = folder("quant-report-interrupt");
    let (list, page, work) = (scratch.path("list.tsv"), scratch.path("page.html"), scratch.path("work"));
    let temporary = scratch.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let fixed = ["quant-report", CHECKPOINT, &list, "--types", "q8_0,q4_0", "-o", &page];
    let interrupted = |more: &[&str]| {
        let mut command = qasr(&[&fixed[..], more].concat()).command();
        let mut child = command.env("TMPDIR", &temporary).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("measuring q8_0") {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before q8_0 was measured");
        }
        let killed = std::process::Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
        assert!(killed.unwrap().success());
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
        rest
    };
    let said = interrupted(&["--work", &work]);
    assert!(said.contains("interrupted: finished measurements are kept in") && said.contains("work"), "{said}");
    let journal = fs::read_dir(&work).unwrap().map(|entry| entry.unwrap().path());
    let journal = journal.into_iter().find(|path| path.extension().is_some_and(|end| end == "jsonl")).unwrap();
    let kept = fs::read_to_string(&journal).unwrap();
    assert!(kept.contains("\"name\":\"f16\"") && !kept.contains("\"name\":\"q4_0\""));
    qasr(&[&fixed[..], &["--work", &work]].concat()).succeeds();
    assert!(fs::read_to_string(&journal).unwrap().starts_with(&kept), "a finished measurement was lost");

    let said = interrupted(&[]);
    assert!(said.contains("interrupted: nothing was written"), "{said}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "models were left behind");
}

/// Two languages, one of them counted by character: neither hides the other.
#[test]
fn words_and_characters_stand_apart() {
    let scratch = folder("quant-report-units");
    scratch.copy(THREE, "three.flac");
    scratch.write(
        "list.tsv",
        "file\ttext\tlanguage\nsix.wav\tseven six nine two five go\ten\nthree.flac\t一二三\tzh\n".as_bytes(),
    );
    let (list, page) = (scratch.path("list.tsv"), scratch.path("page.html"));
    let run = qasr(&["quant-report", CHECKPOINT, &list, "--types", "q8_0", "-o", &page]).succeeds();
    let q8_0: Vec<&str> =
        run.stdout.lines().filter(|line| line.starts_with("q8_0")).flat_map(str::split_whitespace).collect();
    assert!(run.stdout.contains("WER %") && run.stdout.contains("CER %"), "{}", run.stdout);
    // The English words are right; of the Chinese characters none can be.
    assert!(
        q8_0.contains(&"0.00") && q8_0.iter().any(|rate| rate.parse::<f64>().is_ok_and(|rate| rate >= 100.0)),
        "{q8_0:?}"
    );
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is() {
    let scratch = folder("quant-report-refused");
    let (list, page) = (scratch.path("list.tsv"), scratch.path("page.html"));
    for (more, code, what) in [
        (&["--types", "q9_9"][..], 2, "q9_9"),
        (&["--types", "q4_0+imatrix"], 2, "imatrix"),
        (&["--longest", "1"], 2, "short enough"),
        (&["--longest", "nan"], 2, "write seconds"),
        (&["-oj", "no/such/folder/numbers.json"], 6, "no/such/folder"),
    ] {
        let run = qasr(&[&["quant-report", CHECKPOINT, &list, "-o", &page], more].concat()).fails_with(code);
        assert!(run.stderr.contains(what), "{more:?}: {}", run.stderr);
    }
    qasr(&["quant-report", &scratch.path("absent"), &list, "-o", &page]).fails_with(4);
    qasr(&["quant-report", CHECKPOINT, &scratch.path("absent.tsv"), "-o", &page]).fails_with(2);
    assert_eq!(scratch.names(), ["list.tsv", "six.wav"]);
}
