//! No output may replace an input or another output.

use qasr::error::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The places of a command line, with a name for what lies or will lie there.
#[derive(Debug, Default)]
pub struct Places {
    taken: HashMap<PathBuf, &'static str>,
}

impl Places {
    /// Takes a place that is read or kept.
    pub fn take(&mut self, path: &Path, name: &'static str) {
        self.taken.entry(place(path)).or_insert(name);
    }

    /// Takes the place of an output. `flag` names it: "--details".
    ///
    /// # Errors
    /// A usage error when the place is taken.
    pub fn write(&mut self, path: &Path, flag: &'static str) -> Result<()> {
        match self.taken.insert(place(path), "another output") {
            None => Ok(()),
            Some(name) => {
                let path = path.display();
                Err(Error::usage(format!("{flag} {path} would replace {name}: choose another name")))
            }
        }
    }
}

/// Where a file lies or would lie, whatever the spelling.
pub fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    path.canonicalize().unwrap_or_else(|_| match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        // Writing will fail and report why.
        _ => path.to_path_buf(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_whatever_its_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("talk.wav"), "RIFF").unwrap();
        std::fs::create_dir(at("inner")).unwrap();
        let mut places = Places::default();
        places.take(&at("talk.wav"), "a recording");
        let error = places.write(&at("inner/../talk.wav"), "-o").unwrap_err().to_string();
        assert!(
            error.starts_with("-o ") && error.ends_with("would replace a recording: choose another name"),
            "{error}"
        );
        assert!(
            places.write(&at("new.json"), "-oj").is_ok() && places.write(Path::new("no/folder/new.json"), "-o").is_ok()
        );
        let error = places.write(&at("inner/../new.json"), "--details").unwrap_err().to_string();
        assert!(error.contains("--details") && error.contains("would replace another output"), "{error}");
    }
}
