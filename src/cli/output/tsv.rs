//! Tab-separated values: start and end in milliseconds, text.

use super::{one_line, spoken};
use qasr::transcript::Transcript;
use std::io::{self, Write};

/// A header line, then one line per spoken segment.
pub fn write(transcript: &Transcript, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "start\tend\ttext")?;
    for segment in spoken(transcript) {
        let (start, end) = (segment.start.milliseconds(), segment.end.milliseconds());
        writeln!(out, "{start}\t{end}\t{}", one_line(&segment.text))?;
    }
    Ok(())
}
