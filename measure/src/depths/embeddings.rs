//! Depth 3: the output rows of every layer of the encoder, and those for the decoder, compared with the reference's.
//!
//! ```text
//! clip ─ mel ─ window by window: both encoders ─▶ rows of layer 0, 1, …, output ─ cosine of each row, relative RMS
//! ```
//!
//! One attention window of both models is in memory at a time, however long the clip is.

use super::Clip;
use super::metrics::cosine;
use qasr::error::{Error, Result};
use qasr::mel::{LogMel, log_mel};
use qasr::model::config::{CHUNK_FRAMES, encoder_tokens};
use qasr::model::encoder::windows;
use qasr::model::{Model, Watcher};
use qasr::units::SAMPLE_RATE;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Keeps the output rows of the layers of one window.
#[derive(Default)]
struct Layers {
    rows: Mutex<Vec<Rows>>,
}

/// Rows of one place, one after the other.
struct Rows {
    width: usize,
    data: Vec<f32>,
}

impl Watcher for Layers {
    fn encoder_layer(&self, _layer: usize, width: usize, rows: &[f32]) {
        let rows = Rows { width, data: rows.to_vec() };
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push(rows);
    }
}

/// Output rows of each layer of one attention window, the encoder's output last.
fn rows_of(model: &Model, mel: &LogMel, window: Range<usize>) -> Result<Vec<Rows>> {
    let layers = Layers::default();
    let output = model.encoder().encode_part(mel, window, Some(&layers))?;
    let mut rows = layers.rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.push(Rows { width: output.width(), data: output.values().to_vec() });
    Ok(rows)
}

/// How far the rows of one place are from the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RowsDistance {
    /// Mean over the rows of the cosine of the angle between both.
    pub cosine_mean: f64,
    /// The smallest of them.
    pub cosine_min: f64,
    /// Root of the mean square of all differences, relative to that of the reference.
    pub relative_rms: f64,
}

/// The encoder on one clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipDistance {
    /// The clip's name.
    pub name: String,
    /// Its condition.
    pub condition: String,
    /// Its length.
    pub seconds: f64,
    /// Behind each layer, the first one first.
    pub layers: Vec<RowsDistance>,
    /// The rows for the decoder.
    pub output: RowsDistance,
    /// Relative RMS of the output within every second of the clip; the last may be cut short.
    pub output_by_second: Vec<f64>,
}

/// Several clips of one length and condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LengthDistance {
    /// Their condition.
    pub condition: String,
    /// Their length, to the nearest second.
    pub seconds: u64,
    /// How many.
    pub clips: usize,
    /// Behind each layer: means over the clips, and the smallest cosine of all.
    pub layers: Vec<RowsDistance>,
    /// The same of the output.
    pub output: RowsDistance,
}

/// Sums over rows, from which the distance comes.
#[derive(Debug, Clone, Copy)]
struct Sums {
    rows: usize,
    cosines: f64,
    smallest: f64,
    differences: f64,
    squares: f64,
}

impl Sums {
    const NONE: Self = Self { rows: 0, cosines: 0.0, smallest: f64::INFINITY, differences: 0.0, squares: 0.0 };

    fn add(&mut self, reference: &[f32], other: &[f32]) {
        let cosine = cosine(reference, other);
        self.rows += 1;
        self.cosines += cosine;
        self.smallest = self.smallest.min(cosine);
        self.differences +=
            reference.iter().zip(other).map(|(r, o)| (f64::from(*o) - f64::from(*r)).powi(2)).sum::<f64>();
        self.squares += reference.iter().map(|r| f64::from(*r).powi(2)).sum::<f64>();
    }

    fn relative_rms(&self) -> f64 {
        if self.differences == 0.0 { 0.0 } else { (self.differences / self.squares).sqrt() }
    }

    fn distance(&self) -> RowsDistance {
        let cosine_mean = self.cosines / self.rows.max(1) as f64;
        RowsDistance { cosine_mean, cosine_min: self.smallest, relative_rms: self.relative_rms() }
    }
}

/// Compares the encoders of two models on every clip. `progress` gets the number of clips done.
///
/// # Errors
/// [`qasr::ErrorKind::Usage`] for a clip too short to be heard; [`qasr::ErrorKind::Model`] when the encoders have
/// other sizes, or give a number that is not finite. The clip is named.
pub fn compare(
    reference: &Model,
    other: &Model,
    clips: &[Clip],
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<ClipDistance>> {
    let (ours, theirs) = (reference.encoder().config().sizes, other.encoder().config().sizes);
    if ours != theirs {
        return Err(Error::model(format!(
            "the encoder of {} has other sizes than the reference's: compare types of one model",
            other.info().name
        )));
    }
    let mut distances = Vec::with_capacity(clips.len());
    for clip in clips {
        let distance = compare_clip(reference, other, clip).map_err(|error| error.at(&clip.name))?;
        distances.push(distance);
        progress(distances.len());
    }
    Ok(distances)
}

fn compare_clip(reference: &Model, other: &Model, clip: &Clip) -> Result<ClipDistance> {
    let mel = log_mel(&clip.samples);
    if mel.frames == 0 {
        return Err(Error::usage("the clip is too short to be heard: leave it out"));
    }
    let mut places = Vec::new();
    let mut seconds = Vec::new();
    for window in windows(mel.frames) {
        let (ours, theirs) = (rows_of(reference, &mel, window.clone())?, rows_of(other, &mel, window)?);
        places.resize(ours.len(), Sums::NONE);
        for ((sums, ours), theirs) in places.iter_mut().zip(&ours).zip(&theirs) {
            if ours.data.iter().chain(&theirs.data).any(|value| !value.is_finite()) {
                return Err(Error::model(
                    "the encoder gave a number that is not finite: the model file is damaged, convert or download it again",
                ));
            }
            each_row(ours, theirs).for_each(|(ours, theirs)| sums.add(ours, theirs));
        }
        // Windows are whole seconds but for the last.
        if let (Some(ours), Some(theirs)) = (ours.last(), theirs.last()) {
            let rows: Vec<_> = each_row(ours, theirs).collect();
            seconds.extend(rows.chunks(encoder_tokens(CHUNK_FRAMES)).map(|rows| {
                let mut sums = Sums::NONE;
                rows.iter().for_each(|(ours, theirs)| sums.add(ours, theirs));
                sums.relative_rms()
            }));
        }
    }
    let output = places.pop().unwrap_or(Sums::NONE).distance();
    Ok(ClipDistance {
        name: clip.name.clone(),
        condition: clip.condition.clone(),
        seconds: clip.samples.len() as f64 / f64::from(SAMPLE_RATE),
        layers: places.iter().map(Sums::distance).collect(),
        output,
        output_by_second: seconds,
    })
}

fn each_row<'a>(ours: &'a Rows, theirs: &'a Rows) -> impl Iterator<Item = (&'a [f32], &'a [f32])> {
    ours.data.chunks(ours.width.max(1)).zip(theirs.data.chunks(theirs.width.max(1)))
}

/// The distances grouped by condition and length, in this order.
pub fn by_length(distances: &[ClipDistance]) -> Vec<LengthDistance> {
    let mut groups = BTreeMap::<(&str, u64), Vec<&ClipDistance>>::new();
    for distance in distances {
        groups.entry((&distance.condition, distance.seconds.round() as u64)).or_default().push(distance);
    }
    let length = |((condition, seconds), clips): ((&str, u64), Vec<&ClipDistance>)| LengthDistance {
        condition: condition.to_owned(),
        seconds,
        clips: clips.len(),
        layers: (0..clips[0].layers.len())
            .map(|layer| mean(clips.iter().filter_map(|clip| clip.layers.get(layer))))
            .collect(),
        output: mean(clips.iter().map(|clip| &clip.output)),
    };
    groups.into_iter().map(length).collect()
}

fn mean<'a>(distances: impl Iterator<Item = &'a RowsDistance>) -> RowsDistance {
    let mut count = 0.0;
    let mut sum = RowsDistance { cosine_mean: 0.0, cosine_min: f64::INFINITY, relative_rms: 0.0 };
    for distance in distances {
        count += 1.0;
        sum.cosine_mean += distance.cosine_mean;
        sum.cosine_min = sum.cosine_min.min(distance.cosine_min);
        sum.relative_rms += distance.relative_rms;
    }
    RowsDistance { cosine_mean: sum.cosine_mean / count, relative_rms: sum.relative_rms / count, ..sum }
}

/// Clips of `seconds` cut from all `clips` joined end to end, at most `most` of them, spread evenly over the whole, so
/// that short clips are of the same voices and noises as long ones; none where the material is shorter. Their texts are
/// gone.
pub fn of_length(clips: &[Clip], seconds: f64, most: usize) -> Vec<Clip> {
    let len = (seconds * f64::from(SAMPLE_RATE)) as usize;
    let total: usize = clips.iter().map(|clip| clip.samples.len()).sum();
    let Some(condition) = clips.first().map(|clip| clip.condition.clone()).filter(|_| len > 0) else {
        return Vec::new();
    };
    let count = most.min(total / len);
    let piece = |index: usize| Clip {
        name: format!("{seconds} s, piece {}", index + 1),
        samples: joined(clips, index * (total - len) / (count - 1).max(1), len).into(),
        condition: condition.clone(),
        language: None,
        text: None,
    };
    (0..count).map(piece).collect()
}

/// `len` samples from `start` on of all clips joined end to end.
fn joined(clips: &[Clip], start: usize, len: usize) -> Vec<f32> {
    let mut before = 0;
    let mut samples = Vec::with_capacity(len);
    for clip in clips {
        let from = start.saturating_sub(before).min(clip.samples.len());
        let to = (start + len).saturating_sub(before).min(clip.samples.len());
        samples.extend_from_slice(&clip.samples[from..to]);
        before += clip.samples.len();
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(samples: Vec<f32>) -> Clip {
        Clip { name: "a".into(), samples: samples.into(), condition: "clean".into(), language: None, text: None }
    }

    #[test]
    fn pieces_are_cut_from_joined_clips() {
        let clips = [clip(vec![0.25; 24_000]), clip(vec![0.5; 24_000])];
        let pieces = of_length(&clips, 1.0, 9);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[1].samples[..8_000], [0.25; 8_000]);
        assert_eq!(pieces[1].samples[8_000..], [0.5; 8_000]);
        // Spread: of two, the first is the beginning and the second the end.
        let two = of_length(&clips, 1.0, 2);
        assert_eq!((two.len(), &two[0].samples[..], &two[1].samples[..]), (2, &[0.25; 16_000][..], &[0.5; 16_000][..]));
        assert_eq!(of_length(&clips, 3.0, 4)[0].samples.len(), 48_000);
        assert_eq!(of_length(&clips, 3.5, 2).len(), 0);
        assert_eq!(of_length(&[], 1.0, 2).len(), 0);
    }

    #[test]
    fn sums_and_groups_are_those_of_their_rows() {
        let mut sums = Sums::NONE;
        sums.add(&[3.0, 4.0], &[4.0, 3.0]);
        sums.add(&[1.0, 0.0], &[1.0, 0.0]);
        let distance = sums.distance();
        assert!((distance.cosine_mean - 0.98).abs() < 1e-12 && (distance.cosine_min - 0.96).abs() < 1e-12);
        assert!((distance.relative_rms - (2.0_f64 / 26.0).sqrt()).abs() < 1e-12);

        let of = |seconds, cosine_min, relative_rms| ClipDistance {
            name: "a".into(),
            condition: "clean".into(),
            seconds,
            layers: vec![RowsDistance { cosine_mean: 1.0, cosine_min, relative_rms }],
            output: RowsDistance { cosine_mean: 1.0, cosine_min, relative_rms },
            output_by_second: Vec::new(),
        };
        let lengths = by_length(&[of(10.0, 0.9, 0.1), of(2.0, 0.5, 0.7), of(10.1, 0.8, 0.3)]);
        assert_eq!(lengths.iter().map(|length| (length.seconds, length.clips)).collect::<Vec<_>>(), [(2, 1), (10, 2)]);
        assert_eq!((lengths[1].output.cosine_min, lengths[1].layers[0].relative_rms), (0.8, 0.2));
    }
}
