//! The pieces of a text with times, through the command: subtitles, lines, the JSON forms.

use crate::command::{Scratch, qasr};
use crate::damage::Part;
use crate::optional;
use qasr_format::Value;
use std::collections::HashMap;
use std::path::Path;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const WORDS: &str = "seven six nine two five go";
const DECODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/demo-q8_0.gguf");
const ENCODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/mmproj-demo-q8_0.gguf");

/// What a run prints with the demo model.
fn printed(args: &[&str]) -> String {
    qasr(&[&["transcribe", "-np", "-m", "demo"], args].concat()).succeeds().stdout
}

fn json(args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&printed(args)).unwrap()
}

/// The cues of SRT: start and end in milliseconds, lines.
fn cues(srt: &str) -> Vec<(u64, u64, Vec<&str>)> {
    let milliseconds = |clock: &str| {
        let parts: Vec<u64> = clock.split([':', ',']).map(|part| part.parse().unwrap()).collect();
        ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1000 + parts[3]
    };
    let blocks = srt.split("\n\n").filter(|block| !block.is_empty()).enumerate();
    let cue = |(index, block): (usize, &'static str)| {
        let mut lines = block.lines();
        assert_eq!(lines.next().unwrap(), (index + 1).to_string());
        let (start, end) = lines.next().unwrap().split_once(" --> ").unwrap();
        (milliseconds(start), milliseconds(end), lines.collect())
    };
    // Leaked, so that the lines can be handed out: a few kilobytes in a test.
    blocks.map(|(index, block)| cue((index, Box::leak(block.to_owned().into_boxed_str())))).collect()
}

#[test]
fn a_length_cuts_every_form_with_times() {
    let two = ["-ml", "14", "-of", "-", RECORDING];
    let srt = printed(&[&["-osrt"][..], &two].concat());
    let found = cues(&srt);
    assert_eq!(found.iter().map(|cue| cue.2.join("|")).collect::<Vec<_>>(), ["seven six nine", "two five go"]);
    assert_eq!((found[0].0, found[0].1, found[1].1), (0, found[1].0, 6000));
    for (format, parts) in [("-ovtt", 3), ("-otsv", 3), ("-ocsv", 3), ("-olrc", 3)] {
        let text = printed(&[&[format][..], &two].concat());
        let lines = text.lines().filter(|line| !line.is_empty() && !line.contains(" --> "));
        assert_eq!(lines.count(), parts, "{text}");
    }
    let json = json(&[&["-oj"][..], &two].concat());
    let entries = json["transcription"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| entry["estimated"] == true), "{json}");
    assert_eq!(entries[1]["offsets"]["to"], 6000);
    assert_eq!(entries.iter().map(|entry| entry["text"].as_str().unwrap()).collect::<String>().trim(), WORDS);
    let words = printed(&["-ml", "1", "-sow", "-osrt", "-of", "-", RECORDING]);
    assert_eq!(cues(&words).iter().map(|cue| cue.2.join("")).collect::<Vec<_>>().join(" "), WORDS);
    let whole = printed(&["-ml", "0", "-osrt", "-of", "-", RECORDING]);
    assert_eq!(cues(&whole), [(0, 6000, vec![WORDS])]);
}

#[test]
fn whispers_json_has_its_shape_and_the_tokens_where_asked() {
    let args = ["-of", "-", "-l", "en", RECORDING];
    let short = json(&[&["-oj"][..], &args].concat());
    for key in ["systeminfo", "model", "params", "result", "transcription"] {
        assert!(!short[key].is_null(), "{key}: {short}");
    }
    assert_eq!((&short["model"]["mels"], &short["params"]["language"]), (&128.into(), &"en".into()));
    assert_eq!(short["transcription"][0]["text"], format!(" {WORDS}"));
    assert!(short["transcription"][0]["tokens"].is_null());
    let full = json(&[&["-ojf"][..], &args].concat());
    let tokens = full["transcription"][0]["tokens"].as_array().unwrap();
    assert_eq!(tokens.iter().map(|token| token["text"].as_str().unwrap()).collect::<String>().trim(), WORDS);
    let probabilities: Vec<f64> = tokens.iter().map(|token| token["p"].as_f64().unwrap()).collect();
    assert!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)), "{probabilities:?}");
    // With a language given there is no header: these are all tokens of the segment.
    let verbose = json(&[&["-ojson"][..], &args].concat());
    let mean = probabilities.iter().map(|p| p.ln()).sum::<f64>() / probabilities.len() as f64;
    let told = verbose["segments"][0]["avg_logprob"].as_f64().unwrap();
    assert!((mean - told).abs() < 1e-3 && told < 0.0, "{mean} {told}");
}

#[test]
fn utterances_can_be_lines() {
    let scratch = Scratch::new("lines");
    let recording = scratch.copy(RECORDING, "talk.wav");
    let lines = printed(&["--lines", "--segment-seconds", "2", "-otxt", "-osrt", "-ml", "0", &recording]);
    assert!(lines.lines().count() >= 2, "{lines}");
    assert_eq!(scratch.read("talk.wav.txt"), lines);
    let srt = scratch.read("talk.srt");
    assert_eq!(cues(&srt).iter().map(|cue| cue.2.join("")).collect::<Vec<_>>(), lines.lines().collect::<Vec<_>>());
}

/// A model may write a line end; a recording is one line all the same.
#[test]
fn line_ends_in_a_text_are_folded() {
    let scratch = Scratch::new("folded");
    let part = Part::read(Path::new(DECODER));
    let (mut tokens, mut types) = (part.strings("tokenizer.ggml.tokens"), part.i32s("tokenizer.ggml.token_type"));
    let word = tokens.iter().position(|token| token == "seven").unwrap();
    (tokens[word], types[word]) = ("sev\n\nen".to_owned(), 4);
    let changed = part
        .with("tokenizer.ggml.tokens", Value::Strings(tokens))
        .with("tokenizer.ggml.token_type", Value::I32s(types));
    let model = scratch.write("lines.gguf", &changed.bytes());
    let base = scratch.path("x");
    let files = ["-otxt", "-osrt", "-ojson", "-of", &base];
    let model = ["transcribe", "-np", "-m", &model, "--mmproj", ENCODER];
    let run = qasr(&[&model[..], &files, &[RECORDING]].concat()).succeeds();
    let folded = WORDS.replace("seven", "sev en");
    assert_eq!((run.stdout, scratch.read("x.txt")), (format!("{folded}\n"), format!("{folded}\n")));
    assert!(scratch.read("x.srt").contains(&folded));
    let json: serde_json::Value = serde_json::from_str(&scratch.read("x.json")).unwrap();
    assert_eq!(json["text"], WORDS.replace("seven", "sev\n\nen"), "JSON has the text as it is");
}

/// The rules of subtitles over the longest recordings there are; the words are the demo model's inventions.
#[test]
fn subtitles_of_long_recordings_keep_the_rules() {
    let Some(clips) = optional::shared("audio/clips") else { return };
    let manifest = std::fs::read_to_string(clips.join("manifest.tsv")).unwrap();
    let mut rows = manifest.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let columns: HashMap<&str, usize> =
        rows.next().unwrap().into_iter().enumerate().map(|(at, name)| (name, at)).collect();
    let mut rows: Vec<Vec<&str>> = rows.filter(|row| !row[columns["transcript"]].is_empty()).collect();
    rows.sort_by(|one, other| {
        let seconds = |row: &[&str]| row[columns["seconds"]].parse::<f64>().unwrap();
        seconds(other).total_cmp(&seconds(one))
    });
    for row in &rows[..3] {
        let path = clips.join(row[columns["file"]]);
        let scratch = Scratch::new("rules");
        let base = scratch.path("x");
        let files = ["-osrt", "-otxt", "-of", &base, "--segment-seconds", "30"];
        printed(&[&files[..], &[path.to_str().unwrap()]].concat());
        let srt = scratch.read("x.srt");
        let found = cues(&srt);
        assert!(found.len() > 3, "{path:?}");
        for (index, (start, end, lines)) in found.iter().enumerate() {
            assert!(
                start < end && end - start <= 7000 && (1..=2).contains(&lines.len()),
                "{path:?}: {start} {lines:?}"
            );
            assert!(lines.iter().all(|line| !line.is_empty() && line.chars().count() <= 42), "{path:?}: {lines:?}");
            assert!(found.get(index + 1).is_none_or(|next| *end <= next.0), "{path:?}: {start} {lines:?}");
        }
        let joined: Vec<&str> = found.iter().flat_map(|cue| &cue.2).flat_map(|line| line.split_whitespace()).collect();
        assert_eq!(joined, scratch.read("x.txt").split_whitespace().collect::<Vec<_>>());
    }
}
