//! The line about progress: how it is made to fit a terminal. [`crate::messages`] draws it.

use qasr::units::SAMPLE_RATE;
use std::time::Duration;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Fewest columns of a name.
const NAME: usize = 8;

/// Work of which some is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress<'a> {
    /// Of the recording or of the work.
    pub name: &'a str,
    /// Which of several recordings, from 1, and how many there are.
    pub file: Option<(usize, usize)>,
    pub unit: Unit,
    pub done: f64,
    /// `None` where it is not known.
    pub total: Option<f64>,
    pub elapsed: Duration,
}

/// The unit that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Samples of a recording.
    Samples,
    /// Anything else: only shares of it are shown.
    Pieces,
}

impl Progress<'_> {
    /// Whole percent done, where the total is known.
    pub fn percent(&self) -> Option<u64> {
        let total = self.total?;
        let share = if total > 0.0 { self.done / total } else { 1.0 };
        Some((share.clamp(0.0, 1.0) * 100.0) as u64)
    }

    /// The line, shorter than `width` columns: in the last one some terminals would begin another line. What says least
    /// is left out first, and the name loses its middle.
    pub fn line(&self, width: usize) -> String {
        let room = width.saturating_sub(1);
        // From the most detailed to the shortest.
        for detail in (0..=5).rev() {
            let rest = self.rest(detail);
            let before = self.before(detail);
            let name = room.saturating_sub(before.width() + rest.width());
            if name >= NAME.min(self.name.width()) || detail == 0 {
                let line = format!("{before}{}{rest}", shortened(self.name, name));
                return cut(&line, room).to_owned();
            }
        }
        String::new()
    }

    /// The part before the name.
    fn before(&self, detail: usize) -> String {
        match self.file {
            Some((number, count)) if detail >= 1 && count > 1 => format!("{number}/{count} "),
            _ => String::new(),
        }
    }

    /// The part after the name.
    fn rest(&self, detail: usize) -> String {
        let mut parts = Vec::new();
        if self.unit == Unit::Samples {
            let total = self.total.filter(|_| detail >= 2);
            let total = total.map_or(String::new(), |total| format!("/{}", clock(seconds(total))));
            parts.push(format!("{}{total}", clock(seconds(self.done))));
        }
        parts.extend(self.percent().map(|percent| format!("{percent} %")));
        if let Some(rate) = self.rate() {
            if self.unit == Unit::Samples {
                let unit = if detail >= 4 { "x real time" } else { "x" };
                parts.push(format!("{}{unit}", factor(seconds(rate))));
            }
            if let Some(total) = self.total.filter(|_| detail >= 3) {
                parts.push(format!("{} left", clock((total - self.done).max(0.0) / rate)));
            }
        }
        if detail >= 5 {
            parts.push(format!("{} elapsed", clock(self.elapsed.as_secs_f64())));
        }
        parts.iter().map(|part| format!("  {part}")).collect()
    }

    /// Units per second, once there is something to judge by.
    fn rate(&self) -> Option<f64> {
        let seconds = self.elapsed.as_secs_f64();
        (seconds >= 1.0 && self.done > 0.0).then(|| self.done / seconds)
    }
}

fn seconds(samples: f64) -> f64 {
    samples / f64::from(SAMPLE_RATE)
}

/// Minutes and seconds, with hours where there are some: `2:05`, `1:02:05`.
pub fn clock(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// How many times as fast as real time: two digits are enough.
pub fn factor(times: f64) -> String {
    match times {
        10.0.. => format!("{times:.0}"),
        0.1.. => format!("{times:.1}"),
        _ => format!("{times:.2}"),
    }
}

/// A name without its middle, where it does not fit: its start and its end identify a recording.
fn shortened(name: &str, width: usize) -> String {
    let name: String = name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if name.width() <= width {
        return name;
    }
    let (left, right) = (width.saturating_sub(1) / 2, width.saturating_sub(1).div_ceil(2));
    let end: Vec<&str> = name.graphemes(true).rev().collect();
    let mut used = 0;
    let end: Vec<&str> = end
        .into_iter()
        .take_while(|letter| {
            used += letter.width();
            used <= right
        })
        .collect();
    let end: String = end.into_iter().rev().collect();
    if width == 0 { String::new() } else { format!("{}…{end}", cut(&name, left)) }
}

/// The start of a text that takes at most this number of columns.
fn cut(text: &str, width: usize) -> &str {
    let mut used = 0;
    let end = text.grapheme_indices(true).find_map(|(at, letter)| {
        used += letter.width();
        (used > width).then_some(at)
    });
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "2026-11-28 Interview with Professor Smith.wav";

    fn progress(name: &str) -> Progress<'_> {
        Progress {
            name,
            file: Some((3, 12)),
            unit: Unit::Samples,
            done: 45.0 * 16_000.0,
            total: Some(120.0 * 16_000.0),
            elapsed: Duration::from_secs(15),
        }
    }

    #[test]
    fn a_wide_terminal_has_everything() {
        assert_eq!(
            progress("talk.wav").line(80),
            "3/12 talk.wav  0:45/2:00  37 %  3.0x real time  0:25 left  0:15 elapsed"
        );
        assert_eq!(
            progress(LONG).line(80),
            "3/12 2026-11…mith.wav  0:45/2:00  37 %  3.0x real time  0:25 left  0:15 elapsed"
        );
    }

    #[test]
    fn a_narrow_terminal_has_what_matters() {
        assert_eq!(progress("talk.wav").line(40), "3/12 talk.wav  0:45/2:00  37 %  3.0x");
        assert_eq!(progress(LONG).line(40), "3/12 2026-…h.wav  0:45/2:00  37 %  3.0x");
    }

    #[test]
    fn a_line_is_always_narrower_than_the_terminal() {
        let names =
            ["", "a", LONG, "語語語語語語語語語語語語語語語語語語語語", "e\u{301}e\u{301}.wav", "a\x1b[2J\n.wav"];
        for name in names {
            for (total, done) in [(None, 5.0), (Some(0.0), 0.0), (Some(1e12), 9e11), (Some(1e5), 0.0)] {
                for unit in [Unit::Samples, Unit::Pieces] {
                    for width in 0..=120 {
                        let line = Progress { unit, total, done, ..progress(name) }.line(width);
                        assert!(line.width() < width.max(1), "{width}: {line}");
                        assert!(!line.contains(char::is_control), "{line:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_recording_of_unknown_length_and_other_work_show_what_is_known() {
        let unknown = Progress { total: None, file: None, ..progress("a.wav") };
        assert_eq!(unknown.line(80), "a.wav  0:45  3.0x real time  0:15 elapsed");
        let work = Progress { unit: Unit::Pieces, done: 1.0, total: Some(4.0), file: None, ..progress("measuring") };
        assert_eq!(work.line(80), "measuring  25 %  0:45 left  0:15 elapsed");
        let begun = Progress { elapsed: Duration::ZERO, done: 0.0, ..work };
        assert_eq!(begun.line(80), "measuring  0 %  0:00 elapsed");
    }
}
