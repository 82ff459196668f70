//! Clips from a manifest.

use super::Clip;
use crate::evaluation::{Entry, Manifest};
use qasr::audio::{ReadOptions, read_path};
use qasr::error::Result;
use qasr::units::SAMPLE_RATE;

/// Reads the recordings of `manifest` that are at most `longest` seconds long, and the names of those that are longer.
/// The condition of a clip is its category, where the manifest names one.
///
/// # Errors
/// [`qasr::ErrorKind::Audio`] for a recording that cannot be read.
pub fn read(manifest: &Manifest, longest: f64) -> Result<(Vec<Clip>, Vec<String>)> {
    let (mut clips, mut longer) = (Vec::new(), Vec::new());
    for entry in &manifest.entries {
        let samples = read_path(&entry.file, &ReadOptions::default())?.pcm.samples().to_vec();
        if samples.len() as f64 > longest * f64::from(SAMPLE_RATE) {
            longer.push(entry.name.clone());
        } else {
            clips.push(clip(entry, samples));
        }
    }
    Ok((clips, longer))
}

fn clip(entry: &Entry, samples: Vec<f32>) -> Clip {
    Clip {
        name: entry.name.clone(),
        samples: samples.into(),
        condition: entry.category.clone().unwrap_or_else(|| "as recorded".into()),
        language: entry.language,
        // An empty text says that nothing is spoken: nothing to force on a model.
        text: entry.text.clone().filter(|text| !text.trim().is_empty()),
    }
}
