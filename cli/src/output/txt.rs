//! Plain text, as on standard output.

use super::cues::cut;
use super::{Report, folded, label};
use std::io::{self, Write};

/// The text on one line, also where it is empty: one line per recording. Where channels were recognized one by one, or
/// where lines are asked for, a line per utterance.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    if report.has_lines {
        for (place, segment) in report.transcript.segments.iter().enumerate() {
            for cue in cut(segment, place, report.cutting.or_whole(), 0) {
                writeln!(out, "{}{}", label(cue.channel, report.channels), cue.text)?;
            }
        }
        return Ok(());
    }
    let text = &report.transcript.text;
    // Every utterance has been folded already where each is a line.
    writeln!(out, "{}", if report.channels > 1 { text.clone() } else { folded(text) })
}
