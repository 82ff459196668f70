//! WebVTT subtitles.

use super::{Report, channel_name, clock, one_line, spoken};
use std::io::{self, Write};

/// One cue per spoken segment, with its channel as the voice; `&`, `<` and `>` are escaped, as they would be markup.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "WEBVTT\n")?;
    for segment in spoken(report) {
        let (start, end) = (clock(segment.start.milliseconds(), '.'), clock(segment.end.milliseconds(), '.'));
        let text = one_line(&segment.text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let voice = channel_name(segment, report.channels).map_or(String::new(), |name| format!("<v {name}>"));
        writeln!(out, "{start} --> {end}\n{voice}{text}\n")?;
    }
    Ok(())
}
