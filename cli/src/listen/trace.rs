//! Reads a trace, in memory that does not depend on its length. What it says is checked, since anybody may have written
//! it.

use super::header::Header;
use super::record::{WAV_HEADER, audio_path, wav_header};
use qasr::error::{Error, Result};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line that can be a line of a trace: the text of a long utterance is a few thousand bytes.
const LONGEST_LINE: u64 = 1 << 22;

/// One line after the header.
#[derive(Debug)]
pub enum Entry {
    /// The engine was given these samples.
    Feed(Vec<f32>),
    /// It said this.
    Said(Value),
    /// The audio was over.
    Finish,
    /// The trace breaks off here, because the program that wrote it did.
    Unfinished,
}

/// A trace that is being read.
pub struct Trace {
    name: String,
    lines: BufReader<File>,
    line: String,
    /// Of the line read last, from 1.
    pub number: usize,
    audio_path: PathBuf,
    audio: BufReader<File>,
    is_over: bool,
}

impl Trace {
    /// Opens both files and reads the header.
    ///
    /// # Errors
    /// [`qasr::ErrorKind::Audio`] for what is no trace, [`qasr::ErrorKind::Usage`] for one of another version.
    pub fn open(path: &Path) -> Result<(Self, Header)> {
        let open = |path: &Path| {
            File::open(path)
                .map(BufReader::new)
                .map_err(|error| Error::audio(format!("{}: cannot be opened: {error}", path.display())))
        };
        let lines = open(path)?;
        let audio_path = audio_path(path);
        let name = path.display().to_string();
        // A file that is no trace has no audio beside it either; the message should say that it is no trace.
        let mut header_line = String::new();
        let mut trace = Self {
            name,
            lines,
            line: String::new(),
            number: 0,
            audio: BufReader::new(File::open(path).map_err(|error| Error::audio(error.to_string()))?),
            audio_path,
            is_over: false,
        };
        if trace.next_line()? {
            header_line.clone_from(&trace.line);
        }
        let header = Header::parse(&header_line).map_err(|fault| Error::audio(format!("{} {fault}", trace.name)))?;
        trace.audio = open(&trace.audio_path)?;
        trace.check_audio()?;
        Ok((trace, header))
    }

    /// The next line, with its audio. `None` after the end.
    ///
    /// # Errors
    /// [`qasr::ErrorKind::Audio`], naming the line that cannot be understood.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        if self.is_over {
            return Ok(None);
        }
        let is_whole = self.next_line()? && self.line.ends_with('\n');
        if !is_whole {
            self.is_over = true;
            return Ok(Some(Entry::Unfinished));
        }
        let value: Value = serde_json::from_str(&self.line).map_err(|_| self.damaged("is no line of JSON"))?;
        // A final event has an `end` too, which is a time.
        if value.get("end") == Some(&Value::Bool(true)) {
            self.is_over = true;
            return Ok(None);
        }
        if value.get("finish") == Some(&Value::Bool(true)) {
            return Ok(Some(Entry::Finish));
        }
        match (value.get("feed").map(Value::as_u64), value.get("event").and_then(Value::as_str)) {
            (Some(Some(samples)), None) => self.samples(samples).map(Some),
            (None, Some("partial" | "final")) => Ok(Some(Entry::Said(value))),
            _ => Err(self.damaged("is neither a block nor an event")),
        }
    }

    /// An error about the line read last.
    fn damaged(&self, what: &str) -> Error {
        Error::audio(format!("{}: line {} {what}: the trace is damaged; record it again", self.name, self.number))
    }

    fn next_line(&mut self) -> Result<bool> {
        self.line.clear();
        self.number += 1;
        let got = (&mut self.lines)
            .take(LONGEST_LINE)
            .read_line(&mut self.line)
            .map_err(|error| Error::audio(format!("{}: line {} cannot be read: {error}", self.name, self.number)))?;
        if got as u64 == LONGEST_LINE {
            return Err(self.damaged("is longer than any line of a trace"));
        }
        Ok(got > 0)
    }

    fn check_audio(&mut self) -> Result<()> {
        let mut header = [0; WAV_HEADER];
        let fits = self.audio.read_exact(&mut header).is_ok() && {
            let expected = wav_header(None);
            header[..4] == expected[..4] && header[8..40] == expected[8..40]
        };
        if fits {
            return Ok(());
        }
        Err(Error::audio(format!(
            "{}: is not the audio of the trace (mono, 16 kHz, 32-bit floats): record it again",
            self.audio_path.display()
        )))
    }

    /// The next samples. Memory is taken as they are read: the number is a claim.
    fn samples(&mut self, count: u64) -> Result<Entry> {
        let mut bytes = Vec::new();
        (&mut self.audio)
            .take(count.saturating_mul(4))
            .read_to_end(&mut bytes)
            .map_err(|error| Error::audio(format!("{}: cannot be read: {error}", self.audio_path.display())))?;
        let samples: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if (samples.len() as u64) < count {
            return Err(Error::audio(format!(
                "{}: ends before the {count} samples of line {} of the trace: it was cut",
                self.audio_path.display(),
                self.number
            )));
        }
        if samples.iter().any(|sample| !(-1.0..=1.0).contains(sample)) {
            return Err(Error::audio(format!(
                "{}: has samples outside [-1, 1] at line {} of the trace: it was changed",
                self.audio_path.display(),
                self.number
            )));
        }
        Ok(Entry::Feed(samples))
    }
}
