//! Comma-separated values: start and end in milliseconds, text in double quotes.

use super::{Report, labelled, spoken};
use std::io::{self, Write};

/// A header line, then one line per spoken segment; a double quote in a text is doubled.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "start,end,text")?;
    for segment in spoken(report) {
        let (start, end) = (segment.start.milliseconds(), segment.end.milliseconds());
        writeln!(out, "{start},{end},\"{}\"", labelled(segment, report.channels).replace('"', "\"\""))?;
    }
    Ok(())
}
