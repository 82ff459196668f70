//! The tiny checkpoint's settings and vocabulary.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Naming, Spec, TinyHead};

/// Row of the first added token.
const FIRST_ADDED: u64 = 300;
/// Added tokens, in row order.
const ADDED: [(&str, bool); 8] = [
    ("<|endoftext|>", true),
    ("<|im_start|>", true),
    ("<|im_end|>", true),
    ("<|audio_start|>", true),
    ("<|audio_end|>", true),
    ("<|audio_pad|>", true),
    ("<asr_text>", false),
    ("<non_speech>", false),
];

/// Writes everything but the weights: settings and a vocabulary of bytes, two merges and the added tokens.
///
/// # Errors
/// When a file cannot be written.
pub fn write_settings(dir: &Path, spec: &Spec) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let put = |name: &str, json: Value| fs::write(dir.join(name), format!("{json:#}\n"));
    put("config.json", config(spec))?;
    put("generation_config.json", json!({"eos_token_id": [FIRST_ADDED, FIRST_ADDED + 2], "temperature": 1e-6}))?;
    put("preprocessor_config.json", json!({"feature_size": spec.encoder.mel_bins, "hop_length": 160, "n_fft": 400}))?;
    let mut vocab = byte_tokens();
    vocab.extend(["Ġt".to_owned(), "he".to_owned()]);
    let added: Vec<(u64, Value)> = ADDED
        .iter()
        .zip(FIRST_ADDED..)
        .map(|(&(content, special), id)| (id, json!({"id": id, "content": content, "special": special})))
        .collect();
    let vocab: Map<String, Value> = vocab.into_iter().zip((0..).map(Value::from)).collect();
    match spec.naming {
        Naming::Published => {
            let added: Map<String, Value> = added.into_iter().map(|(id, token)| (id.to_string(), token)).collect();
            put("tokenizer_config.json", json!({"added_tokens_decoder": added}))?;
            put("vocab.json", Value::from(vocab))?;
            fs::write(dir.join("merges.txt"), "#version: 0.2\nĠ t\nh e\n")
        }
        Naming::Hf => {
            let added: Vec<Value> = added.into_iter().map(|(_, token)| token).collect();
            let merges = json!([["Ġ", "t"], ["h", "e"]]);
            put("tokenizer.json", json!({"added_tokens": added, "model": {"vocab": vocab, "merges": merges}}))
        }
    }
}

fn config(spec: &Spec) -> Value {
    let Spec { encoder, decoder, .. } = spec;
    let mut audio = json!({
        "d_model": encoder.width, "encoder_layers": encoder.layers, "encoder_ffn_dim": encoder.feed_forward,
        "num_mel_bins": encoder.mel_bins, "downsample_hidden_size": encoder.conv_channels,
        "output_dim": encoder.projection, "n_window": 50, "n_window_infer": 800,
        "activation_function": "gelu", "scale_embedding": false,
    });
    let mut text = json!({
        "num_hidden_layers": decoder.layers, "hidden_size": decoder.width, "intermediate_size": decoder.feed_forward,
        "num_attention_heads": decoder.heads, "num_key_value_heads": decoder.kv_heads, "head_dim": decoder.head_width,
        "vocab_size": decoder.vocabulary, "max_position_embeddings": 65536, "rms_norm_eps": 1e-6,
        "attention_bias": false, "hidden_act": "silu",
    });
    match spec.naming {
        Naming::Published => {
            audio["encoder_attention_heads"] = json!(spec.encoder_heads);
            text["rope_theta"] = json!(1_000_000);
            let pairs = decoder.head_width / 2;
            let side = pairs * 20 / 64;
            text["rope_scaling"] = json!({"rope_type": "default", "mrope_section": [pairs - 2 * side, side, side]});
            text["tie_word_embeddings"] = json!(spec.head != TinyHead::Different);
            json!({
                "model_type": "qwen3_asr", "support_languages": ["English", "Chinese"],
                "thinker_config": {"audio_config": audio, "text_config": text},
            })
        }
        Naming::Hf => {
            audio["num_attention_heads"] = json!(spec.encoder_heads);
            text["rope_parameters"] = json!({"rope_theta": 1_000_000.0, "rope_type": "default"});
            json!({
                "model_type": "qwen3_asr", "audio_config": audio, "text_config": text,
                "tie_word_embeddings": spec.head != TinyHead::Different,
            })
        }
    }
}

/// One token per byte, in the alphabet that byte-level vocabularies use: printable bytes stand for themselves, the
/// others for the characters from U+0100 on.
fn byte_tokens() -> Vec<String> {
    let is_printable = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut next = 0x100;
    (0..0x100)
        .filter_map(|byte| {
            let code = if is_printable(byte) {
                byte
            } else {
                next += 1;
                next - 1
            };
            char::from_u32(code).map(String::from)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_alphabet_is_complete_and_has_the_usual_names_for_space_and_newline() {
        let tokens = byte_tokens();
        assert_eq!(tokens.len(), 256);
        assert_eq!((tokens[0x20].as_str(), tokens[0x0a].as_str(), tokens[0x41].as_str()), ("Ġ", "Ċ", "A"));
        let distinct: std::collections::HashSet<_> = tokens.iter().collect();
        assert_eq!(distinct.len(), 256);
    }
}
