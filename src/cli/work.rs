//! The folder that variants of a model are made in.

use clap::Args;
use qasr::error::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Where variants are made, and with regard to what.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Importance matrix (`qasr imatrix` collects one)
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,

    /// Folder for model files and results that the next run need not make again [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,
}

/// The folder; a temporary one is removed with this.
pub enum Work {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Work {
    /// Makes the folder that `args` names, or a temporary one.
    pub fn open(args: &WorkArgs) -> Result<Self> {
        match &args.work {
            Some(path) => {
                let unmade = |error| Error::output(format!("{}: cannot make the folder: {error}", path.display()));
                fs::create_dir_all(path).map_err(unmade)?;
                Ok(Self::Kept(path.clone()))
            }
            None => {
                let folder = tempfile::Builder::new().prefix("qasr-").tempdir();
                let unmade =
                    |error| Error::output(format!("cannot make a temporary folder: {error}; name one with --work"));
                Ok(Self::Temporary(folder.map_err(unmade)?))
            }
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}
