//! Tab-separated values: start and end in milliseconds, text.

use super::{Report, labelled, spoken};
use std::io::{self, Write};

/// A header line, then one line per spoken segment.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "start\tend\ttext")?;
    for segment in spoken(report) {
        let (start, end) = (segment.start.milliseconds(), segment.end.milliseconds());
        writeln!(out, "{start}\t{end}\t{}", labelled(segment, report.channels))?;
    }
    Ok(())
}
