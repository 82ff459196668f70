//! Comma-separated values: start and end in milliseconds, text in double quotes.

use super::{one_line, spoken};
use qasr::transcript::Transcript;
use std::io::{self, Write};

/// A header line, then one line per spoken segment; a double quote in a text is doubled.
pub fn write(transcript: &Transcript, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "start,end,text")?;
    for segment in spoken(transcript) {
        let (start, end) = (segment.start.milliseconds(), segment.end.milliseconds());
        writeln!(out, "{start},{end},\"{}\"", one_line(&segment.text).replace('"', "\"\""))?;
    }
    Ok(())
}
