//! The input: the recordings of a folder or a manifest, each as the one WAV that every engine gets.

use qasr::audio::{self, ReadOptions};
use qasr::error::{Error, ErrorKind, Result};
use qasr::text::Language;
use qasr_measure::evaluation::Manifest;
use qasr_measure::identity::FileIdentity;
use std::path::{Path, PathBuf};

/// A recording and what is known about it.
#[derive(Debug, Clone)]
pub struct Recording {
    /// As the folder or the manifest has it.
    pub name: String,
    pub file: PathBuf,
    /// The reference text; empty if nothing is said, `None` if it is not known.
    pub truth: Option<String>,
    /// The file of its own that says so.
    pub text_file: Option<PathBuf>,
    pub language: Option<Language>,
    pub identity: FileIdentity,
}

/// The same as a file of 16-bit samples at 16 kHz.
#[derive(Debug, Clone)]
pub struct Converted {
    pub file: PathBuf,
    /// How long it is.
    pub seconds: f64,
}

/// Finds the recordings, and reads them.
///
/// # Errors
/// As [`Manifest::read`]; an audio error when a recording cannot be read.
pub fn gather(path: &Path) -> Result<Vec<Recording>> {
    let entries = Manifest::read(path)?.entries.into_iter().map(|entry| {
        let identity = FileIdentity::read(&entry.file, ErrorKind::Audio)?;
        Ok(Recording {
            name: entry.name,
            file: entry.file,
            truth: entry.text,
            text_file: entry.text_file,
            language: entry.language,
            identity,
        })
    });
    entries.collect()
}

impl Recording {
    /// Writes it as 16-bit mono WAV at 16 kHz.
    ///
    /// # Errors
    /// An audio error when it cannot be read or holds nothing; an output error when it cannot be written.
    pub fn convert(&self, to: PathBuf) -> Result<Converted> {
        let recording = audio::read_path(&self.file, &ReadOptions::default()).map_err(|error| {
            Error::new(error.kind(), format!("{error}; convert it, or take it out of the folder or the list"))
        })?;
        if recording.pcm.is_empty() {
            return Err(Error::audio(format!("{}: holds no sound; take it out of the list", self.file.display())));
        }
        write_wav(&to, recording.pcm.samples())?;
        Ok(Converted { seconds: recording.pcm.len() as f64 / 16_000.0, file: to })
    }
}

/// Writes samples as 16-bit mono WAV at 16 kHz. Samples that were 16-bit before come out as they were.
///
/// # Errors
/// An output error that names the file.
pub fn write_wav(to: &Path, samples: &[f32]) -> Result<()> {
    let format = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || {
        let mut file = hound::WavWriter::create(to, format)?;
        for sample in samples {
            file.write_sample((sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16)?;
        }
        file.finalize()
    };
    write().map_err(|error| Error::output(format!("{}: cannot be written: {error}", to.display())))
}
