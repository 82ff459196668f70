//! The flags of whisper-cli and whisper-stream, as people type them: single-dash names of several letters become the long
//! names that `args` knows, flags that already describe what `qasr` does are dropped, and flags that it cannot honour
//! are refused with a sentence. `qasr transcribe` takes those of whisper-cli, `qasr listen` those of whisper-stream.

use super::real_model;
use std::ffi::{OsStr, OsString};

/// The treatment of a flag.
struct Table {
    /// Spelling, and the long name it stands for.
    spellings: &'static [(&'static str, &'static str)],
    /// These ask for the only behaviour of this program.
    already_so: &'static [&'static str],
    /// Spellings that cannot be honoured, and why, or what to do instead.
    refused: &'static [(&'static [&'static str], &'static str)],
}

/// Wherever a model is opened.
const MODEL: Table = Table {
    spellings: &[("-np", "--no-prints"), ("-ctk", "--kv-type"), ("-ctv", "--kv-type")],
    already_so: &["-ng", "--no-gpu", "-nfa"],
    refused: &[(&["-dev", "-ngl", "-fa", "--flash-attn"], "everything runs on the CPU")],
};

/// Wherever text is made. No second attempt at another temperature, the context text given to every utterance.
const TEXT: Table = Table {
    spellings: &[],
    already_so: &["-nf", "--no-fallback", "--carry-initial-prompt"],
    refused: &[
        (&["-tr", "--translate"], "the model writes the language that is spoken and cannot translate"),
        (&["-tdrz", "--tinydiarize", "-di", "--diarize"], "the model does not tell speakers apart"),
        (
            &["-ac", "--audio-ctx"],
            "the encoder has no fixed audio context to shorten; use --segment-seconds to work on shorter pieces",
        ),
        (
            &["-bs", "--beam-size", "-bo", "--best-of"],
            "decoding is greedy, as in the official model; there is no beam and no choice of candidates",
        ),
        (
            &["-tp", "--temperature", "--temp", "-tpi", "--temperature-inc", "--seed"],
            "decoding is greedy, as in the official model; nothing is sampled",
        ),
        (
            &["-ps", "--print-special"],
            "special tokens are never part of the text; the token ids are in the JSON output",
        ),
        (
            &["-vm", "--vad-model", "-vt", "--vad-threshold", "-vspd", "-vsd", "-vmsd", "-vp", "-vo"],
            "the detectors of pauses are built in and have nothing to set; choose one with --vad energy, neural or off",
        ),
    ],
};

/// whisper-cli.
const TRANSCRIBE: Table = Table {
    spellings: &[
        ("-ot", "--offset"),
        ("-otxt", "--output-txt"),
        ("-osrt", "--output-srt"),
        ("-ovtt", "--output-vtt"),
        ("-oj", "--output-json"),
        ("-ojf", "--output-json-full"),
        ("-ojson", "--output-verbose-json"),
        ("-nt", "--no-timestamps"),
        ("-ml", "--max-len"),
        ("-sow", "--split-on-word"),
        ("-otsv", "--output-tsv"),
        ("-ocsv", "--output-csv"),
        ("-olrc", "--output-lrc"),
        ("-of", "--output-file"),
        ("-pp", "--progress"),
    ],
    already_so: &[],
    refused: &[
        (
            &["-et", "--entropy-thold", "-lpt", "--logprob-thold", "-nth", "--no-speech-thold"],
            "there is no second attempt that a threshold could start",
        ),
        (&["-mc", "--max-context"], "every segment is recognised by itself; --carry gives it text of the one before"),
        (
            &["-wt", "--word-thold", "-owts", "--output-words", "-dtw"],
            "the model gives no times of words; --max-len cuts utterances into pieces with estimated times",
        ),
        (
            &["-pc", "--print-colors", "--print-confidence"],
            "text is not coloured; the probability of every token is in -ojf",
        ),
        (&["-dl", "--detect-language"], "the language comes with the text; read `language` from -ojson"),
        (&["-p", "--processors"], "one recording is worked on at a time; use --threads"),
        (
            &["--grammar", "--grammar-rule", "--grammar-penalty", "--suppress-regex", "-sns", "--suppress-nst"],
            "decoding cannot be constrained; use --context to make words more likely",
        ),
        (&["--device"], "everything runs on the CPU"),
        (&["-ls", "--log-score", "-debug", "--debug-mode"], "there is no such record"),
    ],
};

/// whisper-stream.
const LISTEN: Table = Table {
    spellings: &[("--capture", "--device"), ("-mt", "--max-new-tokens"), ("--max-tokens", "--max-new-tokens")],
    already_so: &[],
    refused: &[
        (
            &["--length"],
            "no window of fixed length is decoded again and again; --max-utterance sets the longest utterance",
        ),
        (&["--keep"], "nothing has to be kept from one window to the next: an utterance is understood as a whole"),
        (
            &["-kc", "--keep-context"],
            "every utterance starts afresh; --carry gives it the end of the text before as context",
        ),
        (
            &["-vth", "--vad-thold", "-fth", "--freq-thold"],
            "the detectors of pauses have nothing to set; choose one with --vad energy, neural or off",
        ),
        (&["-f", "--file"], "the text is written to a file with --output FILE.txt; a recording is given with --input"),
        (
            &["-otxt", "-osrt", "-ovtt", "--output-txt", "--output-srt", "--output-vtt"],
            "name the file: --output FILE.txt, FILE.srt or FILE.vtt",
        ),
        (&["-sa", "--save-audio"], "use --trace FILE, which keeps the audio in FILE.wav"),
    ],
};

/// No command of whisper.cpp's, but their flags for files.
const EVAL: Table = Table {
    spellings: &[("-oj", "--output-json"), ("-ojson", "--output-json"), ("-pp", "--progress")],
    already_so: &[],
    refused: &[],
};

/// A page and, where asked, the same as JSON.
const COMPARE: Table = Table {
    spellings: &[("-np", "--no-prints"), ("-oj", "--output-json"), ("-ojson", "--output-json")],
    already_so: &[],
    refused: &[],
};

fn tables(subcommand: &OsStr) -> &'static [&'static Table] {
    match subcommand.to_str() {
        Some("transcribe") => &[&MODEL, &TEXT, &TRANSCRIBE],
        Some("listen") => &[&MODEL, &TEXT, &LISTEN],
        Some("replay") => &[&MODEL],
        Some("eval") => &[&MODEL, &TEXT, &EVAL],
        Some("compare" | "quant-report") => &[&COMPARE],
        _ => &[],
    }
}

/// llama.cpp's flags for a model from the network. Without this, `-hf` would be `-h` and `-f`.
const DOWNLOADS: [&str; 3] = ["-hf", "-hfr", "--hf-repo"];

/// The sentence about one of [`DOWNLOADS`], where one was typed.
fn download(argv: &[OsString]) -> Option<String> {
    let typed = |arg: &OsString| arg.to_str().map(str::to_owned);
    let mut args = argv.iter().take_while(|arg| *arg != "--").map(typed);
    let (flag, value) = args.by_ref().flatten().find_map(|arg| {
        let (flag, value) = arg.split_once('=').map_or((&*arg, None), |(flag, value)| (flag, Some(value)));
        DOWNLOADS.contains(&flag).then(|| (flag.to_owned(), value.map(str::to_owned)))
    })?;
    let value = value.or_else(|| args.next().flatten());
    Some(format!("`{flag}` cannot be honoured: {}", real_model::instead_of_download(value.as_deref())))
}

/// `argv` with every foreign spelling replaced by the long name.
///
/// # Errors
/// One sentence about the first flag that cannot be honoured.
pub fn to_long_forms(argv: Vec<OsString>) -> Result<Vec<OsString>, String> {
    if let Some(sentence) = download(&argv) {
        return Err(sentence);
    }
    let tables = tables(argv.get(1).map_or(OsStr::new(""), OsString::as_os_str));
    if tables.is_empty() {
        return Ok(argv);
    }
    let mut result = Vec::with_capacity(argv.len());
    let mut flags_ended = false;
    let mut rest = argv.into_iter().peekable();
    while let Some(arg) = rest.next() {
        flags_ended |= arg == "--";
        let flag = match arg.to_str() {
            Some(text) if text.starts_with('-') && !flags_ended => text.split('=').next().unwrap_or(text),
            _ => {
                result.push(arg);
                continue;
            }
        };
        let refused = tables.iter().flat_map(|table| table.refused);
        if let Some((_, reason)) = refused.into_iter().find(|(names, _)| names.contains(&flag)) {
            return Err(format!("`{flag}` cannot be honoured: {reason}"));
        }
        // In whisper-cli it stands alone and means what is always so here; our own takes a value.
        if arg == "--vad" && rest.peek().is_none_or(|next| !DETECTORS.iter().any(|name| next == name)) {
            continue;
        }
        if let Some((short, long)) = tables.iter().flat_map(|table| table.spellings).find(|(short, _)| *short == flag) {
            let value = arg.to_str().and_then(|text| text.strip_prefix(short)).unwrap_or_default();
            result.push(format!("{long}{value}").into());
        } else if !tables.iter().any(|table| table.already_so.contains(&flag)) {
            result.push(arg);
        }
    }
    Ok(result)
}

/// The values of `--vad`.
const DETECTORS: [&str; 3] = ["energy", "neural", "off"];

#[cfg(test)]
mod tests {
    use super::super::args::Cli;
    use super::*;
    use clap::CommandFactory;

    fn long(args: &[&str]) -> Result<Vec<String>, String> {
        let argv = ["qasr", "transcribe"].iter().chain(args).map(OsString::from).collect();
        let replaced = to_long_forms(argv)?;
        Ok(replaced[2..].iter().map(|arg| arg.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn single_dash_names_become_long_ones() {
        assert_eq!(
            long(&["-ot", "500", "-otxt", "-of", "out", "-np", "a.wav"]).unwrap(),
            ["--offset", "500", "--output-txt", "--output-file", "out", "--no-prints", "a.wav"]
        );
    }

    #[test]
    fn what_is_already_so_is_dropped_and_the_rest_is_kept() {
        assert_eq!(long(&["-nf", "-m", "x.gguf", "-", "-t", "2"]).unwrap(), ["-m", "x.gguf", "-", "-t", "2"]);
    }

    #[test]
    fn a_flag_that_cannot_be_honoured_is_named_with_its_reason() {
        for flag in ["-tr", "--beam-size=5", "-ac", "-vt"] {
            let sentence = long(&[flag, "a.wav"]).unwrap_err();
            assert!(sentence.starts_with(&format!("`{}`", flag.split('=').next().unwrap())), "{sentence}");
        }
    }

    #[test]
    fn files_after_the_double_dash_and_other_subcommands_are_left_alone() {
        assert_eq!(long(&["--", "-tr"]).unwrap(), ["--", "-tr"]);
        let argv: Vec<OsString> = ["qasr", "convert", "-ot"].iter().map(OsString::from).collect();
        assert_eq!(to_long_forms(argv.clone()).unwrap(), argv);
    }

    #[test]
    fn a_download_is_refused_wherever_it_stands_and_is_no_call_for_help() {
        let refused = |typed: &[&str]| to_long_forms(typed.iter().map(OsString::from).collect());
        for typed in [
            &["qasr", "-hf", "Qwen/Q"][..],
            &["qasr", "transcribe", "-hf=Qwen/Q"],
            &["qasr", "eval", "--hf-repo", "Qwen/Q:q8_0"],
        ] {
            let sentence = refused(typed).unwrap_err();
            assert!(sentence.contains("hf download Qwen/Q --local-dir Q`"), "{sentence}");
        }
        assert!(refused(&["qasr", "transcribe", "-hf"]).is_err());
        assert!(refused(&["qasr", "transcribe", "--", "-hf"]).is_ok());
    }

    #[test]
    fn vad_stands_alone_as_in_whisper_cli_or_names_a_detector() {
        assert_eq!(long(&["--vad", "a.wav"]).unwrap(), ["a.wav"]);
        assert_eq!(long(&["a.wav", "--vad"]).unwrap(), ["a.wav"]);
        assert_eq!(long(&["--vad", "neural", "a.wav"]).unwrap(), ["--vad", "neural", "a.wav"]);
        assert_eq!(long(&["--vad=off", "a.wav"]).unwrap(), ["--vad=off", "a.wav"]);
    }

    #[test]
    fn each_subcommand_has_its_own_flags() {
        let argv = |typed: &[&str]| typed.iter().map(OsString::from).collect::<Vec<_>>();
        let long = |typed: &[&str]| to_long_forms(argv(typed));
        assert_eq!(
            long(&["qasr", "listen", "-mt", "32", "--capture=1"]).unwrap(),
            argv(&["qasr", "listen", "--max-new-tokens", "32", "--device=1"])
        );
        assert!(long(&["qasr", "listen", "--device", "USB"]).is_ok());
        assert!(long(&["qasr", "listen", "-kc"]).unwrap_err().contains("--carry"));
        assert!(long(&["qasr", "transcribe", "--device", "0"]).is_err());
        assert_eq!(long(&["qasr", "replay", "-np", "-tr"]).unwrap(), argv(&["qasr", "replay", "--no-prints", "-tr"]));
    }

    #[test]
    fn every_long_name_exists_and_no_spelling_is_listed_twice() {
        let command = Cli::command();
        for name in ["transcribe", "listen", "replay", "compare", "eval", "quant-report"] {
            let subcommand = command.find_subcommand(name).unwrap();
            let known: Vec<String> =
                subcommand.get_arguments().filter_map(|arg| arg.get_long()).map(|l| format!("--{l}")).collect();
            let tables = tables(OsStr::new(name));
            let mut all: Vec<&str> = Vec::new();
            for table in tables {
                for (short, long) in table.spellings {
                    assert!(known.iter().any(|name| name == long), "{short} stands for {long}, which does not exist");
                }
                all.extend(table.spellings.iter().map(|(short, _)| *short));
                all.extend(table.already_so);
                all.extend(table.refused.iter().flat_map(|(names, _)| names.iter()));
            }
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "{name}");
            assert!(known.iter().all(|long| !all.contains(&long.as_str())), "{name}");
        }
    }
}
