//! `qasr eval` through the binary: output, kept results, and that nothing finished is lost or done twice.

use crate::command::{Prepared, Scratch, qasr, wav};
use serde_json::Value;
use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const THREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/sample.flac");
const SIX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const DECODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/demo-q8_0.gguf");
const ENCODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/mmproj-demo-q8_0.gguf");
const CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/checkpoint");

/// A folder with two recordings and a list of them.
fn folder(test: &str) -> Scratch {
    let scratch = Scratch::new(test);
    scratch.copy(THREE, "three.flac");
    scratch.copy(SIX, "six.wav");
    scratch.write(
        "list.tsv",
        b"file\ttext\tlanguage\nthree.flac\tone 2 four\ten\nsix.wav\tseven six nine two five go\ten\n",
    );
    scratch
}

/// Recordings that take a fraction of a second each, and a list of them.
fn slow_folder(test: &str, count: usize) -> Scratch {
    let scratch = Scratch::new(test);
    let six = std::fs::read(SIX).unwrap();
    let samples: Vec<i16> = six[44..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let mut list = String::from("file\ttext\n");
    for index in 0..count {
        // Different bytes, so that a result belongs to one recording only.
        let mut longer = samples.repeat(3);
        longer.truncate(longer.len() - 160 * index);
        scratch.write(&format!("r{index}.wav"), &wav(&longer));
        list.push_str(&format!("r{index}.wav\tseven six nine two five go\n"));
    }
    scratch.write("list.tsv", list.as_bytes());
    scratch
}

/// `qasr eval` of the folder's list, results in its folder `out`.
fn eval(scratch: &Scratch, more: &[&str]) -> Prepared {
    let (list, out) = (scratch.path("list.tsv"), scratch.path("out"));
    qasr(&[&["eval", &list, "-o", &out], more].concat())
}

/// The cells of a table of one model by the names of their columns; columns that do not fit lie in a second table below.
fn cells(lines: &[&str]) -> HashMap<String, String> {
    let split = |line: &str| -> Vec<String> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    let tables = lines.windows(2).filter(|pair| pair[0].starts_with("model  "));
    tables.flat_map(|pair| split(pair[0]).into_iter().zip(split(pair[1]))).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The lines of a journal that are results, as they stand there, by recording.
fn results(scratch: &Scratch) -> HashMap<String, String> {
    let journal = std::fs::read_to_string(scratch.path("out/demo.jsonl")).unwrap_or_default();
    let mut results = HashMap::new();
    for line in journal.lines().filter(|line| line.starts_with("{\"file\":") && line.ends_with('}')) {
        let file = json(line)["file"]["file"].as_str().unwrap().to_owned();
        assert_eq!(results.insert(file, line.to_owned()), None, "done twice: {line}");
    }
    results
}

#[test]
fn the_table_the_json_and_the_details_say_the_same() {
    let scratch = folder("eval-table");
    let (numbers, details) = (scratch.path("numbers.json"), scratch.path("details.tsv"));
    let done = eval(&scratch, &["-oj", &numbers, "--details", &details]).succeeds();
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert!(lines[0].starts_with("model  type  files"), "{}", done.stdout);
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "it does not fit a terminal: {}", done.stdout);
    let shown_cells = cells(&lines);
    let shown = |names: [&str; 5]| names.map(|name| shown_cells[name].as_str());
    // One of nine words: 11.11 %; of 9 digits and letters `1 2 4` against `1 2 3`, and `7 6 9 2 5 go`: 1 of 10.
    assert_eq!(
        shown(["model", "type", "files", "WER %", "CER %"]),
        ["demo", "q8_0", "2", "11.11 [0.00-33.33]", "10.00"]
    );
    assert_eq!(shown(["S/I/D", "language", "loops", "missing", "file MB"]), ["1/0/0", "100.0 %", "0", "0", "8.1"]);
    assert_eq!(shown_cells.len(), 13, "{shown_cells:?}");
    assert!(lines.iter().any(|line| line.contains("english (2 files)")), "{}", done.stdout);

    let report = json(&scratch.read("numbers.json"));
    assert_eq!(report, json(&scratch.read("out/summary.json")));
    let model = &report["models"][0];
    assert_eq!((&model["name"], &model["decoder_type"]), (&"demo".into(), &"q8_0".into()));
    let all = &model["summary"]["all"];
    assert_eq!(
        (&all["words"]["errors"]["substitutions"], &all["words"]["errors"]["reference"]),
        (&1.into(), &9.into())
    );
    assert!((all["words"]["rate"].as_f64().unwrap() - 1.0 / 9.0).abs() < 1e-12);
    assert!((all["audio_seconds"].as_f64().unwrap() - 8.75).abs() < 0.01);
    assert_eq!(model["cost"]["files"], 2);
    assert_eq!(format!("{:.4}", all["rtf"].as_f64().unwrap()), shown_cells["RTF"]);
    assert_eq!(format!("{:.1}", model["cost"]["user_seconds"].as_f64().unwrap()), shown_cells["CPU s"]);
    let peak = model["cost"]["peak_bytes"].as_f64().unwrap() / 1e6;
    assert_eq!(format!("{peak:.1}"), shown_cells["peak MB"]);
    assert!((10.0..2000.0).contains(&peak), "{peak}");

    let details = scratch.read("details.tsv");
    let rows: Vec<Vec<&str>> = details.lines().map(|line| line.split('\t').collect()).collect();
    let cell = |row: usize, name: &str| rows[row][rows[0].iter().position(|column| *column == name).unwrap()];
    assert_eq!(
        (rows.len(), cell(1, "file"), cell(1, "heard"), cell(1, "errors")),
        (3, "three.flac", "one two three", "1")
    );
    assert_eq!((cell(1, "truth"), cell(2, "errors"), cell(2, "reference")), ("one 2 four", "0", "6"));
    assert!(rows.iter().all(|row| row.len() == rows[0].len()));

    // Typed again: the same table, from what is there, and as JSON.
    let again = eval(&scratch, &[]).succeeds();
    assert_eq!(again.stdout, done.stdout);
    assert!(again.stderr.contains("all 2 results were there already"), "{}", again.stderr);
    assert_eq!(json(&eval(&scratch, &["-oj", "-", "-np"]).succeeds().stdout), report);
    // Fewer of them: what the others took is not shown as theirs.
    let fewer = eval(&scratch, &["--limit", "1"]).succeeds();
    let costs = cells(&fewer.stdout.lines().collect::<Vec<_>>());
    let costs = ["CPU s", "peak MB", "file MB"].map(|name| costs[name].as_str());
    assert_eq!(costs, ["-", "-", "8.1"], "{}", fewer.stdout);
    assert!(fewer.stdout.contains("measured over other recordings too"), "{}", fewer.stdout);
    assert_eq!(json(&scratch.read("out/summary.json"))["models"][0]["has_whole_cost"], false);
}

#[test]
fn a_folder_and_a_csv_are_lists_too() {
    let scratch = folder("eval-lists");
    let out = |name: &str| scratch.path(name);
    std::fs::create_dir(scratch.path("talks")).unwrap();
    scratch.copy(SIX, "talks/six.wav");
    scratch.write("talks/six.txt", b"seven six nine two five go");
    scratch.write("talks/notes.md", b"no recording");
    let table = |list: &str, folder: &str| qasr(&["eval", list, "-t", "1", "-o", &out(folder)]).succeeds().stdout;
    let of_folder = table(&scratch.path("talks"), "a");
    assert!(of_folder.contains(" 0.00 ") && of_folder.contains("basic (1 files)"), "{of_folder}");
    let csv = scratch.write("list.csv", b"text,audio_filepath\n\"seven six nine two five, go\",talks/six.wav\n");
    assert!(table(&csv, "b").contains(" 0.00 "));
    // A text is read, and may not be replaced.
    let text = scratch.path("talks/six.txt");
    let refused = qasr(&["eval", &scratch.path("talks"), "-o", &out("c"), "--details", &text]).fails_with(2);
    assert!(refused.stderr.contains("would replace a text"), "{}", refused.stderr);
    std::fs::create_dir(scratch.path("empty")).unwrap();
    let refused = qasr(&["eval", &scratch.path("empty"), "-o", &out("c")]).fails_with(2);
    assert!(refused.stderr.contains("no recordings in this folder (wav, flac"), "{}", refused.stderr);
}

#[test]
fn several_models_are_held_against_the_first() {
    let scratch = folder("eval-models");
    let models = scratch.path("models");
    qasr(&["convert", CHECKPOINT, "--type", "q4_0", "--name", "four", "-o", &models]).succeeds();
    let four = scratch.path("models/four-q4_0.gguf");
    let done = eval(&scratch, &["-m", DECODER, "-m", &four, "--normalizer", "basic"]).succeeds();
    let rows: Vec<&str> = done.stdout.lines().skip(1).take(2).collect();
    assert!(rows[0].starts_with("demo-q8_0  q8_0") && rows[1].starts_with("four-q4_0  q4_0"), "{}", done.stdout);
    assert!(
        done.stdout.contains("four-q4_0 against demo-q8_0: ") && done.stdout.contains("points of WER ["),
        "{}",
        done.stdout
    );
    // `2` is not `two` in this normaliser.
    assert!(rows[0].contains(" 22.22 ["), "{}", done.stdout);
    let report = json(&scratch.read("out/summary.json"));
    assert_eq!(report["models"][0]["difference"], Value::Null);
    assert_eq!(report["models"][1]["difference"]["files"], 2);
    assert!(report["models"][1]["file_bytes"].as_u64() < report["models"][0]["file_bytes"].as_u64());
    for model in ["demo-q8_0", "four-q4_0"] {
        assert_eq!(scratch.read(&format!("out/{model}.jsonl")).matches("{\"process\":").count(), 1);
    }
    // Folders and an encoder from elsewhere.
    let again = eval(&scratch, &["-m", DECODER, "-m", &models, "--mmproj", ENCODER, "--normalizer", "basic"]);
    assert!(again.fails_with(2).stderr.contains("the model's files differ"));
    let twice = eval(&scratch, &["-m", DECODER, "-m", DECODER]).fails_with(2);
    assert!(twice.stderr.contains("two models would be called"), "{}", twice.stderr);
    let two = eval(&scratch, &["-m", DECODER, "--mmproj", ENCODER, "--mmproj", ENCODER]).fails_with(2);
    assert!(two.stderr.contains("2 times for 1 models"), "{}", two.stderr);
}

#[test]
fn a_recording_that_cannot_be_read_is_recorded_and_ends_nothing() {
    let scratch = folder("eval-broken");
    scratch.write("broken.wav", b"RIFF and nothing behind it");
    scratch.write("list.tsv", b"file\ttext\nbroken.wav\tlost\nsix.wav\tseven six nine two five go\n");
    let details = scratch.path("d.tsv");
    let done = eval(&scratch, &["--details", &details]).fails_with(3);
    assert!(done.stderr.contains("error:") && done.stderr.contains("broken.wav"), "{}", done.stderr);
    assert!(done.stdout.contains("2 (1 failed)") && done.stdout.contains(" 0.00 "), "{}", done.stdout);
    assert_eq!(results(&scratch).len(), 2);
    assert!(scratch.read("d.tsv").lines().nth(1).unwrap().contains("broken.wav: "));
    assert_eq!(json(&scratch.read("out/summary.json"))["models"][0]["summary"]["all"]["failed"], 1);
    // Known by now, and still a failure.
    assert_eq!(eval(&scratch, &[]).fails_with(3).stdout, done.stdout);
}

#[test]
fn a_recording_that_is_a_folder_costs_only_itself_until_it_can_be_read() {
    let scratch = folder("eval-unreadable");
    std::fs::create_dir(scratch.path("inner.wav")).unwrap();
    scratch.write("list.tsv", b"file\ttext\ninner.wav\tone two three\nsix.wav\tseven six nine two five go\n");
    let done = eval(&scratch, &[]).fails_with(3);
    assert!(done.stderr.contains("inner.wav: is a folder"), "{}", done.stderr);
    assert!(done.stdout.contains("2 (1 failed)") && done.stdout.contains(" 0.00 "), "{}", done.stdout);
    assert_eq!(json(&scratch.read("out/summary.json"))["models"][0]["summary"]["all"]["failed"], 1);
    let again = eval(&scratch, &[]).fails_with(3);
    assert!(again.stdout == done.stdout && again.stderr.contains("all 2 results were there"), "{again:?}");
    // A recording by now: it is tried again, and only it.
    let six = results(&scratch)["six.wav"].clone();
    std::fs::remove_dir(scratch.path("inner.wav")).unwrap();
    scratch.copy(THREE, "inner.wav");
    let done = eval(&scratch, &[]).succeeds();
    assert!(done.stderr.contains("1 of 2 results were there already"), "{}", done.stderr);
    let journal = scratch.read("out/demo.jsonl");
    assert_eq!(journal.lines().filter(|line| *line == six).count(), 1);
    assert!(journal.contains("one two three") && !done.stdout.contains("failed"), "{}", done.stdout);
}

#[test]
fn a_text_that_was_cut_is_told_by_the_exit_code() {
    let scratch = folder("eval-cut");
    let done = eval(&scratch, &["--max-new-tokens", "4"]).fails_with(5);
    assert!(done.stderr.contains("six.wav: the text was cut"), "{}", done.stderr);
    assert_eq!(json(&scratch.read("out/summary.json"))["models"][0]["summary"]["all"]["incomplete"]["count"], 2);
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_measured() {
    let scratch = folder("eval-refused");
    scratch.write("list.tsv", b"file\ttext\nthree.flac\tx\ngone.wav\ty\n");
    let bad = eval(&scratch, &[]).fails_with(2);
    assert!(bad.stderr.contains("list.tsv, line 3") && bad.stderr.contains("gone.wav"), "{}", bad.stderr);
    // A folder without recordings, and a pipe: it would wait for ever, since standard input stays open.
    std::fs::create_dir(scratch.path("empty")).unwrap();
    assert!(qasr(&["eval", &scratch.path("empty")]).fails_with(2).stderr.contains("no recordings in this folder"));
    #[cfg(target_os = "linux")]
    {
        let mut command = qasr(&["eval", "/dev/stdin"]).command();
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(30) {
            sleep(Duration::from_millis(5));
        }
        let ended = child.try_wait().unwrap();
        let _ = child.kill();
        assert_eq!(ended.and_then(|status| status.code()), Some(2));
    }
    scratch.write("list.tsv", b"file\ttext\nthree.flac\tone two three\n");
    assert!(eval(&scratch, &["-m", &scratch.path("none.gguf")]).fails_with(4).stderr.contains("none.gguf"));
    assert!(eval(&scratch, &["--normalizer", "whisper"]).fails_with(2).stderr.contains("none, basic, english"));
    assert!(!scratch.names().contains(&"out".to_owned()));
    // A file where the folder should be.
    scratch.write("out", b"");
    assert!(eval(&scratch, &[]).fails_with(6).stderr.contains("choose another place with -o"));
    std::fs::remove_file(scratch.path("out")).unwrap();
    // A file that is no model: the process for it says so, and there is no table.
    let decoder = scratch.write("bad.gguf", b"GGUF, but no more");
    let bad = eval(&scratch, &["-m", &decoder, "--mmproj", ENCODER]).fails_with(4);
    assert!(bad.stdout.is_empty() && bad.stderr.matches("bad.gguf").count() >= 1, "{bad:?}");
    // The numbers can still be printed where they cannot be written.
    let nowhere = scratch.path("nowhere/n.json");
    let done = eval(&scratch, &["-oj", &nowhere]).fails_with(6);
    assert!(done.stdout.starts_with("model") && done.stderr.contains("nowhere/n.json"), "{done:?}");
}

#[test]
fn no_output_replaces_what_is_read_or_kept_or_another() {
    let scratch = folder("eval-outputs");
    let decoder = scratch.copy(DECODER, "demo.gguf");
    let encoder = scratch.copy(ENCODER, "mmproj-demo.gguf");
    eval(&scratch, &["-m", &decoder]).succeeds();
    let (dotted, other) = (scratch.path("./out/../list.tsv"), scratch.path("both.json"));
    for (flags, what) in [
        (["--details", &dotted], "the manifest"),
        (["-oj", &dotted], "the manifest"),
        (["-oj", &decoder], "a file that is read"),
        (["-oj", &encoder], "a model's file"),
        (["--details", &scratch.path("six.wav")], "a recording"),
        (["--details", &scratch.path("out/demo.jsonl")], "the results that are kept"),
        (["-oj", &scratch.path("out/summary.json")], "the summary"),
        (["--details", "-"], "give the name of a file"),
    ] {
        let refused = eval(&scratch, &[&["-m", &decoder], &flags[..]].concat()).fails_with(2);
        assert!(refused.stderr.contains(what) && refused.stdout.is_empty(), "{flags:?}: {refused:?}");
    }
    let refused = eval(&scratch, &["-oj", &other, "--details", &other]).fails_with(2);
    assert!(refused.stderr.contains("another output"), "{}", refused.stderr);
    // Nothing was touched: the same numbers come from it.
    assert!(eval(&scratch, &["-m", &decoder]).succeeds().stderr.contains("all 2 results were there already"));
}

#[test]
fn results_of_another_model_or_other_options_are_not_mixed() {
    let scratch = folder("eval-mixed");
    let decoder = scratch.copy(DECODER, "demo.gguf");
    scratch.copy(ENCODER, "mmproj-demo.gguf");
    let measure = |more: &[&str]| eval(&scratch, &[&["-m", &decoder], more].concat());
    measure(&["--limit", "1"]).succeeds();
    let before = results(&scratch);
    assert_eq!(before.len(), 1);
    // More of the same goes on.
    measure(&[]).succeeds();
    assert_eq!(results(&scratch)["three.flac"], before["three.flac"]);
    let other = measure(&["--context", "numbers"]).fails_with(2);
    assert!(
        other.stderr.contains("option context_text differ") && other.stderr.contains("--restart"),
        "{}",
        other.stderr
    );
    let journal = scratch.read("out/demo.jsonl");
    let mut bytes = std::fs::read(&decoder).unwrap();
    bytes.push(0);
    scratch.write("demo.gguf", &bytes);
    let changed = measure(&[]).fails_with(2);
    assert!(changed.stderr.contains("the model's files differ"), "{}", changed.stderr);
    assert_eq!(scratch.read("out/demo.jsonl"), journal);
    assert!(changed.stdout.is_empty());
    // Of a build of another revision.
    scratch.copy(DECODER, "demo.gguf");
    let version = qasr::BUILD;
    assert!(journal.lines().next().unwrap().contains(version), "{journal}");
    scratch.write("out/demo.jsonl", journal.replacen(version, "0.1.0 another", 1).as_bytes());
    assert!(measure(&[]).fails_with(2).stderr.contains("the program's version differ"));
    measure(&["--restart"]).succeeds();
    let after = results(&scratch);
    assert!(after.len() == 2 && after["three.flac"] != before["three.flac"]);
}

/// Runs the command until this number of results is there.
fn run_until(scratch: &Scratch, more: &[&str], count: usize) -> Child {
    let mut command = eval(scratch, more).command();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while results(scratch).len() < count {
        assert!(started.elapsed() < Duration::from_secs(60), "no results");
        assert!(child.try_wait().unwrap().is_none(), "too fast to be stopped");
        sleep(Duration::from_millis(5));
    }
    child
}

/// The same command again: finishes, and what was there before is there as it was.
fn goes_on(scratch: &Scratch, before: &HashMap<String, String>, count: usize) -> String {
    let done = eval(scratch, &[]).succeeds();
    let after = results(scratch);
    assert_eq!(after.len(), count);
    for (file, line) in before {
        assert_eq!(&after[file], line, "{file} was done again");
    }
    let there = format!("{} of {count} results were there already", before.len());
    assert!(done.stderr.contains(&there), "{}", done.stderr);
    done.stdout
}

#[cfg(unix)]
#[test]
fn a_killed_run_goes_on_where_it_was() {
    const COUNT: usize = 8;
    let scratch = slow_folder("eval-killed", COUNT);
    let mut child = run_until(&scratch, &[], 3);
    child.kill().unwrap();
    child.wait().unwrap();
    // The process that transcribes ends by itself when the one that started it is gone.
    let mut before = results(&scratch);
    loop {
        sleep(Duration::from_millis(600));
        let later = results(&scratch);
        if later == before {
            break;
        }
        before = later;
    }
    assert!((3..COUNT).contains(&before.len()), "it went on: {}", before.len());
    // A half line, as a kill in the middle of writing leaves it.
    let mut journal = scratch.read("out/demo.jsonl");
    journal.push_str("{\"file\":{\"file\":\"r7.wav\",\"iden");
    scratch.write("out/demo.jsonl", journal.as_bytes());
    let table = goes_on(&scratch, &before, COUNT);
    // The time of the killed process is nobody's to know, and the table says so.
    assert!(table.contains("  >") && table.contains("was killed is not counted"), "{table}");
    assert_eq!(eval(&scratch, &[]).succeeds().stdout, table);
}

#[cfg(unix)]
#[test]
fn ctrl_c_says_how_to_go_on_and_the_next_run_does() {
    const COUNT: usize = 8;
    let scratch = slow_folder("eval-interrupted", COUNT);
    let child = run_until(&scratch, &["--restart"], 2);
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("recordings of demo are finished") && told.contains("again without --restart"), "{told}");
    assert!(output.stdout.is_empty());
    let before = results(&scratch);
    assert!((2..COUNT).contains(&before.len()), "{}", before.len());
    let table = goes_on(&scratch, &before, COUNT);
    // Both processes were waited for: their time is whole.
    assert!(!table.contains('>'), "{table}");
    assert_eq!(json(&scratch.read("out/summary.json"))["models"][0]["cost"]["files"], COUNT);
}

#[test]
fn a_second_run_in_the_folder_is_told_of_the_first() {
    const COUNT: usize = 8;
    let scratch = slow_folder("eval-two", COUNT);
    let mut first = run_until(&scratch, &[], 1);
    let second = eval(&scratch, &[]).fails_with(2);
    let who = format!("another `qasr eval` (process {})", first.id());
    assert!(second.stderr.contains(&who) && second.stderr.contains("wait for its end"), "{}", second.stderr);
    assert!(second.stdout.is_empty() && first.try_wait().unwrap().is_none());
    assert!(first.wait_with_output().unwrap().status.success());
    assert_eq!(results(&scratch).len(), COUNT);
    assert!(eval(&scratch, &[]).succeeds().stderr.contains("all 8 results were there already"));
}

#[test]
fn types_are_made_from_a_checkpoint_and_kept_for_the_next_time() {
    let scratch = folder("eval-types");
    let types = |types| eval(&scratch, &["--source", CHECKPOINT, "--types", types]);
    let run = types("q8_0,q4_0/q8_0").succeeds();
    let rows: Vec<&str> = run.stdout.lines().take(3).collect();
    assert!(rows[1].starts_with("q8_0 ") && rows[2].starts_with("q4_0/q8_0 "), "{}", run.stdout);
    assert!(run.stdout.contains("q4_0/q8_0 against q8_0"), "{}", run.stdout);
    let again = types("q8_0,q4_0/q8_0").succeeds();
    assert!(again.stderr.contains("q4_0/q8_0: all") && again.stderr.contains("were there already"), "{}", again.stderr);
    for (wrong, what) in [
        ("q8_0,q9_9", "q9_9"),
        ("q8_0,q8_0", "twice"),
        ("q8_0+imatrix", "imatrix"),
        ("q8_0,Q8_0/q8_0", "`q8_0` and `Q8_0/q8_0` are the same"),
    ] {
        let run = types(wrong).fails_with(2);
        assert!(run.stderr.contains(what), "{wrong}: {}", run.stderr);
    }
}
