//! `qasr compare` through the binary: against itself, against commands that fail, hang or talk nonsense, against a real
//! whisper.cpp process, and interrupted.

use crate::optional;

use crate::command::{Finished, Scratch, qasr};
use serde_json::Value;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const WORDS: &str = "seven six nine two five go";

/// A folder with the two recordings whose text is known, or the first of them.
fn recordings(scratch: &Scratch, count: usize) -> String {
    std::fs::create_dir_all(scratch.path("rec")).unwrap();
    scratch.copy("tests/recordings/six_words.wav", "rec/six.wav");
    scratch.write("rec/six.txt", WORDS.as_bytes());
    if count > 1 {
        scratch.copy("convert/demo/sample.flac", "rec/three.flac");
        scratch.write("rec/three.flac.txt", b"One, two, three!");
    }
    scratch.path("rec")
}

/// `NAME=qasr …`: this engine once more, as any other command.
fn again(name: &str) -> String {
    format!("{name}='{}' transcribe -np -t {{threads}} -l {{language}} {{file}}", env!("CARGO_BIN_EXE_qasr"))
}

fn json(scratch: &Scratch) -> Value {
    serde_json::from_str(&scratch.read("page.json")).unwrap()
}

fn engine<'a>(json: &'a Value, name: &str) -> &'a Value {
    json["engines"].as_array().unwrap().iter().find(|engine| engine["name"] == name).unwrap()
}

fn compare(scratch: &Scratch, recordings: &str, more: &[&str]) -> Finished {
    let (page, data) = (scratch.path("page.html"), scratch.path("page.json"));
    let mut arguments = vec!["compare", recordings, "-t", "1", "-o", &page, "-oj", &data];
    arguments.extend(more);
    qasr(&arguments).succeeds()
}

#[test]
fn engines_that_say_the_same_differ_in_time_alone() {
    let scratch = Scratch::new("compare-same");
    let folder = recordings(&scratch, 2);
    compare(&scratch, &folder, &["--command", &again("again"), "--repeat", "2"]);
    let json = json(&scratch);
    let runs = json["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 8);
    for name in ["qasr demo", "again"] {
        let engine = engine(&json, name);
        assert_eq!(engine["words"]["rate"], 0.0, "{engine}");
        assert_eq!((&engine["words"]["errors"]["reference"], &engine["failures"]), (&9.into(), &0.into()), "{engine}");
        let (first, factor) = (&engine["first_text_seconds"], &engine["real_time_factor"]);
        assert!(first["median"].as_f64().unwrap() > 0.0 && factor["low"].as_f64() <= factor["high"].as_f64());
        assert!(
            engine["peak_bytes"].as_u64().unwrap() > 10 << 20
                && engine["user_seconds_per_audio_second"].as_f64().unwrap() > 0.0
        );
        // Each begins at each recording once.
        let begun = runs.iter().filter(|run| run["turn"] == 1 && run["engine"] == name);
        let mut begun: Vec<&str> = begun.map(|run| run["recording"].as_str().unwrap()).collect();
        begun.sort_unstable();
        assert_eq!(begun, ["six.wav", "three.flac"]);
    }
    assert_eq!(engine(&json, "again")["words"]["difference"]["points"], 0.0);
    for name in ["qasr demo", "again"] {
        let engine = engine(&json, name);
        let (startup, work) = (engine["startup_seconds"].as_f64().unwrap(), engine["work_real_time_factor"].as_f64());
        assert!(startup > 0.0 && work.unwrap() < engine["total_real_time_factor"].as_f64().unwrap(), "{engine}");
        assert!(engine["gets_threads"] == true && engine["gets_language"] == true, "{engine}");
    }
    let mut ranks: Vec<u64> = ["qasr demo", "again"].map(|name| engine(&json, name)["rank"].as_u64().unwrap()).to_vec();
    ranks.sort_unstable();
    assert_eq!(ranks, [1, 2]);
    let page = scratch.read("page.html");
    assert!(
        page.contains("All agree on 2 of 2 recordings") && page.contains("We wrote one of these engines"),
        "{page}"
    );
    // Two recordings cannot decide, and the page begins with that.
    let (_, rest) = page.split_once("<p class=\"lead\">").unwrap();
    assert!(rest.starts_with("No difference in errors can be told on these 2 recordings (9 words)"), "{rest}");
    assert!(!page.contains("class=\"right best\""), "a tie is green");
    assert!(page.contains(">start (s)</th>") && page.contains(">work / audio</th>"), "{page}");
    // Both were given threads and language; the size of the demo model is known.
    assert!(page.contains("Every engine was given 1 thread.") && !page.contains("not passed"), "{page}");
    assert!(engine(&json, "qasr demo")["model_bytes"].as_u64().unwrap() > 1_000_000);
    // What the engines were given is gone again; the runs stay.
    assert_eq!(scratch.names(), ["page.html", "page.html.runs.jsonl", "page.json", "rec"]);
}

#[cfg(unix)]
#[test]
fn a_failure_and_nonsense_are_shown_and_not_ranked() {
    let scratch = Scratch::new("compare-fail");
    let folder = recordings(&scratch, 1);
    let more = [
        ["--command", "broken=sh -c 'echo seven six; echo sorry >&2; exit 3' {file}"],
        ["--command", "nonsense=sh -c 'echo \"it is raining <here>\"' {file}"],
        ["--command", "mute=sh -c 'echo' {file}"],
        ["--command", "stuck=sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do echo seven six; done' {file}"],
        ["--command", "unheard=sh -c 'echo seven six nine two five go' {file}"],
    ];
    let finished = compare(&scratch, &folder, &[&more.concat()[..], &["--speed-only", "unheard"]].concat());
    assert!(
        finished.stderr.contains("broken, six.wav: exit status: 3") && finished.stderr.contains("sorry"),
        "{finished:?}"
    );
    let json = json(&scratch);
    for (name, reason) in [
        ("broken", "1 of 1 runs failed"),
        ("nonsense", "above 50 % (--sanity-wer)"),
        ("mute", "empty for 1 of 1"),
        ("stuck", "repeats itself in 1 of 1"),
    ] {
        let engine = engine(&json, name);
        assert!(engine["not_ranked"].to_string().contains(reason), "{name}: {engine}");
        assert_eq!(engine["rank"], Value::Null, "{name}: {engine}");
    }
    // The text of the broken one counts as far as it came: four of six words left out.
    assert_eq!(engine(&json, "broken")["words"]["errors"]["deletions"], 4);
    assert_eq!(engine(&json, "qasr demo")["rank"], 1);
    let broken = engine(&json, "broken");
    assert_eq!((&broken["startup_seconds"], &broken["gets_threads"]), (&Value::Null, &false.into()), "{broken}");
    let unheard = engine(&json, "unheard");
    assert_eq!((&unheard["rank"], &unheard["words"]["rate"]), (&Value::Null, &Value::Null), "{unheard}");
    let page = scratch.read("page.html");
    assert!(page.contains("The speed of nonsense is not ranked") && page.contains("Speed only"), "{page}");
    assert!(page.contains("Not compared: broken (1 of 1 runs failed)."), "{page}");
    assert!(page.contains("qasr demo got 1 thread; the command of broken, nonsense, mute, stuck and unheard has no"));
    assert!(page.contains("threads   not passed to this engine"), "{page}");
    assert!(page.contains("<summary>six.wav: qasr demo 0, broken 4, nonsense 6, mute 6, stuck 18</summary>"), "{page}");
    assert!(page.contains("<del>seven</del>") && page.contains("<h2>Failed runs</h2>"), "{page}");
    assert!(!page.contains("<here>"), "a text became markup");
    // Judged again with another limit, from the runs that are there.
    compare(&scratch, &folder, &[&more.concat()[..], &["--sanity-wer", "1000", "-np"]].concat());
    assert_eq!(self::json(&scratch)["runs"], json["runs"]);
    assert!(engine(&self::json(&scratch), "nonsense")["rank"].is_u64());
}

/// Eight recordings on which one engine is always right and another always wrong; then without their texts.
#[cfg(unix)]
#[test]
fn the_page_begins_with_who_makes_fewer_errors_or_that_nothing_can_be_counted() {
    let scratch = Scratch::new("compare-verdict");
    let folder = recordings(&scratch, 1);
    for number in 1..=7 {
        scratch.copy("tests/recordings/six_words.wav", &format!("rec/{number}.wav"));
        scratch.write(&format!("rec/{number}.txt"), WORDS.as_bytes());
    }
    let wrong = "wrong=sh -c 'echo seven six nine two one stop' {file}";
    let finished = compare(&scratch, &folder, &["--command", wrong]);
    let told =
        "qasr demo makes fewer errors than wrong (-33.3 points [-33.3 to -33.3]) on these 8 recordings (48 words).";
    let page = scratch.read("page.html");
    assert!(page.contains(&format!("<p class=\"lead\">{told}</p>")) && finished.stderr.contains(told), "{page}");
    assert!(page.contains("<td class=\"right best\">1</td>") && page.contains("<td class=\"right\">2</td>"), "{page}");
    for number in 1..=7 {
        std::fs::remove_file(scratch.path(&format!("rec/{number}.txt"))).unwrap();
    }
    std::fs::remove_file(scratch.path("rec/six.txt")).unwrap();
    compare(&scratch, &folder, &["--command", wrong, "-np"]);
    let page = scratch.read("page.html");
    assert!(page.contains("<p class=\"lead\">No errors can be counted: no recording says"), "{page}");
    assert!(!page.contains("<h2>Errors</h2>") && page.contains("six.wav: wrong 2 different"), "{page}");
}

#[cfg(unix)]
#[test]
fn what_hangs_is_killed_and_recorded() {
    let scratch = Scratch::new("compare-hang");
    let folder = recordings(&scratch, 1);
    let started = Instant::now();
    compare(&scratch, &folder, &["--command", "hang=sh -c 'echo seven; exec sleep 600' {file}", "--timeout", "8"]);
    assert!(started.elapsed() < Duration::from_secs(60));
    let json = json(&scratch);
    let run = json["runs"].as_array().unwrap().iter().find(|run| run["engine"] == "hang").unwrap();
    assert!(run["failure"].as_str().unwrap().starts_with("killed after 8.0 s"), "{run}");
    assert_eq!(run["text"], "seven");
    assert_eq!(engine(&json, "qasr demo")["failures"], 0);
}

#[cfg(unix)]
#[test]
fn a_killed_comparison_goes_on_and_repeats_nothing() {
    let scratch = Scratch::new("compare-kill");
    let folder = recordings(&scratch, 2);
    let log = scratch.path("log");
    let slow =
        |name: &str| format!("{name}=sh -c 'echo run >> {log}; sleep 0.4; echo seven six nine two five go' {{file}}");
    let (one, two) = (slow("one"), slow("two"));
    let page = scratch.path("page.html");
    let arguments = ["compare", &folder, "-t", "1", "--repeat", "4", "--command", &one, "--command", &two, "-o", &page];
    let journal = Path::new(&scratch.path("page.html.runs.jsonl")).to_path_buf();
    let kept = || std::fs::read_to_string(&journal).unwrap_or_default();
    let mut child = qasr(&arguments).command().stderr(std::process::Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while kept().lines().count() < 6 {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it never got that far: {}", kept());
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // An engine that was running when we were killed may go on for a moment.
    thread::sleep(Duration::from_millis(600));
    let before = kept();
    let finished = before.lines().count() - 1;
    let started_before = scratch.read("log").lines().count();
    assert!((5..24).contains(&finished), "{before}");

    let second = qasr(&arguments).succeeds();
    assert!(second.stderr.contains(&format!("going on: {finished} runs are finished")), "{second:?}");
    let after = kept();
    assert!(after.starts_with(&before), "a finished run was lost");
    // The last three are each engine on silence.
    assert_eq!(after.lines().count(), 1 + 24 + 3);
    let of_commands = |text: &str| {
        text.lines().filter(|line| line.contains("\"engine\":\"one\"") || line.contains("\"engine\":\"two\"")).count()
    };
    let missing = 16 + 2 - of_commands(&before);
    assert_eq!(scratch.read("log").lines().count(), started_before + missing, "a finished run was repeated");

    // Once more: nothing is left to do. Another set-up is refused until it is said to be meant.
    qasr(&arguments).succeeds();
    assert_eq!(kept(), after);
    let mut other = arguments;
    other[3] = "2";
    let refused = qasr(&other).fails_with(2);
    assert!(refused.stderr.contains("(threads differ)") && refused.stderr.contains("--restart"), "{refused:?}");
    assert_eq!(kept(), after);
    let short = [&other[..4], &["-o", &page, "--restart", "-np"]].concat();
    qasr(&short).succeeds();
    assert_eq!(kept().lines().count(), 1 + 2 + 1);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_engine_and_keeps_the_runs() {
    let scratch = Scratch::new("compare-interrupt");
    let folder = recordings(&scratch, 1);
    let (begun, late, page) = (scratch.path("begun"), scratch.path("late"), scratch.path("page.html"));
    // Its child would outlive it.
    let slow = format!("slow=sh -c 'touch {begun}; (sleep 4; touch {late}) & wait' {{file}}");
    let arguments = ["compare", &folder, "-t", "1", "--restart", "--command", &slow, "-o", &page];
    let child = qasr(&arguments).command().stderr(std::process::Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !Path::new(&begun).exists() {
        assert!(Instant::now() < deadline, "it never got that far");
        thread::sleep(Duration::from_millis(20));
    }
    let interrupt = std::process::Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(interrupt.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("1 of 2 runs are kept") && stderr.contains("again without --restart"), "{stderr}");
    assert_eq!(scratch.names(), ["begun", "page.html.runs.jsonl", "rec"]);
    thread::sleep(Duration::from_millis(4500));
    assert!(!Path::new(&late).exists(), "the engine's child went on");
}

#[test]
fn a_manifest_gives_texts_and_languages() {
    let scratch = Scratch::new("compare-manifest");
    recordings(&scratch, 1);
    let manifest = scratch.write("list.tsv", b"language\tfile\ttext\nen\trec/six.wav\t7 6 9 2 5 go\n");
    compare(&scratch, &manifest, &[]);
    let json = json(&scratch);
    // Numbers are words only to the English normaliser, which the language chooses.
    assert_eq!(engine(&json, "qasr demo")["words"]["rate"], 0.0, "{json}");
    assert_eq!(json["recordings"][0]["normalizer"], "english");
    compare(&scratch, &manifest, &["--normalizer", "basic"]);
    assert!(engine(&self::json(&scratch), "qasr demo")["words"]["rate"].as_f64().unwrap() > 0.5);
}

#[cfg(unix)]
#[test]
fn words_and_characters_are_judged_apart() {
    let scratch = Scratch::new("compare-units");
    recordings(&scratch, 2);
    let list = "file\ttext\tlanguage\nrec/six.wav\tseven six nine two five go\ten\nrec/three.flac\t你好\tzh\n";
    let manifest = scratch.write("list.tsv", list.as_bytes());
    // Right in English, wrong in Chinese: 2 of 2 characters, which 6 right words must not hide.
    let half =
        "half=sh -c 'if [ $(wc -c < $0) -gt 60000 ]; then echo seven six nine two five go; else echo 再见; fi' {file}";
    let same = "same=sh -c 'echo seven six nine two five go' {file}";
    compare(&scratch, &manifest, &["--command", half, "--command", same]);
    let json = json(&scratch);
    for name in ["half", "same"] {
        let engine = engine(&json, name);
        assert!(engine["characters"]["rate"].as_f64().unwrap() >= 1.0, "{engine}");
        assert!(engine["not_ranked"].to_string().contains("its CER is "), "{engine}");
    }
    assert_eq!(engine(&json, "same")["words"]["rate"], 0.0);
    let page = scratch.read("page.html");
    assert!(page.contains("WER %") && page.contains("CER %"), "{page}");
}

#[test]
fn the_language_on_the_command_line_chooses_the_normaliser_too() {
    let scratch = Scratch::new("compare-language");
    let folder = recordings(&scratch, 1);
    scratch.write("rec/six.txt", b"7 6 9 2 5 go");
    compare(&scratch, &folder, &["-l", "en"]);
    let json = json(&scratch);
    assert_eq!(
        (&engine(&json, "qasr demo")["words"]["rate"], &json["recordings"][0]["normalizer"]),
        (&0.0.into(), &"english".into())
    );
}

#[test]
fn nothing_that_was_there_is_removed_or_written_over() {
    let scratch = Scratch::new("compare-originals");
    recordings(&scratch, 1);
    std::fs::rename(scratch.path("rec"), scratch.path("talks.recordings")).unwrap();
    let list = scratch.write("list.tsv", b"file\ttext\ntalks.recordings/six.wav\tseven six nine two five go\n");
    let (folder, out) = (scratch.path("talks.recordings"), scratch.path("talks"));
    let finished = qasr(&["compare", &folder, "-t", "1", "-o", &out, "--output-json", "-"]).succeeds();
    assert_eq!(serde_json::from_str::<Value>(&finished.stdout).unwrap()["runs"].as_array().unwrap().len(), 1);
    assert_eq!(scratch.names(), ["list.tsv", "talks", "talks.recordings", "talks.runs.jsonl"]);
    let (wav, text, runs) = (
        scratch.path("talks.recordings/six.wav"),
        scratch.path("talks.recordings/six.txt"),
        scratch.path("talks.runs.jsonl"),
    );
    let dotted = scratch.path("talks.recordings/../list.tsv");
    for (output, json) in [(&list, "-"), (&dotted, "-"), (&wav, "-"), (&out, &*wav), (&out, &*out), (&out, &*runs)] {
        let refused = qasr(&["compare", &list, "-o", output, "-oj", json]).fails_with(2);
        assert!(refused.stderr.contains(" would replace "), "{refused:?}");
    }
    qasr(&["compare", &folder, "-o", &text]).fails_with(2);
    assert!(std::fs::read(&wav).unwrap().len() > 10_000 && std::fs::read_to_string(&text).unwrap() == WORDS);
    assert!(scratch.read("list.tsv").starts_with("file"));
}

#[test]
fn a_recording_that_cannot_be_read_leaves_nothing_in_the_way() {
    let scratch = Scratch::new("compare-unreadable");
    let folder = recordings(&scratch, 1);
    scratch.write("rec/b.mp3", b"my notes");
    let page = scratch.path("page.html");
    let finished = qasr(&["compare", &folder, "-t", "1", "-o", &page]).fails_with(3);
    assert!(finished.stderr.contains("b.mp3") && finished.stderr.contains("take it out"), "{finished:?}");
    assert_eq!(scratch.names(), ["rec"]);
    std::fs::remove_file(scratch.path("rec/b.mp3")).unwrap();
    qasr(&["compare", &folder, "-t", "1", "-o", &page]).succeeds();
}

#[cfg(unix)]
#[test]
fn the_worst_round_is_judged_and_only_rounds_that_were_asked_for() {
    let scratch = Scratch::new("compare-rounds");
    let folder = recordings(&scratch, 1);
    let told = scratch.path("told");
    let once = format!("once=sh -c 'if [ -e {told} ]; then exit 0; fi; touch {told}; echo {WORDS}' {{file}}");
    compare(&scratch, &folder, &["--command", &once, "--repeat", "3"]);
    let all = json(&scratch);
    let engine_once = engine(&all, "once");
    assert!(engine_once["rank"].is_null() && engine_once["not_ranked"].to_string().contains("empty"), "{engine_once}");
    assert_eq!((&engine_once["words"]["rate"], &engine_once["text_varies"]), (&1.0.into(), &true.into()));
    compare(&scratch, &folder, &["--command", &once]);
    let first = json(&scratch);
    assert_eq!((first["runs"].as_array().unwrap().len(), &engine(&first, "once")["words"]["rate"]), (2, &0.0.into()));
}

#[test]
fn whisper_cpp_runs_as_a_process_of_its_own() {
    let Ok(whisper) = std::env::var("QASR_WHISPER_CLI") else {
        optional::skip("QASR_WHISPER_CLI names no whisper-cli (scripts/test builds one and sets it)");
        return;
    };
    let folder = Path::new(&whisper).parent().unwrap().to_path_buf();
    let scratch = Scratch::new("compare-whisper");
    let recordings = recordings(&scratch, 1);
    let model = scratch.path("random-tiny.bin");
    let made =
        std::process::Command::new(folder.join("random-model")).args(["tiny", &model, "--type", "q5_0"]).status();
    assert!(made.unwrap_or_else(|error| panic!("{}: {error}; build it with scripts/test", folder.display())).success());
    let (page, data) = (scratch.path("page.html"), scratch.path("page.json"));
    let arguments =
        ["compare", &recordings, "-t", "2", "-l", "en", "--whisper-model", &model, "--whisper-args", "-bs 1 -nf"];
    let mut command = qasr(&[&arguments[..], &["-o", &page, "-oj", &data]].concat()).command();
    // Found on the path, as for a user.
    let output = command.env("PATH", &folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let json = json(&scratch);
    let whisper = engine(&json, "whisper.cpp random-tiny");
    assert!(whisper["version"].as_str().unwrap().contains("whisper.cpp 1."), "{whisper}");
    assert_eq!((&whisper["failures"], &whisper["runs"]), (&0.into(), &1.into()), "{whisper}");
    assert!(whisper["speed_only"].as_str().unwrap().contains("random") && whisper["rank"].is_null(), "{whisper}");
    assert!(
        whisper["total_real_time_factor"].as_f64().unwrap() > 0.0 && whisper["words"]["rate"].is_null(),
        "{whisper}"
    );
    assert!(whisper["peak_bytes"].as_u64().unwrap() > whisper["model_bytes"].as_u64().unwrap(), "{whisper}");
    let run = json["runs"].as_array().unwrap().iter().find(|run| run["engine"] == "whisper.cpp random-tiny").unwrap();
    assert!(run["text"].as_str().unwrap().split(' ').count() > 5, "{run}");
    assert_eq!(engine(&json, "qasr demo")["words"]["rate"], 0.0);
    assert!(scratch.read("page.html").contains("Speed only"));
}

#[test]
fn what_cannot_be_compared_is_said_before_the_first_run() {
    let scratch = Scratch::new("compare-errors");
    let folder = recordings(&scratch, 1);
    std::fs::create_dir(scratch.path("empty")).unwrap();
    let empty = scratch.path("empty");
    let page = scratch.path("page.html");
    let elsewhere = scratch.path("nowhere/page.html");
    let noise = scratch.write("noise.bin", b"x");
    let cases: [(&[&str], i32, &[&str]); 13] = [
        (&[&empty, "-o", &page], 2, &["no recordings in this folder"]),
        (&["/no/such/list.tsv", "-o", &page], 2, &["/no/such/list.tsv"]),
        (&[&folder, "-o", &elsewhere], 6, &["no folder"]),
        (&[&folder, "-o", &folder], 6, &["is a folder"]),
        (&[&folder, "-m", "nope.gguf", "-o", &page], 4, &["-m nope.gguf"]),
        (
            &[&folder, "--whisper-model", "nope.bin", "--whisper-cli", env!("CARGO_BIN_EXE_qasr"), "-o", &page],
            4,
            &["--whisper-model nope.bin"],
        ),
        (
            &[&folder, "--whisper-model", &noise, "--whisper-cli", "/no/whisper", "-o", &page],
            2,
            &["--whisper-cli /no/whisper"],
        ),
        (&[&folder, "--command", "x=no-such-engine {file}", "-o", &page], 2, &["--command x", "no-such-engine"]),
        (&[&folder, "--command", "x=cat", "-o", &page], 2, &["{file}"]),
        (&[&folder, "--command", "x=cat {model} {file}", "-o", &page], 2, &["--command-model x=FILE"]),
        (&[&folder, "--command", "x=cat {file} | wc", "-o", &page], 2, &["`|`", "sh -c"]),
        (&[&folder, "--command", "x=cat {file}", "--command", "x=ls {file}", "-o", &page], 2, &["two engines", "`x`"]),
        (&[&folder, "--speed-only", "y", "-o", &page], 2, &["--speed-only `y`", "`qasr demo`"]),
    ];
    for (arguments, code, parts) in cases {
        let finished = qasr(&[&["compare"], arguments].concat()).fails_with(code);
        assert!(parts.iter().all(|part| finished.stderr.contains(part)), "{arguments:?}: {finished:?}");
        assert!(finished.stdout.is_empty() && finished.stderr.lines().count() <= 2, "{finished:?}");
    }
    // whisper-cli is not on this path.
    let mut command = qasr(&["compare", &folder, "--whisper-model", &noise, "-o", &page]).command();
    let output = command.env("PATH", &empty).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--whisper-cli PATH"), "{output:?}");
    scratch.write("rec/broken.wav", b"RIFF");
    let finished = qasr(&["compare", &folder, "-o", &page]).fails_with(3);
    assert!(finished.stderr.contains("broken.wav"), "{finished:?}");
    assert!(!Path::new(&page).exists());
}
