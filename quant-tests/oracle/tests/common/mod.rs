//! The committed tiny checkpoint as files of several types, for our own code and for llama-cpp-2.

// Every test binary has its own copy of this module and uses a part of it.
#![allow(dead_code)]

use std::io::Write;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::OnceLock;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use qasr::model::{CacheType, Engine, ModelFiles, ModelOptions};
use qasr::{Model, error::Result};
use qasr_convert::{Arch, ConvertOptions, FileType};
use tempfile::TempDir;

/// Positions every context here holds.
pub const CAPACITY: usize = 256;
/// Both names a decoder file may carry.
pub const ARCHITECTURES: [Arch; 2] = [Arch::Qwen3, Arch::Qwen3Vl];
/// One type without blocks, one with, and one that is copied into another layout before it is multiplied.
pub const FILE_TYPES: [FileType; 3] = [FileType::F32, FileType::Q8_0, FileType::Q4_0];

/// llama.h's numbers for how attention is computed; llama-cpp-2 passes them on without names.
const ATTENTION_PLAIN: i32 = 0;
const ATTENTION_FUSED: i32 = 1;

/// Says something on stderr even while the test runner keeps quiet.
pub fn say(line: &str) {
    // A closed stderr is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A pair of files made by our converter; gone with the value.
pub struct Pair {
    /// For messages: "q8_0 qwen3".
    pub name: String,
    /// The decoder file and its mmproj.
    pub files: ModelFiles,
    _folder: TempDir,
}

/// The committed tiny checkpoint, converted.
pub fn tiny(file_type: FileType, arch: Arch) -> Pair {
    convert(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/tiny/checkpoint"), file_type, arch)
}

/// All types in both architectures.
pub fn all_pairs() -> impl Iterator<Item = Pair> {
    FILE_TYPES.into_iter().flat_map(|file_type| ARCHITECTURES.map(|arch| tiny(file_type, arch)))
}

/// Converts a checkpoint with our converter.
pub fn convert(checkpoint: &Path, file_type: FileType, arch: Arch) -> Pair {
    let folder = TempDir::new().unwrap();
    let mut options = ConvertOptions::new(checkpoint, folder.path(), file_type);
    options.arch = arch;
    options.name = Some("model".into());
    let report = qasr_convert::convert(&options, &mut |_| {}).unwrap();
    assert!(report.is_written);
    let files = ModelFiles::find(folder.path()).unwrap();
    let name = format!("{} {}", file_type.name(), arch.name());
    Pair { name, files, _folder: folder }
}

/// Our model over a pair, on one thread.
pub fn open(pair: &Pair, cache: CacheType, engine: Engine) -> Result<Model> {
    let mut options = ModelOptions::default();
    options.threads = 1;
    options.engine = engine;
    options.cache = cache;
    Model::open(&pair.files, &options)
}

/// llama.cpp, started once for the process, without the pages it has to say about every file.
pub fn backend() -> &'static LlamaBackend {
    static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
    BACKEND.get_or_init(|| {
        let mut backend = LlamaBackend::init().unwrap();
        backend.void_logs();
        backend
    })
}

/// The decoder file as llama-cpp-2 loads it.
pub fn load(decoder: &Path) -> LlamaModel {
    LlamaModel::load_from_file(backend(), decoder, &LlamaModelParams::default()).unwrap()
}

/// A fresh context of [`CAPACITY`] positions on one thread. With a cache in full precision attention is the plain kind,
/// as in our sessions: the fused kernel rounds to half precision inside.
pub fn context(model: &LlamaModel, cache: CacheType) -> LlamaContext<'_> {
    let length = u32::try_from(CAPACITY).unwrap();
    let kind = match cache {
        CacheType::F32 => KvCacheType::F32,
        CacheType::F16 => KvCacheType::F16,
        CacheType::Q8_0 => KvCacheType::Q8_0,
    };
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(length))
        .with_n_batch(length)
        .with_n_ubatch(length)
        .with_n_threads(1)
        .with_n_threads_batch(1)
        .with_type_k(kind)
        .with_type_v(kind)
        .with_flash_attention_policy(if kind == KvCacheType::F32 { ATTENTION_PLAIN } else { ATTENTION_FUSED });
    model.new_context(backend(), params).unwrap()
}

/// The decoder as llama-cpp-2's safe API runs it, tokens only.
pub struct Oracle<'a> {
    context: LlamaContext<'a>,
    position: usize,
    last: i32,
}

impl<'a> Oracle<'a> {
    /// An empty context.
    pub fn new(model: &'a LlamaModel, cache: CacheType) -> Self {
        Self { context: context(model, cache), position: 0, last: 0 }
    }

    /// Appends tokens to the sequence and decodes them in one batch.
    pub fn append(&mut self, tokens: &[u32]) {
        let mut batch = LlamaBatch::new(tokens.len(), 1);
        for (index, id) in tokens.iter().enumerate() {
            let position = i32::try_from(self.position + index).unwrap();
            batch.add(LlamaToken(i32::try_from(*id).unwrap()), position, &[0], index + 1 == tokens.len()).unwrap();
        }
        self.context.decode(&mut batch).unwrap();
        self.position += tokens.len();
        self.last = batch.n_tokens() - 1;
    }

    /// Logits after the last token.
    pub fn logits(&self) -> &[f32] {
        self.context.get_logits_ith(self.last)
    }
}

/// The largest logit's token, written independently of the program's own function, so that one checks the other.
pub fn largest(logits: &[f32]) -> u32 {
    assert!(logits.iter().all(|logit| logit.is_finite()), "a logit is not a number");
    let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]).then(b.cmp(a)));
    u32::try_from(best.expect("logits")).unwrap()
}

/// The largest difference, relative to the largest value of `expected`.
pub fn distance(expected: &[f32], found: &[f32]) -> f32 {
    assert_eq!(expected.len(), found.len(), "numbers of logits");
    let size = expected.iter().fold(0.0_f32, |size, value| size.max(value.abs()));
    let apart = expected.iter().zip(found).fold(0.0_f32, |apart, (a, b)| apart.max((a - b).abs()));
    assert!(size > 0.0 && apart.is_finite(), "logits of size {size}, {apart} apart");
    apart / size
}
