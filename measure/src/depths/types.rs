//! All depths that need a model, one type after the other, beside one reference.

use super::embeddings::{self, LengthDistance};
use super::logits::{self, ClipCost, LogitsCost, Reference};
use super::{Clip, Spread};
use crate::evaluation::{self, Comparison, EvaluationOptions, FileResult, Manifest, Summary};
use crate::scoring::{Bootstrap, Interval, mean_interval};
use qasr::error::{Error, Result};
use qasr::model::{Model, ModelFiles, ModelOptions};
use serde::{Deserialize, Serialize};

/// Lengths of the clips that the encoder is compared on, in seconds: within one attention window, a few, many.
pub const LENGTHS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 119.0];

/// Clips of one length and condition: more say little more.
const CLIPS_PER_LENGTH: usize = 4;

/// The recordings that types are measured on.
pub struct Material<'m> {
    /// For texts, and for logits along them.
    pub manifest: &'m Manifest,
    /// Of the manifest, those that are one utterance.
    pub clips: Vec<Clip>,
    /// For the encoder: of several lengths and conditions.
    pub lengths: Vec<Clip>,
    /// How texts are made and scored.
    pub options: EvaluationOptions,
}

impl<'m> Material<'m> {
    /// Clips of at most `longest` seconds as they are, and pieces of all [`LENGTHS`] that the recordings are enough for,
    /// condition by condition.
    ///
    /// # Errors
    /// [`qasr::ErrorKind::Audio`] for a recording that cannot be read.
    pub fn read(manifest: &'m Manifest, longest: f64, options: EvaluationOptions) -> Result<Self> {
        let (clips, _) = super::clips::read(manifest, longest)?;
        let mut conditions: Vec<&str> = clips.iter().map(|clip| clip.condition.as_str()).collect();
        conditions.sort_unstable();
        conditions.dedup();
        let mut lengths = Vec::new();
        for condition in conditions {
            let of_condition: Vec<Clip> = clips.iter().filter(|clip| clip.condition == condition).cloned().collect();
            for seconds in LENGTHS {
                lengths.extend(embeddings::of_length(&of_condition, seconds, CLIPS_PER_LENGTH));
            }
        }
        Ok(Self { manifest, clips, lengths, options })
    }
}

/// The reference, opened and measured once.
pub struct Baseline {
    files: ModelFiles,
    model: Model,
    logits: Reference,
    results: Vec<FileResult>,
}

/// The cost of one type at the depths that need a model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TypeCost {
    /// Depth 3.
    pub embeddings: Vec<LengthDistance>,
    /// Depth 4, over all tokens: those of the texts, of the language header before them and the end token.
    pub kl: Spread,
    /// 95 % of the mean, over recordings; `None` for a single one.
    pub kl_interval: Option<Interval>,
    /// Share of tokens where another one is the most likely.
    pub flip_rate: f64,
    /// exp of the mean −ln p of the texts, by the reference.
    pub perplexity_reference: f64,
    /// The same by this type.
    pub perplexity: f64,
    /// Tokens that all this was measured along.
    pub tokens: usize,
    /// Depth 4, clip by clip.
    pub clips: Vec<ClipCost>,
    /// Depth 5.
    pub summary: Summary,
    /// Depth 5 beside the reference.
    pub comparison: Comparison,
    /// Depth 5, recording by recording.
    pub results: Vec<FileResult>,
}

impl Baseline {
    /// Measures the reference: `files` opened with `options`. `progress` gets the recordings and clips done, and their
    /// number in all.
    ///
    /// # Errors
    /// Those of opening and of every depth; [`qasr::ErrorKind::Usage`] when no clip is short enough.
    pub fn measure(
        files: &ModelFiles,
        options: &ModelOptions,
        material: &Material<'_>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        if material.clips.is_empty() {
            let path = material.manifest.path.display();
            return Err(Error::usage(format!(
                "{path}: no recording is short enough to be one utterance: add shorter ones"
            )));
        }
        let model = Model::open(files, options)?;
        let clips = material.clips.len();
        let total = clips + material.manifest.entries.len();
        let logits = Reference::measure(&model, &material.clips, &mut |done| progress(done, total))?;
        let results =
            evaluation::run(&model, material.manifest, &material.options, None, &mut |step: evaluation::Progress<
                '_,
            >| {
                progress(clips + step.done, total)
            })?;
        Ok(Self { files: files.clone(), model, logits, results })
    }

    /// Measures a type beside it; `progress` as in [`Self::measure`]. Of the reference itself nothing is opened again.
    ///
    /// # Errors
    /// Those of opening and of every depth.
    pub fn compare(
        &self,
        files: &ModelFiles,
        options: &ModelOptions,
        material: &Material<'_>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<TypeCost> {
        let lengths = material.lengths.len();
        let total = lengths + material.clips.len() + material.manifest.entries.len();
        let model = if *files == self.files { self.model.clone() } else { Model::open(files, options)? };
        let distances = embeddings::compare(&self.model, &model, &material.lengths, &mut |done| progress(done, total))?;
        let LogitsCost { kl, flip_rate, perplexity_reference, perplexity, clips, positions } =
            logits::compare(&model, &self.logits, &mut |done| progress(lengths + done, total))?;
        let transcribed =
            &mut |step: evaluation::Progress<'_>| progress(lengths + material.clips.len() + step.done, total);
        let results = evaluation::run(&model, material.manifest, &material.options, None, transcribed)?;
        let weighted: Vec<(f64, f64)> = clips.iter().map(|clip| (clip.kl, clip.positions as f64)).collect();
        Ok(TypeCost {
            embeddings: embeddings::by_length(&distances),
            kl,
            kl_interval: mean_interval(&weighted, Bootstrap::default()),
            flip_rate,
            perplexity_reference,
            perplexity,
            tokens: positions.len(),
            clips,
            summary: Summary::new(&results),
            comparison: evaluation::compare(&self.results, &results),
            results,
        })
    }
}
