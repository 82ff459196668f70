//! A recording: container, length and tracks.

use qasr::audio::Survey;

/// The lines about a recording.
pub fn listed(found: &Survey) -> String {
    let mut lines = format!("container  {}\n", found.container);
    match found.seconds {
        Some(seconds) => lines.push_str(&format!("length     {seconds:.2} s\n")),
        None => lines.push_str("length     unknown before it is decoded\n"),
    }
    lines.push_str(&format!("tracks     {}\n", found.tracks.len()));
    for (index, track) in found.tracks.iter().enumerate() {
        lines.push_str(&format!("{:>6}     {}\n", index + 1, track));
    }
    lines
}
