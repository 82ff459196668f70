//! Every tensor by name before a byte of data is touched.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
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
    /// together: "a.blk.*.attn_q.weight (18): iq4_nl instead of q4_k, rows of 896 do not divide …".
    pub fn fallbacks(&self) -> Vec<String> {
        let mut lines: Vec<(String, usize, String)> = Vec::new();
        for tensor in &self.tensors {
            let Some(wanted) = tensor.choice.instead_of else { continue };
            let group: Vec<&str> =
                tensor.target.name.split('.').map(|part| if is_number(part) { "*" } else { part }).collect();
            let group = group.join(".");
            let what =
                format!("{} instead of {wanted} ({}: {})", tensor.target.kind, tensor.choice.reason, tensor.row_len());
            match lines.iter_mut().find(|(name, _, text)| *name == group && *text == what) {
                Some(line) => line.1 += 1,
                None => lines.push((group, 1, what)),
            }
        }
        lines.into_iter().map(|(name, count, what)| format!("{name} × {count}: {what}")).collect()
    }
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

    /// Whether the checkpoint has an output head of its own; it is dropped at writing if it equals the token table, or
    /// if its settings put the token table there.
    pub fn has_head(&self) -> bool {
        self.decoder.tensors.iter().any(|tensor| tensor.target.name == names::OUTPUT)
    }
}

/// One line per tensor: name, type, shape, bytes, source, reason; then the fallbacks and the sizes.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} as {}", self.name, self.arch.name())?;
        for file in [&self.decoder, &self.encoder] {
            writeln!(f, "\n{} ({}: {})", file.path.display(), file.label, file.types())?;
            for tensor in &file.tensors {
                let source = match &tensor.source {
                    Source::Stored(source) => source.name.as_str(),
                    Source::Positions => "(sinusoids)",
                };
                let reason = match tensor.choice.instead_of {
                    Some(wanted) => format!("instead of {wanted}: {}", tensor.choice.reason),
                    None => tensor.choice.reason.to_owned(),
                };
                let note = match tensor.target.name == names::OUTPUT {
                    true if self.ties_head => " (dropped: config.json puts the token table there)",
                    true => " (dropped if equal to the token table)",
                    false => "",
                };
                writeln!(
                    f,
                    "  {:<28} {:<6} {:<16} {:>11}  {source}  [{reason}]{note}",
                    tensor.target.name,
                    tensor.target.kind.name(),
                    format!("{:?}", tensor.target.dims),
                    tensor.bytes(),
                )?;
            }
            writeln!(f, "  {} tensors, {} bytes of data", file.tensors.len(), file.bytes())?;
        }
        let mut fallbacks = self.decoder.fallbacks();
        fallbacks.extend(self.encoder.fallbacks());
        if !fallbacks.is_empty() {
            writeln!(f, "\nfallbacks:")?;
        }
        fallbacks.iter().try_for_each(|line| writeln!(f, "  {line}"))
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
