//! From the names of a checkpoint to the names of our files.
//!
//! Two families of names exist for the same tensors. The published checkpoints put everything under `thinker.`
//! (audio tower and projector in `thinker.audio_tower.`, the decoder in `thinker.model.`). Checkpoints saved by the
//! port inside transformers (the "-hf" ones) use `model.audio_tower.`, `model.multi_modal_projector.linear_{1,2}.`
//! for the projector and `model.language_model.` for the decoder; that port's own conversion script renames exactly
//! these prefixes and nothing below them.

use qasr_format::schema::tensors::{self as names, Which, decoder_part as d, encoder_layer_part as e};

/// Which of the two files a tensor goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// The decoder file.
    Decoder,
    /// The mmproj file: encoder and projector.
    Encoder,
}

/// The file and the name that the checkpoint's tensor `name` gets, or `None` for a name of neither family.
pub fn map_name(name: &str) -> Option<(Target, String)> {
    if let Some(rest) = name.strip_prefix("thinker.") {
        return published(rest);
    }
    let rest = name.strip_prefix("model.").unwrap_or(name);
    if let Some(rest) = rest.strip_prefix("multi_modal_projector.") {
        let (part, which) = split_which(rest)?;
        let part = match part {
            "linear_1" => names::PROJ1,
            "linear_2" => names::PROJ2,
            _ => return None,
        };
        return Some((Target::Encoder, names::encoder_part(part, which)));
    }
    if let Some(rest) = rest.strip_prefix("audio_tower.") {
        // In this family the projector is not part of the tower.
        return if rest.starts_with("proj") { None } else { encoder(rest) };
    }
    if let Some(rest) = rest.strip_prefix("language_model.") {
        return decoder(rest);
    }
    (name == "lm_head.weight").then(|| (Target::Decoder, names::OUTPUT.to_owned()))
}

/// Names of the published family, behind `thinker.`.
fn published(rest: &str) -> Option<(Target, String)> {
    if let Some(rest) = rest.strip_prefix("audio_tower.") {
        return encoder(rest);
    }
    if let Some(rest) = rest.strip_prefix("model.") {
        return decoder(rest);
    }
    (rest == "lm_head.weight").then(|| (Target::Decoder, names::OUTPUT.to_owned()))
}

fn decoder(rest: &str) -> Option<(Target, String)> {
    let target = match rest {
        "embed_tokens.weight" => names::TOKEN_EMBD.to_owned(),
        "norm.weight" => names::OUTPUT_NORM.to_owned(),
        _ => {
            let (layer, part) = split_layer(rest)?;
            let (part, Which::Weight) = split_which(part)? else {
                return None;
            };
            let part = match part {
                "input_layernorm" => d::ATTN_NORM,
                "self_attn.q_proj" => d::ATTN_Q,
                "self_attn.k_proj" => d::ATTN_K,
                "self_attn.v_proj" => d::ATTN_V,
                "self_attn.o_proj" => d::ATTN_OUTPUT,
                "self_attn.q_norm" => d::ATTN_Q_NORM,
                "self_attn.k_norm" => d::ATTN_K_NORM,
                "post_attention_layernorm" => d::FFN_NORM,
                "mlp.gate_proj" => d::FFN_GATE,
                "mlp.up_proj" => d::FFN_UP,
                "mlp.down_proj" => d::FFN_DOWN,
                _ => return None,
            };
            names::decoder_layer(layer, part)
        }
    };
    Some((Target::Decoder, target))
}

fn encoder(rest: &str) -> Option<(Target, String)> {
    if rest == "conv_out.weight" {
        return Some((Target::Encoder, names::CONV_OUT.to_owned()));
    }
    let (part, which) = split_which(rest)?;
    let target = match part {
        "conv2d1" => names::encoder_part(names::CONV[0], which),
        "conv2d2" => names::encoder_part(names::CONV[1], which),
        "conv2d3" => names::encoder_part(names::CONV[2], which),
        "ln_post" => names::encoder_part(names::POST_LN, which),
        "proj1" => names::encoder_part(names::PROJ1, which),
        "proj2" => names::encoder_part(names::PROJ2, which),
        _ => {
            let (layer, part) = split_layer(part)?;
            let part = match part {
                "self_attn_layer_norm" => e::LN1,
                "self_attn.q_proj" => e::ATTN_Q,
                "self_attn.k_proj" => e::ATTN_K,
                "self_attn.v_proj" => e::ATTN_V,
                "self_attn.out_proj" => e::ATTN_OUT,
                "final_layer_norm" => e::LN2,
                "fc1" => e::FFN_UP,
                "fc2" => e::FFN_DOWN,
                _ => return None,
            };
            names::encoder_layer(layer, part, which)
        }
    };
    Some((Target::Encoder, target))
}

/// "layers.12.rest" → (12, "rest"). A number with leading zeros or signs is no layer: two names must never map to one.
fn split_layer(rest: &str) -> Option<(usize, &str)> {
    let (number, part) = rest.strip_prefix("layers.")?.split_once('.')?;
    let layer: usize = number.parse().ok()?;
    (layer.to_string() == number).then_some((layer, part))
}

fn split_which(name: &str) -> Option<(&str, Which)> {
    let (part, which) = name.rsplit_once('.')?;
    match which {
        "weight" => Some((part, Which::Weight)),
        "bias" => Some((part, Which::Bias)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(name: &str) -> String {
        map_name(name).map_or_else(|| "-".to_owned(), |(target, name)| format!("{target:?} {name}"))
    }

    #[test]
    fn both_families_meet_in_the_same_names() {
        for (published, hf, target) in [
            (
                "thinker.model.embed_tokens.weight",
                "model.language_model.embed_tokens.weight",
                "Decoder token_embd.weight",
            ),
            ("thinker.model.norm.weight", "model.language_model.norm.weight", "Decoder output_norm.weight"),
            ("thinker.lm_head.weight", "lm_head.weight", "Decoder output.weight"),
            (
                "thinker.model.layers.11.self_attn.o_proj.weight",
                "model.language_model.layers.11.self_attn.o_proj.weight",
                "Decoder blk.11.attn_output.weight",
            ),
            ("thinker.audio_tower.conv2d2.bias", "model.audio_tower.conv2d2.bias", "Encoder a.conv2d.2.bias"),
            ("thinker.audio_tower.conv_out.weight", "model.audio_tower.conv_out.weight", "Encoder a.conv_out.weight"),
            (
                "thinker.audio_tower.layers.3.fc1.bias",
                "model.audio_tower.layers.3.fc1.bias",
                "Encoder a.blk.3.ffn_up.bias",
            ),
            (
                "thinker.audio_tower.proj1.weight",
                "model.multi_modal_projector.linear_1.weight",
                "Encoder mm.a.mlp.1.weight",
            ),
            ("thinker.audio_tower.proj2.bias", "model.multi_modal_projector.linear_2.bias", "Encoder mm.a.mlp.2.bias"),
        ] {
            assert_eq!(mapped(published), target);
            assert_eq!(mapped(hf), target);
        }
    }

    #[test]
    fn unknown_names_map_to_nothing() {
        for name in [
            "thinker.model.layers.0.self_attn.q_proj.bias",
            "thinker.model.layers.00.mlp.up_proj.weight",
            "thinker.model.layers.+1.mlp.up_proj.weight",
            "thinker.model.layers.x.mlp.up_proj.weight",
            "thinker.audio_tower.conv_out.bias",
            "thinker.audio_tower.layers.0.fc3.weight",
            "model.audio_tower.proj1.weight",
            "model.multi_modal_projector.linear_3.weight",
            "thinker.talker.x.weight",
            "",
        ] {
            assert_eq!(mapped(name), "-", "{name}");
        }
    }
}
