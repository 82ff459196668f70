//! The pair of files a model is: the decoder and, beside it, the `mmproj` with the audio encoder.

use crate::error::{Error, Remedy, Result};
use qasr_format::schema::{decoder, encoder, general};
use qasr_format::{Gguf, GgufError};
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
    /// beside the decoder: among the `.gguf` files named `mmproj`, and only where that settles nothing, among the
    /// others. As few files as possible are opened, since reading a whole vocabulary takes time and memory; whether the
    /// two belong together is checked when the model is opened.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when nothing fits or several fit equally well; the sentence lists them.
    pub fn find(path: &Path) -> Result<Self> {
        let decoder = decoder_at(path)?;
        if is_named_encoder(&decoder) {
            refuse_encoder(&open(&decoder)?)?;
        }
        let folder = decoder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut beside = gguf_files(folder)?;
        beside.retain(|candidate| candidate.file_name() != decoder.file_name());
        let (named, others): (Vec<_>, Vec<_>) = beside.into_iter().partition(|candidate| is_named_encoder(candidate));
        let (named, mut unreadable) = encoders(named);
        // Types of one encoder, or a single one: the decoder's width would not choose between them.
        let is_one_width = named.windows(2).all(|pair| pair[0].1 == pair[1].1);
        if is_one_width
            && let [encoder] = most_alike(named.iter().map(|(path, _)| path.clone()).collect(), &decoder).as_slice()
        {
            return Ok(Self { encoder: encoder.clone(), decoder });
        }
        let width = decoder_width(&decoder)?;
        let mut fitting = of_width(named, width);
        if fitting.is_empty() {
            let (others, more) = encoders(others);
            unreadable.extend(more);
            fitting = of_width(others, width);
        }
        match most_alike(fitting, &decoder).as_slice() {
            [encoder] => Ok(Self { decoder, encoder: encoder.clone() }),
            [] if !unreadable.is_empty() => Err(refuse_unreadable(
                &unreadable,
                &format!(
                    "{} has no other audio encoder beside it: fetch the file or convert the checkpoint again",
                    decoder.display()
                ),
            )),
            [] => Err(Error::model(format!("{} has no audio encoder beside it", decoder.display()))
                .with_remedy(Remedy::NameEncoder)),
            several => Err(Error::model(format!(
                "{} has several audio encoders beside it ({})",
                decoder.display(),
                names(several)
            ))
            .with_remedy(Remedy::ChooseEncoder)),
        }
    }

    /// The pair of the decoder at `path`, a file or a folder that holds exactly one model, and an encoder that is
    /// named.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when `path` is a folder without a decoder, or with several.
    pub fn with_encoder(path: &Path, encoder: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { decoder: decoder_at(path)?, encoder: encoder.into() })
    }
}

fn open(path: &Path) -> Result<Gguf> {
    Gguf::open(path).map_err(|error| Error::model(error.to_string()))
}

fn names(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.file_name().unwrap_or_default().to_string_lossy()).collect::<Vec<_>>().join(", ")
}

fn gguf_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Error::model(format!("{}: cannot list the folder: {error}", folder.display())))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf")))
        // Hidden files are no models: macOS puts `._NAME` beside every file on foreign disks.
        .filter(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')))
        .collect();
    files.sort();
    Ok(files)
}

/// The decoder file itself, or the only one of a folder.
fn decoder_at(path: &Path) -> Result<PathBuf> {
    if path.is_dir() {
        return only_decoder_in(path);
    }
    // A path that is no file fails here and at once, with the system's reason.
    if !path.is_file() {
        open(path)?;
    }
    Ok(path.to_path_buf())
}

/// The only file that can be a decoder; files are opened only to choose among several.
fn only_decoder_in(folder: &Path) -> Result<PathBuf> {
    let mut decoders = gguf_files(folder)?;
    decoders.retain(|path| !is_named_encoder(path));
    if decoders.len() > 1 {
        let mut unreadable = Vec::new();
        decoders.retain(|path| match Gguf::open(path) {
            Ok(header) => architecture(&header).is_some_and(|name| name != encoder::ARCHITECTURE),
            Err(error) => {
                unreadable.push(error);
                false
            }
        });
        // It may be the model that is meant: another one does not take its place without a word.
        if !unreadable.is_empty() {
            return Err(refuse_unreadable(
                &unreadable,
                "fetch the file or convert the checkpoint again; or remove it, or name the decoder file instead of the folder",
            ));
        }
    }
    match decoders.as_slice() {
        [decoder] => Ok(decoder.clone()),
        [] => Err(Error::model(format!("{} holds no decoder file (*.gguf)", folder.display()))
            .with_remedy(Remedy::ConvertCheckpoint)),
        several => Err(Error::model(format!("{} holds several models ({})", folder.display(), names(several)))
            .with_remedy(Remedy::NameDecoder)),
    }
}

/// The sentence about files that cannot be read where one is needed: the first with its fault, the others by name, and
/// what to do.
fn refuse_unreadable(errors: &[GgufError], advice: &str) -> Error {
    let others: Vec<_> = errors.iter().skip(1).map(|error| error.path().to_path_buf()).collect();
    let first = errors.first().map(ToString::to_string).unwrap_or_default();
    let others = if others.is_empty() { String::new() } else { format!(" (nor can {} be read)", names(&others)) };
    Error::model(format!("{first}{others}; {advice}"))
}

/// Parts of encoders' names: those of converters, and people's spellings.
const ENCODER_NAMES: [&str; 3] = ["mmproj", "mm-proj", "mm_proj"];

/// Whether the file has the name that converters give to encoders.
fn is_named_encoder(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    ENCODER_NAMES.iter().any(|part| name.contains(part))
}

fn architecture(header: &Gguf) -> Option<&str> {
    header.str(general::ARCHITECTURE).ok()
}

fn refuse_encoder(header: &Gguf) -> Result<()> {
    match architecture(header) {
        Some(encoder::ARCHITECTURE) => {
            Err(Error::model(format!("{} is an audio encoder (mmproj)", header.path().display()))
                .with_remedy(Remedy::NameBothFiles))
        }
        _ => Ok(()),
    }
}

/// Values in a row of the decoder, when its file says so.
fn decoder_width(path: &Path) -> Result<Option<u32>> {
    let header = open(path)?;
    refuse_encoder(&header)?;
    let name = header.str(general::ARCHITECTURE).map_err(|error| Error::model(error.to_string()))?;
    Ok(header.u32(&format!("{name}.{}", decoder::EMBEDDING_LENGTH)).ok())
}

/// Those that say they are a Qwen3-ASR encoder, and the width of the rows they give when they say that; and why others
/// could not be read.
fn encoders(paths: Vec<PathBuf>) -> (Vec<(PathBuf, Option<u32>)>, Vec<GgufError>) {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for path in paths {
        match Gguf::open(&path) {
            Ok(header) if is_our_encoder(&header) => found.push((path, header.u32(encoder::PROJECTION_DIM).ok())),
            Ok(_) => {}
            Err(error) => unreadable.push(error),
        }
    }
    (found, unreadable)
}

fn is_our_encoder(header: &Gguf) -> bool {
    let projector = header.str(encoder::PROJECTOR_TYPE).or_else(|_| header.str(encoder::PROJECTOR_TYPE_PLAIN));
    architecture(header) == Some(encoder::ARCHITECTURE) && projector.is_ok_and(|name| name == encoder::PROJECTOR_VALUE)
}

/// Those for a decoder of this width, when that is known.
fn of_width(encoders: Vec<(PathBuf, Option<u32>)>, width: Option<u32>) -> Vec<PathBuf> {
    let fitting = encoders.into_iter().filter(|(_, given)| width.is_none() || *given == width);
    fitting.map(|(path, _)| path).collect()
}

/// Those whose names are most like the decoder's.
fn most_alike(mut encoders: Vec<PathBuf>, decoder: &Path) -> Vec<PathBuf> {
    let best = encoders.iter().map(|path| likeness(path, decoder)).max().unwrap_or(0);
    encoders.retain(|path| likeness(path, decoder) == best);
    encoders
}

/// How much two file names have in common once `mmproj` is taken away: the length of the common beginning, twice,
/// plus that of the common end, so that `NAME-q8_0.gguf` goes with `mmproj-NAME-q8_0.gguf` before `mmproj-NAME-f16.gguf`.
fn likeness(encoder: &Path, decoder: &Path) -> usize {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let encoder = ENCODER_NAMES.iter().fold(stem(encoder), |name, part| name.replace(part, ""));
    let encoder = encoder.trim_matches(['-', '_', '.']);
    let decoder = stem(decoder);
    let start = encoder.chars().zip(decoder.chars()).take_while(|(a, b)| a == b).count();
    let end = encoder.chars().rev().zip(decoder.chars().rev()).take_while(|(a, b)| a == b).count();
    2 * start + end
}

#[cfg(test)]
mod tests {
    use super::*;
    use qasr_format::Value;
    use qasr_format::gguf::Header;
    use qasr_format::schema::Arch;

    #[test]
    fn the_encoder_of_the_same_name_and_type_is_the_most_alike() {
        let decoder = Path::new("/m/Qwen3-ASR-0.6B-q8_0.gguf");
        let like = |name: &str| likeness(Path::new(name), decoder);
        assert!(like("mmproj-Qwen3-ASR-0.6B-q8_0.gguf") > like("mmproj-Qwen3-ASR-0.6B-f16.gguf"));
        assert!(like("mmproj-Qwen3-ASR-0.6B-f16.gguf") > like("mmproj-Qwen3-ASR-1.7B-q8_0.gguf"));
        assert!(like("mmproj-Qwen3-ASR-0.6B-f16.gguf") > like("mmproj-model-f16.gguf"));
    }

    #[test]
    fn a_folder_without_models_says_what_to_do() {
        let folder = Folder::new();
        assert!(folder.refusal("").contains("from a checkpoint"));
        assert!(folder.refusal("none.gguf").contains("none.gguf: cannot open"));
        folder.encoder("mmproj-a.gguf", 64);
        assert!(folder.refusal("").contains("from a checkpoint"));
    }

    #[test]
    fn one_file_named_mmproj_settles_it_and_no_decoder_is_opened() {
        let folder = Folder::new();
        folder.write("a.gguf", b"opening this would fail");
        folder.encoder("a.MMPROJ-f16.gguf", 64);
        // Of another kind, damaged, or without the name: none of them comes into question.
        folder.header("mmproj-vision.gguf", &[(general::ARCHITECTURE, encoder::ARCHITECTURE.into())]);
        folder.write("mmproj-cut.gguf", b"GGUF");
        for path in ["", "a.gguf"] {
            assert_eq!(folder.pair(path), ("a.gguf".into(), "a.MMPROJ-f16.gguf".into()), "{path}");
        }
        folder.encoder("unnamed.gguf", 64);
        assert_eq!(folder.pair("a.gguf"), ("a.gguf".into(), "a.MMPROJ-f16.gguf".into()));
        // Nor for several of one width, when their names decide.
        folder.encoder("mmproj-b-f16.gguf", 64);
        assert_eq!(folder.pair("a.gguf").1, "a.MMPROJ-f16.gguf");
    }

    #[test]
    fn damaged_files_are_named_where_they_are_needed() {
        let folder = Folder::new();
        folder.decoder("words.gguf", 64);
        folder.write("words-MM_Proj.gguf", b"GGUF\x03");
        for path in ["", "words.gguf"] {
            let message = folder.refusal(path);
            let parts = ["words-MM_Proj.gguf: ", "cut off or damaged", "words.gguf has no other audio encoder"];
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        // The name says nothing, and there are two of them.
        folder.write("sound.gguf", b"version https://git-lfs.github.com/spec/v1\n");
        let message = folder.refusal("words.gguf");
        assert!(message.contains("MM_Proj") && message.contains("(nor can sound.gguf be read)"), "{message}");
        // Here it could be the decoder as well.
        let message = folder.refusal("");
        assert!(message.contains("sound.gguf: is a Git LFS pointer") && message.contains("git lfs pull"), "{message}");
        folder.write("words.gguf", &[0; 100]);
        let message = folder.refusal("words.gguf");
        assert!(message.contains("words.gguf: not a GGUF file") && message.contains("cut off or damaged"), "{message}");
        // A sound encoder takes the place of a damaged one: it is checked against the decoder.
        folder.decoder("words.gguf", 64);
        folder.encoder("mmproj-other.gguf", 64);
        assert_eq!(folder.pair("words.gguf").1, "mmproj-other.gguf");
    }

    #[test]
    fn a_damaged_decoder_is_not_passed_over() {
        let folder = Folder::new();
        folder.decoder("small.gguf", 64);
        folder.encoder("mmproj-small.gguf", 64);
        folder.write("._small.gguf", b"\0\x05\x16\x07");
        assert_eq!(folder.pair("").0, "small.gguf");
        folder.write("large.gguf", b"GGUF\x03\0\0\0");
        let message = folder.refusal("");
        assert!(message.contains("large.gguf: ") && message.contains("cut off or damaged"), "{message}");
        assert_eq!(folder.pair("small.gguf").0, "small.gguf");
    }

    #[test]
    fn several_encoders_are_told_apart_by_width_and_then_by_name() {
        let folder = Folder::new();
        folder.decoder("small-q8_0.gguf", 64);
        folder.decoder("large-q8_0.gguf", 128);
        folder.encoder("mmproj-one.gguf", 64);
        folder.encoder("mmproj-two.gguf", 128);
        assert_eq!(folder.pair("small-q8_0.gguf").1, "mmproj-one.gguf");
        assert_eq!(folder.pair("large-q8_0.gguf").1, "mmproj-two.gguf");
        let message = folder.refusal("");
        assert!(message.contains("several models (large-q8_0.gguf, small-q8_0.gguf)"), "{message}");
        folder.encoder("mmproj-ten.gguf", 64);
        let message = folder.refusal("small-q8_0.gguf");
        assert!(message.contains("(mmproj-one.gguf, mmproj-ten.gguf)") && message.contains("choose one"), "{message}");
        folder.encoder("mmproj-small-f16.gguf", 64);
        assert_eq!(folder.pair("small-q8_0.gguf").1, "mmproj-small-f16.gguf");
    }

    #[test]
    fn other_names_are_looked_at_when_no_named_encoder_fits() {
        let folder = Folder::new();
        folder.decoder("words.gguf", 64);
        let message = folder.refusal("words.gguf");
        assert!(message.contains("no audio encoder beside it") && message.contains("or name it"), "{message}");
        folder.encoder("sound.gguf", 64);
        folder.encoder("wide.gguf", 128);
        for path in ["", "words.gguf"] {
            assert_eq!(folder.pair(path), ("words.gguf".into(), "sound.gguf".into()), "{path}");
        }
    }

    #[test]
    fn an_encoder_in_the_decoders_place_is_named_as_what_it_is() {
        let folder = Folder::new();
        folder.encoder("mmproj-a.gguf", 64);
        folder.encoder("mmproj-b.gguf", 64);
        folder.encoder("unnamed.gguf", 64);
        for name in ["mmproj-a.gguf", "unnamed.gguf"] {
            let message = folder.refusal(name);
            assert!(message.contains(&format!("{name} is an audio encoder")), "{message}");
        }
    }

    #[test]
    fn a_folder_can_be_given_with_an_encoder_from_elsewhere() {
        let folder = Folder::new();
        folder.write("a.gguf", b"not opened");
        folder.encoder("mmproj-a.gguf", 64);
        let files = ModelFiles::with_encoder(folder.0.path(), "elsewhere.gguf").expect("pair");
        assert_eq!(files, ModelFiles::pair(folder.0.path().join("a.gguf"), "elsewhere.gguf"));
        let message = ModelFiles::with_encoder(&folder.0.path().join("b.gguf"), "x.gguf").expect_err("missing");
        assert!(message.to_string().contains("b.gguf: cannot open"), "{message}");
    }

    /// A folder of files that have a header and no tensors.
    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("temp folder"))
        }

        fn write(&self, name: &str, bytes: &[u8]) {
            std::fs::write(self.0.path().join(name), bytes).expect("write");
        }

        fn header(&self, name: &str, keys: &[(&str, Value)]) {
            let keys: Vec<_> = keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
            self.write(name, Header::new(&keys, &[]).expect("header").bytes());
        }

        fn decoder(&self, name: &str, width: u32) {
            let key = Arch::Qwen3.key(decoder::EMBEDDING_LENGTH);
            self.header(name, &[(general::ARCHITECTURE, Arch::Qwen3.name().into()), (&key, width.into())]);
        }

        fn encoder(&self, name: &str, width: u32) {
            let keys = [
                (general::ARCHITECTURE, encoder::ARCHITECTURE.into()),
                (encoder::PROJECTOR_TYPE, encoder::PROJECTOR_VALUE.into()),
                (encoder::PROJECTION_DIM, width.into()),
            ];
            self.header(name, &keys);
        }

        /// File names of the pair that is found for a path in the folder.
        fn pair(&self, path: &str) -> (String, String) {
            let files = ModelFiles::find(&self.0.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            let name = |path: PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name(files.decoder), name(files.encoder))
        }

        fn refusal(&self, path: &str) -> String {
            ModelFiles::find(&self.0.path().join(path)).expect_err("must be refused").to_string()
        }
    }
}
