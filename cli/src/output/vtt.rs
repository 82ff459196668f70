//! WebVTT subtitles.

use super::{Report, channel_label, clock};
use std::io::{self, Write};

/// Cues, each with its channel as the voice; `&`, `<` and `>` are escaped, as they would be markup.
pub fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "WEBVTT\n")?;
    for cue in report.subtitles() {
        let (start, end) = (clock(cue.start, '.'), clock(cue.end, '.'));
        let text = cue.lines.join("\n").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let voice = cue.channel.map(|channel| format!("<v {}>", channel_label(channel, report.channels)));
        writeln!(out, "{start} --> {end}\n{}{text}\n", voice.unwrap_or_default())?;
    }
    Ok(())
}
