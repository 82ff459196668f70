//! Recordings at other rates than 16 kHz: log-mel features after our resampling against those after the official
//! package's, whose values quant-tests/reference/resample.py stored.

use crate::optional;

use crate::signals::{number, rows, signal};
use qasr::audio::{Pcm16k, RawFormat, ReadOptions, read_path, read_stream};
use qasr::mel::{BANDS, LogMel, log_mel};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Mean |difference| of normalized log-mel values over a recording.
const TOLERANCE: f64 = 0.02;
/// Value of one stored unit.
const UNIT: f32 = 1.0 / 4096.0;

/// One row of the table with its stored frames.
struct Row {
    source: String,
    name: String,
    rate: u32,
    samples: usize,
    frames: usize,
    step: usize,
    /// Every `step`th frame, from frame 0.
    stored: Vec<f32>,
}

fn table() -> Vec<Row> {
    let bytes = include_bytes!("../../quant-tests/golden/resample.bin");
    let values: Vec<f32> = bytes.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) * UNIT).collect();
    let mut rest = values.as_slice();
    let mut found = Vec::new();
    for cells in rows(include_str!("../../quant-tests/golden/resample.tsv")) {
        let [source, name, rate, samples, frames, step] = cells[..] else { panic!("resample.tsv: {cells:?}") };
        let (frames, step) = (number::<usize>(frames), number::<usize>(step));
        let (stored, after) = rest.split_at(frames.div_ceil(step) * BANDS);
        rest = after;
        let (source, name, stored) = (source.to_owned(), name.to_owned(), stored.to_vec());
        found.push(Row { source, name, rate: number(rate), samples: number(samples), frames, step, stored });
    }
    assert!(rest.is_empty(), "resample.bin holds more than resample.tsv lists");
    found
}

fn small_set() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats")
}

/// The recording of a row as the library reads it.
fn read(row: &Row, folder: &Path) -> Pcm16k {
    let recording = if row.source == "bursts" {
        let samples = signal("bursts", row.samples, number(&row.name));
        let bytes: Vec<u8> = samples.iter().flat_map(|s| ((s * 32_768.0) as i16).to_le_bytes()).collect();
        let options = ReadOptions { raw: Some(RawFormat { rate: row.rate, channels: 1 }), ..Default::default() };
        read_stream(Cursor::new(bytes), &row.name, &options)
    } else {
        read_path(&folder.join(&row.name), &ReadOptions::default())
    };
    let recording = recording.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(recording.source_rate, row.rate, "{}: rate", row.name);
    recording.pcm
}

/// Mean and largest |difference| from the stored frames; NaN counts as infinite.
fn distance(ours: &LogMel, row: &Row) -> (f64, f32) {
    let (mut sum, mut worst, mut count) = (0.0_f64, 0.0_f32, 0_usize);
    for (place, official) in row.stored.chunks_exact(BANDS).enumerate() {
        let frame = &ours.data[place * row.step * BANDS..][..BANDS];
        for (a, b) in frame.iter().zip(official) {
            let difference = if a.is_nan() { f32::INFINITY } else { (a - b).abs() };
            sum += f64::from(difference);
            worst = worst.max(difference);
            count += 1;
        }
    }
    assert!(count > 0, "{}: nothing was compared", row.name);
    (sum / count as f64, worst)
}

/// Compares the rows of some sources; returns how many there were.
fn compare(sources: &[&str], folder: &Path) -> usize {
    let chosen: Vec<Row> = table().into_iter().filter(|row| sources.contains(&row.source.as_str())).collect();
    for row in &chosen {
        let ours = log_mel(read(row, folder).samples());
        assert_eq!(ours.frames, row.frames, "frames of {} {}", row.source, row.name);
        let (mean, worst) = distance(&ours, row);
        let Row { source, name, rate, frames, .. } = row;
        eprintln!("{source} {name}: {rate} Hz, {frames} frames, mean difference {mean:.5}, largest {worst:.3}");
        assert!(mean <= TOLERANCE, "{source} {name}: mean difference {mean:.5} from the official features");
    }
    chosen.len()
}

#[test]
fn features_after_resampling_are_the_official_ones() {
    assert_eq!(compare(&["small", "bursts"], &small_set()), 10);
}

#[test]
fn features_of_the_full_table_are_the_official_ones() {
    let Some(folder) = optional::shared("audio/formats") else { return };
    assert_eq!(compare(&["full"], &folder), 12);
}

/// The comparison is worth something only if the usual mistakes fall through it.
#[test]
fn the_usual_mistakes_are_noticed() {
    let rows = table();
    let row = rows.iter().find(|row| row.name == "good/s16_8000.wav").expect("the row exists");
    let right = read(row, &small_set());
    let right = right.samples();
    // 16-bit mono after a 44-byte header.
    let bytes = std::fs::read(small_set().join(&row.name)).expect("readable");
    let source: Vec<f32> =
        bytes[44..].chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect();
    let next = |n: usize| source[(n + 1).min(source.len() - 1)];
    let lines = source.iter().enumerate().flat_map(|(n, &sample)| [sample, 0.5 * (sample + next(n))]);
    let late: Vec<f32> = [0.0; 48].iter().chain(&right[..right.len() - 48]).copied().collect();
    let halved: Vec<f32> = right.iter().map(|sample| 0.5 * sample).collect();
    for (mistake, samples) in
        [("linear interpolation", lines.collect::<Vec<f32>>()), ("a delay of 3 ms", late), ("half the level", halved)]
    {
        let ours = log_mel(&samples);
        assert_eq!(ours.frames, row.frames, "{mistake}");
        let (mean, _) = distance(&ours, row);
        eprintln!("mistake on purpose, {mistake}: mean difference {mean:.5}");
        assert!(mean > TOLERANCE, "{mistake} goes unnoticed: mean difference {mean:.5}");
    }
}
