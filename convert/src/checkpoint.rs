//! A checkpoint directory: which files it has and which tensors they hold.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use qasr_format::pointer;
use serde_json::Value;

use crate::error::{ConvertError, Result};
use crate::folder;
use crate::safetensors;
use crate::sha256;
use crate::store::{SourceTensor, Store};

/// Largest JSON or text file read whole, in bytes; real vocabularies take 3 MB.
const MAX_TEXT: u64 = 64 << 20;

/// The weights of a checkpoint, opened, their headers checked; no values read yet.
#[derive(Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    store: Store,
    tensors: Vec<SourceTensor>,
    notes: Vec<String>,
    warnings: Vec<String>,
}

impl Checkpoint {
    /// Opens the directory `dir`: `model.safetensors`, or the files that `model.safetensors.index.json` names, or all
    /// of `model*.safetensors`. That is the order of transformers, which does not open the index where
    /// `model.safetensors` is there.
    ///
    /// # Errors
    /// When there are no weights, a file is missing or damaged, a tensor is in two files, or the index that is used and
    /// the files disagree.
    pub fn open(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            return Err(ConvertError::checkpoint(format!(
                "{}: not a directory; give the directory that holds config.json and model.safetensors",
                dir.display()
            )));
        }
        let Weights { names, index } = Weights::find(dir)?;
        let (notes, warnings) = folder::unused(dir, &names);
        let mut files = Vec::new();
        let mut tensors: Vec<SourceTensor> = Vec::new();
        let mut holder: HashMap<String, usize> = HashMap::new();
        let mut buffers: Vec<String> = Vec::new();
        let mut problems = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let opened = safetensors::open(&dir.join(name), i)?;
            for tensor in opened.tensors.iter().map(|tensor| &tensor.name).chain(&opened.buffers) {
                if let Some(other) = holder.insert(tensor.clone(), i) {
                    problems.push(format!("'{tensor}' is in {} and in {name}", names[other]));
                }
                if let Some(promised) = index.as_ref().and_then(|index| index.get(tensor))
                    && promised != name
                {
                    problems.push(format!("'{tensor}' is in {name}, but the index says {promised}"));
                }
            }
            tensors.extend(opened.tensors);
            buffers.extend(opened.buffers);
            files.push(opened.file);
        }
        for (tensor, file) in index.iter().flatten() {
            if !holder.contains_key(tensor) {
                problems.push(format!("'{tensor}' should be in {file} but is not"));
            }
        }
        if !problems.is_empty() {
            problems.sort();
            let files =
                if index.is_some() { format!("{INDEX} and the weight files") } else { "the weight files".into() };
            return Err(ConvertError::checkpoint(format!(
                "{}: {files} contradict each other; download the whole checkpoint again, or leave only the files of one \
                 checkpoint:",
                dir.display()
            ))
            .with_items(problems));
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let mut checkpoint = Self { dir: dir.to_path_buf(), store: Store { files }, tensors, notes, warnings };
        buffers.sort();
        if let Some(first) = buffers.first() {
            let count = buffers.len();
            checkpoint
                .notes
                .push(format!("{count} buffers that the model computes by itself, such as '{first}', were left out"));
        }
        Ok(checkpoint)
    }

    /// Good to know about what was and was not used.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Unused files in the directory that could change the model's output.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every tensor, sorted by name.
    pub fn tensors(&self) -> &[SourceTensor] {
        &self.tensors
    }

    /// The weight files, to read values from.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A fingerprint of everything conversion depends on: SHA-256 over one line per file, `<sha256>  <name>`, sorted
    /// by name, which is what `sha256sum FILES | sha256sum` prints. Also the SHA-256 of each file, in that form.
    /// `rare` are files that only some checkpoints need.
    ///
    /// # Errors
    /// When a file cannot be read. `progress` gets the number of hashed bytes.
    pub fn fingerprint(&self, rare: &[&str], progress: &mut dyn FnMut(u64)) -> Result<(String, Vec<String>)> {
        let mut done = 0;
        let mut lines = Vec::new();
        for name in self.file_names(rare) {
            let path = self.dir.join(&name);
            let hash = sha256::of_file(&path, &mut |bytes| {
                done += bytes;
                progress(done);
            })
            .map_err(|error| ConvertError::unreadable(&path, &error))?;
            lines.push(format!("{hash}  {name}"));
        }
        let all: String = lines.iter().map(|line| format!("{line}\n")).collect();
        Ok((sha256::of(all.as_bytes()), lines))
    }

    /// Text of the length that [`Self::fingerprint`] gives, without reading anything: for sizes.
    pub fn blank_fingerprint(&self, rare: &[&str]) -> (String, Vec<String>) {
        let hash = "0".repeat(64);
        let lines = self.file_names(rare).iter().map(|name| format!("{hash}  {name}")).collect();
        (hash, lines)
    }

    /// Names of all files that conversion depends on, sorted.
    fn file_names(&self, rare: &[&str]) -> Vec<String> {
        let meta = META_FILES.iter().chain(rare);
        let mut names: Vec<String> =
            meta.filter(|name| self.dir.join(name).is_file()).map(|&name| name.to_owned()).collect();
        for file in &self.store.files {
            names.extend(file.path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
        names.sort();
        names
    }
}

/// Files beside the weights whose content goes into our files.
const META_FILES: [&str; 8] = [
    "config.json",
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
];

/// The file that holds all weights, where there is one.
pub(crate) const SINGLE: &str = "model.safetensors";
/// The file that says which of several weight files holds which tensor.
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// Which files hold the weights.
struct Weights {
    /// Sorted.
    names: Vec<String>,
    /// Tensor → file, if that was read.
    index: Option<HashMap<String, String>>,
}

impl Weights {
    fn find(dir: &Path) -> Result<Self> {
        if dir.join(SINGLE).is_file() {
            return Ok(Self { names: vec![SINGLE.to_owned()], index: None });
        }
        let index_path = dir.join(INDEX);
        if index_path.is_file() {
            let index = read_index(&index_path)?;
            let names: Vec<String> = index.values().cloned().collect::<BTreeSet<String>>().into_iter().collect();
            let missing: Vec<_> = names.iter().filter(|name| !dir.join(name).is_file()).cloned().collect();
            if !missing.is_empty() {
                let tensors = index.values().filter(|file| missing.contains(file)).count();
                let what = format!("{INDEX} puts {tensors} of {} tensors there", index.len());
                return Err(folder::missing_shards(dir, &missing, &what));
            }
            return Ok(Self { names, index: Some(index) });
        }
        let mut names = folder::file_names(dir)?;
        names.retain(|name| name.starts_with("model") && name.ends_with(".safetensors") && dir.join(name).is_file());
        if names.is_empty() {
            return Err(folder::without_weights(dir));
        }
        let missing = folder::gaps(&names);
        if !missing.is_empty() {
            let what = format!("the names of the others, such as {}, count it", names[0]);
            return Err(folder::missing_shards(dir, &missing, &what));
        }
        Ok(Self { names, index: None })
    }
}

/// Tensor → file, as the index says it. File names must be plain: an index cannot point outside its directory.
fn read_index(path: &Path) -> Result<HashMap<String, String>> {
    let json = read_json(path)?;
    let wrong = |what: String| ConvertError::checkpoint(format!("{}: {what}", path.display()));
    let map = json["weight_map"].as_object().ok_or_else(|| wrong("has no 'weight_map'".to_owned()))?;
    let mut index = HashMap::new();
    for (tensor, file) in map {
        let file = file
            .as_str()
            .filter(|name| !name.is_empty() && !name.contains(['/', '\\']) && *name != ".." && *name != ".")
            .ok_or_else(|| wrong(format!("names no proper file for tensor '{tensor}'")))?;
        index.insert(tensor.clone(), file.to_owned());
    }
    if index.is_empty() {
        return Err(wrong("lists no tensors".to_owned()));
    }
    Ok(index)
}

/// The text of a file of at most 64 MiB.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let len = fs::metadata(path).map_err(|e| ConvertError::unreadable(path, &e))?.len();
    if len > MAX_TEXT {
        return Err(ConvertError::checkpoint(format!("{}: {len} bytes are too many for this file", path.display())));
    }
    let text = fs::read_to_string(path).map_err(|e| ConvertError::unreadable(path, &e))?;
    if pointer::is_pointer(text.as_bytes()) {
        return Err(ConvertError::checkpoint(format!("{}: {}", path.display(), pointer::ADVICE)));
    }
    Ok(text)
}

/// The content of a JSON file.
pub(crate) fn read_json(path: &Path) -> Result<Value> {
    serde_json::from_str(&read_text(path)?)
        .map_err(|e| ConvertError::checkpoint(format!("{}: not valid JSON: {e}", path.display())))
}

/// The content of a JSON file, or `None` if there is no such file.
pub(crate) fn find_json(path: &Path) -> Result<Option<Value>> {
    if path.is_file() { read_json(path).map(Some) } else { Ok(None) }
}
