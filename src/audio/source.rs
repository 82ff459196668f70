//! A source at its first byte: a file, a stream, or a stream that was kept in a temporary file.

use super::collect::Collector;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Where bytes come from.
pub(crate) enum Source {
    File { file: File, path: PathBuf },
    Spooled(Spooled),
    Stream(Box<dyn Read + Send + Sync>),
}

impl Source {
    /// A collector that knows the kind of this source.
    pub(crate) fn collector(&self, collector: Collector) -> Collector {
        match self {
            Self::Stream(_) => collector.of_a_stream(),
            _ => collector,
        }
    }

    /// For forward reading.
    pub(crate) fn reader(self) -> Box<dyn Read + Send + Sync> {
        match self {
            Self::Stream(stream) => stream,
            file => Box::new(BufReader::with_capacity(1 << 16, file)),
        }
    }

    pub(crate) fn can_seek(&self) -> bool {
        !matches!(self, Self::Stream(_))
    }

    /// Bytes of a file.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::File { file, .. } => file.metadata().ok().map(|file| file.len()),
            Self::Spooled(spooled) => Some(spooled.length),
            Self::Stream(_) => None,
        }
    }

    /// The name of a file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Spooled(spooled) => Some(spooled.file.path()),
            Self::Stream(_) => None,
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.read(buffer),
            Self::Spooled(spooled) => spooled.file.read(buffer),
            Self::Stream(stream) => stream.read(buffer),
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File { file, .. } => file.seek(to),
            Self::Spooled(spooled) => spooled.file.seek(to),
            Self::Stream(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// A stream that was written to a temporary file, which is removed with it.
pub(crate) struct Spooled {
    file: NamedTempFile,
    length: u64,
}

impl Spooled {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { file: NamedTempFile::new()?, length: 0 })
    }

    /// Leaves a hole of this length.
    pub(crate) fn leave(&mut self, length: u64) -> io::Result<()> {
        self.length = self.file.seek(SeekFrom::Current(i64::try_from(length).map_err(io::Error::other)?))?;
        Ok(())
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Writes the rest of a stream; false when that is more than `most` bytes.
    pub(crate) fn fill(&mut self, rest: &mut dyn Read, most: u64) -> io::Result<bool> {
        let copied = io::copy(&mut rest.take(most), &mut self.file)?;
        self.length += copied;
        Ok(copied < most)
    }
}
