//! Lyrics with a time before each line, as music players show them.

use super::{one_line, spoken};
use qasr::transcript::Transcript;
use std::io::{self, Write};

/// One line per spoken segment: minutes (past 59 too), seconds and hundredths, text.
pub fn write(transcript: &Transcript, out: &mut dyn Write) -> io::Result<()> {
    for segment in spoken(transcript) {
        let hundredths = segment.start.milliseconds() / 10;
        let (seconds, hundredths) = (hundredths / 100, hundredths % 100);
        writeln!(out, "[{:02}:{:02}.{hundredths:02}]{}", seconds / 60, seconds % 60, one_line(&segment.text))?;
    }
    Ok(())
}
