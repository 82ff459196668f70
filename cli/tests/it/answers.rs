//! What of a model's answer reaches a reader: never its header, and all that the official text has.

use crate::command::{Scratch, qasr};
use crate::damage::Part;
use qasr_format::Value;
use serde_json::Value as Json;
use std::path::Path;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/sample.flac");
const DECODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/demo-q8_0.gguf");
const ENCODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/mmproj-demo-q8_0.gguf");

/// The demo model's answers begin with `language`, ` English` and the tag, in as many tokens as its vocabulary takes.
fn header_tokens() -> usize {
    let run = qasr(&["transcribe", "-np", "-m", "demo", "-ojson", "-of", "-", SAMPLE]).succeeds();
    let json: Json = serde_json::from_str(&run.stdout).unwrap();
    let tag =
        Part::read(Path::new(DECODER)).strings("tokenizer.ggml.tokens").iter().position(|token| token == "<asr_text>");
    let tokens = json["segments"][0]["tokens"].as_array().unwrap();
    tokens.iter().position(|token| token.as_u64() == tag.map(|tag| tag as u64)).unwrap() + 1
}

#[test]
fn a_text_that_was_cut_shows_no_header() {
    let scratch = Scratch::new("header");
    let header = header_tokens();
    for limit in 1..=header + 2 {
        let base = scratch.path(&format!("cut{limit}"));
        let limit_text = limit.to_string();
        let cut = ["--max-new-tokens", &limit_text];
        let files = ["-otxt", "-osrt", "-ovtt", "-otsv", "-ocsv", "-olrc", "-ojson", "-of", &base];
        let run = qasr(&[&["transcribe", "-np", "-m", "demo"][..], &cut, &files, &[SAMPLE]].concat()).fails_with(5);
        let expected = match limit - limit.min(header) {
            0 => "",
            1 => "one",
            _ => "one two",
        };
        assert_eq!(run.stdout, format!("{expected}\n"), "{limit}");
        for kind in ["txt", "srt", "vtt", "tsv", "csv", "lrc", "json"] {
            let text = scratch.read(&format!("cut{limit}.{kind}"));
            assert!(
                !text.contains("asr_text") && !text.contains("language Eng") && !text.contains("language\n"),
                "{limit}: {text}"
            );
        }
        let json: Json = serde_json::from_str(&scratch.read(&format!("cut{limit}.json"))).unwrap();
        assert_eq!((&json["text"], &json["complete"]), (&expected.into(), &false.into()), "{json}");
        assert_eq!(json["segments"][0]["text"], expected);
        assert_eq!(json["language"], if limit < header { "" } else { "english" }, "{json}");
        assert_eq!(json["warnings"][0]["code"], "token_limit");
    }
}

#[test]
fn no_live_event_shows_a_header() {
    let header = header_tokens();
    for limit in 1..=header {
        for policy in [&[][..], &["--policy", "official"]] {
            let limit = limit.to_string();
            let args = [&["listen", "--json", "--max-new-tokens", &limit, "--input", SAMPLE][..], policy].concat();
            let run = qasr(&args).succeeds_or_fails_with(5);
            assert!(!run.stdout.is_empty());
            for line in run.stdout.lines() {
                let event: Json = serde_json::from_str(line).unwrap();
                for key in ["text", "committed", "tentative", "committed_new"] {
                    let text = event[key].as_str().unwrap_or_default();
                    assert!(text.is_empty(), "{args:?}: {key}: {line}");
                }
            }
        }
    }
}

/// The official tokenizer does not call these six special, so its text has them; model files mark them as control
/// tokens. Here the token of the first word has such a name.
#[test]
fn tokens_for_code_are_shown_by_their_names() {
    let scratch = Scratch::new("code");
    let part = Part::read(Path::new(DECODER));
    let (mut tokens, mut types) = (part.strings("tokenizer.ggml.tokens"), part.i32s("tokenizer.ggml.token_type"));
    let word = tokens.iter().position(|token| token == "one").unwrap();
    for (name, shown) in [
        ("<|fim_prefix|>", "<|fim_prefix|> two three\n"),
        ("<|file_sep|>", "<|file_sep|> two three\n"),
        ("<|vision_pad|>", "two three\n"),
    ] {
        // The row that had the name before is not used.
        let before = tokens.iter().position(|token| token == name);
        before.into_iter().for_each(|row| (tokens[row], types[row]) = (format!("[PAD{row}]"), 5));
        (tokens[word], types[word]) = (name.to_owned(), 3);
        let changed = part
            .with("tokenizer.ggml.tokens", Value::Strings(tokens.clone()))
            .with("tokenizer.ggml.token_type", Value::I32s(types.clone()));
        let model = scratch.write("code.gguf", &changed.bytes());
        let run = qasr(&["transcribe", "-np", "-m", &model, "--mmproj", ENCODER, SAMPLE]).succeeds();
        assert_eq!(run.stdout, shown);
    }
}
