//! Model files whose container is sound and whose content is not: sizes, vocabularies and keys that llama.cpp takes
//! on trust, or ends the process over. And options that ask for too much.

use crate::damage::{Bench, RECORDING, run, small};
use qasr_convert::Arch;
use qasr_format::gguf::Value;

#[test]
fn impossible_sizes_are_refused() {
    let bench = Bench::new("sizes");
    for (key, values) in [
        ("qwen3.block_count", &[0, 2, 512, 513, u32::MAX][..]),
        ("qwen3.context_length", &[0, 1, 40, u32::MAX]),
        ("qwen3.embedding_length", &[0, 1, 63, 128, u32::MAX]),
        ("qwen3.feed_forward_length", &[0, 97, u32::MAX]),
        ("qwen3.attention.head_count", &[0, 1, 3, 8, u32::MAX]),
        ("qwen3.attention.head_count_kv", &[0, 1, 3, 8, u32::MAX]),
        ("qwen3.attention.key_length", &[0, 1, 31, 64, u32::MAX]),
        ("qwen3.attention.value_length", &[0, 1, 31, 64, u32::MAX]),
        ("tokenizer.ggml.eos_token_id", &[512, u32::MAX]),
        ("tokenizer.ggml.bos_token_id", &[512, u32::MAX]),
    ] {
        for value in values {
            bench.refuses_decoder(&format!("{key} = {value}"), &bench.decoder.with(key, *value), "damaged.gguf");
        }
        let wrong = bench.decoder.with(key, "many");
        bench.refuses_decoder(&format!("{key} as text"), &wrong, key);
        let wrong = bench.decoder.with(key, Value::U32s(vec![4; 600]));
        bench.refuses_decoder(&format!("{key} as an array"), &wrong, key);
        if !key.starts_with("tokenizer") {
            bench.refuses_decoder(&format!("no {key}"), &bench.decoder.without(key), key);
        }
    }
    for (key, values) in [
        ("qwen3.attention.layer_norm_rms_epsilon", &[0.0, -1.0, f32::NAN, f32::INFINITY, 2.0][..]),
        ("qwen3.rope.freq_base", &[0.0, -1.0, f32::NAN, f32::INFINITY, 0.5]),
        ("qasr.segment_seconds", &[0.0, -1.0, f32::NAN, f32::INFINITY, 1e9]),
    ] {
        for value in values {
            bench.refuses_decoder(&format!("{key} = {value}"), &bench.decoder.with(key, *value), key);
        }
        bench.refuses_decoder(&format!("{key} as a number"), &bench.decoder.with(key, 1), key);
    }
    for ids in [vec![512], vec![-1], vec![i32::MAX], vec![300, i32::MIN]] {
        let wrong = bench.decoder.with("qasr.end_token_ids", Value::I32s(ids));
        bench.refuses_decoder("end tokens", &wrong, "qasr.end_token_ids");
    }
}

#[test]
fn impossible_sizes_of_the_encoder_are_refused() {
    let bench = Bench::new("encoder-sizes");
    for (key, values) in [
        ("clip.audio.block_count", &[0, 2, 512, u32::MAX][..]),
        ("clip.audio.embedding_length", &[0, 1, 64, u32::MAX]),
        ("clip.audio.feed_forward_length", &[0, 32, u32::MAX]),
        ("clip.audio.attention.head_count", &[0, 3, 33, u32::MAX]),
        ("clip.audio.num_mel_bins", &[0, 80, 129, u32::MAX]),
        ("clip.audio.projection_dim", &[0, 32, u32::MAX]),
        ("qasr.audio.n_window", &[0, 49, u32::MAX]),
        ("qasr.audio.n_window_infer", &[0, 400, u32::MAX]),
    ] {
        for value in values {
            bench.refuses_encoder(&format!("{key} = {value}"), &bench.encoder.with(key, *value), "damaged.gguf");
        }
        bench.refuses_encoder(&format!("{key} as text"), &bench.encoder.with(key, "many"), key);
        if key.starts_with("clip") {
            bench.refuses_encoder(&format!("no {key}"), &bench.encoder.without(key), key);
        }
    }
    let key = "clip.audio.attention.layer_norm_epsilon";
    for value in [0.0, -1.0, f32::NAN, f32::INFINITY, 2.0] {
        bench.refuses_encoder(&format!("{key} = {value}"), &bench.encoder.with(key, value), key);
    }
}

#[test]
fn rotary_sections_that_cannot_be_are_refused() {
    let bench = Bench::make("sections", &small(), "q8_0", Arch::Qwen3Vl);
    bench.accepts_decoder("as converted", &bench.decoder);
    let key = "qwen3vl.rope.dimension_sections";
    for sections in [
        &[][..],
        &[0, 0, 0, 0],
        &[0, 0, 0, 16],
        &[-1, 9, 8, 0],
        &[8, 4, 4],
        &[99, 0, 0, 0],
        &[i32::MAX; 4],
        &[i32::MIN; 4],
    ] {
        let wrong = bench.decoder.with(key, Value::I32s(sections.to_vec()));
        bench.refuses_decoder(&format!("{sections:?}"), &wrong, key);
    }
    bench.refuses_decoder("a number", &bench.decoder.with(key, 16), key);
    bench.refuses_decoder("none", &bench.decoder.without(key), key);
    for layers in [1, 7, u32::MAX] {
        let key = "qwen3vl.n_deepstack_layers";
        bench.refuses_decoder(&format!("{key} = {layers}"), &bench.decoder.with(key, layers), key);
    }
}

/// Keys that no Qwen3-ASR file has and that llama.cpp would read: each changes what is computed, and some end the
/// process.
#[test]
fn keys_that_would_change_the_computation_are_refused() {
    let bench = Bench::new("keys");
    for (key, value) in [
        ("qwen3.rope.scaling.type", Value::from("fancy")),
        ("qwen3.rope.scaling.type", Value::from("yarn")),
        ("qwen3.rope.scaling.factor", Value::from(0.0)),
        ("qwen3.rope.scaling.factor", Value::from(f32::NAN)),
        ("qwen3.rope.scale_linear", Value::from(4.0)),
        ("qwen3.rope.scaling.attn_factor", Value::from(f32::INFINITY)),
        ("qwen3.rope.scaling.original_context_length", Value::from(1)),
        ("qwen3.rope.dimension_count", Value::from(16)),
        ("qwen3.rope.dimension_count", Value::from(0)),
        ("qwen3.rope.dimension_count", Value::from("all")),
        ("qwen3.rope.dimension_count_swa", Value::from(7)),
        ("qwen3.expert_count", Value::from(4)),
        ("qwen3.expert_count", Value::from(100_000)),
        ("qwen3.expert_used_count", Value::from(4)),
        ("qwen3.expert_used_count", Value::U32s(vec![1; 600])),
        ("qwen3.expert_group_count", Value::from(4)),
        ("qwen3.nextn_predict_layers", Value::from(1)),
        ("qwen3.nextn_predict_layers", Value::from(9)),
        ("qwen3.attention.causal", Value::from(false)),
        ("qwen3.attention.causal", Value::from("no")),
        ("qwen3.pooling_type", Value::from(4)),
        ("qwen3.pooling_type", Value::from(99)),
        ("qwen3.embedding_length_out", Value::from(1 << 30)),
        ("qwen3.attention.key_length_swa", Value::from(8)),
        ("qwen3.attention.sliding_window", Value::from(1)),
        ("qwen3.attention.sliding_window_pattern", Value::Bools(vec![true])),
        ("qwen3.attention.max_alibi_bias", Value::from(8.0)),
        ("qwen3.attention.clamp_kqv", Value::from(1e-9)),
        ("qwen3.classifier.output_labels", Value::Strings(vec!["a".into(); 100])),
        ("qwen3.n_deepstack_layers", Value::from(3)),
        ("qwen3.tensor_data_layout", Value::from("reversed")),
        ("qwen3.two\nlines", Value::from(1)),
        ("split.count", Value::U16(2)),
        ("split.count", Value::U16(u16::MAX)),
        ("split.count", Value::from("two")),
        ("general.name", Value::from(7)),
        ("general.file_type", Value::from("best")),
    ] {
        // What llama.cpp reads by another kind it may refuse itself; the file must be named either way.
        bench.refuses_decoder(&format!("{key} = {value}"), &bench.decoder.with(key, value), "damaged.gguf");
    }
}

#[test]
fn damaged_vocabularies_are_refused() {
    let bench = Bench::new("vocabulary");
    let (tokens, types) =
        (bench.decoder.strings("tokenizer.ggml.tokens"), bench.decoder.i32s("tokenizer.ggml.token_type"));
    let refused = |what: &str, key: &str, value: Value, named: &str| {
        bench.refuses_decoder(what, &bench.decoder.with(key, value), named)
    };
    for key in [
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.token_type",
        "tokenizer.ggml.merges",
        "tokenizer.ggml.model",
        "tokenizer.ggml.pre",
    ] {
        bench.refuses_decoder(&format!("no {key}"), &bench.decoder.without(key), key);
        refused(key, key, Value::from(1), key);
        refused(key, key, Value::F32s(vec![1.0; 512]), key);
    }
    for (key, value) in [
        ("tokenizer.ggml.model", "llama"),
        ("tokenizer.ggml.model", "bert"),
        ("tokenizer.ggml.model", "none"),
        ("tokenizer.ggml.pre", "unknown"),
        ("tokenizer.ggml.pre", ""),
    ] {
        refused(value, key, Value::from(value), key);
    }
    refused("too few tokens", "tokenizer.ggml.tokens", Value::Strings(tokens[..511].to_vec()), "511 tokens");
    refused("no tokens", "tokenizer.ggml.tokens", Value::Strings(Vec::new()), "0 tokens");
    refused("too few types", "tokenizer.ggml.token_type", Value::I32s(types[..511].to_vec()), "511 token types");
    let with_token = |at: usize, text: &str| {
        let mut tokens = tokens.clone();
        tokens[at] = text.to_owned();
        Value::Strings(tokens)
    };
    for (what, at, text) in
        [("an empty one", 65, ""), ("a strange character", 65, "中"), ("a control token renamed", 301, "<|im_began|>")]
    {
        refused(what, "tokenizer.ggml.tokens", with_token(at, text), "");
    }
    refused("very long strangers", "tokenizer.ggml.tokens", with_token(65, &"中".repeat(300_000)), "65");
    for wrong in [0, 2, 6, 7, -1, i32::MAX] {
        let mut types = types.clone();
        types[65] = wrong;
        refused(&format!("type {wrong}"), "tokenizer.ggml.token_type", Value::I32s(types), "65");
    }
    for merge in ["", " ", "ab", "a b c", "a 中", "a ", " b", "a\nb", "\0 \0"] {
        refused(&format!("merge {merge:?}"), "tokenizer.ggml.merges", Value::Strings(vec![merge.to_owned()]), "merge");
    }
    // Of known characters, but leading to no token.
    let unknown = vec!["s y".to_owned(), "sy s".to_owned()];
    refused("merges into nothing", "tokenizer.ggml.merges", Value::Strings(unknown), "merge");
    // What only other readers of the file use, and rows that are never read.
    bench.accepts_decoder("a duplicate", &bench.decoder.with("tokenizer.ggml.tokens", with_token(400, "a")));
    bench.accepts_decoder("a zero byte", &bench.decoder.with("tokenizer.ggml.tokens", with_token(400, "a\0b")));
    for (key, value) in [
        ("tokenizer.ggml.scores", Value::F32s(vec![0.0])),
        ("tokenizer.ggml.scores", Value::from("none")),
        ("tokenizer.ggml.suppress_tokens", Value::from(1)),
        ("tokenizer.ggml.add_bos_token", Value::from("maybe")),
        ("tokenizer.ggml.padding_token_id", Value::from("none")),
        ("general.tensor_extra.name", Value::from(1)),
        ("tokenizer.ggml.padding_token_id", Value::from(u32::MAX)),
        ("tokenizer.ggml.eot_token_id", Value::from(u32::MAX)),
        ("tokenizer.ggml.suppress_tokens", Value::I32s(vec![-1, i32::MAX])),
        ("tokenizer.chat_template", Value::from("{% for")),
        ("tokenizer.ggml.precompiled_charsmap", Value::U8s(vec![0xff; 8])),
    ] {
        bench.accepts_decoder(key, &bench.decoder.with(key, value));
    }
}

/// The attention cache is made in advance: neither the file's nor the caller's largest number may decide its size.
#[test]
fn large_limits_reserve_no_memory() {
    let bench = Bench::new("limits");
    // Whatever comes first ends the text: only the memory set aside for the rest is of interest.
    let ends = Value::I32s((0..512).collect());
    let large = bench.decoder.with("qwen3.context_length", 1 << 24).with("qasr.end_token_ids", ends);
    let model = bench.scratch.write("large.gguf", &large.bytes());
    let args = ["transcribe", "-np", "-t", "1", "-d", "300", "-m", &model, "--max-new-tokens", "4294967295", RECORDING];
    run(&args).is_accepted("largest numbers");
}

/// Sizes that no published model has but that the file's own tensors bear out.
#[test]
fn unusual_sizes_end_in_order() {
    for (name, heads, kv_heads, head_width, width) in [
        ("narrow", 4, 2, 16, 64),
        ("odd", 3, 1, 34, 32),
        ("uneven", 6, 3, 48, 96),
        ("least", 1, 1, 2, 32),
        ("wide", 2, 2, 320, 64),
    ] {
        let mut spec = small();
        (spec.decoder.heads, spec.decoder.kv_heads, spec.decoder.head_width) = (heads, kv_heads, head_width);
        (spec.decoder.width, spec.encoder.projection, spec.encoder_heads) = (width, width, 32);
        let arch = if head_width % 32 == 0 { Arch::Qwen3 } else { Arch::Qwen3Vl };
        let bench = Bench::make(&format!("unusual-{name}"), &spec, "f32", arch);
        for cache in ["f16", "f32", "q8_0"] {
            let ended = bench.run_pair(&["--kv-type", cache]);
            // Eight-bit storage comes in blocks of 32, which not every head fills.
            let codes: &[i32] = if cache == "q8_0" && head_width % 32 != 0 { &[2] } else { &[0, 5] };
            ended.is_orderly(&format!("{name} {cache}"), codes);
        }
    }
}

/// More audio and text than the model has positions for is the caller's to shorten.
#[test]
fn too_few_positions_are_said() {
    let bench = Bench::new("positions");
    let model = bench.scratch.write("short.gguf", &bench.decoder.with("qwen3.context_length", 128).bytes());
    for args in [&["--context", &"x".repeat(1000)][..], &["--segment-seconds", "1200"], &["--segment-seconds", "1"]] {
        let ended = run(&[&["transcribe", "-np", "-t", "1", "-m", &model], args, &[RECORDING]].concat());
        ended.is_orderly(&format!("{args:?}"), &[0, 2, 5]);
    }
}

#[test]
fn options_that_ask_for_too_much_end_in_order() {
    let demo = |args: &[&str]| run(&[&["transcribe", "-np", "-m", "demo", "-d", "500"], args, &[RECORDING]].concat());
    for (args, codes) in [
        (&["-t", "0"][..], &[2][..]),
        (&["-t", "100000"], &[2]),
        (&["-t", "512"], &[0, 5]),
        (&["--max-new-tokens", "0"], &[2]),
        (&["--max-new-tokens", "4294967295"], &[0, 5]),
        (&["--segment-seconds", "1200"], &[0, 5]),
        (&["--segment-seconds", "1201"], &[2]),
        (&["--segment-seconds", "nan"], &[2]),
        (&["--kv-type", "q8_0"], &[0, 5]),
        (&["--kv-type", "f32"], &[0, 5]),
    ] {
        demo(args).is_orderly(&format!("{args:?}"), codes);
    }
    // As long as one argument can be.
    for word in ["x", "äß ", "\u{301}", "<|im_end|>"] {
        let text = word.repeat(120_000 / word.len());
        demo(&["--context", &text, "-t", "1"]).is_orderly(&format!("{} bytes of {word:?}", text.len()), &[0, 2, 5]);
    }
}
