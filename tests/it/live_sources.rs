//! Live audio from bytes: pieces give the same samples as the whole file, as soon as they arrive, and nothing
//! is lost.

use crate::optional;

use qasr::audio::live::{self, Block, Source};
use qasr::audio::{RawFormat, ReadOptions, read_stream};
use qasr::{Error, ErrorKind};
use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::time::Duration;

/// Longer than any of these tests may wait for something that must come.
const SOON: Duration = Duration::from_secs(60);

/// Bytes that come a few at a time.
struct Drip {
    bytes: Cursor<Vec<u8>>,
    sizes: &'static [usize],
    turn: usize,
    /// The event after the last byte.
    then: Option<io::ErrorKind>,
}

impl Drip {
    fn new(bytes: &[u8], sizes: &'static [usize]) -> Self {
        Self { bytes: Cursor::new(bytes.to_vec()), sizes, turn: 0, then: None }
    }
}

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.turn % self.sizes.len()].min(buffer.len());
        self.turn += 1;
        if size == 0 {
            // "Not now" takes a pause, so it is said only at the beginning.
            return Err(if self.turn < 5 { io::ErrorKind::WouldBlock } else { io::ErrorKind::Interrupted }.into());
        }
        match (self.bytes.read(&mut buffer[..size])?, self.then) {
            (0, Some(kind)) => Err(kind.into()),
            (count, _) => Ok(count),
        }
    }
}

/// One byte, odd numbers, more than a decoder asks for, and times when there is nothing just now.
const SIZES: [&[usize]; 3] = [&[1, 7, 3, 0, 1000, 2, 0, 33, 5, 4096, 1], &[1 << 20], &[13]];

/// Everything until the end: samples, codes of warnings, and the error if it breaks off.
fn heard(mut source: Source, most: usize) -> (Vec<f32>, Vec<&'static str>, Option<Error>) {
    let mut samples = Vec::new();
    let end = loop {
        match source.next(SOON, most) {
            Ok(Some(block)) => {
                assert!(!block.samples.is_empty(), "nothing came for {SOON:?}");
                assert!(block.samples.len() <= most && block.dropped == 0, "{} at once", block.samples.len());
                samples.extend(block.samples);
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert_eq!(source.next(SOON, most).expect("over is over"), None);
    (samples, source.warnings().iter().map(|warning| warning.code.as_str()).collect(), end)
}

fn streamed(bytes: &[u8], sizes: &'static [usize], raw: Option<RawFormat>) -> (Vec<f32>, Vec<&'static str>) {
    let source = live::stream(Drip::new(bytes, sizes), "pipe", raw).expect("a thread");
    let (samples, warnings, error) = heard(source, usize::MAX);
    assert!(error.is_none(), "{error:?}");
    (samples, warnings)
}

/// Compares a stream with the file. False when the file is one that was scaled down, which a stream cannot be.
fn agrees(name: &str, bytes: &[u8], sizes: &'static [usize]) -> bool {
    let file = read_stream(Cursor::new(bytes.to_vec()), "pipe", &ReadOptions::default());
    let (samples, warnings, error) = heard(live::stream(Drip::new(bytes, sizes), "pipe", None).expect("a thread"), 999);
    match (file, error) {
        (Ok(file), None) => {
            if file.pcm.samples().iter().any(|sample| sample.abs() == 1.0) && samples != file.pcm.samples() {
                assert_eq!(samples.len(), file.pcm.len(), "{name}");
                return false;
            }
            // Rates that no recorder has are interpolated, and rounded a little differently in smaller blocks.
            let limit = if file.source_rate % 25 == 0 { 0.0 } else { 1e-6 };
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= limit;
            let same = samples.len() == file.pcm.len() && samples.iter().zip(file.pcm.samples()).all(close);
            assert!(same, "{name}: {} samples, file {}", samples.len(), file.pcm.len());
            assert_eq!(warnings, file.warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(), "{name}");
        }
        (Err(file), Some(stream)) => assert_eq!(stream.to_string(), file.to_string(), "{name}"),
        (file, stream) => panic!("{name}: file {:?}, stream {stream:?}", file.map(|f| f.pcm.len())),
    }
    true
}

/// Compares every file of a folder, but those whose headers claim too little, where a stream goes on.
fn compare_folder(folder: &Path) -> usize {
    let mut compared = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !path.is_file() || ["trailing_garbage.wav", "data_odd_size.wav"].contains(&name.as_str()) {
            continue;
        }
        let bytes = std::fs::read(&path).expect("a readable file");
        if bytes.len() < 3_000_000 {
            for sizes in SIZES {
                compared += usize::from(agrees(&name, &bytes, sizes));
            }
        }
    }
    compared
}

#[test]
fn a_stream_gives_the_samples_of_the_file() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats");
    for (folder, least) in [("good", 6), ("codecs", 30), ("bad", 50), ("short", 15), ("sizes", 6)] {
        let compared = compare_folder(&own.join(folder));
        assert!(compared >= least, "{folder}: {compared} compared");
    }
}

#[test]
fn a_stream_gives_the_samples_of_every_file_of_the_full_table() {
    let Some(shared) = optional::shared("audio/formats") else { return };
    for (folder, least) in [("good", 110), ("codecs", 90), ("bad", 150), ("sizes", 30)] {
        let compared = compare_folder(&shared.join(folder));
        assert!(compared >= least, "{folder}: {compared} compared");
    }
}

/// How samples of a generated file are written.
#[derive(Clone, Copy)]
enum Kind {
    Unsigned8,
    Signed(u16),
    Signed24In4,
    Float(u16),
}

impl Kind {
    fn bytes(self) -> u16 {
        match self {
            Self::Unsigned8 => 1,
            Self::Signed(bytes) | Self::Float(bytes) => bytes,
            Self::Signed24In4 => 4,
        }
    }

    fn write(self, level: f64, out: &mut Vec<u8>) {
        let whole = (level * 2_147_483_647.0) as i32;
        match self {
            Self::Unsigned8 => out.push((whole >> 24) as u8 ^ 0x80),
            Self::Signed(bytes) => out.extend(&whole.to_le_bytes()[4 - usize::from(bytes)..]),
            Self::Signed24In4 => out.extend((whole >> 8).to_le_bytes()),
            Self::Float(4) => out.extend((level as f32).to_le_bytes()),
            Self::Float(_) => out.extend(level.to_le_bytes()),
        }
    }
}

/// A tone that begins with a little silence.
fn level(frame: usize, channel: usize, rate: u32) -> f64 {
    let time = frame as f64 / f64::from(rate);
    let loud = if time < 0.01 { 0.0 } else { 0.5 };
    loud * (time * (1900.0 + 300.0 * channel as f64)).sin()
}

/// Header with the given sizes, and samples.
fn wave(kind: Kind, rate: u32, channels: u16, frames: usize, riff: u32, data: u32) -> Vec<u8> {
    let bits = if let Kind::Signed24In4 = kind { 24 } else { kind.bytes() * 8 };
    let block = kind.bytes() * channels;
    let mut out = [b"RIFF", &riff.to_le_bytes()[..], b"WAVEfmt ", &16u32.to_le_bytes()].concat();
    let tag = if let Kind::Float(_) = kind { 3u16 } else { 1 };
    out.extend([tag, channels].iter().flat_map(|v| v.to_le_bytes()));
    out.extend([rate, rate * u32::from(block)].iter().flat_map(|v| v.to_le_bytes()));
    out.extend([block, bits].iter().flat_map(|v| v.to_le_bytes()));
    out.extend([b"data", &data.to_le_bytes()[..]].concat());
    for frame in 0..frames {
        for channel in 0..usize::from(channels) {
            kind.write(level(frame, channel, rate), &mut out);
        }
    }
    out
}

#[test]
fn every_kind_of_samples_rate_and_channels_streams_like_a_file() {
    let kinds = [
        Kind::Unsigned8,
        Kind::Signed(2),
        Kind::Signed(3),
        Kind::Signed(4),
        Kind::Signed24In4,
        Kind::Float(4),
        Kind::Float(8),
    ];
    for (turn, kind) in kinds.into_iter().enumerate() {
        for (rate, channels) in [(16_000, 1), (48_000, 2), (44_100, 1), (8000, 6), (96_000, 3)] {
            // Three tenths of a second, and a frame more than whole blocks.
            let frames = rate as usize * 3 / 10 + 1;
            let size = frames as u32 * u32::from(kind.bytes() * channels);
            let bytes = wave(kind, rate, channels, frames, size + 36, size);
            assert!(agrees(&format!("kind {turn} {rate} Hz x{channels}"), &bytes, SIZES[turn % SIZES.len()]));
        }
    }
}

#[test]
fn a_length_that_is_unknown_or_too_small_does_not_end_a_stream() {
    let whole = wave(Kind::Signed(2), 16_000, 1, 5000, 10_036, 10_000);
    let (all, _) = streamed(&whole, SIZES[0], None);
    assert_eq!(all.len(), 5000);
    // ffmpeg, sox, arecord, gstreamer, nothing filled in; then sizes that are real but too small, one in mid-sample.
    let streaming = [(u32::MAX, u32::MAX), (0x7fff_f024, 0x7fff_f000), (0x7fff_ff24, 0x7fff_ff00), (36, 0), (0, 0)];
    for (riff, data) in streaming.into_iter().chain([(1036, 1000), (1037, 1001), (38, 2)]) {
        let bytes = wave(Kind::Signed(2), 16_000, 1, 5000, riff, data);
        let (samples, warnings) = streamed(&bytes, SIZES[0], None);
        assert!(samples == all, "{data}: {} samples", samples.len());
        let told = if (1..2000).contains(&data) { vec!["audio_damaged"] } else { vec![] };
        assert_eq!(warnings, told, "{data}");
    }
}

#[test]
fn chunks_behind_the_samples_are_not_heard() {
    let mut bytes = wave(Kind::Signed(3), 16_000, 1, 333, 36 + 999, 999);
    bytes.extend(b"\0LIST\x05\0\0\0INFOx\0junk\xff\xff\xff\0");
    bytes.extend([0x55; 77]);
    let (samples, warnings) = streamed(&bytes, SIZES[2], None);
    assert_eq!((samples.len(), warnings), (333, vec![]));
}

#[test]
fn raw_samples_need_no_header() {
    let bytes: Vec<u8> = (0..3001i16).flat_map(|n| (n * 10).to_le_bytes()).collect();
    let raw = |rate, channels| Some(RawFormat { rate, channels });
    let (samples, warnings) = streamed(&bytes, SIZES[0], raw(16_000, 1));
    assert!(samples.iter().copied().eq((0..3001).map(|n| n as f32 * 10.0 / 32_768.0)));
    assert_eq!(warnings, Vec::<&str>::new());
    let options = ReadOptions { raw: raw(44_100, 1), ..Default::default() };
    let file = read_stream(Cursor::new(bytes.clone()), "pipe", &options).expect("readable");
    assert!(streamed(&bytes, SIZES[2], raw(44_100, 1)).0 == file.pcm.samples());
    // 3001 samples are 1500 frames and a half.
    let (samples, warnings) = streamed(&bytes, SIZES[0], raw(16_000, 2));
    assert_eq!((samples.len(), warnings), (1500, vec!["audio_damaged"]));
}

#[test]
fn a_stream_that_stops_in_mid_sample_keeps_what_was_heard() {
    for (claimed, cut) in [(u32::MAX, 3), (u32::MAX, 1), (20_000, 3)] {
        let whole = wave(Kind::Signed(2), 16_000, 2, 5000, claimed, claimed);
        let (samples, warnings) = streamed(&whole[..whole.len() - cut], SIZES[0], None);
        let (all, _) = streamed(&wave(Kind::Signed(2), 16_000, 2, 4999, 0, 0), SIZES[1], None);
        assert!(samples == all, "{} samples", samples.len());
        assert!(warnings.contains(&"audio_damaged"));
    }
}

#[test]
fn samples_come_while_the_stream_is_open_and_the_header_is_enough_to_begin() {
    // 20 ms, of which the resampler may hold back half a filter (5.75 ms) and one block (10 ms).
    for (rate, least) in [(16_000, 320), (48_000, 68), (44_100, 68)] {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let mut source = live::stream(reader, "pipe", None).expect("a thread");
        let bytes = wave(Kind::Signed(2), rate, 1, rate as usize / 50, u32::MAX, u32::MAX);
        assert_eq!(source.next(Duration::ZERO, 1).expect("no error"), Some(Block::default()));
        assert_eq!(source.format(), None);
        writer.write_all(&bytes).expect("a reader");
        let mut count = 0;
        while count < least {
            let block = source.next(SOON, usize::MAX).expect("no error").expect("not over");
            assert!(!block.samples.is_empty(), "only {count} samples of {least} came");
            count += block.samples.len();
        }
        assert_eq!(source.format(), Some(RawFormat { rate, channels: 1 }));
        drop(writer);
        assert_eq!(count + heard(source, usize::MAX).0.len(), 320);
    }
}

#[test]
fn what_is_no_audio_is_said_while_the_stream_is_still_open() {
    for (bytes, word) in [
        (vec![0xfe; 8192], "no sound format"),
        (b"<!DOCTYPE html>".repeat(60), "web page"),
        (b"RIFF\x24\0\0\0AVI LIST\0\0\0\0\0\0\0\0".repeat(400), "AVI"),
        (wave(Kind::Signed(2), 1, 1, 100, 0, 0), "1 Hz"),
        ([&b"\x89PNG\r\n\x1a\n"[..], &[0; 504]].concat(), "PNG"),
    ] {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let mut source = live::stream(reader, "standard input", None).expect("a thread");
        writer.write_all(&bytes).expect("a reader");
        let error = source.next(SOON, usize::MAX).expect_err(word);
        assert_eq!(error.kind(), ErrorKind::Audio);
        let message = error.to_string();
        assert!(message.starts_with("standard input: ") && message.contains(word), "{message}");
        drop(writer);
    }
    let empty = live::stream(io::empty(), "standard input", None).expect("a thread");
    let (_, _, error) = heard(empty, 1);
    assert!(error.is_some_and(|e| e.to_string().contains("empty")));
}

#[test]
fn a_read_error_comes_after_everything_heard_before() {
    for rate in [16_000, 48_000] {
        let bytes = wave(Kind::Signed(2), rate, 1, rate as usize / 10, u32::MAX, u32::MAX);
        let drip = Drip { then: Some(io::ErrorKind::ConnectionReset), ..Drip::new(&bytes, SIZES[2]) };
        let (samples, _, error) = heard(live::stream(drip, "socket", None).expect("a thread"), usize::MAX);
        assert!(samples == streamed(&bytes, SIZES[1], None).0);
        let error = error.expect("a broken stream is no ended one");
        assert!(error.kind() == ErrorKind::Audio && error.to_string().starts_with("socket: cannot be read"), "{error}");
    }
}

#[test]
fn a_slow_consumer_gets_everything_from_a_pipe() {
    let bytes: Vec<u8> = (0..40_000u32).flat_map(|n| ((n % 30_000) as i16).to_le_bytes()).collect();
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let source = live::stream(reader, "pipe", Some(RawFormat { rate: 16_000, channels: 1 })).expect("a thread");
    let wanted = bytes.clone();
    let writing = std::thread::spawn(move || writer.write_all(&bytes));
    let (samples, _, error) = heard(source, 777);
    writing.join().expect("the writer").expect("a reader to the end");
    assert!(error.is_none());
    assert!(samples == streamed(&wanted, SIZES[1], Some(RawFormat { rate: 16_000, channels: 1 })).0);
    assert_eq!(samples.len(), 40_000);
}

#[test]
fn a_source_that_is_dropped_lets_go_of_its_pipe() {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let source = live::stream(reader, "pipe", Some(RawFormat { rate: 16_000, channels: 1 })).expect("a thread");
    let writing = std::thread::spawn(move || {
        // Far more than waits anywhere: ends only when nobody reads any more.
        let second = [1u8; 32_000];
        (0..1_000_000).find_map(|_| writer.write_all(&second).err())
    });
    drop(source);
    let error = writing.join().expect("the writer").expect("the pipe was closed");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn what_is_too_loud_is_clipped_and_told() {
    let loud: Vec<u8> = [0.5f32, 4.0, -4.0, f32::NAN].iter().flat_map(|v| v.to_le_bytes()).collect();
    let header = wave(Kind::Float(4), 16_000, 1, 0, 0, 0);
    let (samples, warnings) = streamed(&[header, loud].concat(), SIZES[0], None);
    assert_eq!(samples, [0.5, 1.0, -1.0, 0.0]);
    assert_eq!(warnings, ["audio_clipped", "audio_damaged"]);
}
