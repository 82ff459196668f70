//! Plain text, as on standard output.

use qasr::transcript::Transcript;
use std::io::{self, Write};

/// The text and a line end, also where the text is empty: one line per recording.
pub fn write(transcript: &Transcript, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", transcript.text)
}
