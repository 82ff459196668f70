//! Which columns of every matrix matter: mean squares of what they multiply, collected while audio is transcribed.
//!
//! Quantization then spends its precision where the values are large. Both files are watched: the encoder's matrices
//! see audio, the decoder's see the prompt, the audio rows and the text.

use crate::evaluation::{Entry, Manifest};
use qasr::audio::{self, ReadOptions};
use qasr::error::{Error, ErrorKind, Result};
use qasr::model::{Model, Watch, Watcher};
use qasr::options::Options;
use qasr::transcribe::transcribe;
use qasr_format::imatrix::{ColumnSums, Importance};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Adds up the squares of what every matrix multiplies.
#[derive(Default)]
pub struct Collector {
    sums: Mutex<BTreeMap<String, Sums>>,
}

/// Of one matrix.
struct Sums {
    squares: Vec<f64>,
    rows: u64,
}

impl Watcher for Collector {
    fn product(&self, weight: &str, width: usize, rows: &[f32]) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if !sums.contains_key(weight) {
            sums.insert(weight.to_owned(), Sums { squares: vec![0.0; width], rows: 0 });
        }
        let Some(sums) = sums.get_mut(weight) else { return };
        for row in rows.chunks_exact(width) {
            for (sum, value) in sums.squares.iter_mut().zip(row) {
                *sum += f64::from(*value) * f64::from(*value);
            }
            sums.rows += 1;
        }
    }
}

impl Collector {
    /// The collected sums. `datasets` names their source, `chunks` the number of recordings.
    pub fn finish(&self, datasets: Vec<String>, chunks: usize) -> Importance {
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let matrices = sums.iter().map(|(name, sums)| {
            let squares = sums.squares.iter().map(|sum| *sum as f32).collect();
            (name.clone(), ColumnSums { squares, rows: sums.rows as f32 })
        });
        let chunks = u32::try_from(chunks).unwrap_or(u32::MAX);
        // Recordings have no common length.
        Importance { datasets, chunks, chunk_size: 0, matrices: matrices.collect() }
    }
}

/// How far collecting has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Recordings done.
    pub done: usize,
    /// Recordings in all.
    pub total: usize,
    /// The one just done.
    pub file: &'a Path,
}

/// The result.
#[derive(Debug)]
pub struct Collected {
    /// To be written to a file.
    pub importance: Importance,
    /// Recordings heard.
    pub recordings: usize,
    /// Their length.
    pub seconds: f64,
    /// Why recordings could not be read or transcribed.
    pub failed: Vec<Error>,
}

/// Transcribes every recording of `manifests` and collects meanwhile. The more exact the model, the better. A watcher in
/// `options` is replaced.
///
/// # Errors
/// [`ErrorKind::Usage`] for options out of range; the first when no recording can be heard;
/// [`qasr::ErrorKind::Model`] when the model multiplies values that are not finite.
pub fn collect(
    model: &Model,
    manifests: &[Manifest],
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Collected> {
    let collector = Arc::new(Collector::default());
    let mut options = options.clone();
    options.watch = Watch::new(Arc::clone(&collector) as Arc<dyn Watcher>);
    let entries: Vec<&Entry> = manifests.iter().flat_map(|manifest| &manifest.entries).collect();
    let (mut recordings, mut seconds, mut failed) = (0, 0.0, Vec::new());
    for (index, entry) in entries.iter().enumerate() {
        let named = |error: Error| error.at(&entry.name);
        let heard = audio::read_path(&entry.file, &ReadOptions::default())
            .and_then(|recording| transcribe(model, &recording.pcm, &options, &mut |_| {}).map_err(named));
        match heard {
            Ok(transcript) => {
                recordings += 1;
                seconds += transcript.duration.seconds();
            }
            Err(error) if matches!(error.kind(), ErrorKind::Audio | ErrorKind::Model) => failed.push(error),
            Err(error) => return Err(error),
        }
        progress(Progress { done: index + 1, total: entries.len(), file: &entry.file });
    }
    if recordings == 0 {
        return Err(failed.into_iter().next().unwrap_or_else(|| Error::usage("no recordings to collect from")));
    }
    let datasets = manifests.iter().map(|manifest| manifest.path.display().to_string()).collect();
    let importance = collector.finish(datasets, recordings);
    let is_sound = |sums: &ColumnSums| sums.squares.iter().all(|sum| sum.is_finite());
    if let Some((name, _)) = importance.matrices.iter().find(|(_, sums)| !is_sound(sums)) {
        return Err(Error::model(format!(
            "the matrix '{name}' multiplies values that are not finite numbers: the model file is damaged, convert it again"
        )));
    }
    Ok(Collected { importance, recordings, seconds, failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_are_added_up_column_by_column() {
        let collector = Collector::default();
        collector.product("one", 2, &[1.0, -2.0, 3.0, 0.5]);
        collector.product("one", 2, &[0.0, 4.0]);
        collector.product("other", 3, &[1.0, 1.0, 1.0]);
        let importance = collector.finish(vec!["list".into()], 7);
        assert_eq!(importance.matrices["one"], ColumnSums { squares: vec![10.0, 20.25], rows: 3.0 });
        assert_eq!(importance.matrices["other"].rows, 1.0);
        assert_eq!((importance.chunks, importance.datasets.len()), (7, 1));
    }
}
