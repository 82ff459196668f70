//! Writes a trace: everything that is needed to give the engine the same blocks again and to see whether it says the
//! same.
//!
//! FILE is lines of JSON: a header (options, model), then in order `{"feed":SAMPLES}` for each block, each event without
//! what depends on a clock, `{"finish":true}` where the audio is over, and `{"end":true}` last. FILE.wav is the audio as the engine was given it, 32-bit floats, so that
//! not a bit is lost. Text and audio are separate files, because both are then readable by ordinary tools; a line per block, because
//! which steps a late engine leaves out depends on the blocks.
//!
//! Memory does not grow: about a second waits to be written. After a crash both files can be used as far as they go:
//! the sizes in the WAV header stand for *to the end* until they are known, and audio is always written before the
//! lines that speak of it.

use super::events::Event;
use super::header::Header;
use qasr::error::{Error, Result};
use qasr::stream::Update;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of audio that wait to be written together: about a second.
const WAITING: usize = 1 << 16;

/// Length of [`wav_header`].
pub const WAV_HEADER: usize = 44;

/// Writes one trace.
pub struct Recorder {
    path: PathBuf,
    lines: File,
    audio: File,
    waiting_lines: String,
    waiting_audio: Vec<u8>,
    samples: u64,
}

impl Recorder {
    /// Creates both files, replacing what was there.
    ///
    /// # Errors
    /// [`qasr::ErrorKind::Output`], naming the file that cannot be written.
    pub fn create(path: &Path, header: &Header) -> Result<Self> {
        let create = |path: &Path| File::create(path).map_err(|error| cannot_write(path, &error));
        let audio_path = audio_path(path);
        let mut recorder = Self {
            path: path.to_path_buf(),
            lines: create(path)?,
            audio: create(&audio_path)?,
            waiting_lines: header.line()?,
            waiting_audio: wav_header(None).to_vec(),
            samples: 0,
        };
        recorder.write()?;
        Ok(recorder)
    }

    /// A block was heard.
    pub fn feed(&mut self, samples: &[f32]) -> Result<()> {
        self.waiting_audio.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        self.samples += samples.len() as u64;
        self.waiting_lines.push_str(&format!("{{\"feed\":{}}}\n", samples.len()));
        if self.waiting_audio.len() >= WAITING { self.write() } else { Ok(()) }
    }

    /// The engine said this.
    pub fn updates(&mut self, updates: &[Update]) -> Result<()> {
        for update in updates {
            self.waiting_lines.push_str(&Event::new(update, None).line());
        }
        if updates.is_empty() { Ok(()) } else { self.write() }
    }

    /// The audio is over.
    pub fn end(&mut self) -> Result<()> {
        self.waiting_lines.push_str("{\"finish\":true}\n");
        Ok(())
    }

    /// Writes what is waiting, and the sizes into the header of the audio.
    pub fn close(mut self) -> Result<()> {
        self.waiting_lines.push_str("{\"end\":true}\n");
        self.write()?;
        let header = wav_header(Some(self.samples));
        let sized = self.audio.seek(SeekFrom::Start(0)).and_then(|_| self.audio.write_all(&header));
        sized.map_err(|error| cannot_write(&audio_path(&self.path), &error))
    }

    fn write(&mut self) -> Result<()> {
        self.audio.write_all(&self.waiting_audio).map_err(|error| cannot_write(&audio_path(&self.path), &error))?;
        self.lines.write_all(self.waiting_lines.as_bytes()).map_err(|error| cannot_write(&self.path, &error))?;
        self.waiting_audio.clear();
        self.waiting_lines.clear();
        Ok(())
    }
}

/// Where the audio of a trace lies.
pub fn audio_path(trace: &Path) -> PathBuf {
    let mut name = OsString::from(trace);
    name.push(".wav");
    name.into()
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::output(format!("{}: the trace cannot be written: {error}; the text goes on without it", path.display()))
}

/// The header of a mono WAV of 32-bit floats at 16 kHz. Without a length, and where the length does not fit into a WAV
/// (after 18 hours), the sizes are the placeholder that means *to the end*.
pub fn wav_header(samples: Option<u64>) -> [u8; WAV_HEADER] {
    let data = samples.and_then(|samples| u32::try_from(samples.checked_mul(4)?).ok());
    let sizes = data.and_then(|data| Some((data.checked_add(36)?, data)));
    let (riff, data) = sizes.unwrap_or((u32::MAX, u32::MAX));
    let mut header = [0; WAV_HEADER];
    header[..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&riff.to_le_bytes());
    header[8..20].copy_from_slice(b"WAVEfmt \x10\0\0\0");
    // Floats, one channel.
    header[20..24].copy_from_slice(&[3, 0, 1, 0]);
    header[24..28].copy_from_slice(&16_000u32.to_le_bytes());
    header[28..32].copy_from_slice(&64_000u32.to_le_bytes());
    header[32..40].copy_from_slice(b"\x04\0\x20\0data");
    header[40..].copy_from_slice(&data.to_le_bytes());
    header
}
