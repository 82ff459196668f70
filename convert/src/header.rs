//! The keys of both files.

use qasr_format::gguf::ALIGNMENT_KEY;
use qasr_format::schema::{Arch, QUANTIZATION_VERSION, decoder, encoder, general, importance, own, tokenizer};
use qasr_format::{Gguf, Value};

use crate::config::ModelConfig;
use crate::importance::ImportanceUse;
use crate::plan::{FilePlan, Plan};
use crate::recipe::Recipe;
use crate::vocabulary::Vocabulary;

/// Plain chat markup, for tools that format conversations by themselves. Transcription does not use it: the runtime
/// writes the official prompt token by token.
const CHAT_TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}\
{{ message['content'] + '<|im_end|>\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// How the types came about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Making<'a> {
    pub types: &'a Recipe,
    pub importance: Option<&'a ImportanceUse>,
}

/// Facts for the keys of a converted checkpoint, in addition to the plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub config: &'a ModelConfig,
    pub vocabulary: &'a Vocabulary,
    /// Fingerprint of the checkpoint.
    pub source_sha256: &'a str,
    /// SHA-256 and name of each of its files.
    pub source_files: &'a [String],
    pub licence: Option<&'a str>,
    pub making: Making<'a>,
}

struct Keys(Vec<(String, Value)>);

impl Keys {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.push((key.to_owned(), value.into()));
    }

    /// Sizes are bounded by the configuration's reader far below 32 bits.
    fn size(&mut self, key: &str, size: u64) {
        self.put(key, u32::try_from(size).unwrap_or(u32::MAX));
    }

    fn origin(&mut self, file: &FilePlan, facts: &Facts) {
        self.put(own::VERSION, env!("CARGO_PKG_VERSION"));
        self.put(own::SOURCE_SHA256, facts.source_sha256);
        self.put(own::SOURCE_FILES, Value::Strings(facts.source_files.to_vec()));
        self.recipe(file, facts.making);
    }

    fn recipe(&mut self, file: &FilePlan, making: Making) {
        self.put(own::RECIPE, file.label.as_str());
        self.put(own::RECIPE_TYPES, file.types());
        if !making.types.is_plain() {
            let text = Recipe { cost: Vec::new(), ..making.types.clone() }.to_text();
            self.put(own::RECIPE_TEXT, text);
        }
        let cost = making.types.cost_with(making.importance.map(|used| used.file.as_str()));
        if !cost.is_empty() {
            self.put(own::RECIPE_COST, Value::Strings(cost.to_vec()));
        }
        if let Some(used) = making.importance.filter(|_| file.is_weighted()) {
            self.put(importance::FILE, used.file.as_str());
            self.put(importance::DATASET, used.datasets.join(", "));
            self.size(importance::ENTRIES, used.entries as u64);
            self.put(importance::CHUNKS, used.chunks);
        }
    }
}

/// Keys of the decoder file.
pub(crate) fn decoder_keys(plan: &Plan, facts: &Facts) -> Vec<(String, Value)> {
    let config = facts.config;
    let sizes = &config.decoder;
    let arch = plan.arch;
    let mut keys = Keys(Vec::new());
    keys.put(general::ARCHITECTURE, arch.name());
    keys.put(general::TYPE, general::TYPE_MODEL);
    keys.put(general::NAME, plan.name.as_str());
    keys.put(general::SIZE_LABEL, size_label(&plan.decoder));
    if let Some(licence) = facts.licence {
        keys.put(general::LICENSE, licence);
    }
    keys.size(&arch.key(decoder::BLOCK_COUNT), sizes.layers as u64);
    keys.size(&arch.key(decoder::CONTEXT_LENGTH), config.context_length);
    keys.size(&arch.key(decoder::EMBEDDING_LENGTH), sizes.width);
    keys.size(&arch.key(decoder::FEED_FORWARD_LENGTH), sizes.feed_forward);
    keys.size(&arch.key(decoder::HEAD_COUNT), sizes.heads);
    keys.size(&arch.key(decoder::HEAD_COUNT_KV), sizes.kv_heads);
    keys.put(&arch.key(decoder::ROPE_FREQ_BASE), config.rope_theta as f32);
    keys.put(&arch.key(decoder::RMS_EPSILON), config.rms_epsilon as f32);
    keys.size(&arch.key(decoder::KEY_LENGTH), sizes.head_width);
    keys.size(&arch.key(decoder::VALUE_LENGTH), sizes.head_width);
    if arch == Arch::Qwen3Vl {
        let [t, h, w] = config.rope_sections.unwrap_or_else(|| usual_sections(sizes.head_width));
        keys.put(&arch.key(decoder::ROPE_SECTIONS), Value::I32s(vec![t, h, w, 0]));
        keys.put(&arch.key(decoder::DEEPSTACK_LAYERS), 0_u32);
    }
    if let Some(temperature) = config.temperature {
        keys.put(general::SAMPLING_TEMP, temperature as f32);
    }
    keys.put(general::FILE_TYPE, plan.decoder.file_type.file_type());
    keys.put(general::QUANTIZATION_VERSION, QUANTIZATION_VERSION);

    let vocabulary = facts.vocabulary;
    keys.put(tokenizer::MODEL, tokenizer::MODEL_VALUE);
    keys.put(tokenizer::PRE, tokenizer::PRE_VALUE);
    keys.put(tokenizer::TOKENS, Value::Strings(vocabulary.tokens.clone()));
    keys.put(tokenizer::TOKEN_TYPE, Value::I32s(vocabulary.types.clone()));
    keys.put(tokenizer::MERGES, Value::Strings(vocabulary.merges.clone()));
    // As llama.cpp's converter: the end of a turn stands for the start too, and is not added.
    keys.put(tokenizer::BOS, vocabulary.im_end);
    keys.put(tokenizer::EOS, vocabulary.im_end);
    keys.put(tokenizer::ADD_BOS, false);
    keys.put(tokenizer::CHAT_TEMPLATE, CHAT_TEMPLATE);

    keys.origin(&plan.decoder, facts);
    if !config.end_tokens.is_empty() {
        keys.put(own::END_TOKENS, Value::I32s(config.end_tokens.clone()));
    }
    if !config.languages.is_empty() {
        keys.put(own::LANGUAGES, Value::Strings(config.languages.clone()));
    }
    if let Some(seconds) = config.segment_seconds {
        keys.put(own::SEGMENT_SECONDS, seconds);
    }
    keys.0
}

/// Keys of the mmproj file.
pub(crate) fn encoder_keys(plan: &Plan, facts: &Facts) -> Vec<(String, Value)> {
    let config = facts.config;
    let sizes = &config.encoder;
    let mut keys = Keys(Vec::new());
    keys.put(general::ARCHITECTURE, encoder::ARCHITECTURE);
    keys.put(general::TYPE, general::TYPE_MMPROJ);
    keys.put(general::NAME, plan.name.as_str());
    if let Some(licence) = facts.licence {
        keys.put(general::LICENSE, licence);
    }
    keys.put(general::FILE_TYPE, plan.encoder.file_type.file_type());
    keys.put(encoder::HAS_AUDIO, true);
    keys.size(encoder::PROJECTION_DIM, sizes.projection);
    keys.size(encoder::EMBEDDING_LENGTH, sizes.width);
    keys.size(encoder::FEED_FORWARD_LENGTH, sizes.feed_forward);
    keys.size(encoder::BLOCK_COUNT, sizes.layers as u64);
    keys.size(encoder::HEAD_COUNT, config.encoder_heads);
    keys.size(encoder::MEL_BINS, sizes.mel_bins);
    keys.put(encoder::LAYER_NORM_EPSILON, encoder::LAYER_NORM_EPSILON_VALUE);
    keys.put(encoder::PROJECTOR_TYPE, encoder::PROJECTOR_VALUE);
    keys.put(general::QUANTIZATION_VERSION, QUANTIZATION_VERSION);
    keys.origin(&plan.encoder, facts);
    keys.size(own::N_WINDOW, config.n_window);
    keys.size(own::N_WINDOW_INFER, config.n_window_infer);
    keys.0
}

/// Keys that say in which types a file is stored and why: those of the source are not those of its copy.
const ABOUT_TYPES: [&str; 11] = [
    general::FILE_TYPE,
    general::QUANTIZATION_VERSION,
    own::VERSION,
    own::RECIPE,
    own::RECIPE_TYPES,
    own::RECIPE_TEXT,
    own::RECIPE_COST,
    importance::FILE,
    importance::DATASET,
    importance::ENTRIES,
    importance::CHUNKS,
];

/// Keys of the file that `source` becomes: its own, but those about types.
pub(crate) fn copied_keys(source: &Gguf, file: &FilePlan, name: Option<&str>, making: Making) -> Vec<(String, Value)> {
    let mut keys = Keys(Vec::new());
    for (key, value) in source.keys() {
        match (key, name) {
            (general::NAME, Some(name)) => keys.put(key, name),
            // Ours are laid out with the usual alignment.
            (ALIGNMENT_KEY, _) => {}
            _ if ABOUT_TYPES.contains(&key) => {}
            _ => keys.put(key, value.clone()),
        }
    }
    keys.put(general::FILE_TYPE, file.file_type.file_type());
    keys.put(general::QUANTIZATION_VERSION, QUANTIZATION_VERSION);
    keys.put(own::VERSION, env!("CARGO_PKG_VERSION"));
    keys.recipe(file, making);
    keys.0
}

/// The published split (24, 20, 20 of 64) for checkpoints that do not say theirs. Audio and text have equal positions
/// in all three sections, so how the pairs are split changes nothing.
fn usual_sections(head_width: u64) -> [i32; 3] {
    let pairs = i32::try_from(head_width / 2).unwrap_or(64);
    let side = pairs * 20 / 64;
    [pairs - 2 * side, side, side]
}

/// Parameters of the file as people say them: "596M", "1.7B".
fn size_label(file: &FilePlan) -> String {
    let count: u64 = file.tensors.iter().map(|tensor| tensor.target.dims.iter().product::<u64>()).sum();
    match count {
        1_000_000_000.. => format!("{:.1}B", count as f64 / 1e9),
        1_000_000.. => format!("{}M", (count as f64 / 1e6).round()),
        _ => format!("{}K", (count as f64 / 1e3).round()),
    }
}
