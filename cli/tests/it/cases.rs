//! Every row of `../shared/cases/cases.tsv` through the command: inputs that once lost words, times or finished work. Small
//! inputs of our own for the same kinds are in `containers.rs`, `cli.rs`, `incremental.rs` and the converter's tests.

use crate::optional;

use crate::command::{Finished, Scratch, qasr};
use std::fs;
use std::path::Path;

const SHORT: &str = "one two three";
const SIX: &str = "one two three four five six";
/// Of recordings with more than one utterance.
const TWICE: &str = "one two three one two three";
const THREE_TIMES: &str = "one two three four five six one two three four five six one two three four five six";

/// A recording: its row, its file, the text, and what has to be reported about it.
struct Case {
    row: &'static str,
    file: &'static str,
    text: &'static str,
    /// Parts of what is reported; empty: nothing is.
    reported: &'static [&'static str],
}

const fn case(row: &'static str, file: &'static str, text: &'static str, reported: &'static [&'static str]) -> Case {
    Case { row, file, text, reported }
}

const RECORDINGS: [Case; 19] = [
    case("D01", "vbr_no_xing.mp3", THREE_TIMES, &[]),
    case("D02", "mp3_joined.mp3", TWICE, &[]),
    case("D03", "xing_count_small.mp3", SIX, &[]),
    case("D04", "xing_count_zero.mp3", SIX, &[]),
    case("D05", "opus.mp4", SIX, &[]),
    case("D06", "default_track_second.mkv", SHORT, &["2 audio tracks", "track 2"]),
    case("D07", "first_track_ac3.mkv", SHORT, &["AC-3", "track 2"]),
    case("D08", "audio_starts_at_5s.mkv", SHORT, &[]),
    case("D08", "audio_starts_at_5s.mp4", SHORT, &[]),
    case("D09", "gap_8s.webm", TWICE, &["nothing was recorded from 0:02", "(7.94 s)"]),
    case("D12", "cut_100_bytes.webm", "", &["cut"]),
    case("D12", "cut_half.mkv", "", &["cut"]),
    case("D13", "live.webm", SHORT, &[]),
    case("D14", "whole_alac.caf", SHORT, &[]),
    case("D15", "stream_rip.opus", SHORT, &[]),
    case("D16", "unfinished_riff36.wav", SHORT, &[]),
    case("D17", "piped.caf", SHORT, &[]),
    case("D18", "piped.aiff", SHORT, &[]),
    case("D20", "he_aac.m4a", SHORT, &[]),
];

#[test]
fn recordings_give_their_words_and_report_only_what_is_missing() {
    let Some(folder) = optional::shared("cases") else { return };
    let mut wrong = Vec::new();
    for Case { row, file, text, reported } in RECORDINGS {
        let path = folder.join(file);
        let run = run(&["transcribe", "-np", "-m", "demo", path.to_str().unwrap()]);
        let heard = run.stdout.trim_end();
        // Of a cut file the words that are there, which its name does not say.
        let is_right = if text.is_empty() { heard.starts_with("one two") } else { heard == text };
        let is_reported = match reported {
            [] => run.stderr.is_empty(),
            parts => parts.iter().all(|part| run.stderr.contains(part)),
        };
        if run.code != Some(0) || !is_right || !is_reported {
            wrong.push(format!("{row} {file}: {run:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn run(arguments: &[&str]) -> Finished {
    let output = qasr(arguments).command().stdin(std::process::Stdio::null()).output().unwrap();
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Start of every segment, in seconds.
fn starts(path: &Path) -> Vec<f64> {
    let run = qasr(&["transcribe", "-np", "-m", "demo", "-ojson", "-of", "-", path.to_str().unwrap()]).succeeds();
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    json["segments"].as_array().unwrap().iter().map(|segment| segment["start"].as_f64().unwrap()).collect()
}

#[test]
fn times_are_those_of_the_film() {
    let Some(folder) = optional::shared("cases") else { return };
    // D08: everything begins at 5 s; D09: the words after the hole; D10, D11: the words after the damage.
    for file in ["audio_starts_at_5s.mkv", "audio_starts_at_5s.mp4"] {
        let first = starts(&folder.join(file))[0];
        // The encoder's first packet lies 64 ms before the words.
        assert!((4.9..5.1).contains(&first), "{file}: {first}");
        for format in ["srt", "vtt", "tsv", "csv", "lrc"] {
            let path = folder.join(file);
            let run = qasr(&["transcribe", "-np", "--output-format", format, "-of", "-", path.to_str().unwrap()]);
            let written = run.succeeds().stdout;
            let is_late = ["00:00:04,9", "00:00:04.9", "\n49", "[00:04.9"];
            assert!(is_late.iter().any(|time| written.contains(time)), "{file}: {written}");
        }
    }
    let second = starts(&folder.join("gap_8s.webm"))[1];
    assert!((10.1..10.6).contains(&second), "gap_8s.webm: {second}");
}

#[test]
fn what_follows_damage_keeps_its_time() {
    let Some(folder) = optional::shared("cases") else { return };
    for (file, seconds, place) in [("damaged_middle.m4a", 14.2, "damaged"), ("one_bad_page.opus", 14.2, "0:0")] {
        let path = folder.join(file);
        let run = qasr(&["transcribe", "-np", "-m", "demo", "-ojson", "-of", "-", path.to_str().unwrap()]).succeeds();
        let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let duration = json["duration"].as_f64().unwrap();
        assert!((duration - seconds).abs() < 0.2, "{file}: {duration} {}", run.stderr);
        let warning = &json["warnings"][0];
        assert_eq!(warning["code"], "audio_damaged", "{file}");
        let message = warning["message"].as_str().unwrap();
        assert!(message.contains(" from ") && message.contains(" to ") && message.contains(place), "{file}: {message}");
    }
}

#[test]
fn what_cannot_be_decoded_is_named() {
    let Some(folder) = optional::shared("cases") else { return };
    let path = |file: &str| folder.join(file).to_str().unwrap().to_owned();
    // D19: six channels of AAC need another program, which may not be there.
    let run = self::run(&["transcribe", "-np", &path("aac_5_1.m4a")]);
    if run.code == Some(0) {
        assert_eq!(run.stdout, format!("{SHORT}\n"));
    } else {
        assert!(run.code == Some(3) && run.stderr.contains("AAC with 6 channels"), "{run:?}");
    }
    // D21: a codec without decoder, and one that has one in every container.
    let amr = self::run(&["transcribe", "-np", &path("amr_in_3gp.3gp")]);
    assert!(amr.code == Some(0) || (amr.code == Some(3) && amr.stderr.contains("AMR")), "{amr:?}");
    assert_eq!(qasr(&["transcribe", "-np", &path("a_law.mov")]).succeeds().stdout, format!("{SHORT}\n"));
    // D22: by name; through a pipe with the text or a sentence that says what to do.
    let file = path("index_at_end.m4a");
    assert_eq!(qasr(&["transcribe", "-np", &file]).succeeds().stdout, format!("{SHORT}\n"));
    let piped = qasr(&["transcribe", "-np", "-"]).stdin(fs::read(&file).unwrap()).succeeds_or_fails_with(3);
    assert!(piped.stdout == format!("{SHORT}\n") || piped.stderr.contains("by name"), "{piped:?}");
}

#[test]
fn checkpoints_convert_or_say_what_they_are() {
    let (Some(folder), Some(digits)) = (optional::shared("cases"), optional::shared("digits-model")) else { return };
    for (row, case, outcome) in [
        ("D23", "ck_v5_mixed", Ok("")),
        ("D24", "ck_stale_index", Ok("index")),
        ("D25", "ck_lfs_pointer", Err("git lfs pull")),
        ("D26", "ck_lora", Err("LoRA adapter")),
    ] {
        let scratch = Scratch::new(case);
        let checkpoint = scratch.path("CK");
        fs::create_dir(&checkpoint).unwrap();
        let copy = |from: &Path| {
            for entry in fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                let to = Path::new(&checkpoint).join(entry.file_name());
                let _ = fs::remove_file(&to);
                fs::write(to, fs::read(entry.path()).unwrap()).unwrap();
            }
        };
        if case != "ck_lora" {
            copy(&digits);
        }
        copy(&folder.join(case));
        let command = qasr(&["convert", &checkpoint, "--type", "q8_0", "-o", &scratch.path("out")]);
        match outcome {
            Ok(note) => assert!(command.succeeds().stderr.contains(note), "{row}"),
            Err(sentence) => {
                let run = command.fails_with(4);
                assert!(run.stderr.contains(sentence), "{row}: {}", run.stderr);
            }
        }
    }
}

#[test]
fn a_damaged_model_file_is_named() {
    let Some(folder) = optional::shared("cases") else { return };
    let scratch = Scratch::new("bad-mmproj");
    scratch.copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/demo-q8_0.gguf"), "demo-q8_0.gguf");
    for entry in fs::read_dir(folder.join("gguf_bad_mmproj")).unwrap() {
        let entry = entry.unwrap();
        scratch.write(entry.file_name().to_str().unwrap(), &fs::read(entry.path()).unwrap());
    }
    let recording = folder.join("live.webm");
    let run = qasr(&["transcribe", "-np", "-m", &scratch.path(""), recording.to_str().unwrap()]).fails_with(4);
    assert!(
        run.stderr.contains("mmproj-demo-q8_0.gguf") && run.stderr.contains("cut off or damaged"),
        "{}",
        run.stderr
    );
}

/// D28 to D34 are tested on recordings of our own in `cli.rs` and `incremental.rs`; these two need this one.
#[test]
fn a_header_is_no_text_and_an_address_no_file() {
    let Some(folder) = optional::shared("cases") else { return };
    let recording = folder.join("live.webm").to_str().unwrap().to_owned();
    for tokens in ["1", "2", "3"] {
        let run = qasr(&["transcribe", "-np", "--max-new-tokens", tokens, &recording]).fails_with(5);
        assert!(!run.stdout.contains("language") && !run.stdout.contains("asr_text"), "{tokens}: {}", run.stdout);
    }
    let run = qasr(&["transcribe", "-np", "https://example.com/talk.mp3"]).fails_with(3);
    assert!(run.stderr.contains("nothing is downloaded"), "{}", run.stderr);
}
