//! Checkpoints that cannot be converted: one error that names everything that is wrong, and no file.

use std::fs;
use std::path::Path;

use crate::common::{checkpoint, edited, fresh_dir, listing, run, run_with};
use qasr_convert::tiny::{Spec, TinyHead, TinyTensor};
use qasr_convert::{ConvertErrorKind, FileType};
use serde_json::Value;

fn named<'a>(tensors: &'a mut [TinyTensor], name: &str) -> &'a mut TinyTensor {
    tensors.iter_mut().find(|tensor| tensor.name == name).expect("a tensor of the tiny checkpoint")
}

/// Conversion of `dir/ckpt` fails because of the checkpoint, says all of `parts`, and writes nothing.
fn refused(dir: &Path, parts: &[&str]) -> String {
    let error = run(dir, FileType::Q8_0).expect_err("must be refused");
    let text = error.to_string();
    assert_eq!(error.kind(), ConvertErrorKind::Checkpoint, "{text}");
    for part in parts {
        assert!(text.contains(part), "'{text}' lacks '{part}'");
    }
    assert_eq!(listing(&dir.join("out")), [""; 0], "{text}");
    text
}

#[test]
fn all_that_is_wrong_with_the_tensors_is_listed_at_once() {
    let dir = fresh_dir("listed");
    edited(&dir, &Spec::default(), |tensors| {
        tensors.retain(|t| {
            t.name != "thinker.model.layers.1.mlp.up_proj.weight" && t.name != "thinker.audio_tower.ln_post.bias"
        });
        let q = named(tensors, "thinker.model.layers.0.self_attn.q_proj.weight");
        q.shape = vec![q.shape[1] / 2, q.shape[0] * 2];
        let extra = |name: &str| TinyTensor { name: name.to_owned(), shape: vec![4], values: vec![0.0; 4] };
        tensors.push(extra("thinker.audio_tower.adapter.weight"));
        tensors.push(extra("thinker.model.layers.2.input_layernorm.weight"));
        tensors.push(extra("lm_head.weight"));
    });
    let text = refused(
        &dir,
        &[
            "6 problems",
            "missing: nothing in the checkpoint becomes blk.1.ffn_up.weight [256, 512]",
            "missing: nothing in the checkpoint becomes a.post_ln.bias",
            "misshapen: 'thinker.model.layers.0.self_attn.q_proj.weight' is [128, 512], but config.json makes it [256, 256]",
            "unmapped: 'thinker.audio_tower.adapter.weight'",
            "extra: 'thinker.model.layers.2.input_layernorm.weight'",
            "are both output.weight",
        ],
    );
    assert!(text.lines().count() >= 7, "{text}");
}

#[test]
fn an_untied_checkpoint_needs_its_head() {
    let dir = fresh_dir("untied");
    edited(&dir, &Spec { head: TinyHead::Different, ..Spec::default() }, |tensors| {
        tensors.retain(|t| t.name != "thinker.lm_head.weight");
    });
    refused(&dir, &["missing: nothing in the checkpoint becomes output.weight"]);
}

#[test]
fn values_no_model_can_use_are_refused() {
    let dir = fresh_dir("nan");
    edited(&dir, &Spec::default(), |tensors| {
        named(tensors, "thinker.audio_tower.layers.2.fc1.weight").values[777] = f32::NAN;
    });
    refused(&dir, &["thinker.audio_tower.layers.2.fc1.weight", "NaN"]);

    let dir = fresh_dir("too_large");
    edited(&dir, &Spec::default(), |tensors| {
        named(tensors, "thinker.audio_tower.conv2d2.weight").values[7] = 1e6;
    });
    refused(&dir, &["thinker.audio_tower.conv2d2.weight", "too large for f16", "bf16 or f32"]);
    run(&dir, FileType::F32).expect("f32 holds it");
}

/// Writes the weights file anew with its header changed by `change` and its data kept.
fn with_header(dir: &Path, change: impl FnOnce(&mut Value)) {
    let path = dir.join("ckpt/model.safetensors");
    let bytes = fs::read(&path).expect("weights");
    let len = u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + len]).expect("header");
    change(&mut header);
    let header = header.to_string();
    let mut changed = (header.len() as u64).to_le_bytes().to_vec();
    changed.extend(header.as_bytes());
    changed.extend(&bytes[8 + len..]);
    fs::write(&path, changed).expect("weights");
}

const NORM: &str = "thinker.model.norm.weight";

#[test]
fn damaged_weight_files_are_refused() {
    let dir = fresh_dir("damaged_checkpoint");
    checkpoint(&dir, &Spec::default());
    let path = dir.join("ckpt/model.safetensors");
    let good = fs::read(&path).expect("weights");
    for len in [0, 4, 8, 100, good.len() / 2, good.len() - 1] {
        fs::write(&path, &good[..len]).expect("cut");
        refused(&dir, &["model.safetensors", "download it again"]);
    }
    for claim in [u64::MAX, 1 << 40, 40 << 20] {
        let mut bytes = good.clone();
        bytes[..8].copy_from_slice(&claim.to_le_bytes());
        fs::write(&path, bytes).expect("claim");
        refused(&dir, &["claims a header of"]);
    }
    let mut bytes = good.clone();
    bytes[8] = b'[';
    fs::write(&path, bytes).expect("no object");
    refused(&dir, &["its header cannot be read"]);

    type Change = fn(&mut Value);
    let headers: [(&str, Change); 10] = [
        ("has no dtype", |h| h[NORM] = Value::from(1)),
        ("stored as I8", |h| h[NORM]["dtype"] = Value::from("I8")),
        ("has no shape", |h| h[NORM]["shape"] = Value::from("x")),
        ("has no shape", |h| h[NORM]["shape"] = serde_json::json!([-1])),
        ("absurd shape", |h| h[NORM]["shape"] = serde_json::json!([u64::MAX, 3])),
        ("but its shape", |h| h[NORM]["shape"] = serde_json::json!([255])),
        ("data_offsets", |h| h[NORM]["data_offsets"] = serde_json::json!([0])),
        ("but its shape", |h| h[NORM]["data_offsets"] = serde_json::json!([512, 0])),
        ("beyond the end", |h| h[NORM]["data_offsets"] = serde_json::json!([1_u64 << 40, (1_u64 << 40) + 512])),
        ("overlap", |h| h[NORM]["data_offsets"] = serde_json::json!([0, 512])),
    ];
    for (expected, change) in headers {
        fs::write(&path, &good).expect("restore");
        with_header(&dir, change);
        refused(&dir, &["model.safetensors", expected]);
    }

    // A name given twice: JSON itself allows it.
    fs::write(&path, &good).expect("restore");
    let len = u64::from_le_bytes(good[..8].try_into().expect("eight")) as usize;
    let header = String::from_utf8(good[8..8 + len].to_vec()).expect("text");
    let doubled = header.replacen(
        '{',
        "{\"thinker.model.norm.weight\":{\"dtype\":\"BF16\",\"shape\":[0],\"data_offsets\":[0,0]},",
        1,
    );
    let mut bytes = (doubled.len() as u64).to_le_bytes().to_vec();
    bytes.extend(doubled.as_bytes());
    bytes.extend(&good[8 + len..]);
    fs::write(&path, bytes).expect("doubled");
    refused(&dir, &["'thinker.model.norm.weight' occurs twice"]);
}

#[test]
fn shards_and_index_must_agree() {
    let dir = fresh_dir("shards");
    checkpoint(&dir, &Spec { shards: 3, ..Spec::default() });
    let index = dir.join("ckpt/model.safetensors.index.json");
    let good = fs::read_to_string(&index).expect("index");
    let change = |edit: &dyn Fn(&mut Value)| {
        let mut json: Value = serde_json::from_str(&good).expect("json");
        edit(&mut json["weight_map"]);
        fs::write(&index, json.to_string()).expect("index");
    };
    change(&|map| map["thinker.ghost"] = Value::from("model-00001-of-00003.safetensors"));
    refused(&dir, &["'thinker.ghost' should be in model-00001-of-00003.safetensors but is not"]);
    change(&|map| map[NORM] = Value::from("model-00001-of-00003.safetensors"));
    refused(&dir, &["but the index says model-00001-of-00003.safetensors"]);
    change(&|map| map[NORM] = Value::from("../../etc/passwd"));
    refused(&dir, &["names no proper file"]);
    change(&|map| map[NORM] = Value::from("model-00009-of-00003.safetensors"));
    refused(&dir, &["there is no model-00009-of-00003.safetensors", "download the checkpoint again"]);
    fs::write(&index, &good).expect("restore");
    fs::remove_file(dir.join("ckpt/model-00002-of-00003.safetensors")).expect("remove");
    refused(&dir, &["there is no model-00002-of-00003.safetensors", "download the checkpoint again"]);
}

#[test]
fn settings_that_the_runtime_does_not_implement_are_all_listed() {
    let dir = fresh_dir("settings");
    checkpoint(&dir, &Spec::default());
    let path = dir.join("ckpt/config.json");
    let good = fs::read_to_string(&path).expect("config");
    let change = |edit: &dyn Fn(&mut Value)| {
        let mut json: Value = serde_json::from_str(&good).expect("json");
        edit(&mut json["thinker_config"]);
        fs::write(&path, json.to_string()).expect("config");
    };
    change(&|c| {
        c["audio_config"]["scale_embedding"] = Value::from(true);
        c["audio_config"]["d_model"] = Value::Null;
        c["text_config"]["hidden_act"] = Value::from("gelu");
        c["text_config"]["rope_scaling"]["rope_type"] = Value::from("yarn");
        c["text_config"]["num_hidden_layers"] = Value::from(1_u64 << 40);
        c["text_config"]["rope_scaling"]["mrope_section"] = serde_json::json!([1, 2, 3]);
    });
    refused(
        &dir,
        &[
            "audio_config.scale_embedding is true",
            "audio_config.d_model is missing",
            "text_config.hidden_act is \"gelu\"",
            "'yarn'",
            "text_config.num_hidden_layers is 1099511627776",
            "mrope_section is [1,2,3]",
        ],
    );
    change(&|c| c["classify_num"] = Value::from(5000));
    refused(&dir, &["forced aligner"]);
    fs::write(&path, "{").expect("config");
    refused(&dir, &["config.json: not valid JSON"]);
    fs::remove_file(&path).expect("remove");
    refused(&dir, &["config.json: cannot read the file"]);
    fs::write(&path, &good).expect("restore");
    fs::write(dir.join("ckpt/preprocessor_config.json"), r#"{"feature_size": 80, "hop_length": 160}"#).expect("write");
    refused(&dir, &["feature_size is 80"]);
}

#[test]
fn vocabularies_that_do_not_fit_are_refused() {
    let dir = fresh_dir("vocabulary");
    checkpoint(&dir, &Spec::default());
    let ckpt = dir.join("ckpt");
    let original = |name: &str| fs::read_to_string(ckpt.join(name)).expect("file");
    let (vocab, merges, added) = (original("vocab.json"), original("merges.txt"), original("tokenizer_config.json"));
    let put = |name: &str, text: &str| fs::write(ckpt.join(name), text).expect("write");

    put("vocab.json", &vocab.replacen('{', "{\"zz\": 512,", 1));
    refused(&dir, &["vocab.json", "token 'zz' has no row among the 512"]);
    put("vocab.json", &vocab.replacen('{', "{\"zz\": 65,", 1));
    refused(&dir, &["vocab.json", "share row 65"]);
    put("vocab.json", "[]");
    refused(&dir, &["no object of tokens"]);
    put("vocab.json", &vocab);
    put("merges.txt", "#version: 0.2\nonlyone\n");
    refused(&dir, &["merges.txt:2: 'onlyone' is no pair"]);
    put("merges.txt", &merges);
    put("tokenizer_config.json", &added.replace("<asr_text>", "<other>"));
    refused(&dir, &["lacks tokens the prompt needs", "'<asr_text>'"]);
    put("tokenizer_config.json", "{}");
    refused(&dir, &["no file lists added tokens"]);
    put("tokenizer_config.json", &added);
    put("generation_config.json", r#"{"eos_token_id": [300, 512]}"#);
    refused(&dir, &["generation_config.json", "eos_token_id 512"]);
}

#[test]
fn options_that_make_no_sense_are_usage_errors() {
    let dir = fresh_dir("usage");
    checkpoint(&dir, &Spec::default());
    for name in ["", "a/b", "..", ".hidden"] {
        let error = run_with(&dir, FileType::Q8_0, |o| o.name = Some(name.to_owned())).expect_err("name");
        assert_eq!(error.kind(), ConvertErrorKind::Usage, "{error}");
    }
    for seconds in [0.0, -1.0, f32::NAN] {
        let error = run_with(&dir, FileType::Q8_0, |o| o.segment_seconds = Some(seconds)).expect_err("seconds");
        assert_eq!(error.kind(), ConvertErrorKind::Usage, "{error}");
    }
    let error = run_with(&dir, FileType::Q8_0, |o| o.threads = Some(0)).expect_err("threads");
    assert_eq!(error.kind(), ConvertErrorKind::Usage);
    let error = run_with(&dir, FileType::Q8_0, |o| o.checkpoint = dir.join("nothing")).expect_err("missing");
    assert_eq!(error.kind(), ConvertErrorKind::Checkpoint);
    assert!(error.to_string().contains("nothing"), "{error}");
    assert!(!dir.join("out").exists());
}
