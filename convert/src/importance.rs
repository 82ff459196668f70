//! Which columns count how much: from the file that was asked for to the tensors of a plan.

use std::path::Path;
use std::sync::Arc;

use qasr_format::{GgmlType, Importance};

use crate::error::{ConvertError, Result};
use crate::plan::{FilePlan, Plan, Source, TensorPlan};
use crate::verify::is_matrix;

/// How an importance matrix was used.
#[derive(Debug, Clone)]
pub struct ImportanceUse {
    /// Its file name.
    pub file: String,
    /// The manifests or texts that it was recorded from.
    pub datasets: Vec<String>,
    /// How many pieces were recorded.
    pub chunks: u32,
    /// How many matrices it holds.
    pub entries: usize,
    /// How many matrices it was used for: those that are encoded in a type that regards it, which q8_0 does not.
    pub used: usize,
    /// Other matrices of such types: it holds nothing of them, or only zeros, and all columns counted the same there.
    pub missing: Vec<String>,
}

/// Least weight of a column, as a share of the mean: a column that was never active still has values to keep.
const LEAST: f64 = 1e-6;
/// Means outside this range are brought to 1, so that ggml's sums of products stay far from the ends of f32.
const HARMLESS: std::ops::Range<f64> = 1e-9..1e9;

/// Reads the file at `path` and gives every matrix of the plan its columns' weights, where its type regards them.
///
/// # Errors
/// When the file is no importance matrix, belongs to no tensor of this model, or has another number of columns.
pub(crate) fn apply(path: &Path, plan: &mut Plan) -> Result<ImportanceUse> {
    let importance = Importance::read(path).map_err(|e| ConvertError::checkpoint(e.to_string()))?;
    check(path, &importance, plan)?;
    let mut report = ImportanceUse {
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        datasets: importance.datasets.clone(),
        chunks: importance.chunks,
        entries: importance.matrices.len(),
        used: 0,
        missing: Vec::new(),
    };
    for tensor in plan.decoder.tensors.iter_mut().chain(&mut plan.encoder.tensors) {
        if !regards_importance(tensor) {
            continue;
        }
        tensor.weights = importance.weights(&tensor.target.name).and_then(|weights| usable(&weights)).map(Arc::from);
        match &tensor.weights {
            Some(_) => report.used += 1,
            None => report.missing.push(tensor.target.name.clone()),
        }
    }
    Ok(report)
}

/// Whether importance changes what the tensor becomes: ggml takes it for q8_0 too, and ignores it.
fn regards_importance(tensor: &TensorPlan) -> bool {
    let kind = tensor.target.kind;
    let is_copied = matches!(&tensor.source, Source::Stored(source) if source.kind == kind);
    kind.is_quantized() && kind != GgmlType::Q8_0 && !is_copied
}

fn check(path: &Path, importance: &Importance, plan: &Plan) -> Result<()> {
    let columns = |tensor: &TensorPlan| importance.matrices.get(&tensor.target.name).map(|sums| sums.squares.len());
    // Kernels are never quantized, and what is recorded of them are patches.
    let matrices = || plan.tensors().filter(|tensor| is_matrix(&tensor.target.dims));
    if matrices().all(|tensor| columns(tensor).is_none()) {
        let example = importance.matrices.keys().next().map_or("", String::as_str);
        return Err(ConvertError::checkpoint(format!(
            "{}: holds nothing about any matrix of this model (it names, for example, '{example}'): collect it with \
             `qasr imatrix`",
            path.display()
        )));
    }
    let misfits: Vec<String> = matrices()
        .filter_map(|tensor| columns(tensor).map(|columns| (tensor, columns)))
        .filter(|(tensor, columns)| *columns as u64 != tensor.row_len())
        .map(|(tensor, columns)| format!("'{}': {columns} instead of {}", tensor.target.name, tensor.row_len()))
        .collect();
    if misfits.is_empty() {
        return Ok(());
    }
    let what = format!("{}: collected with a model of other sizes; columns that do not fit:", path.display());
    Err(ConvertError::checkpoint(what).with_items(misfits))
}

/// Weights that ggml can take: none is zero, and products stay finite. `None` when all are zero.
fn usable(weights: &[f32]) -> Option<Vec<f32>> {
    let mean = weights.iter().map(|&weight| f64::from(weight)).sum::<f64>() / weights.len().max(1) as f64;
    if mean <= 0.0 {
        return None;
    }
    let scale = if HARMLESS.contains(&mean) { 1.0 } else { 1.0 / mean };
    Some(weights.iter().map(|&weight| (f64::from(weight).max(mean * LEAST) * scale) as f32).collect())
}

impl FilePlan {
    /// Whether any of its tensors is quantized with regard to importance.
    pub(crate) fn is_weighted(&self) -> bool {
        self.tensors.iter().any(|tensor| tensor.weights.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_get_a_little_and_extremes_are_scaled() {
        assert_eq!(usable(&[0.0; 4]), None);
        assert_eq!(usable(&[1.0, 2.0, 3.0]), Some(vec![1.0, 2.0, 3.0]), "ordinary weights are taken as they are");
        let weights = usable(&[0.0, 4.0]).expect("usable");
        assert!(weights[0] > 0.0 && weights[0] < 1e-5 && weights[1] == 4.0, "{weights:?}");
        for extreme in [1e38_f32, 1e-38] {
            let weights = usable(&[extreme, 0.0, 3.0 * extreme]).expect("usable");
            assert!((weights[0] - 0.75).abs() < 1e-6 && (weights[2] - 2.25).abs() < 1e-6, "{weights:?}");
        }
    }

    /// The worst sums that collecting can give: whole quantization blocks of columns that never saw anything, and sums at
    /// the ends of what f32 holds. Every type must give finite values, and what counts must be kept.
    #[test]
    fn no_importance_makes_a_value_that_is_not_finite() {
        let values: Vec<f32> = (0..512).map(|i| ((i * 7919 % 1009) as f32 / 504.5 - 1.0) * 0.3).collect();
        let mut dead = vec![0.0; 256];
        dead[200..].fill(2.0);
        let mut single = vec![0.0; 256];
        single[3] = f32::MAX;
        let tiny = vec![f32::MIN_POSITIVE; 256];
        for weights in [dead, single, tiny, vec![f32::MAX; 256]] {
            let usable = usable(&weights).expect("usable");
            for kind in ["q8_0", "q6_k", "q5_k", "q5_0", "q4_k", "q4_0", "iq4_nl"] {
                let id = GgmlType::find(kind).expect("known").id();
                let packed = ggml::quantize::quantize_rows(id, &values, 256, Some(&usable)).expect("packed");
                let back = ggml::quantize::dequantize(id, &packed, values.len()).expect("unpacked");
                let weighted = |difference: &dyn Fn(usize) -> f32| {
                    let square = |i: usize| f64::from(usable[i % 256]) * f64::from(difference(i)).powi(2);
                    (0..values.len()).map(square).sum::<f64>()
                };
                let error = (weighted(&|i| values[i] - back[i]) / weighted(&|i| values[i])).sqrt();
                // Not below: a NaN has to fail.
                assert!(error < 0.2, "{kind}: {error}");
                assert!(back.iter().all(|value| value.is_finite()), "{kind}");
            }
        }
    }
}
