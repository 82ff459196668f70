//! Trials on a real model: types made from an exact pair of files, and their logits held against it.

use super::groups::Group;
use super::search::{Measured, Trial};
use crate::depths::Clip;
use crate::depths::logits::{Reference, compare};
use crate::variants::converted;
use qasr::error::{Error, Remedy, Result};
use qasr::model::{Model, ModelFiles, ModelOptions};
use qasr_convert::{Destination, FileType, Override, Plan, QuantizeOptions, Recipe};
use qasr_format::GgmlType;
use std::path::{Path, PathBuf};

/// One model that is quantized again and again.
pub struct ModelTrial {
    source: ModelFiles,
    importance: Option<PathBuf>,
    options: ModelOptions,
    reference: Reference,
    /// Where a pair lies for as long as it is measured.
    folder: PathBuf,
    /// The pattern of every group.
    patterns: Vec<(Group, Override)>,
    /// Bytes of an f16 pair that are not in a group's tensors.
    rest: u64,
}

impl ModelTrial {
    /// Opens `source`, a pair of 16 or 32 bits, and measures the reference on `clips`. Pairs are made, with this
    /// importance matrix, in a folder of their own inside `work`.
    ///
    /// # Errors
    /// Those of opening, of planning and of [`Reference::measure`].
    pub fn new(
        source: ModelFiles,
        importance: Option<PathBuf>,
        options: ModelOptions,
        clips: &[Clip],
        work: &Path,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self> {
        let reference = Reference::measure(&Model::open(&source, &options)?, clips, progress)?;
        let unwritable = |error: std::io::Error| {
            Error::output(format!("{}: cannot make a folder in it: {error}", work.display()))
                .with_remedy(Remedy::OtherWorkFolder)
        };
        // One name, so that what an interrupted run left is written over.
        let folder = work.join("trial");
        std::fs::create_dir_all(&folder).map_err(unwritable)?;
        let patterns =
            Group::ALL.map(|group| Override::new(group.pattern(), GgmlType::F16.name()).map(|item| (group, item)));
        let patterns = patterns.into_iter().collect::<std::result::Result<Vec<_>, _>>().map_err(converted)?;
        let mut trial = Self { source, importance, options, reference, folder, patterns, rest: 0 };
        // The header that a recipe with all groups has.
        let exact = trial.make(recipe(&Group::ALL.map(|group| (group, GgmlType::F16)))?, false)?;
        let whole: u64 = exact.file_bytes.iter().sum();
        trial.rest = whole.saturating_sub(Group::ALL.iter().map(|group| trial.group_bytes(&exact.plan, *group)).sum());
        Ok(trial)
    }

    /// Tokens along which the reference was measured.
    pub fn positions(&self) -> usize {
        self.reference.positions()
    }

    /// Makes and measures the model with these types.
    ///
    /// # Errors
    /// Those of quantizing and of comparing.
    pub fn measure_plan(&self, types: &Recipe) -> Result<Measured> {
        let report = self.make(types.clone(), false)?;
        let files = ModelFiles { decoder: report.plan.decoder.path, encoder: report.plan.encoder.path };
        let cost = compare(&Model::open(&files, &self.options)?, &self.reference, &mut |_| {})?;
        Ok(Measured {
            bytes: report.file_bytes.iter().sum(),
            kl: cost.kl.mean,
            flip_rate: cost.flip_rate,
            perplexity: cost.perplexity,
        })
    }

    fn make(&self, types: Recipe, dry_run: bool) -> Result<qasr_convert::Report> {
        let destination = Destination::Files {
            decoder: self.folder.join("trial.gguf"),
            encoder: self.folder.join("mmproj-trial.gguf"),
        };
        let mut options = QuantizeOptions::new(&self.source.decoder, &self.source.encoder, destination, types);
        options.importance.clone_from(&self.importance);
        options.dry_run = dry_run;
        qasr_convert::quantize(&options, &mut |_| {}).map_err(converted)
    }

    fn group_bytes(&self, plan: &Plan, group: Group) -> u64 {
        let is_in_group =
            |name: &str| self.patterns.iter().any(|(one, pattern)| *one == group && pattern.matches(name));
        let tensors = plan.decoder.tensors.iter().chain(&plan.encoder.tensors);
        tensors.filter(|tensor| is_in_group(&tensor.target.name)).map(|tensor| tensor.bytes()).sum()
    }
}

impl Drop for ModelTrial {
    fn drop(&mut self) {
        // Files that cannot be removed are written over by the next search.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Trial for ModelTrial {
    fn bytes(&mut self, group: Group, kind: GgmlType) -> Result<u64> {
        let report = self.make(recipe(&[(group, kind)])?, true)?;
        Ok(self.group_bytes(&report.plan, group))
    }

    fn rest(&mut self) -> Result<u64> {
        Ok(self.rest)
    }

    fn measure(&mut self, types: &[(Group, GgmlType)]) -> Result<Measured> {
        self.measure_plan(&recipe(types)?)
    }
}

/// The types as a recipe: f16 where nothing is said.
///
/// # Errors
/// Never for groups and types that exist.
pub fn recipe(types: &[(Group, GgmlType)]) -> Result<Recipe> {
    let mut plan = Recipe::pair(FileType::F16, FileType::F16);
    for (group, kind) in types {
        plan.overrides.push(Override::new(group.pattern(), kind.name()).map_err(converted)?);
    }
    Ok(plan)
}
