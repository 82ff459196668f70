//! The first line of a trace: everything except the audio that decides about the events.

use crate::shared::{KvType, ModelArgs, OpenModel};
use clap::ValueEnum;
use qasr::ModelFiles;
use qasr::error::{Error, ErrorKind, Result};
use qasr::stream::StreamOptions;
use qasr_measure::identity::FileIdentity;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of the form.
const FORM: u32 = 2;

/// Fields of headers of all forms.
#[derive(Deserialize)]
struct Form {
    qasr_trace: u32,
    version: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    qasr_trace: u32,
    /// Of the program that wrote it, for people.
    version: String,
    pub model: TracedModel,
    /// Without a clock.
    pub options: StreamOptions,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct TracedModel {
    pub name: String,
    /// Both null for the embedded demo model.
    pub decoder: Option<TracedFile>,
    pub encoder: Option<TracedFile>,
    /// Bytes of both files.
    pub bytes: u64,
    /// As typed.
    pub threads: Option<u32>,
    pub kv_type: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedFile {
    pub path: PathBuf,
    /// SHA-256 of all bytes.
    pub sha256: String,
}

impl Header {
    /// From what a run is about to use. Reads the model's files once.
    pub fn new(args: &ModelArgs, open: &OpenModel, options: &StreamOptions) -> Result<Self> {
        let info = open.model.info();
        let files = open.files.as_ref();
        Ok(Self {
            qasr_trace: FORM,
            version: qasr::VERSION.to_owned(),
            model: TracedModel {
                name: info.name.clone(),
                decoder: files.map(|files| TracedFile::new(&files.decoder)).transpose()?,
                encoder: files.map(|files| TracedFile::new(&files.encoder)).transpose()?,
                bytes: info.file_bytes,
                threads: args.compute.threads,
                kv_type: args.compute.kv_type_name(),
            },
            options: options.clone(),
        })
    }

    /// Reads the first line of a trace. The error is the end of a sentence about the file.
    pub fn parse(line: &str) -> std::result::Result<Self, String> {
        let form: Form = serde_json::from_str(line).map_err(|_| {
            "does not begin with the header of a trace: give the FILE of `qasr listen --trace FILE`".to_owned()
        })?;
        if form.qasr_trace != FORM {
            return Err(format!(
                "is a trace of form {}, and this program reads form {FORM}: use the version that wrote it ({})",
                form.qasr_trace, form.version
            ));
        }
        serde_json::from_str(line)
            .map_err(|error| format!("has a header that was changed, or is of version {}: {error}", form.version))
    }

    /// The header as a line, with its end.
    pub fn line(&self) -> Result<String> {
        let line = serde_json::to_string(self).map_err(|error| {
            Error::usage(format!("the trace cannot name its model: {error}: use paths that are Unicode text"))
        })?;
        Ok(line + "\n")
    }
}

impl TracedModel {
    /// The flags that open the same model, except where others were typed.
    pub fn args(&self, typed: &ModelArgs) -> std::result::Result<ModelArgs, String> {
        let mut args = typed.clone();
        if args.model.is_none() {
            args.model = self.decoder.as_ref().map(|file| file.path.clone());
            args.mmproj = self.encoder.as_ref().map(|file| file.path.clone());
        }
        let compute = &mut args.compute;
        compute.threads = compute.threads.or(self.threads);
        if let (true, Some(name)) = (compute.kv_types.is_empty(), &self.kv_type) {
            let kv_type =
                KvType::from_str(name, true).map_err(|_| format!("names no type of attention cache: {name}"))?;
            compute.kv_types.push(kv_type);
        }
        Ok(args)
    }

    /// Whether an open model is the one of the trace, wherever its files lie.
    pub fn is(&self, open: &OpenModel) -> Result<bool> {
        let hash = |file: &Option<TracedFile>| file.as_ref().map(|file| file.sha256.clone());
        let now = match &open.files {
            Some(ModelFiles { decoder, encoder }) => {
                (Some(TracedFile::new(decoder)?.sha256), Some(TracedFile::new(encoder)?.sha256))
            }
            None => (None, None),
        };
        Ok((hash(&self.decoder), hash(&self.encoder)) == now && self.bytes == open.model.info().file_bytes)
    }
}

impl TracedFile {
    fn new(path: &Path) -> Result<Self> {
        let sha256 = FileIdentity::read(path, ErrorKind::Model)?.sha256;
        Ok(Self { path: path.canonicalize().unwrap_or_else(|_| path.to_path_buf()), sha256 })
    }
}
