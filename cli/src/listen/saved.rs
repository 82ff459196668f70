//! Finished utterances in a file, as they come: plain text or subtitles, by the file's extension.

use crate::output::{Cutting, clock, cut, one_line};
use qasr::error::{Error, Result};
use qasr::transcript::Segment;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Txt,
    Srt,
    Vtt,
}

/// A file that grows by each finished utterance. After a sudden end it is whole as far as it goes.
pub struct Saved {
    path: PathBuf,
    form: Form,
    file: File,
    cues: usize,
}

impl Saved {
    /// Creates the file, replacing what was there.
    ///
    /// # Errors
    /// [`qasr::ErrorKind::Usage`] for an extension that names no form, [`qasr::ErrorKind::Output`] where the file cannot
    /// be made.
    pub fn create(path: &Path) -> Result<Self> {
        let form = match path.extension().and_then(|extension| extension.to_str()) {
            Some("txt") => Form::Txt,
            Some("srt") => Form::Srt,
            Some("vtt") => Form::Vtt,
            _ => {
                let path = path.display();
                return Err(Error::usage(format!("--output {path}: the name ends in .txt, .srt or .vtt")));
            }
        };
        let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
        let mut saved = Self { path: path.to_path_buf(), form, file, cues: 0 };
        if form == Form::Vtt {
            saved.write("WEBVTT\n\n")?;
        }
        Ok(saved)
    }

    /// An utterance is over.
    pub fn add(&mut self, segment: &Segment) -> Result<()> {
        let separator = match self.form {
            Form::Txt => {
                let text = one_line(&segment.text);
                return if text.is_empty() { Ok(()) } else { self.write(&format!("{text}\n")) };
            }
            Form::Srt => ',',
            Form::Vtt => '.',
        };
        let mut text = String::new();
        for cue in cut(segment, 0, Cutting::default(), 0) {
            self.cues += 1;
            if self.form == Form::Srt {
                text += &format!("{}\n", self.cues);
            }
            let lines = cue.lines.join("\n");
            let lines = if self.form == Form::Vtt { escaped(&lines) } else { lines };
            text += &format!("{} --> {}\n{lines}\n\n", clock(cue.start, separator), clock(cue.end, separator));
        }
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.file.write_all(text.as_bytes()).map_err(|error| cannot_write(&self.path, &error))
    }
}

/// WebVTT reads tags and entities.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    Error::output(format!("{}: the text cannot be saved: {error}; it goes on without the file", path.display()))
}
