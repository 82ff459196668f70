//! What a checkpoint says about itself: sizes and settings. No default for anything that matters.

use std::path::Path;

use qasr_format::schema::tensors::{DecoderSizes, EncoderSizes, POSITION_ROWS};
use serde_json::Value;

use crate::checkpoint::{find_json, read_json};
use crate::error::{ConvertError, Result};

/// Most layers, and largest size of anything else: far above every model, low enough that products fit.
const MAX_LAYERS: u64 = 1024;
const MAX_SIZE: u64 = 1 << 24;

/// The settings conversion needs.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// Sizes of the decoder.
    pub decoder: DecoderSizes,
    /// Sizes of encoder and projector.
    pub encoder: EncoderSizes,
    /// Attention heads of the encoder.
    pub encoder_heads: u64,
    /// Half a conv chunk in mel frames.
    pub n_window: u64,
    /// An attention window in mel frames.
    pub n_window_infer: u64,
    /// Most positions of the decoder.
    pub context_length: u64,
    /// Base of the decoder's rotary frequencies.
    pub rope_theta: f64,
    /// Epsilon of the decoder's norms.
    pub rms_epsilon: f64,
    /// How many rotary pairs belong to time, height, width; the "-hf" checkpoints do not say.
    pub rope_sections: Option<[i32; 3]>,
    /// Whether the token table is the output head.
    pub tying: Tying,
    /// Languages by name, if listed.
    pub languages: Vec<String>,
    /// Tokens that end the answer, if `generation_config.json` lists them.
    pub end_tokens: Vec<i32>,
    /// Sampling temperature from `generation_config.json`.
    pub temperature: Option<f64>,
    /// Licence from the model card's front matter.
    pub licence: Option<String>,
    /// Longest stretch of audio the model should be given at once, where the model card says it.
    pub segment_seconds: Option<f32>,
}

impl ModelConfig {
    /// Reads `config.json` and, where they exist, `generation_config.json`, the feature extractor's settings and the
    /// model card in `dir`.
    ///
    /// # Errors
    /// When a file is not valid JSON, or settings are missing or ask for something this converter does not do; all
    /// such settings are listed.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let json = read_json(&path)?;
        // Published checkpoints nest everything; the "-hf" ones do not.
        let root = if json["thinker_config"].is_object() { &json["thinker_config"] } else { &json };
        let architectures = json["architectures"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut architectures = architectures.into_iter();
        if root["classify_num"].is_number() || architectures.any(|name| name.ends_with("ForTokenClassification")) {
            return Err(ConvertError::checkpoint(format!(
                "{}: this is a forced aligner, which marks times in a known text; only recognisers can be converted",
                path.display()
            )));
        }
        let mut problems = Vec::new();
        let mut audio = Section { json: &root["audio_config"], name: "audio_config", problems: &mut problems };
        let encoder = EncoderSizes {
            layers: audio.size(&["encoder_layers", "num_hidden_layers"], MAX_LAYERS) as usize,
            width: audio.size(&["d_model", "hidden_size"], MAX_SIZE),
            feed_forward: audio.size(&["encoder_ffn_dim", "intermediate_size"], MAX_SIZE),
            mel_bins: audio.size(&["num_mel_bins"], 1 << 16),
            conv_channels: audio.size(&["downsample_hidden_size"], 1 << 16),
            projection: audio.size(&["output_dim"], MAX_SIZE),
            // Later checkpoints say 13, the rows that are used; llama.cpp's layout always has the original 1500.
            position_rows: POSITION_ROWS,
        };
        let encoder_heads = audio.size(&["encoder_attention_heads", "num_attention_heads"], 1 << 16);
        let n_window = audio.size(&["n_window"], 1 << 20);
        let n_window_infer = audio.size(&["n_window_infer"], 1 << 20);
        audio.only("scale_embedding", &Value::Bool(false));
        audio.only("activation_function", &Value::from("gelu"));

        let mut text = Section { json: &root["text_config"], name: "text_config", problems: &mut problems };
        let decoder = DecoderSizes {
            layers: text.size(&["num_hidden_layers"], MAX_LAYERS) as usize,
            width: text.size(&["hidden_size"], MAX_SIZE),
            feed_forward: text.size(&["intermediate_size"], MAX_SIZE),
            heads: text.size(&["num_attention_heads"], 1 << 16),
            kv_heads: text.size(&["num_key_value_heads"], 1 << 16),
            head_width: text.size(&["head_dim"], 1 << 16),
            vocabulary: text.size(&["vocab_size"], MAX_SIZE),
        };
        let context_length = text.size(&["max_position_embeddings"], 1 << 30);
        let rms_epsilon = text.number(&["rms_norm_eps"]);
        text.only("attention_bias", &Value::Bool(false));
        text.only("hidden_act", &Value::from("silu"));
        text.only("use_sliding_window", &Value::Bool(false));
        let rope = ["rope_parameters", "rope_scaling"].into_iter().map(|key| &root["text_config"][key]);
        let rope = rope.into_iter().find(|value| value.is_object()).unwrap_or(&Value::Null);
        // Later versions may write one object for each kind of layer; there is one kind.
        let rope = if rope["full_attention"].is_object() { &rope["full_attention"] } else { rope };
        let rope_theta = match rope["rope_theta"].as_f64() {
            Some(theta) => theta,
            None => text.number(&["rope_theta"]),
        };
        // Older versions say `type`, and `mrope` where the sections are all that differs.
        for kind in ["rope_type", "type"].iter().filter_map(|key| rope[key].as_str()) {
            if !["default", "mrope"].contains(&kind) {
                problems
                    .push(format!("text_config.rope_scaling.rope_type is '{kind}', but only 'default' is supported"));
            }
        }
        let rope_sections = sections(&rope["mrope_section"], decoder.head_width, &mut problems);
        check_sizes(&decoder, &encoder, encoder_heads, n_window, n_window_infer, &mut problems);
        check_features(dir, encoder.mel_bins, &mut problems)?;
        if !problems.is_empty() {
            return Err(
                ConvertError::checkpoint(format!("{}: cannot be converted:", path.display())).with_items(problems)
            );
        }

        let generation = find_json(&dir.join("generation_config.json"))?.unwrap_or_default();
        let languages = json["support_languages"].as_array().into_iter().flatten();
        Ok(Self {
            decoder,
            encoder,
            encoder_heads,
            n_window,
            n_window_infer,
            context_length,
            rope_theta,
            rms_epsilon,
            rope_sections,
            tying: Tying {
                root: json["tie_word_embeddings"].as_bool(),
                thinker: root["tie_word_embeddings"].as_bool(),
                text: root["text_config"]["tie_word_embeddings"].as_bool(),
            },
            languages: languages.filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            end_tokens: end_tokens(&generation["eos_token_id"], decoder.vocabulary, dir)?,
            temperature: generation["temperature"].as_f64(),
            licence: card(dir, "license"),
            segment_seconds: card(dir, "segment_seconds").and_then(|seconds| seconds.parse().ok()),
        })
    }
}

/// `tie_word_embeddings`, wherever the configuration says it. The two official programs read it differently:
/// `docs/MODEL.md` has what was seen.
#[derive(Debug, Clone, Copy)]
pub struct Tying {
    root: Option<bool>,
    thinker: Option<bool>,
    text: Option<bool>,
}

impl Tying {
    /// Whether the token table is used even where another head is stored. The official package obeys the text model's
    /// flag and ties after loading; the port inside transformers keeps a head that is stored and differs.
    pub fn replaces_head(self, is_port: bool) -> bool {
        !is_port && self.text == Some(true)
    }

    /// Whether a checkpoint without a head is incomplete.
    pub fn needs_head(self, is_port: bool) -> bool {
        if is_port {
            return self.root == Some(false);
        }
        self.text != Some(true) && [self.root, self.thinker, self.text].contains(&Some(false))
    }
}

/// One object of the configuration; its faults are collected, so that all are reported at once.
struct Section<'a> {
    json: &'a Value,
    name: &'a str,
    problems: &'a mut Vec<String>,
}

impl Section<'_> {
    /// The whole number under the first of `keys` that is present, from 1 to `most`.
    fn size(&mut self, keys: &[&str], most: u64) -> u64 {
        let value = keys.iter().map(|key| &self.json[key]).find(|value| !value.is_null());
        match value.map(|value| (value, value.as_u64())) {
            Some((_, Some(n))) if (1..=most).contains(&n) => return n,
            Some((value, _)) => self.problems.push(format!("{}.{} is {value}", self.name, keys[0])),
            None => self.problems.push(format!("{}.{} is missing", self.name, keys[0])),
        }
        // Never used: a problem has been noted, which ends the conversion.
        1
    }

    /// The positive number under the first of `keys` that is present.
    fn number(&mut self, keys: &[&str]) -> f64 {
        let value = keys.iter().map(|key| &self.json[key]).find(|value| !value.is_null());
        match value.and_then(Value::as_f64) {
            Some(n) if n > 0.0 && n.is_finite() => n,
            _ => {
                self.problems.push(format!("{}.{} is missing or no positive number", self.name, keys[0]));
                1.0
            }
        }
    }

    /// Notes a problem when `key` is present with another value than the one the runtime implements.
    fn only(&mut self, key: &str, supported: &Value) {
        let value = &self.json[key];
        if !value.is_null() && value != supported {
            self.problems.push(format!("{}.{key} is {value}, but only {supported} is supported", self.name));
        }
    }
}

fn sections(json: &Value, head_width: u64, problems: &mut Vec<String>) -> Option<[i32; 3]> {
    let list = json.as_array()?;
    let numbers: Option<Vec<i32>> = list.iter().map(|n| n.as_i64().and_then(|n| i32::try_from(n).ok())).collect();
    match numbers.as_deref() {
        Some(&[t, h, w])
            if t >= 0 && h >= 0 && w >= 0 && i64::from(t) + i64::from(h) + i64::from(w) == (head_width / 2) as i64 =>
        {
            Some([t, h, w])
        }
        _ => {
            problems
                .push(format!("mrope_section is {json}, not three sizes that add up to half of head_dim {head_width}"));
            None
        }
    }
}

fn check_sizes(
    decoder: &DecoderSizes,
    encoder: &EncoderSizes,
    encoder_heads: u64,
    n_window: u64,
    n_window_infer: u64,
    problems: &mut Vec<String>,
) {
    if encoder.projection != decoder.width {
        problems.push(format!(
            "the encoder's output_dim {} differs from the decoder's hidden_size {}",
            encoder.projection, decoder.width
        ));
    }
    if !encoder.width.is_multiple_of(encoder_heads) || !encoder.width.is_multiple_of(2) {
        problems.push(format!("the encoder's width {} does not divide into {encoder_heads} heads", encoder.width));
    }
    if !decoder.heads.is_multiple_of(decoder.kv_heads) {
        problems.push(format!("{} query heads do not share {} key heads evenly", decoder.heads, decoder.kv_heads));
    }
    if !n_window_infer.is_multiple_of(2 * n_window) {
        problems.push(format!("n_window_infer {n_window_infer} is no multiple of two n_window {n_window}"));
    }
}

/// The features are computed by fixed rules (16 kHz, windows of 400 samples every 160); a checkpoint trained with
/// others would give wrong text silently.
fn check_features(dir: &Path, mel_bins: u64, problems: &mut Vec<String>) -> Result<()> {
    let json = match find_json(&dir.join("preprocessor_config.json"))? {
        Some(json) => json,
        None => find_json(&dir.join("processor_config.json"))?
            .map(|json| json["feature_extractor"].clone())
            .unwrap_or_default(),
    };
    for (key, supported) in [("feature_size", mel_bins), ("hop_length", 160), ("n_fft", 400), ("sampling_rate", 16_000)]
    {
        if let Some(value) = json.get(key).filter(|value| value.as_u64() != Some(supported)) {
            problems.push(format!("the feature extractor's {key} is {value}, but only {supported} is supported"));
        }
    }
    Ok(())
}

fn end_tokens(json: &Value, vocabulary: u64, dir: &Path) -> Result<Vec<i32>> {
    let list = match json {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    list.iter()
        .map(|id| {
            id.as_u64().filter(|&id| id < vocabulary).and_then(|id| i32::try_from(id).ok()).ok_or_else(|| {
                ConvertError::checkpoint(format!(
                    "{}: eos_token_id {id} is no token of a vocabulary of {vocabulary}",
                    dir.join("generation_config.json").display()
                ))
            })
        })
        .collect()
}

/// The value of `key: …` between the first two lines of three dashes of the model card.
fn card(dir: &Path, key: &str) -> Option<String> {
    let card = ["README.md", "MODEL_CARD.md"]
        .into_iter()
        .find_map(|name| crate::checkpoint::read_text(&dir.join(name)).ok())?;
    let mut lines = card.lines();
    if lines.next()?.trim() != "---" {
        return None;
    }
    let mut lines = lines.take_while(|line| line.trim() != "---");
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}
