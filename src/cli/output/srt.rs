//! SubRip subtitles.

use super::{clock, one_line, spoken};
use qasr::transcript::Transcript;
use std::io::{self, Write};

/// One numbered cue per spoken segment.
pub fn write(transcript: &Transcript, out: &mut dyn Write) -> io::Result<()> {
    for (number, segment) in (1..).zip(spoken(transcript)) {
        let (start, end) = (clock(segment.start.milliseconds(), ','), clock(segment.end.milliseconds(), ','));
        writeln!(out, "{number}\n{start} --> {end}\n{}\n", one_line(&segment.text))?;
    }
    Ok(())
}
