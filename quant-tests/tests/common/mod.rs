//! Where golden values and their checkpoints are, and a model made from a checkpoint by our own converter.

// Every test binary has its own copy of this module and uses a part of it.
#![allow(dead_code)]

use std::io::Write;
use std::path::{Path, PathBuf};

use qasr::Model;
use qasr::audio::{ReadOptions, read_path};
use qasr::depths::Clip;
use qasr::model::{CacheType, ModelFiles, ModelOptions};
use qasr::text::Language;
use qasr_convert::{ConvertOptions, Recipe};
use quant_tests::golden::{Golden, committed_folder};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A container of golden values and the checkpoint it was computed with.
pub struct Subject {
    /// For messages.
    pub name: String,
    /// The values.
    pub golden: Golden,
    /// The checkpoint's folder.
    pub checkpoint: PathBuf,
}

/// Says something on stderr even while the test runner keeps quiet.
pub fn say(line: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The optional shared material beside the checkout.
pub fn shared(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(part)
}

/// The committed tiny checkpoint, always; the digits model and the containers of `QASR_REFERENCE_DIR` when present.
pub fn subjects(test: &str) -> Vec<Subject> {
    let tiny = committed_folder().join("tiny");
    let mut found = vec![Subject {
        name: "tiny (committed)".into(),
        golden: Golden::open(&tiny).unwrap(),
        checkpoint: tiny.join("checkpoint"),
    }];
    let golden = Golden::committed("digits").unwrap();
    found.push(Subject { name: "digits".into(), golden, checkpoint: demo_checkpoint() });
    let (Some(references), Some(checkpoints)) = (folder("QASR_REFERENCE_DIR"), folder("QASR_CHECKPOINT_DIR")) else {
        say(&format!("skipped: {test} with large references: set QASR_REFERENCE_DIR and QASR_CHECKPOINT_DIR"));
        return found;
    };
    for entry in std::fs::read_dir(&references).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let checkpoint = checkpoints.join(&name);
        if !entry.path().join("index.json").is_file() {
            continue;
        }
        if !checkpoint.join("config.json").is_file() {
            say(&format!("skipped: {test} with {name}: {} is no checkpoint", checkpoint.display()));
            continue;
        }
        found.push(Subject { name, golden: Golden::open(&entry.path()).unwrap(), checkpoint });
    }
    found
}

fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

/// Converts a checkpoint at one type throughout; the folder holds the files for as long as it lives.
pub fn convert(checkpoint: &Path, kind: &str) -> (TempDir, ModelFiles) {
    let folder = TempDir::new().unwrap();
    let recipe = Recipe::find(kind).unwrap();
    let mut options = ConvertOptions::new(checkpoint, folder.path(), recipe);
    options.name = Some("model".into());
    qasr_convert::convert(&options, &mut |_| {}).unwrap_or_else(|error| panic!("{}: {error}", checkpoint.display()));
    let files = ModelFiles::find(folder.path()).unwrap();
    (folder, files)
}

/// Fails when `checkpoint` is not the one whose hash stands in the golden values.
pub fn check_checkpoint(checkpoint: &Path, sha256: &str) {
    let mut hasher = Sha256::new();
    let path = checkpoint.join("model.safetensors");
    std::io::copy(&mut std::fs::File::open(&path).unwrap(), &mut hasher).unwrap();
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found, sha256, "{} is not the file the golden values were made with", path.display());
}

/// Opens a pair with the attention cache in full precision.
pub fn open(files: &ModelFiles) -> Model {
    let mut options = ModelOptions::default();
    options.cache = CacheType::F32;
    // Tests run side by side already, and threads that wait for each other crawl on a busy machine.
    options.threads = 1;
    Model::open(files, &options).unwrap()
}

/// The checkpoint of the demo model that ships inside the program.
pub fn demo_checkpoint() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../convert/demo/checkpoint")
}

/// A committed recording by the name of its file: `six_words` or `sample`.
pub fn recording(name: &str) -> Clip {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (file, text) = match name {
        "six_words" => ("tests/recordings/six_words.wav", "seven six nine two five go"),
        "sample" => ("convert/demo/sample.flac", "one two three"),
        other => panic!("no recording is called {other}"),
    };
    let recording = read_path(&root.join(file), &ReadOptions::default()).unwrap();
    Clip {
        name: name.into(),
        samples: recording.pcm.samples().into(),
        condition: "clean".into(),
        language: Language::find("English"),
        text: Some(text.into()),
    }
}
