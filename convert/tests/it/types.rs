//! Every type from every kind of source: right types, right shapes, values as near as the type allows.

use std::fs;
use std::path::Path;

use crate::common::{checkpoint, edited, fresh_dir, listing, run, run_with};
use qasr_convert::tiny::{self, Naming, Spec, TinyHead};
use qasr_convert::{Arch, Destination, FileType, Head, QuantizeOptions, SourceType, quantize};
use qasr_format::schema::tensors as names;
use qasr_format::{GgmlType, Gguf, Value};

/// Largest relative error allowed per recipe: about twice what normally distributed values give.
fn limit(kind: GgmlType) -> f64 {
    match kind {
        GgmlType::F32 | GgmlType::BF16 => 0.0,
        GgmlType::F16 => 1e-4,
        GgmlType::Q8_0 => 0.01,
        GgmlType::Q6_K => 0.03,
        GgmlType::Q5_K | GgmlType::Q5_0 => 0.06,
        _ => 0.12,
    }
}

fn open(dir: &Path, name: &str) -> Gguf {
    Gguf::open(&dir.join("out").join(name)).expect("our own file")
}

fn whole_tensor(dir: &Path, file: &str, name: &str) -> Vec<f32> {
    let gguf = open(dir, file);
    let info = gguf.tensor(name).expect("tensor");
    let bytes = fs::read(gguf.path()).expect("file");
    let data = &bytes[info.offset as usize..(info.offset + info.bytes) as usize];
    ggml::quantize::dequantize(info.kind.id(), data, info.values() as usize).expect("readable")
}

#[test]
fn ten_types_have_the_planned_types_and_errors() {
    let dir = fresh_dir("ten_types");
    let spec = Spec::default();
    checkpoint(&dir, &spec);
    let mut sizes = Vec::new();
    for file_type in FileType::ALL {
        let report = run(&dir, file_type).unwrap_or_else(|e| panic!("{file_type}: {e}"));
        assert!(report.is_written && report.head == Head::Dropped);
        assert!(report.plan.decoder.fallbacks().is_empty() && report.plan.encoder.fallbacks().is_empty());
        let decoder = open(&dir, &format!("tiny-{file_type}.gguf"));
        let encoder = open(&dir, &format!("mmproj-tiny-{file_type}.gguf"));
        let shapes = |gguf: &Gguf| gguf.tensors().iter().map(|t| (t.name.clone(), t.dims.clone())).collect::<Vec<_>>();
        assert_eq!(shapes(&decoder), spec.decoder.tensors());
        assert_eq!(shapes(&encoder), spec.encoder.tensors());
        let kind = |gguf: &Gguf, name: &str| gguf.tensor(name).expect("tensor").kind;
        let base = match file_type {
            FileType::Q4KM => GgmlType::Q4_K,
            FileType::Q5KM => GgmlType::Q5_K,
            other => GgmlType::find(other.name()).expect("named like its type"),
        };
        assert_eq!(kind(&decoder, "blk.0.attn_q.weight"), base);
        assert_eq!(kind(&encoder, "a.blk.3.ffn_up.weight"), base);
        assert_eq!(kind(&decoder, "blk.0.attn_q_norm.weight"), GgmlType::F32);
        assert_eq!(kind(&encoder, "a.conv2d.2.bias"), GgmlType::F32);
        let conv = if file_type == FileType::F32 { GgmlType::F32 } else { GgmlType::F16 };
        assert_eq!(kind(&encoder, "a.conv2d.2.weight"), conv);
        assert_eq!(report.errors.len(), decoder.tensors().len() + encoder.tensors().len());
        for error in &report.errors {
            assert!(
                error.relative <= limit(error.kind),
                "{file_type} {} {}: {}",
                error.name,
                error.kind,
                error.relative
            );
        }
        if base.is_quantized() {
            let lossy = report.errors.iter().find(|error| error.kind == base).expect("one of its type");
            assert!(lossy.relative > 0.0, "{file_type} cannot be exact");
        }
        assert_eq!(decoder.u32("general.file_type").expect("file type"), file_type.file_type());
        sizes.push(report.file_bytes[0] + report.file_bytes[1]);
    }
    let by_name = |file_type| sizes[FileType::ALL.iter().position(|&r| r == file_type).expect("recipe")];
    assert!(by_name(FileType::F32) > by_name(FileType::F16) && by_name(FileType::F16) > by_name(FileType::Q8_0));
    assert!(by_name(FileType::Q8_0) > by_name(FileType::Q6K) && by_name(FileType::Q6K) > by_name(FileType::Q4KM));
}

/// The report samples rows; here every value of every tensor is compared, in the type that must not change one.
#[test]
fn every_value_arrives_at_its_place() {
    let dir = fresh_dir("every_value");
    let spec = Spec { kind: SourceType::F32, head: TinyHead::Different, ..Spec::default() };
    checkpoint(&dir, &spec);
    run(&dir, FileType::F32).expect("convert");
    let mut compared = 0;
    for tensor in tiny::tensors(&spec) {
        let (target, name) = qasr_convert::map_name(&tensor.name).expect("mapped");
        let file = match target {
            qasr_convert::Target::Decoder => "tiny-f32.gguf",
            qasr_convert::Target::Encoder => "mmproj-tiny-f32.gguf",
        };
        assert!(whole_tensor(&dir, file, &name) == tensor.values, "{name}");
        compared += 1;
    }
    assert_eq!(compared, spec.decoder.tensors().len() + 1 + spec.encoder.tensors().len() - 1);
}

#[test]
fn rows_that_are_no_multiple_of_256_fall_back_and_say_so() {
    let dir = fresh_dir("fallbacks");
    checkpoint(&dir, &Spec::narrow_encoder());
    for (file_type, kind) in
        [(FileType::Q4KM, GgmlType::IQ4_NL), (FileType::Q5KM, GgmlType::Q5_0), (FileType::Q6K, GgmlType::Q8_0)]
    {
        let report = run(&dir, file_type).expect("convert");
        let encoder = open(&dir, &format!("mmproj-tiny-{file_type}.gguf"));
        assert_eq!(encoder.tensor("a.blk.1.attn_q.weight").expect("tensor").kind, kind);
        let halves = encoder.tensors().iter().filter(|t| t.kind == GgmlType::F16).map(|t| t.name.as_str());
        assert_eq!(halves.collect::<Vec<_>>(), ["a.conv2d.1.weight", "a.conv2d.2.weight", "a.conv2d.3.weight"]);
        let lines = report.plan.encoder.fallbacks();
        assert!(lines.iter().any(|l| l.starts_with("a.blk.*.attn_q.weight × 4: ") && l.contains("224")), "{lines:?}");
        assert!(report.describe(false).contains("fallbacks:"));
        assert!(report.errors.iter().all(|error| error.relative <= limit(error.kind)));
    }
    let report = run(&dir, FileType::Q4_0).expect("convert");
    assert!(report.plan.encoder.fallbacks().is_empty(), "q4_0 fits rows of 224");
}

#[test]
fn decoder_and_encoder_types_are_independent() {
    let dir = fresh_dir("independent");
    checkpoint(&dir, &Spec::default());
    run_with(&dir, FileType::Q4_0, |options| options.types.encoder = FileType::Q8_0).expect("convert");
    assert_eq!(listing(&dir.join("out")), ["mmproj-tiny-q8_0.gguf", "tiny-q4_0.gguf"]);
}

#[test]
fn all_source_types_and_names_and_shards_give_the_same_tensors() {
    let base = fresh_dir("sources");
    let made = |name: &str, spec: &Spec| {
        let dir = base.join(name);
        fs::create_dir_all(&dir).expect("dir");
        checkpoint(&dir, spec);
        let report = run(&dir, FileType::F32).unwrap_or_else(|e| panic!("{name}: {e}"));
        (
            report,
            whole_tensor(&dir, "tiny-f32.gguf", "blk.1.ffn_down.weight"),
            whole_tensor(&dir, "mmproj-tiny-f32.gguf", "mm.a.mlp.2.weight"),
        )
    };
    let (_, exact, exact_projector) = made("f32", &Spec { kind: SourceType::F32, ..Spec::default() });
    for (name, kind, step) in [("bf16", SourceType::Bf16, 1.0 / 256.0), ("f16", SourceType::F16, 1.0 / 2048.0)] {
        let (_, values, _) = made(name, &Spec { kind, ..Spec::default() });
        assert!(values != exact, "{name} must have been rounded");
        assert!(values.iter().zip(&exact).all(|(a, b)| (a - b).abs() <= b.abs() * step + 6e-8), "{name}");
    }
    let (_, sharded, sharded_projector) =
        made("sharded", &Spec { kind: SourceType::F32, shards: 3, ..Spec::default() });
    assert!(sharded == exact && sharded_projector == exact_projector);

    // The other family of names draws other random values, as those depend on names: compare with its own source.
    let hf = Spec { kind: SourceType::F32, naming: Naming::Hf, head: TinyHead::Absent, ..Spec::default() };
    let (report, values, projector) = made("hf", &hf);
    assert_eq!(report.head, Head::Absent);
    let source = |name: &str| tiny::tensors(&hf).into_iter().find(|t| t.name == name).expect("source").values;
    assert!(values == source("model.language_model.layers.1.mlp.down_proj.weight"));
    assert!(projector == source("model.multi_modal_projector.linear_2.weight"));
    let gguf = open(&base.join("hf"), "tiny-f32.gguf");
    assert_eq!(gguf.strings("tokenizer.ggml.merges").expect("merges"), ["Ġ t", "h e"]);
    assert_eq!(gguf.f32("qwen3.rope.freq_base").expect("theta"), 1e6);
}

#[test]
fn a_head_of_its_own_is_written() {
    let dir = fresh_dir("own_head");
    checkpoint(&dir, &Spec { head: TinyHead::Different, ..Spec::default() });
    let report = run(&dir, FileType::Q8_0).expect("convert");
    assert_eq!(report.head, Head::Written);
    assert!(open(&dir, "tiny-q8_0.gguf").tensor(names::OUTPUT).is_some());
}

/// One value in the middle of the head differs: enough to keep it, unless the settings put the token table there.
#[test]
fn a_head_that_differs_in_one_value_is_kept() {
    let dir = fresh_dir("nearly_equal_head");
    let ckpt = edited(&dir, &Spec::default(), |tensors| {
        let head = tensors.iter_mut().find(|t| t.name == "thinker.lm_head.weight").expect("head");
        let middle = head.values.len() / 2;
        head.values[middle] += 1.0;
    });
    assert_eq!(run(&dir, FileType::F16).expect("convert").head, Head::Replaced);
    let path = ckpt.join("config.json");
    let config = fs::read_to_string(&path).expect("config");
    fs::write(&path, config.replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"))
        .expect("config");
    assert_eq!(run(&dir, FileType::F16).expect("convert").head, Head::Written);
}

/// Files that a conversion depends on; the model card is not one of them.
const SOURCE_FILES: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "merges.txt",
    "model.safetensors",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "vocab.json",
];

#[test]
fn keys_say_what_the_checkpoint_says() {
    let dir = fresh_dir("keys");
    checkpoint(&dir, &Spec::default());
    fs::write(dir.join("ckpt/README.md"), "---\nlanguage: en\nlicense: cc-by-sa-4.0\n---\n# A model\n").expect("card");
    for arch in [Arch::Qwen3, Arch::Qwen3Vl] {
        let report = run_with(&dir, FileType::Q8_0, |options| {
            options.arch = arch;
            options.segment_seconds = Some(12.5);
        })
        .expect("convert");
        let gguf = open(&dir, "tiny-q8_0.gguf");
        let encoder = open(&dir, "mmproj-tiny-q8_0.gguf");
        let number = |suffix: &str| gguf.u32(&arch.key(suffix)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(gguf.str("general.architecture").expect("arch"), arch.name());
        assert_eq!((number("block_count"), number("embedding_length"), number("context_length")), (2, 256, 65536));
        assert_eq!((number("attention.head_count"), number("attention.head_count_kv")), (4, 2));
        assert_eq!((number("attention.key_length"), number("attention.value_length")), (64, 64));
        let sections = gguf.get(&arch.key("rope.dimension_sections"));
        match arch {
            Arch::Qwen3 => assert_eq!(sections, None),
            Arch::Qwen3Vl => assert_eq!(sections, Some(&Value::I32s(vec![12, 10, 10, 0]))),
        }
        let tokens = gguf.strings("tokenizer.ggml.tokens").expect("tokens");
        let types = gguf.i32s("tokenizer.ggml.token_type").expect("types");
        assert_eq!((tokens.len(), types.len()), (512, 512));
        assert_eq!((tokens[302].as_str(), types[302]), ("<|im_end|>", 3));
        assert_eq!((tokens[306].as_str(), types[306]), ("<asr_text>", 4));
        assert_eq!((tokens[400].as_str(), types[400]), ("[PAD400]", 5));
        assert_eq!((tokens[65].as_str(), types[65]), ("A", 1));
        assert_eq!(gguf.u32("tokenizer.ggml.eos_token_id").expect("eos"), 302);
        assert_eq!(gguf.i32s("qasr.end_token_ids").expect("ends"), [300, 302]);
        assert_eq!(gguf.f32("qasr.segment_seconds").expect("segment"), 12.5);
        assert_eq!(encoder.str("clip.audio.projector_type").expect("projector"), "qwen3a");
        assert_eq!(encoder.u32("clip.audio.projection_dim").expect("dim"), 256);
        assert_eq!(encoder.u32("qasr.audio.n_window_infer").expect("window"), 800);
        for file in [&gguf, &encoder] {
            assert_eq!(file.str("general.license").expect("licence"), "cc-by-sa-4.0");
            assert_eq!(file.str("qasr.source.sha256").expect("hash"), report.source_sha256);
            assert_eq!(file.str("qasr.recipe").expect("recipe"), "q8_0");
            let files = file.strings("qasr.source.files").expect("files");
            let names: Vec<&str> =
                files.iter().filter_map(|line| line.split_once("  ")).map(|(_, name)| name).collect();
            assert_eq!(names, SOURCE_FILES);
        }
        assert_eq!(report.source_sha256.len(), 64);
    }
    let text = qasr_convert::inspect(&dir.join("out/mmproj-tiny-q8_0.gguf")).expect("inspect");
    for part in ["a.blk.0.attn_q.weight", "clip.audio.projector_type", "q8_0", "256 × 512", "by type"] {
        assert!(text.contains(part), "inspect lacks {part}");
    }
}

#[test]
fn the_model_card_says_the_segment_length_unless_the_options_do() {
    let dir = fresh_dir("segment_card");
    checkpoint(&dir, &Spec::default());
    let card = |line: &str| fs::write(dir.join("ckpt/README.md"), format!("---\n{line}\n---\n")).expect("card");
    let seconds = |asked| {
        run_with(&dir, FileType::Q8_0, |options| options.segment_seconds = asked)?;
        Ok::<_, qasr_convert::ConvertError>(open(&dir, "tiny-q8_0.gguf").f32("qasr.segment_seconds").ok())
    };
    card("license: cc0-1.0");
    assert_eq!(seconds(None).expect("convert"), None);
    card("segment_seconds: 8");
    assert_eq!((seconds(None).expect("convert"), seconds(Some(12.0)).expect("convert")), (Some(8.0), Some(12.0)));
    card("segment_seconds: 5000");
    assert!(seconds(None).expect_err("too long").to_string().contains("give 1 to 1200 seconds"));
}

#[test]
fn the_same_checkpoint_gives_the_same_bytes_whatever_the_threads() {
    let dir = fresh_dir("threads");
    checkpoint(&dir, &Spec::default());
    let bytes = |threads| {
        run_with(&dir, FileType::Q4KM, |options| options.threads = Some(threads)).expect("convert");
        ["tiny-q4_k_m.gguf", "mmproj-tiny-q4_k_m.gguf"].map(|name| fs::read(dir.join("out").join(name)).expect("file"))
    };
    assert!(bytes(1) == bytes(7));
}

#[test]
fn a_dry_run_plans_and_writes_nothing() {
    let dir = fresh_dir("dry_run");
    checkpoint(&dir, &Spec::default());
    let report = run_with(&dir, FileType::Q4KM, |options| options.dry_run = true).expect("plan");
    assert!(!report.is_written && report.head == Head::Dropped);
    assert!(!dir.join("out").exists());
    let text = report.describe(true);
    for part in ["blk.0.attn_v.weight", "thinker.model.layers.0.self_attn.v_proj.weight", "q6_k"] {
        assert!(text.contains(part), "the plan lacks {part}");
    }
    let short = report.describe(false);
    assert!(short.contains("blk.*.attn_v.weight") && !short.contains("blk.0."), "{short}");
    assert!(short.lines().count() < text.lines().count(), "{short}");
    let widest = short.lines().filter(|line| !line.contains(".gguf")).map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|widest| widest <= 100), "{short}");
}

/// With a tied head, with an equal one, with one of its own, and without: a dry run says the sizes that the files get.
#[test]
fn the_sizes_of_a_dry_run_are_those_of_the_files() {
    let heads = [
        (Naming::Published, TinyHead::Different, Head::Written),
        (Naming::Published, TinyHead::Equal, Head::Dropped),
        (Naming::Hf, TinyHead::Absent, Head::Absent),
    ];
    for (number, (naming, head, outcome)) in heads.into_iter().enumerate() {
        let dir = fresh_dir(&format!("dry_sizes_{number}"));
        checkpoint(&dir, &Spec { naming, head, ..Spec::default() });
        let planned = run_with(&dir, FileType::Q4KM, |options| options.dry_run = true).expect("plan");
        let written = run_with(&dir, FileType::Q4KM, |_| {}).expect("convert");
        assert_eq!((planned.head, planned.file_bytes), (outcome, written.file_bytes));
        let pair: u64 = written.file_bytes.iter().sum();
        assert!(planned.describe(false).contains(&format!("({pair} bytes)")), "{}", planned.describe(false));
        let files = [&written.plan.decoder.path, &written.plan.encoder.path];
        assert_eq!(files.map(|path| fs::metadata(path).expect("file").len()), planned.file_bytes);
        let options = |dry_run| {
            let into = Destination::Folder(dir.join(format!("again-{dry_run}")));
            let mut options = QuantizeOptions::new(files[0], files[1], into, FileType::Q8_0);
            options.dry_run = dry_run;
            options
        };
        let planned = quantize(&options(true), &mut |_| {}).expect("plan");
        let written = quantize(&options(false), &mut |_| {}).expect("quantize");
        assert_eq!(planned.file_bytes, written.file_bytes);
    }
}
