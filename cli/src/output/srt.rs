//! SubRip subtitles.

use super::{Report, clock, label};
use std::io::{self, Write};

/// Numbered cues.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    for (number, cue) in (1..).zip(report.subtitles()) {
        let (start, end) = (clock(cue.start, ','), clock(cue.end, ','));
        let label = label(cue.channel, report.channels);
        writeln!(out, "{number}\n{start} --> {end}\n{label}{}\n", cue.lines.join("\n"))?;
    }
    Ok(())
}
