//! Messages about finished recordings.

use crate::exit::Exit;
use qasr::{Warning, WarningCode};
use std::path::Path;

/// Codes of warnings that a recording may have for every utterance.
const BY_UTTERANCE: [WarningCode; 2] = [WarningCode::TokenLimit, WarningCode::RepetitionRepaired];
/// Names that a line lists.
const NAMES: usize = 5;

/// The warnings, those about many utterances as one each: the first, and how many there are.
pub fn brief(warnings: &[Warning]) -> Vec<Warning> {
    let mut brief: Vec<Warning> = Vec::new();
    for warning in warnings {
        let alike = warnings.iter().filter(|other| other.code == warning.code).count();
        if !BY_UTTERANCE.contains(&warning.code) || alike == 1 {
            brief.push(warning.clone());
        } else if brief.iter().all(|other| other.code != warning.code) {
            let message = format!("{} (and {} more utterances: -v lists them)", warning.message, alike - 1);
            brief.push(Warning { message, ..*warning });
        }
    }
    brief
}

/// The files of one recording: of files that share a base, the first by its name, the others by their extensions.
pub fn wrote(paths: &[&Path]) -> String {
    let names = paths.iter().enumerate().map(|(index, path)| {
        let shares_base = index > 0 && path.with_extension("") == paths[index - 1].with_extension("");
        match path.extension() {
            Some(extension) if shares_base => format!(".{}", extension.display()),
            _ => path.display().to_string(),
        }
    });
    names.collect::<Vec<_>>().join(", ")
}

/// How the recordings of a run ended.
pub struct Outcomes {
    count: usize,
    done: usize,
    skipped: usize,
    incomplete: Vec<String>,
    failed: Vec<String>,
}

impl Outcomes {
    pub fn new(count: usize) -> Self {
        Self { count, done: 0, skipped: 0, incomplete: Vec::new(), failed: Vec::new() }
    }

    pub fn add(&mut self, name: String, exit: Exit) {
        match exit {
            Exit::Success => self.done += 1,
            Exit::Incomplete | Exit::Interrupted => self.incomplete.push(name),
            _ => self.failed.push(name),
        }
    }

    pub fn skip(&mut self) {
        self.skipped += 1;
    }

    /// The closing line over several recordings.
    pub fn line(&self) -> Option<String> {
        let mut line = format!("{} of {} recordings done", self.done, self.count);
        if self.skipped > 0 {
            line += &format!("; {} left out, as their files are there", self.skipped);
        }
        for (what, names) in [("incomplete", &self.incomplete), ("failed", &self.failed)] {
            if !names.is_empty() {
                line += &format!("; {what}: {}", list(names));
            }
        }
        let begun = self.done + self.skipped + self.incomplete.len() + self.failed.len();
        if begun < self.count {
            line += &format!("; {} not begun", self.count - begun);
        }
        (self.count > 1 || self.skipped > 0).then_some(line)
    }
}

fn list(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMES)].join(", ");
    if names.len() > NAMES { format!("{shown} and {} more", names.len() - NAMES) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(code: WarningCode, message: &str) -> Warning {
        Warning { code, message: message.into() }
    }

    #[test]
    fn warnings_about_utterances_become_one() {
        let many = vec![
            warning(WarningCode::TokenLimit, "0.0-2.0 s: cut"),
            warning(WarningCode::AudioDamaged, "from 1"),
            warning(WarningCode::TokenLimit, "2.0-4.0 s: cut"),
            warning(WarningCode::AudioDamaged, "from 2"),
            warning(WarningCode::RepetitionRepaired, "4.0-5.0 s: repeated"),
            warning(WarningCode::TokenLimit, "5.0-6.0 s: cut"),
        ];
        let messages: Vec<String> = brief(&many).into_iter().map(|warning| warning.message).collect();
        assert_eq!(
            messages,
            ["0.0-2.0 s: cut (and 2 more utterances: -v lists them)", "from 1", "from 2", "4.0-5.0 s: repeated"]
        );
    }

    #[test]
    fn files_of_one_recording_are_one_name_and_its_ends() {
        let paths = ["d/talk.srt", "d/talk.json", "d/talk.wav.txt"].map(Path::new);
        assert_eq!(wrote(&paths), "d/talk.srt, .json, d/talk.wav.txt");
    }

    #[test]
    fn the_closing_line_counts_every_recording() {
        assert_eq!(Outcomes::new(1).line(), None);
        let mut outcomes = Outcomes::new(9);
        outcomes.add("a".into(), Exit::Success);
        assert_eq!(outcomes.line().unwrap(), "1 of 9 recordings done; 8 not begun");
        outcomes.add("b".into(), Exit::Incomplete);
        outcomes.skip();
        (0..6).for_each(|number| outcomes.add(format!("f{number}"), Exit::BadAudio));
        assert_eq!(
            outcomes.line().unwrap(),
            "1 of 9 recordings done; 1 left out, as their files are there; incomplete: b; failed: f0, f1, f2, f3, f4 and 1 \
             more"
        );
    }
}
