//! A command line without a subcommand: a recording or a flag of `transcribe` where a subcommand is expected means
//! `qasr transcribe`, because that is what nearly everybody wants.

use super::args::Cli;
use super::real_model;
use clap::CommandFactory;
use std::ffi::OsString;
use std::path::Path;

/// Flags of the command itself, without a subcommand.
const OWN_FLAGS: [&str; 5] = ["-h", "--help", "-V", "--version", "-v"];

/// Names under which other tools fetch a model.
const DOWNLOADS: [&str; 4] = ["download", "pull", "fetch", "get"];

/// `argv` with `transcribe` put in, where its first argument is a recording, a folder or a flag of `transcribe`.
///
/// # Errors
/// One sentence where the first argument asks for a download.
pub fn with_subcommand(mut argv: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let Some(first) = argv.get(1) else { return Ok(argv) };
    let typed = first.to_str().unwrap_or_default();
    if typed == "help" || Cli::command().find_subcommand(typed).is_some() {
        return Ok(argv);
    }
    let path = Path::new(first);
    if DOWNLOADS.contains(&typed) && !path.exists() {
        let wanted = argv.get(2).and_then(|name| name.to_str());
        return Err(format!("there is no `{typed}`: {}", real_model::instead_of_download(wanted)));
    }
    let is_flag = typed.starts_with('-') && !(OWN_FLAGS.contains(&typed) && argv.len() == 2);
    // A recording that does not exist is reported by its name, as one that cannot be opened.
    let is_place = path.exists() || path.extension().is_some() || path.components().count() > 1;
    if is_flag || is_place {
        argv.insert(1, "transcribe".into());
    }
    Ok(argv)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(typed: &str) -> String {
        let argv = std::iter::once("qasr").chain(typed.split_whitespace()).map(OsString::from).collect();
        let argv = with_subcommand(argv).unwrap();
        argv[1..].iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn recordings_folders_and_flags_mean_transcribe() {
        for typed in ["talk.wav", "a/b", "src", "Cargo.toml", "-", "-m x -f y", "-np talk.wav", "--langauge en"] {
            assert_eq!(completed(typed), format!("transcribe {typed}"));
        }
    }

    #[test]
    fn subcommands_help_version_and_slips_of_the_pen_stay() {
        for typed in
            ["", "transcribe a.wav", "eval x.tsv", "help listen", "--help", "-h", "-V", "-v", "transkribe a.wav"]
        {
            assert_eq!(completed(typed), typed);
        }
    }

    #[test]
    fn a_download_is_answered_with_the_way_to_a_model() {
        let sentence = with_subcommand(["qasr", "download", "Qwen/Q"].map(OsString::from).to_vec()).unwrap_err();
        assert!(sentence.contains("hf download Qwen/Q --local-dir Q`"), "{sentence}");
    }
}
