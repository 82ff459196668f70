//! Lyrics with a time before each line, as music players show them.

use super::{Report, label};
use std::io::{self, Write};

/// The program's name, then one line per cue: minutes (past 59 too), seconds and hundredths, text.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "[by:qasr]")?;
    for cue in report.cues() {
        let (seconds, hundredths) = (cue.start / 1000, cue.start / 10 % 100);
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        let label = label(cue.channel, report.channels);
        writeln!(out, "[{minutes:02}:{seconds:02}.{hundredths:02}]{label}{}", cue.text)?;
    }
    Ok(())
}
