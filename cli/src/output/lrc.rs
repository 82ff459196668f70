//! Lyrics with a time before each line, as music players show them.

use super::{Report, labelled, spoken};
use std::io::{self, Write};

/// One line per spoken segment: minutes (past 59 too), seconds and hundredths, text.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    for segment in spoken(report) {
        let hundredths = segment.start.milliseconds() / 10;
        let (seconds, hundredths) = (hundredths / 100, hundredths % 100);
        writeln!(
            out,
            "[{:02}:{:02}.{hundredths:02}]{}",
            seconds / 60,
            seconds % 60,
            labelled(segment, report.channels)
        )?;
    }
    Ok(())
}
