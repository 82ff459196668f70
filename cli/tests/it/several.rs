//! Several recordings in one run: folders, going on where a run stopped, the closing line.

use crate::command::{Scratch, qasr};
use std::fs;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const WORDS: &str = "seven six nine two five go";

/// A folder with three recordings, one of them deeper, and other files.
fn folder(name: &str) -> (Scratch, String) {
    let scratch = Scratch::new(name);
    fs::create_dir_all(scratch.path("talks/deep")).unwrap();
    for file in ["talks/b.wav", "talks/a.wav", "talks/deep/c.wav", "talks/.hidden.wav"] {
        scratch.copy(RECORDING, file);
    }
    scratch.write("talks/notes.txt", b"no recording");
    let talks = scratch.path("talks");
    (scratch, talks)
}

#[test]
fn a_folder_gives_its_recordings_in_order() {
    let (scratch, talks) = folder("folder");
    let run = qasr(&["transcribe", "-m", "demo", &talks]).succeeds();
    assert_eq!(run.stdout, format!("{WORDS}\n").repeat(2));
    let names: Vec<&str> = run.stderr.lines().filter(|line| line.contains("real time")).collect();
    assert!(names[0].starts_with("qasr: a.wav: ") && names[1].starts_with("qasr: b.wav: "), "{names:?}");
    assert_eq!(run.stderr.lines().last().unwrap(), "qasr: 2 of 2 recordings done");
    let texts = scratch.path("texts");
    let run =
        qasr(&["transcribe", "-np", "-m", "demo", "--recursive", "-otxt", "--output-dir", &texts, &talks]).succeeds();
    assert_eq!(run.stdout.lines().count(), 3);
    assert_eq!(scratch.read("texts/deep/c.wav.txt"), format!("{WORDS}\n"));
    let empty = scratch.path("empty");
    fs::create_dir(&empty).unwrap();
    let run = qasr(&["transcribe", &empty]).fails_with(2);
    assert!(run.stderr.contains("no recordings in this folder"), "{}", run.stderr);
}

#[test]
fn a_run_goes_on_where_another_stopped() {
    let (scratch, talks) = folder("existing");
    let files = ["-m", "demo", "-otxt", "-osrt", "--skip-existing", "-r", &talks];
    scratch.write("talks/a.wav.txt", b"an earlier run");
    scratch.write("talks/a.srt", b"an earlier run");
    // One of two files is not enough.
    scratch.write("talks/b.wav.txt", b"half a run");
    let run = qasr(&[&["transcribe"], &files[..]].concat()).succeeds();
    let last = run.stderr.lines().last().unwrap();
    assert_eq!(last, "qasr: 2 of 3 recordings done; 1 left out, as their files are there");
    assert_eq!(scratch.read("talks/a.wav.txt"), "an earlier run");
    assert_eq!(scratch.read("talks/b.wav.txt"), format!("{WORDS}\n"));
    // Nothing is left: no model is opened.
    let again = ["-m", "nowhere.gguf", "-otxt", "-osrt", "--skip-existing", "-r", &talks];
    let run = qasr(&[&["transcribe"], &again[..]].concat()).succeeds();
    assert_eq!((run.stdout.as_str(), run.stderr.lines().count()), ("", 1), "{}", run.stderr);
    assert!(qasr(&["transcribe", "--skip-existing", &talks]).fails_with(2).stderr.contains("no format was asked for"));
}

#[test]
fn the_closing_line_names_what_failed_and_what_is_cut() {
    let scratch = Scratch::new("closing");
    let (good, gone) = (scratch.copy(RECORDING, "good.wav"), scratch.path("gone.flac"));
    let run = qasr(&["transcribe", "-m", "demo", &good, &gone, &good]).fails_with(3);
    assert_eq!(run.stderr.lines().last().unwrap(), format!("qasr: 2 of 3 recordings done; failed: {gone}"));
    let run = qasr(&["transcribe", "-m", "demo", "--max-new-tokens", "4", &good, &gone]).fails_with(3);
    let last = run.stderr.lines().last().unwrap();
    assert_eq!(last, format!("qasr: 0 of 2 recordings done; incomplete: {good}; failed: {gone}"));
    // One recording needs none, and -np leaves it out.
    assert!(!qasr(&["transcribe", &good]).succeeds().stderr.contains("recordings done"));
    let quiet = qasr(&["transcribe", "-np", "-m", "demo", &good, &gone]).fails_with(3);
    assert_eq!(quiet.stderr.lines().count(), 1, "{}", quiet.stderr);
}

#[test]
fn many_cut_utterances_are_one_warning() {
    let cut = ["transcribe", "-m", "demo", "--segment-seconds", "2", "--max-new-tokens", "4", RECORDING];
    let run = qasr(&cut).fails_with(5);
    let warnings: Vec<&str> = run.stderr.lines().filter(|line| line.contains("limit of 4 new tokens")).collect();
    assert_eq!(warnings.len(), 1, "{}", run.stderr);
    assert!(warnings[0].contains("0.0-") && warnings[0].contains("more utterances: -v lists them"), "{warnings:?}");
    let run = qasr(&[&cut[..], &["-v"]].concat()).fails_with(5);
    assert!(run.stderr.matches("limit of 4 new tokens").count() > 1, "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_read_is_counted() {
    use std::os::unix::fs::PermissionsExt;
    let (scratch, talks) = folder("unreadable");
    let deep = scratch.path("talks/deep");
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o000)).unwrap();
    let is_readable = fs::read_dir(&deep).is_ok();
    let run = qasr(&["transcribe", "-m", "demo", "-r", &talks]).succeeds_or_fails_with(3);
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o755)).unwrap();
    if is_readable {
        return crate::optional::skip("this user may read everything");
    }
    assert_eq!(run.code, Some(3));
    assert!(run.stderr.contains("the folder cannot be read") && run.stderr.contains("2 of 3"), "{}", run.stderr);
}
