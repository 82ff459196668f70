//! Tab-separated values: start and end in milliseconds, text.

use super::{Report, label};
use std::io::{self, Write};

/// A header line, then one line per cue.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "start\tend\ttext")?;
    for cue in report.cues() {
        writeln!(out, "{}\t{}\t{}{}", cue.start, cue.end, label(cue.channel, report.channels), cue.text)?;
    }
    Ok(())
}
