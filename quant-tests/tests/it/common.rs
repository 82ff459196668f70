//! Where golden values and their checkpoints are, and a model made from a checkpoint by our own converter.

// Every test binary has its own copy of this module and uses a part of it.
#![allow(dead_code)]

pub(crate) use crate::optional;

use std::io::Write;
use std::path::{Path, PathBuf};

use qasr::Model;
use qasr::audio::{ReadOptions, read_path};
use qasr::model::{CacheType, ModelFiles, ModelOptions};
use qasr::text::Language;
use qasr::units::SAMPLE_RATE;
use qasr_convert::tiny::{self, Spec};
use qasr_convert::{ConvertOptions, FileType, Recipe};
use qasr_format::Gguf;
use qasr_format::schema::tensors::{DecoderSizes, EncoderSizes};
use qasr_measure::depths::Clip;
use qasr_measure::evaluation::{Entry, Manifest};
use quant_tests::golden::{Golden, committed_folder};
use quant_tests::limits::{Depth, Limits, Measure};
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

/// The committed tiny checkpoint and the digits model.
pub fn committed() -> Vec<Subject> {
    let tiny = committed_folder().join("tiny");
    let golden = Golden::committed("digits").unwrap();
    vec![
        Subject {
            name: "tiny (committed)".into(),
            golden: Golden::open(&tiny).unwrap(),
            checkpoint: tiny.join("checkpoint"),
        },
        Subject { name: "digits".into(), golden, checkpoint: demo_checkpoint() },
    ]
}

/// Those of [`committed`] and, where they are present, the containers of `QASR_REFERENCE_DIR`.
pub fn subjects() -> Vec<Subject> {
    let mut found = committed();
    let (Some(references), Some(checkpoints)) = (folder("QASR_REFERENCE_DIR"), folder("QASR_CHECKPOINT_DIR")) else {
        optional::skip("large references: set QASR_REFERENCE_DIR and QASR_CHECKPOINT_DIR");
        return found;
    };
    for entry in std::fs::read_dir(&references).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let checkpoint = checkpoints.join(&name);
        if !entry.path().join("index.json").is_file() {
            continue;
        }
        if !checkpoint.join("config.json").is_file() {
            optional::skip(&format!("{name}: {} is no checkpoint", checkpoint.display()));
            continue;
        }
        found.push(Subject { name, golden: Golden::open(&entry.path()).unwrap(), checkpoint });
    }
    found
}

fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

/// Converts a checkpoint at one type throughout, or as a recipe of the program says; the folder holds the files for as long as it lives.
pub fn convert(checkpoint: &Path, kind: &str) -> (TempDir, ModelFiles) {
    let folder = TempDir::new().unwrap();
    let types = FileType::find(kind).map(Recipe::from).or_else(|| Recipe::shipped(kind)).unwrap();
    let mut options = ConvertOptions::new(checkpoint, folder.path(), types);
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
    Model::open(files, &options()).unwrap()
}

/// How [`open`] does it.
pub fn options() -> ModelOptions {
    let mut options = ModelOptions::default();
    options.cache = CacheType::F32;
    // Tests run side by side already, and threads that wait for each other crawl on a busy machine.
    options.threads = 1;
    options
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

/// The types compared with the f16 pair.
pub const KINDS: [&str; 7] = ["q8_0", "q6_k", "q5_k_m", "q5_0", "q4_k_m", "q4_0", "iq4_nl"];

/// Those that the checkpoint of [`of_real_widths`] is run with: without iq4_nl, which takes seconds to make and which
/// q4_k_m falls back to at its widths.
pub const KINDS_OF_REAL_WIDTHS: [&str; 6] = ["q8_0", "q6_k", "q5_k_m", "q5_0", "q4_k_m", "q4_0"];

/// Measured values of one depth beside their limits. Prints each as a line for `limits.toml`.
pub struct Checks {
    limits: Limits,
    depth: Depth,
    over: Vec<String>,
}

impl Checks {
    /// None yet.
    pub fn new(depth: Depth) -> Self {
        Self { limits: Limits::committed().unwrap(), depth, over: Vec::new() }
    }

    /// Notes whether `value`, found at `place`, is within its limit.
    pub fn add(&mut self, subject: &str, kind: &str, name: &str, value: f64, place: &str) {
        println!("[{}.{subject}] {kind}.{name} measured = {value:.4e} ({place})", self.depth.name());
        let measure = Measure { depth: self.depth, subject, kind, name };
        self.over.extend(self.limits.check(measure, value, place).err());
    }

    /// Values over their limits.
    pub fn over(self) -> Vec<String> {
        self.over
    }

    /// Fails when anything was.
    pub fn finish(self) {
        assert!(self.over.is_empty(), "{}", self.over.join("\n"));
    }
}

/// A seeded checkpoint with rows as wide as those of the 0.6B model (896 in the encoder, 1024 in the decoder), few of
/// them: blocks of 256 do not fit the one and fit the other.
pub fn of_real_widths() -> TempDir {
    let folder = TempDir::new().unwrap();
    let spec = Spec::default();
    let encoder = EncoderSizes { layers: 2, width: 896, feed_forward: 3584, projection: 1024, ..spec.encoder };
    let decoder = DecoderSizes {
        layers: 1,
        width: 1024,
        feed_forward: 3072,
        heads: 16,
        kv_heads: 8,
        head_width: 128,
        ..spec.decoder
    };
    tiny::write(folder.path(), &Spec { encoder, decoder, encoder_heads: 14, ..spec }).unwrap();
    folder
}

/// Multiplies the scale of every quantization block of one tensor of a file by `factor`: the damage of a slip that
/// leaves everything else as it is.
pub fn change_scales(file: &Path, tensor: &str, factor: f64) {
    let header = Gguf::open(file).unwrap();
    let info = header.tensor(tensor).unwrap_or_else(|| panic!("{} has no tensor {tensor}", file.display()));
    assert!(["q8_0", "q4_0"].contains(&info.kind.name()), "scales of {} are elsewhere", info.kind);
    let mut bytes = std::fs::read(file).unwrap();
    let data = &mut bytes[info.offset as usize..(info.offset + info.bytes) as usize];
    for block in data.chunks_exact_mut(info.kind.block_bytes() as usize) {
        let half = f16_times(u16::from_le_bytes([block[0], block[1]]), factor);
        block[..2].copy_from_slice(&half.to_le_bytes());
    }
    std::fs::write(file, bytes).unwrap();
}

/// A normal number of half precision times `factor`, rounded.
fn f16_times(bits: u16, factor: f64) -> u16 {
    let (sign, exponent, fraction) = (bits & 0x8000, i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    if exponent == 0 {
        return sign | (fraction * factor).round() as u16;
    }
    let steps = ((1024.0 + fraction) * factor).round();
    let carry = i32::from(steps >= 2048.0);
    let fraction = (steps / f64::from(1 << carry)) as u16 - 1024;
    sign | ((exponent + carry) as u16) << 10 | fraction
}

/// The first `most` digit strings of a list (`strings_dev`, `strings_test_seen`); `None`, reported, where
/// `../shared/digits` is not there.
pub fn strings(list: &str, most: usize) -> Option<Vec<Clip>> {
    let folder = optional::shared("digits")?;
    let table = std::fs::read_to_string(folder.join(format!("{list}.tsv"))).unwrap();
    let mut lines = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let [file, text] = ["file", "text"].map(|name| head.iter().position(|field| *field == name).unwrap());
    let clip = |fields: Vec<&str>| {
        let recording = read_path(&folder.join(fields[file]), &ReadOptions::default()).unwrap();
        Clip {
            name: fields[file].into(),
            samples: recording.pcm.samples().into(),
            condition: "clean".into(),
            language: Language::find("English"),
            text: Some(fields[text].into()),
        }
    };
    Some(lines.take(most).map(clip).collect())
}

/// The committed recordings of speakers that the digits model was not trained on: those that are one utterance.
pub fn heldout() -> Vec<Clip> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("speech/heldout/manifest.tsv");
    let clip = |entry: &Entry| Clip {
        name: entry.name.clone(),
        samples: read_path(&entry.file, &ReadOptions::default()).unwrap().pcm.samples().into(),
        condition: entry.category.clone().unwrap_or_default(),
        language: entry.language,
        text: entry.text.clone(),
    };
    let mut clips: Vec<Clip> = Manifest::read(&manifest).unwrap().entries.iter().map(clip).collect();
    clips.retain(|clip| clip.samples.len() <= 30 * SAMPLE_RATE as usize);
    clips
}
