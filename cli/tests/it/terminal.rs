//! `qasr transcribe` on a real terminal: times beside the text, and a line about progress that never wraps.

use crate::command::{Scratch, qasr};
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::Read;
use unicode_width::UnicodeWidthStr;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/recordings/six_words.wav");
const WORDS: &str = "seven six nine two five go";

/// Everything that a run writes to a terminal of `columns`.
fn on_terminal(columns: u16, args: &[&str]) -> String {
    let size = Winsize { ws_row: 15, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(Some(&size), None).unwrap();
    let mut command = qasr(&[&["transcribe", "-m", "demo"], args].concat()).command();
    command.env("TERM", "xterm").stdin(std::process::Stdio::null());
    command.stdout(terminal.slave.try_clone().unwrap()).stderr(terminal.slave);
    let mut child = command.spawn().unwrap();
    // Its ends of the terminal are closed with the command.
    drop(command);
    let mut master = File::from(terminal.master);
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    // The end is an error on Linux.
    while let Ok(count @ 1..) = master.read(&mut buffer) {
        text.extend_from_slice(&buffer[..count]);
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8(text).unwrap()
}

/// What stands in the lines about progress, and the rest.
fn divided(text: &str) -> (Vec<String>, String) {
    let (mut progress, mut rest) = (Vec::new(), String::new());
    for part in text.split("\r\x1b[K") {
        let (line, after) = part.split_once("\r\n").map_or((part, ""), |(line, after)| (line, after));
        // A line about progress is taken away again before anything else is written.
        if after.is_empty() && !part.contains("\r\n") {
            progress.push(line.to_owned());
        } else {
            rest += part;
        }
    }
    progress.retain(|line| !line.is_empty());
    (progress, rest)
}

#[test]
fn times_stand_beside_the_text_unless_they_are_not_wanted() {
    let (_, text) = divided(&on_terminal(80, &[RECORDING]));
    assert!(text.contains(&format!("[00:00:00.000 --> 00:00:06.000]  {WORDS}\r\n")), "{text:?}");
    let (_, text) = divided(&on_terminal(80, &["-nt", RECORDING]));
    assert!(text.contains(&format!("{WORDS}\r\n")) && !text.contains("-->"), "{text:?}");
    let (_, text) = divided(&on_terminal(80, &["-ml", "14", RECORDING]));
    assert_eq!(text.matches(" --> ").count(), 2, "{text:?}");
}

#[test]
fn the_line_about_progress_fits_the_terminal() {
    let scratch = Scratch::new("progress");
    let name = "2026-11-28 Interview with Professor Smith of the committee, first half.wav";
    let recording = scratch.copy(RECORDING, name);
    for columns in [80, 40, 20] {
        let (progress, _) = divided(&on_terminal(columns, &["--segment-seconds", "2", &recording, &recording]));
        assert!(!progress.is_empty(), "{columns}");
        for line in &progress {
            assert!(line.width() < usize::from(columns), "{columns}: {line:?}");
        }
        if columns > 20 {
            let has = |part: &str| progress.iter().any(|line| line.contains(part));
            assert!(has("1/2 2026-") && has("2/2 2026-") && has("…") && has(" %") && has("/0:06"), "{progress:?}");
        }
    }
}
