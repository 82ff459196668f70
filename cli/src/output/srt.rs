//! SubRip subtitles.

use super::{Report, clock, labelled, spoken};
use std::io::{self, Write};

/// One numbered cue per spoken segment.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    for (number, segment) in (1..).zip(spoken(report)) {
        let (start, end) = (clock(segment.start.milliseconds(), ','), clock(segment.end.milliseconds(), ','));
        writeln!(out, "{number}\n{start} --> {end}\n{}\n", labelled(segment, report.channels))?;
    }
    Ok(())
}
