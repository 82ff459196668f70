//! Where audio comes from while it is worked on: a microphone, bytes that arrive on standard input, a file while it is
//! decoded or played at the speed of the clock, or a program's own audio callback. Whatever it is, [`Source::next`] gives blocks of mono 16 kHz samples.
//!
//! ```text
//! microphone ─ capture callback ─▶ ring (drops and counts when full) ─┐
//! bytes, file ─ reader thread ─▶ queue (the writer waits when full) ──┼─▶ Source::next ─▶ Block
//! recording ─ clock ──────────────────────────────────────────────────┘
//! ```
//!
//! A consumer that comes late takes everything that is there in one block, so that it catches up instead of falling
//! further behind.

#[cfg(feature = "mic")]
mod capture;
mod microphone;
mod queue;
mod reader;
mod replay;
mod ring;

pub use microphone::{Device, HAS_MICROPHONE, devices, microphone};
pub(crate) use reader::recording;
pub use reader::stream;
pub use replay::replay;
pub use ring::{Alarm, Feeder, ring};

use super::recording::RawFormat;
use crate::error::Result;
use crate::transcript::Warning;
use crate::units::SampleIndex;
use std::time::Duration;

/// Samples that arrived together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Block {
    /// Mono, 16 kHz, each finite and in [-1, 1]. Empty when nothing arrived in time, and where the only news is
    /// [`Block::dropped`].
    pub samples: Vec<f32>,
    /// Samples at 16 kHz that were lost just before these because nobody took them. Only a microphone and a
    /// [`ring`] lose any; a file or pipe waits instead.
    pub dropped: u64,
}

/// One running source of audio. It ends when it is dropped.
pub struct Source {
    name: String,
    inner: Inner,
    /// No more `next`: it ended or failed.
    over: bool,
}

enum Inner {
    Reader(reader::Reader),
    Replay(replay::Replay),
    Ring(Box<ring::Ring>),
}

impl Source {
    fn new(name: &str, inner: Inner) -> Self {
        Self { name: name.to_owned(), inner, over: false }
    }

    /// Its name in messages: the device, the file, `standard input`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Rate and channels before they became mono at 16 kHz; `None` while a stream's header has not arrived.
    pub fn format(&self) -> Option<RawFormat> {
        match &self.inner {
            Inner::Reader(reader) => reader.format(),
            Inner::Replay(_) => Some(RawFormat { rate: crate::units::SAMPLE_RATE, channels: 1 }),
            Inner::Ring(ring) => Some(ring.format()),
        }
    }

    /// Waits until the first samples are there, or the audio is over: then format and start of a file are known.
    pub fn wait_for_samples(&self) {
        if let Inner::Reader(reader) = &self.inner {
            reader.wait_for_samples();
        }
    }

    /// Where the first sample lies in the recording: at the offset, or later where the audio of a film begins later.
    /// Known from the first block on.
    pub fn start(&self) -> SampleIndex {
        match &self.inner {
            Inner::Reader(reader) => reader.start(),
            Inner::Replay(_) | Inner::Ring(_) => SampleIndex(0),
        }
    }

    /// Samples that probably come in all, by a header or an estimate: for progress alone. `None` while nothing is known.
    pub fn expected(&self) -> Option<SampleIndex> {
        match &self.inner {
            Inner::Reader(reader) => reader.expected(),
            Inner::Replay(replay) => Some(replay.length()),
            Inner::Ring(_) => None,
        }
    }

    /// Lets go of `device`, such as the running stream whose callback feeds a [`ring`], when the audio is over or the
    /// source is dropped. Does nothing for sources without a ring.
    pub fn keep(&mut self, device: impl Send + 'static) {
        if let Inner::Ring(ring) = &mut self.inner {
            ring.keep(Box::new(device));
        }
    }

    /// Waits until there are samples, but no longer than `wait`, and takes all that are there, at most `most` of them
    /// (at least 1 is assumed). An empty block means that the time passed without any. `None`: the audio is over.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Audio`] when the source broke off: a stream that is no audio or cannot be read any
    /// more, a device that is gone. Everything heard before has been delivered by then. After an error it is over.
    pub fn next(&mut self, wait: Duration, most: usize) -> Result<Option<Block>> {
        if self.over {
            return Ok(None);
        }
        let most = most.max(1);
        let next = match &mut self.inner {
            Inner::Reader(reader) => reader.next(wait, most),
            Inner::Replay(replay) => Ok(replay.next(wait, most)),
            Inner::Ring(ring) => ring.next(wait, most),
        };
        self.over = !matches!(next, Ok(Some(_)));
        next
    }

    /// Faults since the last call: `audio_damaged`, `audio_clipped`, `channels_cancel`,
    /// `device_overrun`. The last ones may come with the end of the audio.
    pub fn warnings(&mut self) -> Vec<Warning> {
        match &mut self.inner {
            Inner::Reader(reader) => reader.warnings(),
            Inner::Replay(_) => Vec::new(),
            Inner::Ring(ring) => ring.warnings(),
        }
    }
}
