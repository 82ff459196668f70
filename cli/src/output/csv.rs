//! Comma-separated values: start and end in milliseconds, text in double quotes.

use super::{Report, label};
use std::io::{self, Write};

/// A header line, then one line per cue; a double quote in a text is doubled.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "start,end,text")?;
    for cue in report.cues() {
        let text = format!("{}{}", label(cue.channel, report.channels), cue.text).replace('"', "\"\"");
        writeln!(out, "{},{},\"{text}\"", cue.start, cue.end)?;
    }
    Ok(())
}
