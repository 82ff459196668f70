//! `qasr inspect`: what a file says about itself. Of a model, its header; of a recording, its container and tracks.

use super::args::InspectArgs;
use super::exit::Exit;
use super::messages::{self, Messages};
use super::real_model;
use qasr::audio::{AudioTrack, ReadOptions, Survey, survey};
use std::io::Read;
use std::path::Path;

/// Longest line printed; chat templates are pages long.
const MAX_LINE_CHARS: usize = 200;

/// Runs the subcommand.
pub fn run(args: &InspectArgs) -> Exit {
    if let Some(repository) = real_model::repository(&args.file) {
        return Messages::default().failure(&qasr::Error::model(real_model::not_downloaded(repository)));
    }
    if !is_model(&args.file)
        && let Some(result) = survey(&args.file, &ReadOptions::default()).transpose()
    {
        return match result {
            Ok(found) => messages::print_result(&with_short_lines(&listed(&found))),
            Err(error) => Messages::default().failure(&error),
        };
    }
    match qasr_convert::inspect(&args.file) {
        Ok(text) => messages::print_result(&with_short_lines(&text)),
        // The error type keeps what a damaged file holds on one line, and out of the terminal's hands.
        Err(error) => Messages::default().failure(&qasr::Error::model(error.to_string())),
    }
}

/// By its first bytes; a file that cannot be read has none.
fn is_model(file: &Path) -> bool {
    let mut magic = [0; 4];
    // What is no file, such as a named pipe, would wait, and lose what is read.
    let is_file = file.metadata().is_ok_and(|file| file.is_file());
    !is_file || std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut magic)).is_err() || &magic == b"GGUF"
}

/// The lines about a recording.
fn listed(found: &Survey) -> String {
    let mut lines = format!("container  {}\n", found.container);
    match found.seconds {
        Some(seconds) => lines.push_str(&format!("length     {seconds:.2} s\n")),
        None => lines.push_str("length     unknown before it is decoded\n"),
    }
    lines.push_str(&format!("tracks     {}\n", found.tracks.len()));
    for (index, track) in found.tracks.iter().enumerate() {
        lines.push_str(&format!("{:>6}     {}\n", index + 1, words(track)));
    }
    lines
}

fn words(track: &AudioTrack) -> String {
    let mut words = vec![track.codec.clone()];
    match track.channels {
        0 => {}
        1 => words.push("1 channel".to_owned()),
        channels => words.push(format!("{channels} channels")),
    }
    if track.rate > 0 {
        words.push(format!("{} Hz", track.rate));
    }
    if !track.language.is_empty() {
        words.push(track.language.escape_debug().to_string());
    }
    let marks =
        [(track.is_default, "default"), (track.is_chosen, "chosen"), (!track.is_builtin, "cannot be decoded here")];
    words.extend(marks.iter().filter(|(is, _)| *is).map(|(_, mark)| (*mark).to_owned()));
    words.join(", ")
}

fn with_short_lines(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for line in text.lines() {
        let mut shown = line.chars();
        result.extend(shown.by_ref().take(MAX_LINE_CHARS));
        result.push_str(if shown.next().is_some() { " …\n" } else { "\n" });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut() {
        let long = "ä".repeat(MAX_LINE_CHARS);
        assert_eq!(with_short_lines(&long), format!("{long}\n"));
        assert_eq!(with_short_lines(&format!("{long}ä")), format!("{long} …\n"));
    }

    #[test]
    fn a_recording_is_listed() {
        let track = AudioTrack {
            codec: "AC-3".to_owned(),
            rate: 48_000,
            channels: 6,
            language: "ger".to_owned(),
            is_default: true,
            is_builtin: false,
            is_chosen: false,
        };
        let lines = listed(&Survey { container: "matroska".to_owned(), seconds: Some(2.5), tracks: vec![track] });
        assert!(lines.contains("length     2.50 s\n"), "{lines}");
        assert!(
            lines.ends_with("     1     AC-3, 6 channels, 48000 Hz, ger, default, cannot be decoded here\n"),
            "{lines}"
        );
    }
}
