//! WebVTT subtitles.

use super::{clock, one_line, spoken};
use qasr::transcript::Transcript;
use std::io::{self, Write};

/// One cue per spoken segment; `&`, `<` and `>` are escaped, as they would be markup.
pub fn write(transcript: &Transcript, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "WEBVTT\n")?;
    for segment in spoken(transcript) {
        let (start, end) = (clock(segment.start.milliseconds(), '.'), clock(segment.end.milliseconds(), '.'));
        let text = one_line(&segment.text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        writeln!(out, "{start} --> {end}\n{text}\n")?;
    }
    Ok(())
}
