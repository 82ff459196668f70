//! Shared by `recipe` and `quant-report`: making variants of a model in a folder and measuring them.

use super::exit::Exit;
use super::interrupt;
use super::messages::{self, Messages};
use clap::Args;
use qasr::ModelOptions;
use qasr::error::{Error, Result};
use qasr_measure::journal::{Identity, Journal, Line};
use std::fs;
use std::path::{Path, PathBuf};

/// Where variants are made and with regard to what, and how they are measured.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Importance matrix (`qasr imatrix` collects one)
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,

    /// Folder for models and results to keep [default: none kept]
    ///
    /// The next run need not make them again.
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,

    /// Skip longer recordings in the KL measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = parse_seconds)]
    pub longest: f64,

    /// Most threads [default: one for each performance core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=512))]
    pub threads: Option<u32>,

    /// Only the tables, warnings and errors
    #[arg(long, help_heading = "Messages")]
    pub no_prints: bool,
}

impl WorkArgs {
    /// How models are opened.
    pub fn model_options(&self) -> ModelOptions {
        let mut options = ModelOptions::default();
        options.threads = self.threads.map_or(0, |threads| threads as usize);
        options
    }

    /// Does the work and prints what it found, or why it did not.
    pub fn finish(&self, work: impl FnOnce(&Messages) -> Result<String>) -> Exit {
        let messages = Messages::new(self.no_prints, false);
        let result = work(&messages);
        messages.clear_progress();
        match result {
            Ok(text) => messages::print_result(&text),
            Err(error) => messages.failure(&error),
        }
    }
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
                let sentence = format!(
                    "finished measurements are kept in {}; type the same command again to go on",
                    path.display()
                );
                interrupt::install_ending(sentence, || {})?;
                Ok(Self::Kept(path.clone()))
            }
            None => {
                let folder = tempfile::Builder::new().prefix("qasr-").tempdir();
                let unmade =
                    |error| Error::output(format!("cannot make a temporary folder: {error}; name one with --work"));
                let folder = folder.map_err(unmade)?;
                let path = folder.path().to_path_buf();
                // Ctrl-C would not remove it, and it holds whole models.
                let sentence = "nothing was written; with --work DIR finished measurements are kept".to_owned();
                interrupt::install_ending(sentence, move || drop(fs::remove_dir_all(&path)))?;
                Ok(Self::Temporary(folder))
            }
        }
    }

    /// The journal of a measurement, one for every identity.
    pub fn journal<L: Line>(&self, name: &str, identity: &Identity) -> Result<Journal<L>> {
        let path = self.path().join(format!("{name}-{}.jsonl", identity.short_hash()));
        Journal::open(&path, identity).map_err(|error| {
            Error::new(error.kind(), format!("{error}: remove that file, or choose another --work folder"))
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

fn parse_seconds(typed: &str) -> std::result::Result<f64, String> {
    match typed.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1200.0 => Ok(seconds),
        _ => Err("write seconds, above 0 and at most 1200".into()),
    }
}
