//! Where the numbers come from: versions, commit, and which files were used, by size and checksum.

use crate::failure::Failure;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file that was worked on.
#[derive(Debug, Clone)]
pub struct Input {
    pub path: PathBuf,
    pub bytes: u64,
    /// Absent where the machine has no `sha256sum`.
    pub sha256: Option<String>,
}

/// What a command prints about itself, or `None` where it fails: not every program knows `--version`.
pub fn version(command: &[String]) -> Option<String> {
    let (program, rest) = command.split_first()?;
    printed(program, rest)
}

/// The commit of the working folder, and whether tracked files differ from it.
pub fn commit() -> String {
    let git = |words: &[&str]| printed("git", &words.iter().map(|word| word.to_string()).collect::<Vec<_>>());
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
pub fn inputs(model: &Path, audio: &Path) -> Result<Vec<Input>, Failure> {
    let mut paths = vec![audio.to_path_buf()];
    let folder = if model.is_dir() { model } else { model.parent().unwrap_or(Path::new("")) };
    if !model.is_dir() {
        paths.push(model.to_path_buf());
    }
    let listed = fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let mut beside: Vec<PathBuf> = listed
        .map_err(|error| Failure::usage(format!("the model's folder {} cannot be read: {error}", folder.display())))?
        .filter_map(|entry| entry.ok().map(|entry| folder.join(entry.file_name())))
        .filter(|path| path.extension().is_some_and(|extension| extension == "gguf"))
        .filter(|path| model.is_dir() || path.file_name().is_some_and(|name| name.to_string_lossy().contains("mmproj")))
        .filter(|path| path != model)
        .collect();
    beside.sort();
    paths.extend(beside);
    paths.iter().map(|path| input(path)).collect()
}

fn input(path: &Path) -> Result<Input, Failure> {
    let metadata =
        fs::metadata(path).map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))?;
    let sum = printed("sha256sum", &[path.to_string_lossy().into_owned()]);
    // A backslash before the sum means that the file's name was escaped; the sum is the same.
    let sha256 = sum.and_then(|line| line.split_whitespace().next().map(|sum| sum.trim_start_matches('\\').to_owned()));
    Ok(Input { path: path.to_path_buf(), bytes: metadata.len(), sha256 })
}

fn printed(program: &str, words: &[String]) -> Option<String> {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoders_beside_a_model_belong_to_it() {
        let folder = std::env::temp_dir().join(format!("qasr-bench-inputs-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        for (name, content) in
            [("m-q4_0.gguf", "abc"), ("mmproj-m.gguf", "de"), ("other.gguf", "f"), ("notes.txt", ""), ("a.wav", "wav!")]
        {
            fs::write(folder.join(name), content).unwrap();
        }
        let found = |model: &Path| -> Vec<(String, u64)> {
            let inputs = inputs(model, &folder.join("a.wav")).unwrap();
            inputs
                .iter()
                .map(|input| (input.path.file_name().unwrap().to_string_lossy().into_owned(), input.bytes))
                .collect()
        };
        let of_file = found(&folder.join("m-q4_0.gguf"));
        let of_folder = found(&folder);
        let missing = inputs(&folder.join("m.gguf"), &folder.join("a.wav")).unwrap_err();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(of_file, [("a.wav".into(), 4), ("m-q4_0.gguf".into(), 3), ("mmproj-m.gguf".into(), 2)]);
        assert_eq!(
            of_folder,
            [("a.wav".into(), 4), ("m-q4_0.gguf".into(), 3), ("mmproj-m.gguf".into(), 2), ("other.gguf".into(), 1)]
        );
        assert!(missing.to_string().contains("m.gguf"), "{missing}");
    }

    #[test]
    fn a_program_without_a_version_has_none() {
        assert_eq!(version(&["no-such-program-here".into(), "--version".into()]), None);
        assert_eq!(version(&["false".into()]), None);
        assert_eq!(version(&["echo".into(), "v1".into()]).as_deref(), Some("v1"));
    }
}
