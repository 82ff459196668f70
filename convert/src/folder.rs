//! What lies in a directory that should hold a checkpoint: files that are missing, files of other kinds, and files that
//! are not used. All of it becomes sentences that say what to do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::checkpoint::{INDEX, SINGLE, find_json};
use crate::error::{ConvertError, Result};

/// Files of an adapter's folder, as PEFT names them.
const ADAPTER_CONFIG: &str = "adapter_config.json";
/// Most names that one sentence lists.
const MOST_NAMES: usize = 3;
/// How far below the directory a checkpoint is looked for: `snapshots/HASH` of a Hugging Face cache.
const DEPTH: usize = 2;

/// Names of everything in the directory, sorted.
///
/// # Errors
/// When it cannot be listed.
pub(crate) fn file_names(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).map_err(|e| ConvertError::unreadable(dir, &e))?;
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// The weight files `model-00002-of-00003.safetensors` that the names of others say there should be.
pub(crate) fn gaps(names: &[String]) -> Vec<String> {
    let part = |name: &str| -> Option<(usize, usize)> {
        let (number, of) = name.strip_prefix("model-")?.strip_suffix(".safetensors")?.split_once("-of-")?;
        Some((number.parse().ok()?, of.parse().ok()?))
    };
    let counts: BTreeSet<usize> = names.iter().filter_map(|name| part(name)).map(|(_, of)| of).collect();
    let expected = counts.into_iter().filter(|&of| of < 10_000).flat_map(|of| (1..=of).map(move |number| (number, of)));
    let missing = expected.filter(|wanted| names.iter().all(|name| part(name) != Some(*wanted)));
    missing.map(|(number, of)| format!("model-{number:05}-of-{of:05}.safetensors")).collect()
}

/// Weight files that should be there and are not; `why` says who asks for them.
pub(crate) fn missing_shards(dir: &Path, missing: &[String], why: &str) -> ConvertError {
    let broken = missing.iter().find(|name| is_broken_link(&dir.join(name)));
    let found = match broken {
        Some(name) => format!("{name} is a link to a file that is not there"),
        None => format!("there is no {}", listed(missing)),
    };
    ConvertError::checkpoint(format!(
        "{}: {found}, but {why}: download the checkpoint again, all its files",
        dir.display()
    ))
}

/// Why a directory without `model*.safetensors` cannot be converted: its content, and the remedy.
pub(crate) fn without_weights(dir: &Path) -> ConvertError {
    let names = file_names(dir).unwrap_or_default();
    let with = |test: &dyn Fn(&str) -> bool| -> Vec<String> {
        names.iter().filter(|name| test(&name.to_lowercase())).cloned().collect()
    };
    let is = |ends: &'static [&'static str]| move |name: &str| ends.iter().any(|end| name.ends_with(end));
    let state = with(&|name| {
        [
            "optimizer",
            "scheduler",
            "rng_state",
            "random_states",
            "training_args",
            "trainer_state",
            "global_step",
            "zero_to_fp32",
        ]
        .iter()
        .any(|begin| name.starts_with(begin))
            || name.ends_with("_states.pt")
            || name.ends_with(".distcp")
            || name.contains("_fsdp")
    });
    let is_weight = |name: &String| !state.contains(name);
    let mut torch = with(&is(&[".bin", ".pt", ".pth", ".ckpt"]));
    torch.retain(is_weight);
    let mut others = with(&is(&[".safetensors"]));
    others.retain(is_weight);
    let parts = with(&is(&[".incomplete", ".part", ".crdownload", ".aria2", ".download", ".tmp"]));
    let foreign = with(&is(&[
        ".onnx",
        ".ort",
        ".h5",
        ".msgpack",
        ".nemo",
        ".npz",
        ".mlmodel",
        ".mlpackage",
        ".tflite",
        ".engine",
    ]));
    let models = with(&is(&[".gguf"]));
    let what = if let Some(adapter) = adapter(dir, &names) {
        format!(
            "is {adapter}, which holds only a difference to its base: merge it into that first (PEFT: `merge_and_unload`, then \
             `save_pretrained` into a new directory), and convert the result"
        )
    } else if is_broken_link(&dir.join(SINGLE)) {
        format!("{SINGLE} is a link to a file that is not there: download the checkpoint again")
    } else if let Some(place) = below(dir) {
        format!("holds no {SINGLE}, but {place} does: give that directory")
    } else if !others.is_empty() {
        let (it, is) = if others.len() == 1 { ("it", "is") } else { ("they", "are") };
        format!(
            "holds {} and no {SINGLE}: give {it} the names of a checkpoint ({SINGLE}) if {it} {is} the whole model",
            listed(&others)
        )
    } else if !models.is_empty() {
        format!("holds GGUF files ({}), which need no conversion: transcribe with them as they are", listed(&models))
    } else if !torch.is_empty() {
        format!(
            "holds PyTorch weights ({}), which are not read: load them and save them as safetensors (`model.save_pretrained(…, \
             safe_serialization=True)`), or download the checkpoint in that form",
            listed(&torch)
        )
    } else if !foreign.is_empty() {
        format!(
            "holds {}, which is no form of the model that can be converted: take the checkpoint in safetensors files",
            listed(&foreign)
        )
    } else if !parts.is_empty() {
        format!("holds unfinished downloads ({}) and no {SINGLE}: let them finish, or download again", listed(&parts))
    } else if !state.is_empty() {
        format!(
            "holds only the state of a training run ({}), no model: save the model itself with `save_pretrained`",
            listed(&state)
        )
    } else {
        format!("holds no {SINGLE}; give the directory of a downloaded checkpoint")
    };
    ConvertError::checkpoint(format!("{}: {what}", dir.display()))
}

/// The message about an adapter whose matrices are among the tensors of a checkpoint.
pub(crate) fn unmerged(dir: &Path, tensor: &str) -> ConvertError {
    let base = base(dir).map(|base| format!(" of {base}")).unwrap_or_default();
    ConvertError::checkpoint(format!(
        "{}: its tensors are those of a LoRA adapter{base} that was not merged (such as '{tensor}'): merge it first (PEFT: \
         `merge_and_unload`, then `save_pretrained` into a new directory), and convert the result",
        dir.display()
    ))
}

/// Notes and warnings about files beside the weight files `used` that look like weights and were not read.
pub(crate) fn unused(dir: &Path, used: &[String]) -> (Vec<String>, Vec<String>) {
    let names = file_names(dir).unwrap_or_default();
    let (mut notes, mut warnings) = (Vec::new(), Vec::new());
    let is_single = used == [SINGLE];
    if is_single && names.iter().any(|name| name == INDEX) {
        notes.push(format!("{INDEX} was not used: {SINGLE} is there and comes first, as in transformers"));
    }
    let is_shard = |name: &&String| name.starts_with("model") && name.ends_with(".safetensors") && !used.contains(name);
    let shards: Vec<String> = names.iter().filter(is_shard).cloned().collect();
    if !shards.is_empty() {
        let why = if is_single { format!("{SINGLE} comes first") } else { format!("{INDEX} does not name it") };
        notes.push(format!("{} was not used: {why}", listed(&shards)));
    }
    if let Some(adapter) = adapter(dir, &names) {
        warnings.push(format!(
            "{} is also {adapter}, which was not applied: only the base's own weights were converted",
            dir.display()
        ));
    }
    (notes, warnings)
}

/// "a LoRA adapter of Qwen/Qwen3-ASR-0.6B (adapter_config.json)", if the directory holds one.
fn adapter(dir: &Path, names: &[String]) -> Option<String> {
    let sign = names.iter().find(|name| *name == ADAPTER_CONFIG).or_else(|| {
        names.iter().find(|name| name.starts_with("adapter_model") || name.starts_with("pytorch_lora_weights"))
    })?;
    let config = find_json(&dir.join(ADAPTER_CONFIG)).ok().flatten().unwrap_or_default();
    let kind = match config["peft_type"].as_str() {
        Some("LORA") | None => "LoRA",
        Some(other) => other,
    };
    let base = match base(dir) {
        Some(base) => format!("of {base}"),
        None => "whose base is not named".to_owned(),
    };
    Some(format!("a {kind} adapter {base} ({sign})"))
}

/// The model that an adapter belongs to, as its configuration names it.
fn base(dir: &Path) -> Option<String> {
    let config = find_json(&dir.join(ADAPTER_CONFIG)).ok().flatten()?;
    config["base_model_name_or_path"].as_str().filter(|base| !base.is_empty()).map(str::to_owned)
}

/// A directory inside of `dir` that holds a checkpoint; of several the first, with how many there are.
fn below(dir: &Path) -> Option<String> {
    let mut found = Vec::new();
    collect(dir, DEPTH, &mut found);
    let first = found.first()?.display();
    Some(if found.len() == 1 { first.to_string() } else { format!("{first} (one of {})", found.len()) })
}

fn collect(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for path in file_names(dir).unwrap_or_default().iter().map(|name| dir.join(name)).filter(|path| path.is_dir()) {
        if [SINGLE, INDEX].iter().any(|name| path.join(name).is_file()) {
            found.push(path);
        } else if depth > 1 {
            collect(&path, depth - 1, found);
        }
    }
}

fn is_broken_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok() && fs::metadata(path).is_err()
}

/// "a", "a and b", "a, b, c and 4 more".
fn listed(names: &[String]) -> String {
    let shown = names.len().min(MOST_NAMES);
    match names {
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        _ if names.len() == shown => format!("{} and {}", names[..shown - 1].join(", "), names[shown - 1]),
        _ => format!("{} and {} more", names[..shown].join(", "), names.len() - shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn missing_parts_are_counted_by_the_names_of_the_others() {
        let names = owned(&["model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"]);
        assert_eq!(gaps(&names), ["model-00002-of-00003.safetensors"]);
        assert_eq!(gaps(&owned(&["model-00001-of-00001.safetensors", "model.extra.safetensors"])), [""; 0]);
        assert_eq!(gaps(&owned(&["model-00001-of-99999999999.safetensors"])), [""; 0]);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(listed(&owned(&["a"])), "a");
        assert_eq!(listed(&owned(&["a", "b"])), "a and b");
        assert_eq!(listed(&owned(&["a", "b", "c"])), "a, b and c");
        assert_eq!(listed(&owned(&["a", "b", "c", "d", "e"])), "a, b, c and 2 more");
    }
}
