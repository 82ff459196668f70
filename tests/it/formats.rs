//! Every kind of file behaves as its row in `formats.tsv` says: a small set that is part of the project, and the full
//! table when it lies beside the checkout (`../shared/audio/formats`).

use crate::optional;
use qasr::WarningCode;

use qasr::audio::{Pcm16k, RawFormat, ReadOptions, Recording, read_path, read_stream};
use qasr::error::{Error, ErrorKind};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// AAC, ADPCM and MP3 put up to this many samples at 16 kHz around the clip.
const PADDING: usize = 2400;
/// Rejecting, or decoding a damaged two-second clip, may not take longer.
const LIMIT: Duration = Duration::from_secs(1);

struct Row {
    file: String,
    expect: String,
    text: String,
    /// Length at 16 kHz by libsndfile's count, where it has a believable one.
    samples: Option<usize>,
    /// Correlation of other decoders' result with the clip.
    correlation: Option<f64>,
}

fn table(folder: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(folder.join("formats.tsv")).expect("formats.tsv is readable");
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().expect("a header line").split('\t').collect();
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let field = |name: &str| {
                let index = columns.iter().position(|column| *column == name).expect("the column exists");
                fields.get(index).copied().unwrap_or("").to_owned()
            };
            Row {
                file: field("file"),
                expect: field("expect"),
                text: field("text"),
                samples: counted(&field("libsndfile")),
                correlation: field("corr").parse().ok(),
            }
        })
        .collect()
}

/// `92610@44100x2` as a length at 16 kHz, computed in whole numbers.
fn counted(field: &str) -> Option<usize> {
    let (frames, rest) = field.split_once('@')?;
    let (frames, rate): (u64, u64) = (frames.parse().ok()?, rest.split_once('x')?.0.parse().ok()?);
    (frames > 0 && frames < 1 << 32).then(|| (frames * 16_000).div_ceil(rate) as usize)
}

/// The clip itself, read here without the library: 16-bit mono after a 44-byte header.
fn base(folder: &Path) -> Vec<f32> {
    let bytes = std::fs::read(folder.join("good/base.wav")).expect("the base clip is readable");
    bytes[44..].as_chunks::<2>().0.iter().map(|s| f32::from(i16::from_le_bytes(*s)) / 32_768.0).collect()
}

/// Correlation of `got` with the clip at the lag that suits best.
fn correlation(got: &[f32], clip: &[f32]) -> f64 {
    let at = |lag: isize, step: usize, range: std::ops::Range<usize>| {
        let (mut both, mut first, mut second) = (0.0f64, 0.0f64, 0.0f64);
        for n in range.step_by(step) {
            let other = got.get((n as isize + lag) as usize).copied().unwrap_or(0.0);
            both += f64::from(clip[n]) * f64::from(other);
            first += f64::from(clip[n]) * f64::from(clip[n]);
            second += f64::from(other) * f64::from(other);
        }
        both / (first * second).sqrt().max(1e-30)
    };
    // The lag is found in the middle of the clip, and judged over all of it.
    let reach = PADDING as isize;
    let lag = (-reach..=reach).map(|lag| (at(lag, 7, 8000..20_000), lag)).max_by(|a, b| a.0.total_cmp(&b.0));
    at(lag.expect("there are lags").1, 1, 0..clip.len())
}

/// Reads a file three times at most, until it took less than the limit: another job may have had the machine.
fn timed(path: &Path) -> (Result<Recording, Error>, Duration) {
    let mut shortest = Duration::MAX;
    loop {
        let start = Instant::now();
        let result = read_path(path, &ReadOptions::default());
        let took = start.elapsed();
        if took < LIMIT || took >= shortest {
            return (result, took.min(shortest));
        }
        shortest = took;
    }
}

/// The fault in the behaviour on one row, if there is one.
fn judge(row: &Row, folder: &Path, clip: &[f32]) -> Result<(), String> {
    let path = folder.join(&row.file);
    let (result, took) = timed(&path);
    if let Err(error) = &result {
        let message = error.to_string();
        if error.kind() != ErrorKind::Audio || !message.contains(&path.display().to_string()) {
            return Err(format!("the error is not an audio error that names the file: {message}"));
        }
        if message.contains("did not expect") {
            return Err("a decoder panicked".to_owned());
        }
    }
    if let Ok(recording) = &result
        && recording.pcm.len() < 1_000_000
    {
        // A pipe gives the same samples, or says why it cannot.
        let bytes = std::fs::read(&path).expect("the file is readable");
        match read_stream(Cursor::new(bytes), "pipe", &ReadOptions::default()) {
            Ok(streamed) if streamed.pcm == recording.pcm => {}
            Err(error) if error.to_string().starts_with("pipe: ") && row.expect != "ok" => {}
            _ => return Err("reading it from a pipe gives something else".to_owned()),
        }
    }
    let is_the_clip = |pcm: &Pcm16k, exact: bool| {
        let length = row.samples.unwrap_or(clip.len());
        if exact && pcm.len() != length {
            return Err(format!("{} samples instead of {length}", pcm.len()));
        }
        if pcm.len() < clip.len() || pcm.len() > clip.len() + PADDING {
            return Err(format!("{} samples, far from the clip's {}", pcm.len(), clip.len()));
        }
        let (got, wanted) = (correlation(pcm.samples(), clip), row.correlation.unwrap_or(1.0));
        // Decoders differ a little; a wrong channel, byte order or rate gives less than half.
        if got < wanted - 0.01 { Err(format!("correlation {got:.4} instead of {wanted:.4}")) } else { Ok(()) }
    };
    match (row.expect.as_str(), result) {
        ("ok", Ok(recording)) => is_the_clip(&recording.pcm, true),
        ("optional", Ok(recording)) => is_the_clip(&recording.pcm, false),
        ("optional", Err(error)) => {
            let clear = ["not supported", "headerless"].iter().any(|word| error.to_string().contains(word));
            if clear { Ok(()) } else { Err(format!("the error is not clear: {error}")) }
        }
        ("empty", Ok(recording)) if recording.pcm.len() > 4000 => Err(format!("{} samples", recording.pcm.len())),
        ("empty", _) => Ok(()),
        ("nospeech", Ok(recording)) => match row.samples {
            Some(length) if length != recording.pcm.len() => {
                Err(format!("{} samples instead of {length}", recording.pcm.len()))
            }
            _ => Ok(()),
        },
        ("reject" | "lenient", _) if took >= LIMIT => Err(format!("took {took:?}")),
        ("reject", Err(_)) | ("lenient", _) => Ok(()),
        ("reject", Ok(recording)) => Err(format!("was not rejected but gave {} samples", recording.pcm.len())),
        ("ok" | "nospeech", Err(error)) => Err(error.to_string()),
        (other, _) => Err(format!("unknown expectation {other}")),
    }
}

fn judge_all(folder: &Path) {
    let clip = base(folder);
    let rows = table(folder);
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| judge(row, folder, &clip).err().map(|what| format!("{} ({}): {what}", row.file, row.expect)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    eprintln!("{} rows of {} hold", rows.len(), folder.display());
}

fn small_set() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats")
}

#[test]
fn the_small_set_behaves_as_its_table_says() {
    let folder = small_set();
    for expect in ["ok", "optional", "empty", "nospeech", "reject", "lenient"] {
        assert!(table(&folder).iter().any(|row| row.expect == expect), "no row for {expect}");
    }
    judge_all(&folder);
}

#[test]
fn the_full_table_behaves_as_it_says() {
    let Some(folder) = optional::shared("audio/formats") else { return };
    judge_all(&folder);
}

#[test]
fn damage_that_loses_sound_is_reported() {
    // Decoded in part, and said so; while nothing is said about a sound file.
    for row in table(&small_set()) {
        let Ok(recording) = read_path(&small_set().join(&row.file), &ReadOptions::default()) else { continue };
        let damaged = recording.warnings.iter().any(|warning| warning.code == WarningCode::AudioDamaged);
        let cut = row.file.contains("truncated");
        if cut || row.expect == "ok" || row.expect == "optional" {
            assert_eq!(damaged, cut, "{}: {:?}", row.file, recording.warnings);
        }
        assert_eq!(row.text.is_empty(), row.expect != "ok" && row.expect != "optional", "{}", row.file);
    }
}

#[test]
fn raw_samples_are_read_as_told() {
    let folder = small_set();
    let bytes = std::fs::read(folder.join("good/base.wav")).expect("readable")[44..].to_vec();
    let raw = |rate, channels| ReadOptions { raw: Some(RawFormat { rate, channels }), ..Default::default() };
    let got = read_stream(Cursor::new(bytes.clone()), "-", &raw(16_000, 1)).expect("readable");
    assert_eq!(got.pcm.samples(), base(&folder));
    let got = read_stream(Cursor::new(bytes), "-", &raw(8000, 2)).expect("readable");
    assert_eq!((got.pcm.len(), got.source_rate, got.channels), (33_600, 8000, 2));
}

#[test]
fn trimming_gives_the_same_samples_as_cutting_afterwards() {
    for file in ["good/s16_8000.wav", "codecs/flac_44100.flac", "codecs/vorbis.ogg"] {
        let path = small_set().join(file);
        let whole = read_path(&path, &ReadOptions::default()).expect("readable").pcm;
        for (offset, duration) in [(0u64, 1u64), (777, 12_345), (33_599, 1), (16_000, 1_000_000)] {
            let time = |samples: u64| Some(Duration::from_nanos(samples * 62_500));
            let options = ReadOptions { offset: time(offset), duration: time(duration), ..Default::default() };
            let part = read_path(&path, &options).expect("readable").pcm;
            assert_eq!(part, whole.slice(offset as usize..(offset + duration) as usize), "{file} {offset} {duration}");
        }
    }
}

#[test]
fn what_is_no_file_is_an_error_that_names_it() {
    for path in [small_set(), small_set().join("no such file.wav")] {
        let error = read_path(&path, &ReadOptions::default()).expect_err("must fail");
        assert_eq!(error.kind(), ErrorKind::Audio);
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}
