//! From the names of a checkpoint to the names of our files.
//!
//! Two families of names exist for the same tensors. The published checkpoints put everything under `thinker.`
//! (audio tower and projector in `thinker.audio_tower.`, the decoder in `thinker.model.`). Checkpoints saved by the
//! port inside transformers (the "-hf" ones) use `model.audio_tower.`, `model.multi_modal_projector.linear_{1,2}.`
//! for the projector and `model.language_model.` for the decoder; that port's own conversion script renames exactly
//! these prefixes and nothing below them.
//!
//! What training programs put around these names is taken away first: a prefix that (nearly) every name has, such as
//! `base_model.model.`, and the names of wrappers, such as `_orig_mod.` ([`Naming`]).

use std::borrow::Cow;
use std::collections::HashMap;

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

/// How the names of one checkpoint are read: the prefixes and wrappers around the names of the two families.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Naming {
    /// Taken away at the beginning.
    prefix: String,
    /// Put there instead: the published family without its first word is what the model without its wrapper saves.
    lacking: &'static str,
    /// Names that had the prefix, and all names.
    counts: [usize; 2],
    /// Wrappers whose names were taken out.
    wrappers: Vec<&'static str>,
}

/// Parts of a name that torch puts around a module which it compiles, spreads over machines or computes again.
const WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// The first word of the published family.
const THINKER: &str = "thinker.";

impl Naming {
    /// The reading that gives most of `names` a place in our files; the plain one where no other gives more.
    pub(crate) fn find<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let mut naming = Self { counts: [0, names.clone().count()], ..Self::default() };
        if names.clone().all(|name| map_name(name).is_some()) {
            return naming;
        }
        let is_in = |wrapper: &&str| names.clone().any(|name| name.split('.').any(|part| part == *wrapper));
        naming.wrappers = WRAPPERS.into_iter().filter(is_in).collect();
        let bare: Vec<_> = names.map(without_wrappers).collect();
        let mut votes: HashMap<(&str, &'static str), usize> = HashMap::new();
        for name in &bare {
            let starts = std::iter::once(0).chain(name.match_indices('.').map(|(at, _)| at + 1));
            for (prefix, rest) in starts.map(|start| name.split_at(start)) {
                if map_name(rest).is_some() {
                    *votes.entry((prefix, "")).or_default() += 1;
                }
                if published(rest).is_some() {
                    *votes.entry((prefix, THINKER)).or_default() += 1;
                }
            }
        }
        // Equal numbers: the names as they are before others, and as little as possible taken away.
        let order = |(prefix, lacking): (&str, &str), votes: usize| {
            (
                votes,
                std::cmp::Reverse(lacking.len()),
                std::cmp::Reverse(prefix.len()),
                std::cmp::Reverse(prefix.to_owned()),
            )
        };
        if let Some((&(prefix, lacking), &count)) = votes.iter().max_by_key(|&(&reading, &votes)| order(reading, votes))
        {
            (naming.prefix, naming.lacking, naming.counts[0]) = (prefix.to_owned(), lacking, count);
        }
        naming
    }

    /// The file and the name that the checkpoint's tensor `name` gets. A name without the prefix is read as it is.
    pub(crate) fn map(&self, name: &str) -> Option<(Target, String)> {
        let bare = if self.wrappers.is_empty() { Cow::Borrowed(name) } else { without_wrappers(name) };
        let stripped = bare.strip_prefix(self.prefix.as_str()).and_then(|rest| match self.lacking {
            "" => map_name(rest),
            _ => published(rest),
        });
        stripped.or_else(|| map_name(&bare))
    }

    /// The note about names that are not those of the two families.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let [with, all] = self.counts;
        if !self.prefix.is_empty() {
            notes.push(format!("{with} of {all} tensor names begin with '{}', which was left out", self.prefix));
        }
        if !self.lacking.is_empty() {
            notes.push(format!("{with} of {all} tensor names lack '{}' and were read as if they had it", self.lacking));
        }
        for wrapper in &self.wrappers {
            notes.push(format!("'{wrapper}.' was left out of the tensor names"));
        }
        notes
    }
}

/// The name without the parts that wrappers put into it.
fn without_wrappers(name: &str) -> Cow<'_, str> {
    if !name.split('.').any(|part| WRAPPERS.contains(&part)) {
        return Cow::Borrowed(name);
    }
    name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join(".").into()
}

/// Whether the tensor is a buffer that the official code computes by itself and does not read: rotary frequencies,
/// positions, sinusoids, counters. Older programs stored them.
pub(crate) fn is_buffer(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    BUFFERS.contains(&last)
}

/// Last parts of the names of such buffers.
const BUFFERS: [&str; 9] = [
    "inv_freq",
    "original_inv_freq",
    "cos_cached",
    "sin_cached",
    "position_ids",
    "positional_embedding",
    "num_batches_tracked",
    "masked_bias",
    "mel_filters",
];

/// Whether the tensor is one half of an adapter, or the matrix that an adapter is added to.
pub(crate) fn is_of_adapter(name: &str) -> bool {
    name.split('.').any(|part| part.starts_with("lora_") || part == "base_layer")
}

/// Names of the published family, after `thinker.`.
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

    fn read(names: &[&str]) -> (Vec<String>, String) {
        let naming = Naming::find(names.iter().copied());
        let target = |name: &&str| naming.map(name).map_or_else(|| "-".to_owned(), |(_, name)| name);
        (names.iter().map(target).collect(), naming.notes().join("; "))
    }

    const PUBLISHED: [&str; 4] = [
        "thinker.model.norm.weight",
        "thinker.audio_tower.proj1.bias",
        "thinker.audio_tower.layers.1.fc2.weight",
        "thinker.lm_head.weight",
    ];
    const PORT: [&str; 4] = [
        "model.language_model.norm.weight",
        "model.multi_modal_projector.linear_1.bias",
        "model.audio_tower.layers.1.fc2.weight",
        "lm_head.weight",
    ];
    const OURS: [&str; 4] = ["output_norm.weight", "mm.a.mlp.1.bias", "a.blk.1.ffn_down.weight", "output.weight"];

    #[test]
    fn names_as_they_should_be_are_read_as_they_are() {
        for names in [PUBLISHED, PORT] {
            assert_eq!(read(&names), (OURS.map(str::to_owned).to_vec(), String::new()));
        }
    }

    #[test]
    fn any_common_prefix_is_left_out_and_reported() {
        for prefix in ["module.", "model.", "base_model.model.", "thinker.", "a.b.c.d.", "_orig_mod.module.", "x."] {
            for names in [PUBLISHED, PORT] {
                let long = names.map(|name| format!("{prefix}{name}"));
                let (found, notes) = read(&long.each_ref().map(String::as_str));
                assert_eq!(found, OURS, "{long:?}");
                let kept = prefix.trim_start_matches("_orig_mod.");
                assert!(notes.contains(&format!("4 of 4 tensor names begin with '{kept}'")), "{long:?}: {notes}");
                assert_eq!(notes.contains("'_orig_mod.' was left out"), prefix != kept, "{notes}");
            }
        }
    }

    #[test]
    fn the_published_family_may_lack_its_first_word() {
        for prefix in ["", "module."] {
            let short = PUBLISHED.map(|name| name.replace("thinker.", prefix));
            let (found, notes) = read(&short.each_ref().map(String::as_str));
            assert_eq!(found, OURS, "{short:?}");
            assert!(notes.contains("4 of 4 tensor names lack 'thinker.'"), "{notes}");
        }
    }

    #[test]
    fn wrappers_inside_of_names_are_left_out() {
        let names = ["thinker._orig_mod.model._fsdp_wrapped_module.norm.weight", "thinker.lm_head.weight"];
        let (found, notes) = read(&names);
        assert_eq!(found, ["output_norm.weight", "output.weight"]);
        assert!(notes.contains("'_orig_mod.'") && notes.contains("'_fsdp_wrapped_module.'"), "{notes}");
    }

    #[test]
    fn strangers_beside_known_names_stay_strangers() {
        let names = [PUBLISHED[0], PUBLISHED[1], "thinker.talker.x.weight", "student.thinker.model.norm.weight"];
        assert_eq!(
            read(&names),
            (["output_norm.weight", "mm.a.mlp.1.bias", "-", "-"].map(str::to_owned).to_vec(), String::new())
        );
        let names =
            ["m.thinker.model.norm.weight", "m.thinker.audio_tower.proj1.bias", "thinker.lm_head.weight", "m.x.weight"];
        assert_eq!(read(&names).0, ["output_norm.weight", "mm.a.mlp.1.bias", "output.weight", "-"]);
    }

    #[test]
    fn buffers_and_adapters_are_known_by_their_last_parts() {
        for name in ["thinker.model.rotary_emb.inv_freq", "inv_freq", "x.positional_embedding.positional_embedding"] {
            assert!(is_buffer(name), "{name}");
        }
        for name in ["x.inv_freq.weight", "thinker.model.norm.weight", "my_inv_freq"] {
            assert!(!is_buffer(name), "{name}");
        }
        assert!(is_of_adapter("base_model.model.x.q_proj.lora_A.default.weight"));
        assert!(is_of_adapter("x.q_proj.base_layer.weight") && !is_of_adapter("x.q_proj.weight"));
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
