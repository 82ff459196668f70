//! Where the numbers come from: versions, commit, and which files were used, by size and checksum.

use crate::failure::usage;
use anyhow::Result;
use qasr::ErrorKind;
use qasr_measure::identity::FileIdentity;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file that was worked on.
#[derive(Debug, Clone)]
pub struct Input {
    pub path: PathBuf,
    pub identity: FileIdentity,
}

/// The standard output of a command, or `None` where it fails: not every program knows `--version`.
pub fn printed(command: &[String]) -> Option<String> {
    let (program, words) = command.split_first()?;
    let output = Command::new(program).args(words).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The commit of the working folder, and whether tracked files differ from it.
pub fn commit() -> String {
    let git = |words: &[&str]| printed(&["git"].iter().chain(words).map(|word| word.to_string()).collect::<Vec<_>>());
    let Some(commit) = git(&["rev-parse", "HEAD"]) else {
        return "unknown: the working folder is no git checkout".into();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]).as_deref() {
        Some("") => commit,
        Some(_) => format!("{commit}, with changes that are not committed"),
        None => format!("{commit}, state of the checkout unknown"),
    }
}

/// The recording, the model, and every encoder file that lies beside the model.
pub fn inputs(model: &Path, audio: &Path) -> Result<Vec<Input>> {
    let mut paths = vec![audio.to_path_buf()];
    let folder = if model.is_dir() { model } else { model.parent().unwrap_or(Path::new("")) };
    if !model.is_dir() {
        paths.push(model.to_path_buf());
    }
    let listed = fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let mut beside: Vec<PathBuf> = listed
        .map_err(|error| usage(format!("the model's folder {} cannot be read: {error}", folder.display())))?
        .filter_map(|entry| entry.ok().map(|entry| folder.join(entry.file_name())))
        .filter(|path| path.extension().is_some_and(|extension| extension == "gguf"))
        .filter(|path| model.is_dir() || path.file_name().is_some_and(|name| name.to_string_lossy().contains("mmproj")))
        .filter(|path| path != model)
        .collect();
    beside.sort();
    paths.extend(beside);
    let input = |path: PathBuf| match FileIdentity::read(&path, ErrorKind::Usage) {
        Ok(identity) => Ok(Input { path, identity }),
        Err(error) => Err(usage(error.to_string())),
    };
    paths.into_iter().map(input).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoders_beside_a_model_belong_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, content) in
            [("m-q4_0.gguf", "abc"), ("mmproj-m.gguf", "de"), ("other.gguf", "f"), ("notes.txt", ""), ("a.wav", "wav!")]
        {
            fs::write(at(name), content).unwrap();
        }
        let found = |model: &Path| -> String {
            let inputs = inputs(model, &at("a.wav")).unwrap();
            let name = |input: &Input| input.path.file_name().unwrap().to_string_lossy().into_owned();
            inputs.iter().map(|input| format!("{} {} ", name(input), input.identity.bytes)).collect()
        };
        assert_eq!(found(&at("m-q4_0.gguf")), "a.wav 4 m-q4_0.gguf 3 mmproj-m.gguf 2 ");
        assert_eq!(found(folder.path()), "a.wav 4 m-q4_0.gguf 3 mmproj-m.gguf 2 other.gguf 1 ");
        assert!(inputs(&at("m.gguf"), &at("a.wav")).unwrap_err().to_string().contains("m.gguf"));
    }

    #[test]
    fn a_program_without_a_version_has_none() {
        let version = |words: &[&str]| printed(&words.iter().map(|word| word.to_string()).collect::<Vec<_>>());
        assert_eq!((version(&["no-such-program-here", "--version"]), version(&["false"])), (None, None));
        assert_eq!(version(&["echo", "v1"]).as_deref(), Some("v1"));
    }
}
