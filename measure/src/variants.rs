//! One model in many types: quantized into a working folder when first asked for.

use crate::identity::{FileIdentity, Identities};
use crate::journal::Identity;
use qasr::error::{Error, ErrorKind, Remedy, Result};
use qasr::model::{ModelFiles, demo};
use qasr_convert::{ConvertError, ConvertErrorKind, ConvertOptions, Destination, FileType, QuantizeOptions, Recipe};
use qasr_format::Gguf;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The source of all variants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The directory of a published checkpoint.
    Checkpoint(PathBuf),
    /// A pair of model files.
    Pair(ModelFiles),
    /// The demo model inside the program, which is q8_0: other types of it are rounded twice.
    Demo,
}

/// A variant by name: types, a recipe, or a finished file, and whether importance counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    what: What,
    with_importance: bool,
    name: String,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Types(Recipe),
    Files(PathBuf),
}

/// A variant that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// As it was asked for: "q4_k_m/q8_0+imatrix".
    pub name: String,
    /// Its pair of files.
    pub files: ModelFiles,
    /// Size of both files in bytes.
    pub file_bytes: u64,
}

/// Variants of one source, in a working folder.
pub struct Variants {
    source: Source,
    folder: PathBuf,
    importance: Option<PathBuf>,
    /// SHA-256 of the source's files, in order.
    fingerprint: Vec<String>,
    identities: Identities,
    demo: Option<demo::Unpacked>,
}

/// End of a spec that asks for importance.
const WITH_IMPORTANCE: &str = "+imatrix";
/// Version of the converter's result for the same source, types and importance: raise it with every change
/// that gives other bytes (`converted_bytes_are_those_of_this_form` fails then), and old variants are made again.
const FORM: u32 = 1;

impl Source {
    /// A directory with a checkpoint, a folder with one pair, or a decoder file; without a path the demo model.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when there is no model at `path`, or several.
    pub fn find(path: Option<&Path>) -> Result<Self> {
        match path {
            None => Ok(Self::Demo),
            Some(path) if path.join("config.json").is_file() => Ok(Self::Checkpoint(path.to_path_buf())),
            Some(path) => ModelFiles::find(path).map(Self::Pair),
        }
    }
}

impl Spec {
    /// Reads "q4_0", "q4_k_m/q8_0" (decoder and encoder), "balanced" (a recipe that comes with the program),
    /// "some.recipe" (a recipe file) or "some.gguf" (a finished pair by its decoder, taken as it is); all but the last
    /// may end in "+imatrix".
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when it is none of these, or the recipe file is wrong.
    pub fn parse(typed: &str) -> Result<Self> {
        let (base, with_importance) = match typed.strip_suffix(WITH_IMPORTANCE) {
            Some(base) => (base, true),
            None => (typed, false),
        };
        let ends_in =
            |end: &str| Path::new(base).extension().is_some_and(|extension| extension.eq_ignore_ascii_case(end));
        let what = if ends_in("gguf") {
            if with_importance {
                return Err(Error::usage(format!(
                    "'{typed}': a finished file is taken as it is, without {WITH_IMPORTANCE}"
                )));
            }
            What::Files(PathBuf::from(base))
        } else if ends_in("recipe") {
            What::Types(Recipe::find(Path::new(base)).map_err(converted)?)
        } else {
            What::Types(types(base).ok_or_else(|| {
                Error::usage(format!(
                    "'{typed}' is no variant: give a type ({}), DECODER/ENCODER types, a recipe ({} or a file *.recipe), \
                     or a finished *.gguf; {WITH_IMPORTANCE} at the end asks for importance",
                    FileType::ALL.map(FileType::name).join(", "),
                    Recipe::shipped_names().join(", "),
                ))
            })?)
        };
        Ok(Self { what, with_importance, name: typed.to_owned() })
    }

    /// A plan of types that was made by a program, called `name` in reports.
    pub fn of_types(name: impl Into<String>, types: Recipe, with_importance: bool) -> Self {
        Self { what: What::Types(types), with_importance, name: name.into() }
    }

    /// As it was typed.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn types(typed: &str) -> Option<Recipe> {
    if let Some(recipe) = Recipe::shipped(typed) {
        return Some(recipe);
    }
    let (decoder, encoder) = typed.split_once('/').unwrap_or((typed, typed));
    Some(Recipe::pair(FileType::find(decoder)?, FileType::find(encoder)?))
}

impl Variants {
    /// Variants of `source` in `folder`, which is made when the first one is; `importance` is the importance matrix
    /// that "+imatrix" means. Reads all files of the source once, to recognise variants made of it earlier.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when a file of the source cannot be read; [`ErrorKind::Output`] when the demo model cannot
    /// be unpacked.
    pub fn new(source: Source, folder: impl Into<PathBuf>, importance: Option<PathBuf>) -> Result<Self> {
        let demo = if source == Source::Demo { Some(demo::unpack()?) } else { None };
        let files = match &source {
            Source::Checkpoint(dir) => checkpoint_files(dir)?,
            Source::Pair(ModelFiles { decoder, encoder }) => vec![decoder.clone(), encoder.clone()],
            Source::Demo => {
                demo.iter().flat_map(|demo| [demo.files.decoder.clone(), demo.files.encoder.clone()]).collect()
            }
        };
        let identities = Identities::default();
        let fingerprint = files.iter().map(|file| Ok(identities.of(file)?.sha256)).collect::<Result<_>>()?;
        Ok(Self { source, folder: folder.into(), importance, fingerprint, identities, demo })
    }

    /// A note about the quality of all variants: `None` for a source of 16 bits or more.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when a file of the source is damaged.
    pub fn note(&self) -> Result<Option<String>> {
        let Some(files) = self.pair() else { return Ok(None) };
        let mut kinds: Vec<&str> = Vec::new();
        for path in [&files.decoder, &files.encoder] {
            let header = Gguf::open(path).map_err(|error| Error::model(error.to_string()))?;
            kinds.extend(header.tensors().iter().filter(|info| info.kind.is_quantized()).map(|info| info.kind.name()));
        }
        kinds.sort_unstable();
        kinds.dedup();
        let name =
            if self.source == Source::Demo { "the demo model".to_owned() } else { files.decoder.display().to_string() };
        Ok((!kinds.is_empty()).then(|| {
            format!("{name} is stored in {}: every variant in other types is rounded a second time", kinds.join(", "))
        }))
    }

    /// The variant of this name; made first, with all cores, if the working folder does not have it of this source,
    /// these types and this importance matrix.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when it asks for importance and no file was given, or has exceptions without effect;
    /// [`ErrorKind::Model`] when the source or the importance matrix cannot be used; [`ErrorKind::Output`] when the
    /// files cannot be written.
    pub fn files(&self, spec: &Spec) -> Result<Variant> {
        let types = match &spec.what {
            What::Types(types) => types,
            What::Files(path) => return variant(spec, ModelFiles::find(path)?),
        };
        let importance = match (&self.importance, spec.with_importance) {
            (_, false) => None,
            (Some(path), true) => Some(path.clone()),
            (None, true) => {
                let what = format!("'{spec}' asks for importance, but there is no importance matrix");
                return Err(Error::usage(what).with_remedy(Remedy::GiveImportance));
            }
        };
        let folder = self.folder.join(self.folder_name(types, importance.as_deref())?);
        if let Ok(files) = ModelFiles::find(&folder) {
            return variant(spec, files);
        }
        let report = match (&self.source, self.pair()) {
            (Source::Checkpoint(dir), _) => {
                let mut options = ConvertOptions::new(dir, &folder, types.clone());
                options.importance = importance;
                qasr_convert::convert(&options, &mut |_| {})
            }
            (_, Some(ModelFiles { decoder, encoder })) => {
                let mut options = QuantizeOptions::new(decoder, encoder, Destination::Folder(folder), types.clone());
                options.importance = importance;
                qasr_convert::quantize(&options, &mut |_| {})
            }
            (_, None) => return Err(Error::internal("variants of a source without files")),
        };
        let plan = report.map_err(converted)?.plan;
        variant(spec, ModelFiles::pair(plan.decoder.path, plan.encoder.path))
    }

    /// Identities of the files that were read for the variants, and of others.
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    fn pair(&self) -> Option<&ModelFiles> {
        match &self.source {
            Source::Checkpoint(_) => None,
            Source::Pair(files) => Some(files),
            Source::Demo => self.demo.as_ref().map(|demo| &demo.files),
        }
    }

    /// The types for people, and a hash over everything that the files depend on.
    fn folder_name(&self, types: &Recipe, importance: Option<&Path>) -> Result<String> {
        // Not the revision: few commits change what the converter writes, and every model would be made again.
        let identity = Identity::default()
            .with("version", qasr::VERSION)
            .with("form", FORM)
            .with("source", &self.fingerprint)
            .with("types", types.to_text())
            .with("importance", importance.map(|path| FileIdentity::read(path, ErrorKind::Model)).transpose()?);
        let hash = identity.short_hash();
        let [decoder, encoder] = types.labels();
        let label = if decoder == encoder { decoder } else { format!("{decoder}-{encoder}") };
        let end = if importance.is_some() { "-imatrix" } else { "" };
        Ok(format!("{label}{end}-{hash}"))
    }
}

fn variant(spec: &Spec, files: ModelFiles) -> Result<Variant> {
    let mut file_bytes = 0;
    for path in [&files.decoder, &files.encoder] {
        let meta = fs::metadata(path)
            .map_err(|error| Error::model(format!("{}: cannot open the file: {error}", path.display())))?;
        file_bytes += meta.len();
    }
    Ok(Variant { name: spec.name.clone(), files, file_bytes })
}

/// Weights, settings, vocabulary and card, by name.
fn checkpoint_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir)
        .map_err(|error| Error::model(format!("{}: cannot list the folder: {error}", dir.display())))?;
    let is_of_use = |path: &PathBuf| {
        path.is_file()
            && path
                .extension()
                .is_some_and(|extension| ["json", "md", "safetensors", "txt"].iter().any(|known| extension == *known))
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_of_use).collect();
    files.sort();
    Ok(files)
}

/// The converter's error as one of ours: one sentence, then its list.
pub(crate) fn converted(error: ConvertError) -> Error {
    let kind = match error.kind() {
        ConvertErrorKind::Checkpoint => ErrorKind::Model,
        ConvertErrorKind::Io => ErrorKind::Output,
        ConvertErrorKind::Usage => ErrorKind::Usage,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("{} {}", error.message(), error.items().join("; ")).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use qasr_format::{ColumnSums, Importance};
    use std::time::SystemTime;

    const CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../quant-tests/golden/tiny/checkpoint");

    fn spec(typed: &str) -> Spec {
        Spec::parse(typed).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn specs_are_types_recipes_or_files() {
        let types = |typed: &str| match spec(typed) {
            Spec { what: What::Types(types), with_importance, name } => {
                assert_eq!((name.as_str(), with_importance), (typed, typed.ends_with("+imatrix")));
                types
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(types("q4_0"), Recipe::pair(FileType::Q4_0, FileType::Q4_0));
        assert_eq!(types("Q4_K_M/q8_0+imatrix"), Recipe::pair(FileType::Q4KM, FileType::Q8_0));
        assert_eq!(types("balanced").name.as_deref(), Some("balanced"));
        assert_eq!(spec("some/model.gguf").what, What::Files("some/model.gguf".into()));
        for (typed, part) in [
            ("q3_k", "'q3_k' is no variant"),
            ("", "'' is no variant"),
            ("q4_0/balanced", "is no variant"),
            ("some/model.gguf+imatrix", "taken as it is"),
            ("no/such.recipe", "no/such.recipe: no recipe"),
        ] {
            let error = Spec::parse(typed).expect_err(typed);
            assert!(error.kind() == ErrorKind::Usage && error.to_string().contains(part), "{typed}: {error}");
        }
    }

    fn changed(variant: &Variant) -> SystemTime {
        fs::metadata(&variant.files.decoder).and_then(|meta| meta.modified()).expect("time")
    }

    #[test]
    fn a_variant_is_made_once_and_again_when_something_is_missing() {
        let folder = tempfile::tempdir().expect("folder");
        let variants = Variants::new(Source::Demo, folder.path().join("work"), None).expect("demo");
        let first = variants.files(&spec("q4_0/q8_0")).expect("made");
        assert_eq!(first.name, "q4_0/q8_0");
        let bytes = |path: &Path| fs::metadata(path).expect("file").len();
        assert_eq!(first.file_bytes, bytes(&first.files.decoder) + bytes(&first.files.encoder));
        let header = Gguf::open(&first.files.decoder).expect("header");
        assert_eq!(header.tensor("blk.0.attn_q.weight").expect("tensor").kind.name(), "q4_0");
        let time = changed(&first);
        // By another value of the same source, as a later run would.
        let later = Variants::new(Source::Demo, folder.path().join("work"), None).expect("demo");
        assert_eq!(later.files(&spec("q4_0/q8_0")).expect("there"), first);
        assert_eq!(changed(&first), time, "it was not made again");
        fs::remove_file(&first.files.encoder).expect("remove");
        assert_eq!(later.files(&spec("q4_0/q8_0")).expect("made again"), first);
        assert!(first.files.encoder.is_file());
        let other = variants.files(&spec("q4_0")).expect("other");
        assert_ne!(other.files, first.files);
        let note = variants.note().expect("readable").expect("the demo is q8_0");
        assert!(note.contains("the demo model is stored in q8_0"), "{note}");
        let taken = spec(first.files.decoder.to_str().expect("path"));
        assert_eq!(variants.files(&taken).expect("as it is").files, first.files);
    }

    /// Variants in working folders are found again by [`FORM`] and the version. Where this fails, the converter writes
    /// other bytes than before: raise [`FORM`], then put the new hash here.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn converted_bytes_are_those_of_this_form() {
        let folder = tempfile::tempdir().expect("folder");
        let source = Source::find(Some(Path::new(CHECKPOINT))).expect("source");
        let variants = Variants::new(source, folder.path(), None).expect("checkpoint");
        let made = variants.files(&spec("q4_k_m/q8_0")).expect("made");
        let identity = variants.identities().of_model(&made.files).expect("files");
        let hashes = [&identity.decoder.sha256[..12], &identity.encoder.sha256[..12]];
        assert_eq!((qasr::VERSION, FORM, hashes), ("0.1.0", 1, ["c6944e5107a1", "d0c39e614e7f"]));
    }

    #[test]
    fn other_sources_and_other_importance_are_other_variants() {
        let folder = tempfile::tempdir().expect("folder");
        let importance = folder.path().join("importance.gguf");
        let write = |loud: usize| {
            let squares = (0..64).map(|i| if i % 8 == loud { 50.0 } else { 1.0 }).collect();
            let sums = ColumnSums { squares, rows: 1.0 };
            let matrices = [("blk.0.attn_q.weight".to_owned(), sums)].into();
            let matrix = Importance { datasets: Vec::new(), chunks: 1, chunk_size: 0, matrices };
            fs::write(&importance, matrix.to_bytes().expect("content")).expect("write");
        };
        let source = Source::find(Some(Path::new(CHECKPOINT))).expect("source");
        assert_eq!(source, Source::Checkpoint(CHECKPOINT.into()));
        let variants = |importance: Option<&PathBuf>| {
            Variants::new(source.clone(), folder.path().join("work"), importance.cloned()).expect("checkpoint")
        };
        let plain = variants(None);
        assert_eq!(plain.note().expect("readable"), None, "bf16 loses nothing");
        let error = plain.files(&spec("q4_0+imatrix")).expect_err("no importance matrix");
        assert!(error.kind() == ErrorKind::Usage && error.remedy() == Some(Remedy::GiveImportance), "{error}");
        let without = plain.files(&spec("q4_0")).expect("made");
        write(1);
        let with = variants(Some(&importance));
        assert_eq!(with.files(&spec("q4_0")).expect("there"), without);
        let first = with.files(&spec("q4_0+imatrix")).expect("made");
        write(2);
        let second = with.files(&spec("q4_0+imatrix")).expect("made");
        let read = |variant: &Variant| fs::read(&variant.files.decoder).expect("file");
        assert!(read(&first) != read(&without) && read(&second) != read(&first));
        // The pair as a source is another source than the checkpoint, and still there after the others.
        let pair = Source::find(Some(&without.files.decoder)).expect("pair");
        let again =
            Variants::new(pair, folder.path().join("work"), None).expect("pair").files(&spec("q4_0")).expect("made");
        assert_ne!(again.files, without.files);
        let custom = Spec::of_types("mine", Recipe::pair(FileType::F16, FileType::F16), false);
        assert_eq!(with.files(&custom).expect("made").name, "mine");
    }

    #[test]
    fn what_the_converter_refuses_is_one_sentence_of_the_right_kind() {
        let folder = tempfile::tempdir().expect("folder");
        let recipe = folder.path().join("x.recipe");
        fs::write(&recipe, "qasr-recipe 1\nname x\ndecoder q4_0\ntensor nothing f16\ntensor none f16\n")
            .expect("write");
        let variants = Variants::new(Source::Demo, folder.path().join("work"), None).expect("demo");
        let error = variants.files(&spec(recipe.to_str().expect("path"))).expect_err("useless");
        let said = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(said.contains("'nothing=f16' matches no tensor; 'none=f16'") && !said.contains("\\n"), "{said}");
        fs::write(folder.path().join("file"), b"in the way").expect("write");
        let blocked = Variants::new(Source::Demo, folder.path().join("file"), None).expect("demo");
        assert_eq!(blocked.files(&spec("q4_0")).expect_err("no folder").kind(), ErrorKind::Output);
        let error = Source::find(Some(folder.path())).expect_err("nothing there");
        assert_eq!(error.kind(), ErrorKind::Model);
    }
}
