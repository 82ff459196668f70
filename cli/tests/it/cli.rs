//! The built command from the outside: output, files, exit codes. Runs on the embedded demo
//! model and one bundled recording, so it needs nothing else.

use crate::command::{Scratch, qasr, wav};
use std::fs;
use std::io::Read;
use std::process::Stdio;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const WORDS: &str = "seven six nine two five go";
const SAMPLES: usize = 96_000;

/// The bundled recording's samples as bytes: everything after its 44 bytes of header.
fn sample_bytes() -> Vec<u8> {
    fs::read(RECORDING).unwrap()[44..].to_vec()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_text_goes_to_standard_output_and_the_rest_to_standard_error() {
    let run = qasr(&["transcribe", RECORDING]).succeeds();
    assert_eq!(run.stdout, format!("{WORDS}\n"));
    assert!(!run.stderr.contains('%'), "progress without a terminal: {}", run.stderr);
    let last = run.stderr.lines().last().unwrap();
    assert!(last.contains("six_words.wav: 6.00 s in ") && last.contains("x real time), "), "{last}");
    let run = qasr(&["transcribe", "-v", RECORDING]).succeeds();
    for stage in ["load", "audio", "mel", "encode", "prefill", "decode", "RTF"] {
        assert!(run.stderr.contains(stage), "no {stage} in {}", run.stderr);
    }
}

/// A script that forgot -m must not ship invented words without a warning.
#[test]
fn a_text_of_the_demo_model_is_marked_unless_it_was_asked_for() {
    let run = qasr(&["transcribe", RECORDING]).succeeds();
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(lines[0].starts_with("qasr: warning: ") && lines[0].contains("demo model"), "{lines:?}");
    assert_eq!(lines[2], "  hf download Qwen/Qwen3-ASR-0.6B --local-dir Qwen3-ASR-0.6B");
    assert_eq!(lines[3], "  qasr convert Qwen3-ASR-0.6B --type q8_0 -o models");
    for format in ["-ojson", "-oj"] {
        let run = qasr(&["transcribe", "-np", RECORDING, format, "-of", "-"]).succeeds();
        assert_eq!(run.stderr, format!("{}\n", lines[0]), "it is said with -np too");
        assert_eq!(json(&run.stdout)["warnings"][0]["code"], "demo_model");
        let run = qasr(&["transcribe", "-np", "-m", "demo", RECORDING, format, "-of", "-"]).succeeds();
        let warnings = &json(&run.stdout)["warnings"];
        assert_eq!((run.stderr.as_str(), warnings), ("", &serde_json::json!([])));
    }
    let run = qasr(&["transcribe", "-m", "demo", RECORDING]).succeeds();
    assert!(run.stderr.contains("demo model") && !run.stderr.contains("warning"), "{}", run.stderr);
    // A folder of that name is meant by it.
    let scratch = Scratch::new("demo-folder");
    fs::create_dir(scratch.path("demo")).unwrap();
    let mut command = qasr(&["transcribe", "-m", "demo", RECORDING]).command();
    let output = command.current_dir(scratch.path("")).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn no_prints_leaves_the_text_alone() {
    let run = qasr(&["transcribe", "-np", "-m", "demo", "-f", RECORDING]).succeeds();
    assert_eq!((run.stdout, run.stderr), (format!("{WORDS}\n"), String::new()));
}

#[test]
fn progress_can_be_asked_for() {
    let run = qasr(&["transcribe", "-np", "-pp", RECORDING]).succeeds();
    assert!(run.stderr.contains("progress 100 %"), "{}", run.stderr);
}

#[test]
fn standard_input_takes_wav_and_raw_samples() {
    let whole = fs::read(RECORDING).unwrap();
    assert_eq!(qasr(&["transcribe", "-"]).stdin(whole).succeeds().stdout, format!("{WORDS}\n"));
    let stereo: Vec<u8> = sample_bytes().chunks_exact(2).flat_map(|sample| [sample, sample].concat()).collect();
    let raw = ["transcribe", "--raw-rate", "16000", "--raw-channels", "2", "-"];
    assert_eq!(qasr(&raw).stdin(stereo).succeeds().stdout, format!("{WORDS}\n"));
}

#[test]
fn every_format_is_written_beside_the_recording() {
    let scratch = Scratch::new("formats");
    let recording = scratch.copy(RECORDING, "talk.wav");
    let run = qasr(&["transcribe", "-m", "demo", &recording, "--output-format", "all"]).succeeds();
    assert_eq!(run.stdout, format!("{WORDS}\n"));
    assert_eq!(scratch.read("talk.wav.txt"), format!("{WORDS}\n"));
    assert_eq!(scratch.read("talk.srt"), format!("1\n00:00:00,000 --> 00:00:06,000\n{WORDS}\n\n"));
    assert_eq!(scratch.read("talk.vtt"), format!("WEBVTT\n\n00:00:00.000 --> 00:00:06.000\n{WORDS}\n\n"));
    assert_eq!(scratch.read("talk.wav.tsv"), format!("start\tend\ttext\n0\t6000\t{WORDS}\n"));
    assert_eq!(scratch.read("talk.wav.csv"), format!("start,end,text\n0,6000,\"{WORDS}\"\n"));
    assert_eq!(scratch.read("talk.lrc"), format!("[by:qasr]\n[00:00.00]{WORDS}\n"));
    let json = json(&scratch.read("talk.wav.json"));
    assert_eq!(json["task"], "transcribe");
    assert_eq!((&json["language"], &json["language_name"]), (&"english".into(), &"English".into()));
    assert_eq!((&json["duration"], &json["text"]), (&6.0.into(), &WORDS.into()));
    assert_eq!((&json["complete"], &json["warnings"]), (&true.into(), &serde_json::json!([])));
    assert_eq!(json["segments"][0]["text"], WORDS);
    assert_eq!(
        json["segments"][0]["tokens"].as_array().unwrap().len(),
        json["timing"]["new_tokens"].as_u64().unwrap() as usize
    );
    // 6 s at 13 audio tokens a second (spec: 100 frames give 13).
    assert_eq!(json["timing"]["audio_tokens"], 78);
    for field in ["load_ms", "audio_ms", "mel_ms", "encode_ms", "prefill_ms", "decode_ms", "rtf"] {
        assert!(json["timing"][field].as_f64().unwrap() > 0.0, "{field}");
    }
    assert!(json["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(json["model"]["name"], "demo");
    let mut left: Vec<String> = scratch.names();
    left.retain(|name| name.ends_with(".part"));
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_name_for_the_files_can_be_given_and_a_dash_is_standard_output() {
    let scratch = Scratch::new("names");
    qasr(&["transcribe", RECORDING, "-otxt", "-of", &scratch.path("out")]).succeeds();
    assert_eq!(scratch.names(), ["out.txt"]);
    let run = qasr(&["transcribe", "-np", RECORDING, "--output-format", "json", "-of", "-"]).succeeds();
    assert_eq!(json(&run.stdout)["text"], WORDS);
}

#[test]
fn a_recording_is_never_written_over() {
    let scratch = Scratch::new("overwrite");
    let recording = scratch.copy(RECORDING, "talk.txt");
    qasr(&["transcribe", "-np", &recording, "-otxt"]).succeeds();
    assert_eq!(scratch.names(), ["talk.txt", "talk.txt.txt"]);
    let run = qasr(&["transcribe", &recording, "-otxt", "-of", &scratch.path("talk")]).fails_with(2);
    assert!(run.stderr.contains("would replace a recording"), "{}", run.stderr);
    assert_eq!(fs::read(recording).unwrap(), fs::read(RECORDING).unwrap());
}

#[test]
fn one_recording_under_two_spellings_is_not_written_twice() {
    let scratch = Scratch::new("spellings");
    let recording = scratch.copy(RECORDING, "talk.wav");
    let run = qasr(&["transcribe", &recording, &scratch.path("./talk.wav"), "-otxt"]).fails_with(2);
    assert!(run.stderr.contains("two recordings would write"), "{}", run.stderr);
    assert_eq!(scratch.names(), ["talk.wav"]);
}

#[test]
fn a_warning_about_a_recording_names_it_once() {
    let scratch = Scratch::new("warning");
    let recording = scratch.copy(RECORDING, "talk.wav");
    let run = qasr(&["transcribe", "-np", &recording, "-ot", "10000"]).succeeds();
    let warning = run.stderr.lines().find(|line| line.contains("before the offset")).unwrap_or_default();
    assert_eq!(warning.matches(&recording).count(), 1, "{}", run.stderr);
    let run = qasr(&["transcribe", "-np", &recording, "--max-new-tokens", "2"]).fails_with(5);
    let warning = run.stderr.lines().find(|line| line.contains("limit of 2 new tokens")).unwrap_or_default();
    assert_eq!(warning.matches(&recording).count(), 1, "{}", run.stderr);
}

#[test]
fn several_recordings_go_on_after_a_bad_one() {
    let scratch = Scratch::new("several");
    let missing = scratch.path("missing.wav");
    let text = scratch.write("notes.wav", b"These are notes, and no recording at all.");
    let run = qasr(&["transcribe", "-np", "-m", "demo", &missing, RECORDING, &text, RECORDING]).fails_with(3);
    assert_eq!(run.stdout, format!("{WORDS}\n{WORDS}\n"));
    let errors: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].contains("missing.wav") && errors[1].contains("notes.wav"), "{errors:?}");
}

#[test]
fn trimming_moves_the_times_and_takes_the_words() {
    let run = qasr(&["transcribe", "-np", RECORDING, "-ot", "1000", "-d", "3000", "-ojson", "-of", "-"]).succeeds();
    let json = json(&run.stdout);
    assert_eq!(json["duration"], 3.0);
    let segment = &json["segments"][0];
    assert_eq!((&segment["start"], &segment["end"]), (&1.0.into(), &4.0.into()));
    assert_eq!(json["text"], "six nine two");
}

#[test]
fn long_recordings_are_cut_and_joined() {
    let run = qasr(&["transcribe", "-np", RECORDING, "--segment-seconds", "2", "-ojson", "-of", "-"]).succeeds();
    let json = json(&run.stdout);
    let segments = json["segments"].as_array().unwrap();
    assert!(segments.len() >= 2, "{json}");
    assert_eq!(segments[0]["start"], 0.0);
    assert_eq!(segments.last().unwrap()["end"], 6.0);
    for pair in segments.windows(2) {
        assert_eq!(pair[0]["end"], pair[1]["start"]);
    }
    let words = |value: &serde_json::Value| -> Vec<String> {
        value["text"].as_str().unwrap().split_whitespace().map(str::to_owned).collect()
    };
    let of_segments: Vec<String> = segments.iter().flat_map(words).collect();
    assert_eq!(words(&json), of_segments);
    assert!(of_segments.len() >= 4, "{json}");
}

#[test]
fn a_cut_text_is_reported_four_times() {
    let scratch = Scratch::new("incomplete");
    let run =
        qasr(&["transcribe", "-m", "demo", RECORDING, "--max-new-tokens", "5", "-ojson", "-of", &scratch.path("cut")])
            .fails_with(5);
    assert_ne!(run.stdout, format!("{WORDS}\n"));
    assert!(run.stderr.contains("warning:"), "{}", run.stderr);
    let json = json(&scratch.read("cut.json"));
    assert_eq!((&json["complete"], &json["warnings"][0]["code"]), (&false.into(), &"token_limit".into()));
}

#[test]
fn a_recording_too_short_for_speech_is_an_empty_text_with_a_warning() {
    let scratch = Scratch::new("short");
    for samples in [0, 1, 200] {
        let short = scratch.write("short.wav", &wav(&vec![0; samples]));
        let run = qasr(&["transcribe", &short]).succeeds();
        assert_eq!(run.stdout, "\n", "{samples} samples");
        assert!(run.stderr.contains("warning:"), "{samples} samples: {}", run.stderr);
    }
}

#[test]
fn languages_are_taken_by_code_and_name_and_others_are_refused() {
    for language in ["en", "English", "ENGLISH", "auto"] {
        let run = qasr(&["transcribe", "-np", "-l", language, RECORDING]).succeeds();
        assert_eq!(run.stdout, format!("{WORDS}\n"), "{language}");
    }
    let run = qasr(&["transcribe", "-l", "klingon", RECORDING]).fails_with(2);
    assert!(run.stderr.contains("klingon") && run.stderr.contains("German"), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn wrong_usage_is_one_sentence() {
    for (args, expected) in [
        (&["transcribe", RECORDING, "-tr"][..], "cannot translate"),
        (&["transcribe", RECORDING, "--beam-size", "5"], "greedy"),
        (&["transcribe", RECORDING, "--langage", "en"], "--language"),
        (&["transcribe", "-", "-otxt"], "-of"),
        (&["transcribe", "-np"], "FILE"),
        (&["transcribe", "--mmproj", "x.gguf", RECORDING], "--model"),
        (&["transcribe", "--segment-seconds", "0", RECORDING], "segment"),
        (&["transcribe", "--segment-seconds", "nan", RECORDING], "segment"),
        (&["transcribe", "-ctk", "f16", "-ctv", "q8_0", RECORDING], "one type"),
        (&["transkribe", RECORDING], "transcribe"),
        (&["convert", "checkpoint"], "--output-dir"),
    ] {
        let run = qasr(args).fails_with(2);
        assert_eq!(run.stdout, "", "{args:?}");
        assert!(run.stderr.contains(expected), "{args:?}: {}", run.stderr);
        assert_eq!(
            run.stderr.trim_end().lines().filter(|line| line.contains("error:")).count(),
            1,
            "{args:?}: {}",
            run.stderr
        );
    }
}

#[test]
fn a_bad_model_is_one_sentence_with_its_own_code() {
    let scratch = Scratch::new("models");
    let text = scratch.write("text.gguf", b"not a model");
    let empty = scratch.write("empty.gguf", b"");
    let missing = scratch.path("missing.gguf");
    for model in [&text, &empty, &missing] {
        let run = qasr(&["transcribe", "-m", model, RECORDING]).fails_with(4);
        assert_eq!((run.stdout.as_str(), run.stderr.lines().count()), ("", 1), "{}", run.stderr);
        assert!(run.stderr.contains(model.as_str()), "{}", run.stderr);
        qasr(&["inspect", model]).fails_with(4);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_has_its_own_code() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let run = qasr(&["transcribe", "-np", RECORDING]).stdout(full.into()).fails_with(6);
    assert!(run.stderr.contains("standard output"), "{}", run.stderr);
    let scratch = Scratch::new("full");
    let base = scratch.path("out");
    std::os::unix::fs::symlink("/dev/full", format!("{base}.txt")).unwrap();
    let run = qasr(&["transcribe", "-np", RECORDING, "-otxt", "-of", &base]).fails_with(6);
    assert_eq!(run.stdout, format!("{WORDS}\n"), "the text is printed all the same");
    assert!(run.stderr.contains(&base), "{}", run.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = qasr(&["transcribe", "-np", "-m", "demo", RECORDING, RECORDING])
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn threads_cache_type_and_loading_do_not_change_the_text() {
    for args in [&["-t", "1"][..], &["--no-mmap"], &["--kv-type", "f32"], &["-ctk", "q8_0", "-ctv", "q8_0"]] {
        let run = qasr(&[&["transcribe", "-np", RECORDING], args].concat()).succeeds();
        assert_eq!(run.stdout, format!("{WORDS}\n"), "{args:?}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    for args in [
        &["--help"][..],
        &["transcribe", "--help"],
        &["convert", "--help"],
        &["inspect", "-h"],
        &["help", "transcribe"],
    ] {
        let run = qasr(args).succeeds();
        assert!(run.stdout.contains("Usage: qasr") && run.stderr.is_empty(), "{args:?}");
    }
    let run = qasr(&["--version"]).succeeds();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with(concat!("qasr ", env!("CARGO_PKG_VERSION"), " (revision ")), "{lines:?}");
    assert!(lines[1].starts_with("ggml ") && lines[1].contains("llama-cpp-sys-2"), "{lines:?}");
    assert!(lines[2].starts_with("CPU features in use: "), "{lines:?}");
}

#[test]
fn inspect_begins_with_the_answer_and_has_the_details_on_request() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/");
    let decoder = format!("{demo}demo-q8_0.gguf");
    let scratch = Scratch::new("inspect");
    for name in ["demo-q8_0.gguf", "mmproj-demo-q8_0.gguf"] {
        scratch.copy(&format!("{demo}{name}"), name);
    }
    // A decoder file and a folder are the same model.
    for place in [&decoder, &scratch.path("")] {
        let text = qasr(&["inspect", place]).succeeds().stdout;
        let first = text.lines().next().unwrap().to_owned() + text.lines().nth(1).unwrap();
        for part in ["demo: Qwen3-ASR decoder, 3.7M, q8_0, 3.9 MB, encoder found", "English only", "about 50 MB"] {
            assert!(first.contains(part), "{place}: no {part} in {text}");
        }
        assert!(text.contains("mmproj-demo-q8_0.gguf, 4.1 MB") && text.contains("up to 8 s"), "{text}");
        assert!(text.lines().count() < 24 && text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(!text.contains("token_embd.weight"), "{text}");
    }
    for flag in ["-v", "--tensors"] {
        let text = qasr(&["inspect", flag, &decoder]).succeeds().stdout;
        assert!(text.starts_with("demo: Qwen3-ASR") && text.contains("general.architecture"), "{text}");
        assert!(text.contains("token_embd.weight") && text.contains("\"qwen3"), "{text}");
    }
    let text = qasr(&["inspect", &scratch.path("mmproj-demo-q8_0.gguf")]).succeeds().stdout;
    assert!(text.starts_with("demo: Qwen3-ASR audio encoder for decoders 256 wide"), "{text}");
    fs::remove_file(scratch.path("mmproj-demo-q8_0.gguf")).unwrap();
    let text = qasr(&["inspect", &scratch.path("demo-q8_0.gguf")]).succeeds().stdout;
    // Where a sentence with a path is broken depends on the path.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("encoder missing") && text.contains("has no audio encoder beside it"), "{text}");
    let run = qasr(&["inspect", concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings")]).fails_with(4);
    assert!(run.stderr.contains("holds no decoder file"), "{}", run.stderr);
}

#[test]
fn the_recording_is_what_its_card_says() {
    assert_eq!(sample_bytes().len(), 2 * SAMPLES);
}

#[test]
fn output_names_can_be_as_long_as_the_system_allows() {
    let scratch = Scratch::new("long-name");
    let name = format!("{}a.wav", "語".repeat(82));
    let recording = scratch.copy(RECORDING, &name);
    qasr(&["transcribe", "-np", "-osrt", &recording]).succeeds();
    assert_eq!(scratch.names(), [name.replace(".wav", ".srt"), name.clone()]);
}

#[test]
fn output_files_can_go_to_a_folder() {
    let scratch = Scratch::new("output-dir");
    let recording = scratch.copy(RECORDING, "talk.wav");
    let folder = scratch.path("new/texts");
    qasr(&["transcribe", "-np", "-osrt", "-otxt", "--output-dir", &folder, &recording]).succeeds();
    assert_eq!(scratch.read("new/texts/talk.wav.txt"), format!("{WORDS}\n"));
    fs::create_dir(scratch.path("d")).unwrap();
    qasr(&["transcribe", "-np", "-osrt", "-of", &scratch.path("d/"), &recording]).succeeds();
    assert!(scratch.read("d/talk.srt").contains(WORDS));
    assert_eq!(scratch.names(), ["d", "new", "talk.wav"]);
    let both = ["transcribe", "-np", "-osrt", "-of", "x", "--output-dir", &folder, &recording];
    assert!(qasr(&both).fails_with(2).stderr.contains("give one of them"));
    let none = ["transcribe", "-np", "--output-dir", &folder, &recording];
    assert!(qasr(&none).fails_with(2).stderr.contains("no format was asked for"));
}

#[test]
fn a_place_that_cannot_be_written_is_refused_before_the_model_is_opened() {
    let scratch = Scratch::new("no-place");
    let base = scratch.path("missing/x");
    // A model that does not exist would be the error if it were looked for first.
    let run = qasr(&["transcribe", "-np", "-m", "nowhere.gguf", "-osrt", "-of", &base, RECORDING]).fails_with(6);
    assert!(run.stderr.contains("missing/x.srt") && run.stderr.contains("--output-dir"), "{}", run.stderr);
}

#[test]
fn an_existing_output_keeps_its_place_until_the_new_one_is_whole() {
    let scratch = Scratch::new("replace");
    let recording = scratch.copy(RECORDING, "talk.wav");
    scratch.write("talk.srt", b"old");
    scratch.write("talk.txt", b"by a person");
    qasr(&["transcribe", "-np", "-osrt", &recording, "-m", "nowhere.gguf"]).fails_with(4);
    assert_eq!(scratch.read("talk.srt"), "old");
    qasr(&["transcribe", "-np", "-osrt", "-otxt", &recording]).succeeds();
    assert!(scratch.read("talk.srt").contains(WORDS));
    assert_eq!(scratch.read("talk.txt"), "by a person");
    assert_eq!(scratch.names(), ["talk.srt", "talk.txt", "talk.wav", "talk.wav.txt"]);
}

#[cfg(unix)]
#[test]
fn output_files_can_be_read_by_others() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("permissions");
    let recording = scratch.copy(RECORDING, "talk.wav");
    qasr(&["transcribe", "-np", "-otxt", &recording]).succeeds();
    let mode = |name: &str| fs::metadata(scratch.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("talk.wav.txt"), mode("talk.wav"));
}

#[cfg(unix)]
#[test]
fn a_closed_standard_output_is_an_error_unless_files_were_asked_for() {
    let scratch = Scratch::new("closed");
    let recording = scratch.copy(RECORDING, "talk.wav");
    let run = |more: &str| {
        let line = format!("'{}' transcribe -np {more} '{recording}' >&-", env!("CARGO_BIN_EXE_qasr"));
        std::process::Command::new("sh").args(["-c", &line]).output().unwrap()
    };
    let refused = run("");
    assert_eq!(refused.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("standard output is closed"));
    assert_eq!(run("-otxt").status.code(), Some(0));
    assert_eq!(scratch.read("talk.wav.txt"), format!("{WORDS}\n"));
    let thrown_away = qasr(&["transcribe", "-np", RECORDING]).stdout(Stdio::null());
    thrown_away.succeeds();
}
