//! The recordings of a command line: files as they were typed, and those of folders.

use qasr::audio;
use qasr::error::{Error, Result};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A recording, or why there is none.
#[derive(Debug)]
pub struct Input {
    pub path: PathBuf,
    /// Its folder below the one that was typed; empty for a file that was typed.
    pub below: PathBuf,
    /// A folder that cannot be read.
    pub fault: Option<Error>,
}

pub fn is_stdin(input: &Path) -> bool {
    input.as_os_str() == "-"
}

/// The recordings, those of a folder sorted by name. Hidden files are left out, and other folders in a folder unless
/// `is_recursive`.
///
/// # Errors
/// A usage error for a folder in which there is no recording.
pub fn expand<'a>(typed: impl Iterator<Item = &'a PathBuf>, is_recursive: bool) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in typed {
        if is_stdin(path) || !path.is_dir() {
            inputs.push(Input { path: path.clone(), below: PathBuf::new(), fault: None });
            continue;
        }
        let mut folder = Folder { inputs: Vec::new(), is_recursive, has_folders: false, seen: HashSet::new() };
        folder.read(path, Path::new(""));
        if folder.inputs.is_empty() {
            let deeper = if folder.has_folders && !is_recursive { "; for its folders add --recursive" } else { "" };
            return Err(Error::usage(format!(
                "{}: there are no recordings in this folder ({}, …){deeper}",
                path.display(),
                audio::EXTENSIONS[..9].join(", ")
            )));
        }
        inputs.append(&mut folder.inputs);
    }
    Ok(inputs)
}

struct Folder {
    inputs: Vec<Input>,
    is_recursive: bool,
    has_folders: bool,
    /// Folders that were read: links may lead in circles.
    seen: HashSet<PathBuf>,
}

impl Folder {
    /// Adds the recordings of a folder, which lies at `below` in the one that was typed.
    fn read(&mut self, folder: &Path, below: &Path) {
        if !self.seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.to_owned())) {
            return;
        }
        let entries = fs::read_dir(folder).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()
        });
        let mut paths = match entries {
            Ok(paths) => paths,
            Err(error) => {
                let fault = Error::audio(format!("{}: the folder cannot be read: {error}", folder.display()));
                self.inputs.push(Input { path: folder.to_owned(), below: below.to_owned(), fault: Some(fault) });
                return;
            }
        };
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_owned();
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                self.has_folders = true;
                if self.is_recursive {
                    self.read(&path, &below.join(name));
                }
            } else if audio::is_recording_name(&path) {
                self.inputs.push(Input { path, below: below.to_owned(), fault: None });
            }
        }
    }
}
