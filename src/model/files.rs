//! The pair of files a model is: the decoder and, beside it, the `mmproj` with the audio encoder.

use crate::error::{Error, Result};
use qasr_format::Gguf;
use qasr_format::schema::{encoder, general};
use std::path::{Path, PathBuf};

/// The two files of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFiles {
    /// Decoder and vocabulary.
    pub decoder: PathBuf,
    /// Audio encoder and projector.
    pub encoder: PathBuf,
}

impl ModelFiles {
    /// A pair named in full.
    pub fn pair(decoder: impl Into<PathBuf>, encoder: impl Into<PathBuf>) -> Self {
        Self { decoder: decoder.into(), encoder: encoder.into() }
    }

    /// Finds the pair for `path`: a decoder file, or a folder that holds exactly one model. The encoder is looked for
    /// beside the decoder among `.gguf` files that say they are a Qwen3-ASR encoder of the right width.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when nothing fits or several fit equally well; the sentence lists them.
    pub fn find(path: &Path) -> Result<Self> {
        let decoder = if path.is_dir() { only_decoder_in(path)? } else { path.to_path_buf() };
        let header = open(&decoder)?;
        let architecture = header.str(general::ARCHITECTURE).map_err(|error| Error::model(error.to_string()))?;
        if architecture == encoder::ARCHITECTURE {
            return Err(Error::model(format!(
                "{} is an audio encoder (mmproj): give the decoder file with -m, and this one with --mmproj",
                decoder.display()
            )));
        }
        let width = header.u32(&format!("{architecture}.embedding_length")).ok();
        let folder = decoder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut fitting: Vec<PathBuf> = gguf_files(folder)?
            .into_iter()
            .filter(|candidate| *candidate != decoder)
            .filter(|candidate| Gguf::open(candidate).is_ok_and(|header| is_encoder(&header, width)))
            .collect();
        let best = fitting.iter().map(|candidate| likeness(candidate, &decoder)).max().unwrap_or(0);
        fitting.retain(|candidate| likeness(candidate, &decoder) == best);
        match fitting.as_slice() {
            [encoder] => Ok(Self { decoder, encoder: encoder.clone() }),
            [] => Err(Error::model(format!(
                "{} has no audio encoder beside it: put its mmproj-*.gguf into {} or name it with --mmproj",
                decoder.display(),
                folder.display()
            ))),
            several => Err(Error::model(format!(
                "{} has several audio encoders beside it ({}): choose one with --mmproj",
                decoder.display(),
                names(several)
            ))),
        }
    }
}

fn open(path: &Path) -> Result<Gguf> {
    Gguf::open(path).map_err(|error| Error::model(error.to_string()))
}

fn names(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.file_name().unwrap_or_default().to_string_lossy()).collect::<Vec<_>>().join(", ")
}

fn gguf_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::model(format!("{}: cannot list the folder: {error}", folder.display())))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")))
        .collect();
    files.sort();
    Ok(files)
}

fn only_decoder_in(folder: &Path) -> Result<PathBuf> {
    let mut decoders = gguf_files(folder)?;
    decoders.retain(|path| Gguf::open(path).is_ok_and(|header| header.str(general::ARCHITECTURE).is_ok_and(|name| name != encoder::ARCHITECTURE)));
    match decoders.as_slice() {
        [decoder] => Ok(decoder.clone()),
        [] => Err(Error::model(format!("{} holds no decoder file (*.gguf): make a pair with `qasr convert`", folder.display()))),
        several => Err(Error::model(format!("{} holds several models ({}): name one of them with -m", folder.display(), names(several)))),
    }
}

/// Whether a file says it is a Qwen3-ASR encoder, for a decoder of that width when the width is known.
fn is_encoder(header: &Gguf, width: Option<u32>) -> bool {
    let projector = header.str(encoder::PROJECTOR_TYPE).or_else(|_| header.str(encoder::PROJECTOR_TYPE_PLAIN));
    header.str(general::ARCHITECTURE).is_ok_and(|name| name == encoder::ARCHITECTURE)
        && projector.is_ok_and(|name| name == encoder::PROJECTOR_VALUE)
        && width.is_none_or(|width| header.u32(encoder::PROJECTION_DIM).is_ok_and(|dim| dim == width))
}

/// How much two file names have in common once `mmproj` is taken away: the length of the common beginning, twice,
/// plus that of the common end, so that `NAME-q8_0.gguf` goes with `mmproj-NAME-q8_0.gguf` before `mmproj-NAME-f16.gguf`.
fn likeness(encoder: &Path, decoder: &Path) -> usize {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let encoder = stem(encoder).replace("mmproj", "");
    let encoder = encoder.trim_matches(['-', '_', '.']);
    let decoder = stem(decoder);
    let start = encoder.chars().zip(decoder.chars()).take_while(|(a, b)| a == b).count();
    let end = encoder.chars().rev().zip(decoder.chars().rev()).take_while(|(a, b)| a == b).count();
    2 * start + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoder_of_the_same_name_and_type_is_the_likest() {
        let decoder = Path::new("/m/Qwen3-ASR-0.6B-q8_0.gguf");
        let like = |name: &str| likeness(Path::new(name), decoder);
        assert!(like("mmproj-Qwen3-ASR-0.6B-q8_0.gguf") > like("mmproj-Qwen3-ASR-0.6B-f16.gguf"));
        assert!(like("mmproj-Qwen3-ASR-0.6B-f16.gguf") > like("mmproj-Qwen3-ASR-1.7B-q8_0.gguf"));
        assert!(like("mmproj-Qwen3-ASR-0.6B-f16.gguf") > like("mmproj-model-f16.gguf"));
    }

    #[test]
    fn a_folder_without_models_says_what_to_do() {
        let folder = tempfile::tempdir().expect("temp folder");
        let message = ModelFiles::find(folder.path()).expect_err("nothing there").to_string();
        assert!(message.contains("qasr convert"), "{message}");
        let message = ModelFiles::find(&folder.path().join("none.gguf")).expect_err("no such file").to_string();
        assert!(message.contains("none.gguf"), "{message}");
    }
}
