//! The flags of whisper-cli, as people type them: single-dash names of several letters become the long names that
//! `args` knows, flags that already describe what `qasr` does are dropped, and flags that it cannot honour are
//! refused with a sentence. Only `qasr transcribe` takes these spellings.

use std::ffi::OsString;

/// Spelling, and the long name it stands for.
const SPELLINGS: &[(&str, &str)] = &[
    ("-ot", "--offset"),
    ("-otxt", "--output-txt"),
    ("-osrt", "--output-srt"),
    ("-ovtt", "--output-vtt"),
    ("-oj", "--output-json"),
    ("-ojson", "--output-json"),
    ("-otsv", "--output-tsv"),
    ("-ocsv", "--output-csv"),
    ("-olrc", "--output-lrc"),
    ("-of", "--output-file"),
    ("-np", "--no-prints"),
    ("-pp", "--progress"),
    ("-ctk", "--kv-type"),
    ("-ctv", "--kv-type"),
];

/// What these ask for is always so: no times in the text on standard output, no GPU, no second attempt at another
/// temperature, the context text given to every segment.
const ALREADY_SO: &[&str] =
    &["-nt", "--no-timestamps", "-ng", "--no-gpu", "-nf", "--no-fallback", "-nfa", "--carry-initial-prompt"];

/// Spellings that cannot be honoured, and why, or what to do instead.
const REFUSED: &[(&[&str], &str)] = &[
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
        &["-et", "--entropy-thold", "-lpt", "--logprob-thold", "-nth", "--no-speech-thold"],
        "there is no second attempt that a threshold could start",
    ),
    (&["-mc", "--max-context"], "every segment is recognised by itself, with no text of the one before"),
    (
        &["-ml", "--max-len", "-sow", "--split-on-word", "-wt", "--word-thold", "-owts", "--output-words", "-dtw"],
        "the model gives no times inside a segment; use --segment-seconds for shorter segments",
    ),
    (&["-ojf", "--output-json-full"], "there are no token times or probabilities to write; use -ojson"),
    (&["-ps", "--print-special"], "special tokens are never part of the text; the token ids are in -ojson"),
    (&["-pc", "--print-colors", "--print-confidence"], "there are no token probabilities to colour by"),
    (&["-dl", "--detect-language"], "the language comes with the text; read `language` from -ojson"),
    (&["-p", "--processors"], "one recording is worked on at a time; use --threads"),
    (
        &["--vad", "-vm", "--vad-model", "-vt", "--vad-threshold", "-vspd", "-vsd", "-vmsd", "-vp", "-vo"],
        "long recordings are cut at quiet points without a separate model; use --segment-seconds",
    ),
    (
        &["--grammar", "--grammar-rule", "--grammar-penalty", "--suppress-regex", "-sns", "--suppress-nst"],
        "decoding cannot be constrained; use --context to make words more likely",
    ),
    (&["-dev", "--device", "-ngl", "-fa", "--flash-attn"], "everything runs on the CPU"),
    (&["-ls", "--log-score", "-debug", "--debug-mode"], "there is no such record"),
];

/// `argv` with every spelling of whisper-cli replaced by the long name.
///
/// # Errors
/// One sentence about the first flag that cannot be honoured.
pub fn to_long_forms(argv: Vec<OsString>) -> Result<Vec<OsString>, String> {
    if argv.get(1).is_none_or(|subcommand| subcommand != "transcribe") {
        return Ok(argv);
    }
    let mut result = Vec::with_capacity(argv.len());
    let mut flags_ended = false;
    for arg in argv {
        flags_ended |= arg == "--";
        let flag = match arg.to_str() {
            Some(text) if text.starts_with('-') && !flags_ended => text.split('=').next().unwrap_or(text),
            _ => {
                result.push(arg);
                continue;
            }
        };
        if let Some((_, reason)) = REFUSED.iter().find(|(names, _)| names.contains(&flag)) {
            return Err(format!("`{flag}` cannot be honoured: {reason}"));
        }
        if let Some((_, long)) = SPELLINGS.iter().find(|(short, _)| *short == flag) {
            result.push(long.into());
        } else if !ALREADY_SO.contains(&flag) {
            result.push(arg);
        }
    }
    Ok(result)
}

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
        assert_eq!(long(&["-nt", "-m", "x.gguf", "-", "-t", "2"]).unwrap(), ["-m", "x.gguf", "-", "-t", "2"]);
    }

    #[test]
    fn a_flag_that_cannot_be_honoured_is_named_with_its_reason() {
        for flag in ["-tr", "--beam-size=5", "-ac", "--vad"] {
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
    fn every_long_name_exists_and_no_spelling_is_listed_twice() {
        let command = Cli::command();
        let transcribe = command.find_subcommand("transcribe").unwrap();
        let known: Vec<String> =
            transcribe.get_arguments().filter_map(|arg| arg.get_long()).map(|l| format!("--{l}")).collect();
        for (short, long) in SPELLINGS {
            assert!(known.iter().any(|name| name == long), "{short} stands for {long}, which does not exist");
        }
        let mut all: Vec<&str> = SPELLINGS.iter().map(|(short, _)| *short).collect();
        all.extend(ALREADY_SO);
        all.extend(REFUSED.iter().flat_map(|(names, _)| names.iter()));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(known.iter().all(|name| !all.contains(&name.as_str())));
    }
}
