//! A recording: container, length and tracks.

use qasr::audio::{AudioTrack, Survey};

/// The lines about a recording.
pub fn listed(found: &Survey) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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
