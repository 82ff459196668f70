//! Every tensor by name before a byte of data is touched.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use qasr_format::GgmlType;
use qasr_format::gguf::PlannedTensor;
use qasr_format::schema::Arch;
use qasr_format::schema::tensors as names;

use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::{ConvertError, Result};
use crate::file_type::{Choice, FileType};
use crate::folder;
use crate::map::{Naming, Target, is_of_adapter};
use crate::recipe::{Chooser, Recipe};
use crate::store::SourceTensor;

/// Where a tensor's values come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A tensor of the checkpoint, or of the pair that is quantized.
    Stored(SourceTensor),
    /// The sinusoids, which are computed.
    Positions,
}

/// One tensor to be written.
#[derive(Debug, Clone)]
pub struct TensorPlan {
    /// Name, shape and type in our file.
    pub target: PlannedTensor,
    /// Where the values come from.
    pub source: Source,
    /// The type with its reason.
    pub choice: Choice,
    /// How much each column counts, where that is known and makes a difference.
    pub(crate) weights: Option<Arc<[f32]>>,
}

impl TensorPlan {
    pub(crate) fn new(name: String, dims: Vec<u64>, source: Source, layers: usize, chooser: &mut Chooser) -> Self {
        let choice = chooser.choose(&name, &dims, layers);
        Self { target: PlannedTensor { name, dims, kind: choice.kind }, source, choice, weights: None }
    }

    /// Values per row.
    pub fn row_len(&self) -> u64 {
        self.target.dims.first().copied().unwrap_or(1)
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.target.dims.iter().skip(1).product()
    }

    /// Bytes in our file.
    pub fn bytes(&self) -> u64 {
        self.target.kind.row_bytes(self.row_len()).unwrap_or(0) * self.rows()
    }
}

/// One file to be written.
#[derive(Debug, Clone)]
pub struct FilePlan {
    /// Final name.
    pub path: PathBuf,
    /// The type of ordinary matrices.
    pub file_type: FileType,
    /// The label in the file's name: the type's or the recipe's name.
    pub label: String,
    /// Its tensors in file order.
    pub tensors: Vec<TensorPlan>,
}

impl FilePlan {
    /// Bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(TensorPlan::bytes).sum()
    }

    /// How many tensors get which type: "140 q4_k, 57 q6_k, 113 f32".
    pub fn types(&self) -> String {
        let mut counts: BTreeMap<GgmlType, usize> = BTreeMap::new();
        for tensor in &self.tensors {
            *counts.entry(tensor.target.kind).or_default() += 1;
        }
        counts.iter().map(|(kind, n)| format!("{n} {kind}")).collect::<Vec<_>>().join(", ")
    }

    /// One line for each group of tensors that could not have the type the recipe wanted; layers are counted
    /// together: "a.blk.*.attn_q.weight × 18: iq4_nl instead of q4_k, rows of 896 do not divide …".
    pub fn fallbacks(&self) -> Vec<String> {
        let what = |tensor: &TensorPlan| {
            let wanted = tensor.choice.instead_of?;
            Some(format!("{} instead of {wanted} ({}: {})", tensor.target.kind, tensor.choice.reason, tensor.row_len()))
        };
        let groups = grouped(self.tensors.iter().filter_map(|tensor| Some((tensor, what(tensor)?))));
        groups.into_iter().map(|(name, tensors, what)| format!("{name} × {}: {what}", tensors.len())).collect()
    }

    /// One line for each group of tensors of one name, type and shape.
    fn groups(&self) -> Vec<String> {
        let key = |tensor: &TensorPlan| (tensor.target.kind, tensor.target.dims.clone());
        let line = |(name, tensors, (kind, dims)): (String, Vec<&TensorPlan>, (GgmlType, Vec<u64>))| {
            let megabytes = tensors.iter().map(|tensor| tensor.bytes()).sum::<u64>() as f64 / 1e6;
            let (count, shape) = (format!("× {}", tensors.len()), shape(&dims));
            let name = if let [only] = tensors.as_slice() { &only.target.name } else { &name };
            format!("  {name:<32} {count:>5}  {:<6} {shape:<18} {megabytes:>9.3} MB", kind.name())
        };
        grouped(self.tensors.iter().map(|tensor| (tensor, key(tensor)))).into_iter().map(line).collect()
    }

    fn every_tensor(&self) -> Vec<String> {
        let line = |tensor: &TensorPlan| {
            let source = match &tensor.source {
                Source::Stored(source) => source.name.as_str(),
                Source::Positions => "(sinusoids)",
            };
            let reason = match tensor.choice.instead_of {
                Some(wanted) => format!("instead of {wanted}: {}", tensor.choice.reason),
                None => tensor.choice.reason.to_owned(),
            };
            let (name, kind) = (&tensor.target.name, tensor.target.kind.name());
            let (shape, bytes) = (shape(&tensor.target.dims), tensor.bytes());
            format!("  {name:<32} {kind:<6} {shape:<18} {bytes:>11}  {source}  [{reason}]")
        };
        self.tensors.iter().map(line).collect()
    }
}

/// Tensors of equal name but for the number of their layer, and of equal key, in the order of the first of each group.
fn grouped<'t, K: PartialEq>(
    tensors: impl Iterator<Item = (&'t TensorPlan, K)>,
) -> Vec<(String, Vec<&'t TensorPlan>, K)> {
    let mut groups: Vec<(String, Vec<&TensorPlan>, K)> = Vec::new();
    for (tensor, key) in tensors {
        let parts: Vec<&str> =
            tensor.target.name.split('.').map(|part| if is_number(part) { "*" } else { part }).collect();
        let name = parts.join(".");
        match groups.iter_mut().find(|(other, _, of)| *other == name && *of == key) {
            Some((_, group, _)) => group.push(tensor),
            None => groups.push((name, vec![tensor], key)),
        }
    }
    groups
}

/// "1024 × 3072".
fn shape(dims: &[u64]) -> String {
    dims.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ")
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// Both files.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Model name in names and metadata.
    pub name: String,
    /// Architecture of the decoder file.
    pub arch: Arch,
    /// The decoder file.
    pub decoder: FilePlan,
    /// The mmproj file.
    pub encoder: FilePlan,
    /// Whether the token table is the output head, whatever head the checkpoint stores.
    pub(crate) ties_head: bool,
    /// Good to know about the tensors' names.
    pub(crate) notes: Vec<String>,
}

impl Plan {
    /// Names both files: `NAME-LABEL.gguf` and `mmproj-NAME-LABEL.gguf`.
    pub(crate) fn new(wanted: Wanted, decoder: Vec<TensorPlan>, encoder: Vec<TensorPlan>) -> Self {
        let Wanted { name, out_dir, arch, types } = wanted;
        let [decoder_label, encoder_label] = types.labels();
        let file = |prefix: &str, file_type, label: String, tensors| FilePlan {
            path: out_dir.join(format!("{prefix}{name}-{label}.gguf")),
            file_type,
            label,
            tensors,
        };
        Self {
            name: name.to_owned(),
            arch,
            decoder: file("", types.decoder, decoder_label, decoder),
            encoder: file("mmproj-", types.encoder, encoder_label, encoder),
            ties_head: false,
            notes: Vec::new(),
        }
    }

    /// Every tensor of both files.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = &TensorPlan> {
        self.decoder.tensors.iter().chain(&self.encoder.tensors)
    }

    /// The plan as text: both files with their sizes in bytes, and the size of the pair. Layers are counted together, or
    /// every tensor has a line with its source and the reason for its type.
    pub(crate) fn describe(&self, sizes: [u64; 2], every_tensor: bool) -> String {
        let mut lines = vec![format!("{} as {}", self.name, self.arch.name())];
        for (file, size) in [&self.decoder, &self.encoder].into_iter().zip(sizes) {
            lines.extend([String::new(), file.path.display().to_string()]);
            lines.push(format!("  {}: {} tensors: {}", file.label, file.tensors.len(), file.types()));
            lines.extend(if every_tensor { file.every_tensor() } else { file.groups() });
            lines.push(format!("  {size} bytes"));
        }
        let fallbacks = [self.decoder.fallbacks(), self.encoder.fallbacks()].concat();
        if !fallbacks.is_empty() {
            lines.extend([String::new(), "fallbacks:".to_owned()]);
            lines.extend(fallbacks.iter().map(|line| format!("  {line}")));
        }
        let pair: u64 = sizes.iter().sum();
        lines.push(format!("\nboth files: {:.1} MB ({pair} bytes)\n", pair as f64 / 1e6));
        lines.join("\n")
    }
}

/// The request that the plan is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub name: &'a str,
    pub out_dir: &'a Path,
    pub arch: Arch,
    pub types: &'a Recipe,
}

/// Assigns every tensor of the checkpoint to a tensor of our files and every one of ours to a source.
///
/// # Errors
/// One error that lists every tensor that is unmapped, missing, extra, misshapen or given twice.
pub(crate) fn make(checkpoint: &Checkpoint, config: &ModelConfig, wanted: Wanted) -> Result<Plan> {
    let mut problems = Vec::new();
    let mut sources: HashMap<(Target, String), &SourceTensor> = HashMap::new();
    let all_names = checkpoint.tensors().iter().map(|tensor| tensor.name.as_str());
    if let Some(name) = all_names.clone().find(|name| is_of_adapter(name)) {
        return Err(folder::unmerged(checkpoint.dir(), name));
    }
    // The two families differ in what they do with a head beside a tied table: see `Tying`.
    let is_port = all_names.clone().any(|name| name.contains("language_model."));
    let naming = Naming::find(all_names);
    for tensor in checkpoint.tensors() {
        let Some(target) = naming.map(&tensor.name) else {
            problems.push(format!("unmapped: '{}' {:?} is no tensor of a Qwen3-ASR model", tensor.name, tensor.shape));
            continue;
        };
        if let Some(other) = sources.insert(target.clone(), tensor) {
            problems.push(format!("twice: '{}' and '{}' are both {}", other.name, tensor.name, target.1));
        }
    }
    let mut decoder_tensors = config.decoder.tensors();
    let head = (Target::Decoder, names::OUTPUT.to_owned());
    if sources.contains_key(&head) || config.tying.needs_head(is_port) {
        decoder_tensors.push((head.1, vec![config.decoder.width, config.decoder.vocabulary]));
    }
    let mut chooser = Chooser::new(wanted.types);
    let mut assign = |target: Target, expected: Vec<(String, Vec<u64>)>, layers: usize| {
        let mut planned = Vec::new();
        for (name, dims) in expected {
            let source = if name == names::POSITION_EMBD {
                Source::Positions
            } else if let Some(&source) = sources.get(&(target, name.clone())) {
                if !has_shape(source, &dims) {
                    problems.push(format!(
                        "misshapen: '{}' is {:?}, but config.json makes it {:?}",
                        source.name,
                        source.shape,
                        dims.iter().rev().collect::<Vec<_>>()
                    ));
                }
                sources.remove(&(target, name.clone()));
                Source::Stored(source.clone())
            } else {
                problems.push(format!("missing: nothing in the checkpoint becomes {name} {dims:?}"));
                continue;
            };
            planned.push(TensorPlan::new(name, dims, source, layers, &mut chooser));
        }
        planned
    };
    let decoder = assign(Target::Decoder, decoder_tensors, config.decoder.layers);
    let encoder = assign(Target::Encoder, config.encoder.tensors(), config.encoder.layers);
    for source in sources.values() {
        problems.push(format!("extra: '{}' {:?} is beyond the sizes in config.json", source.name, source.shape));
    }
    if !problems.is_empty() {
        problems.sort();
        let count = problems.len();
        // How names and files were chosen may be the reason.
        problems.extend(checkpoint.notes().iter().chain(&naming.notes()).map(|note| format!("note: {note}")));
        return Err(ConvertError::checkpoint(format!(
            "{}: its tensors do not match its config.json ({} problems); use the files of one checkpoint together:",
            checkpoint.dir().display(),
            count
        ))
        .with_items(problems));
    }
    chooser.finish()?;
    let ties_head = config.tying.replaces_head(is_port);
    Ok(Plan { ties_head, notes: naming.notes(), ..Plan::new(wanted, decoder, encoder) })
}

/// The checkpoint's order is the reverse of ours. Convolution biases are [channels] there and [1, 1, channels] here.
fn has_shape(source: &SourceTensor, dims: &[u64]) -> bool {
    let reversed = source.shape.iter().rev();
    reversed.clone().eq(dims) || (dims.len() == 3 && dims[..2] == [1, 1] && reversed.eq(&dims[2..]))
}
