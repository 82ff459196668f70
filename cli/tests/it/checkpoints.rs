//! The built command with checkpoints as they lie on people's disks: of other writers, half there, with more in the
//! folder than a checkpoint. Every folder is the demo checkpoint with something changed.

use crate::command;

use crate::command::{Finished, Scratch, qasr};
use qasr_convert::SourceType;
use qasr_convert::tiny::{self, Spec};
use qasr_format::Gguf;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/checkpoint");
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../convert/demo/sample.flac");
const WORDS: &str = "one two three\n";
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 1876091704\n";
const CONFIG: &str = "tokenizer_config.json";

/// A folder with a copy of the demo checkpoint in `ckpt`.
struct Folder(Scratch);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = Self::empty(test);
        for entry in fs::read_dir(CHECKPOINT).unwrap() {
            let path = entry.unwrap().path();
            folder.write(path.file_name().unwrap().to_str().unwrap(), &fs::read(&path).unwrap());
        }
        folder
    }

    fn empty(test: &str) -> Self {
        let scratch = Scratch::new(&format!("checkpoints-{test}"));
        fs::create_dir(scratch.path("ckpt")).unwrap();
        Self(scratch)
    }

    fn path(&self) -> String {
        self.0.path("ckpt")
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        self.0.write(&format!("ckpt/{name}"), bytes);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.path(&format!("ckpt/{name}"))).unwrap();
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.0.read(&format!("ckpt/{name}"))).unwrap()
    }

    fn put(&self, name: &str, value: &Value) {
        self.write(name, value.to_string().as_bytes());
    }

    /// Header and data of the weights.
    fn weights(&self) -> (Map<String, Value>, Vec<u8>) {
        let bytes = fs::read(self.0.path("ckpt/model.safetensors")).unwrap();
        let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
        let mut header = header.as_object().unwrap().clone();
        header.remove("__metadata__");
        (header, bytes[8 + len..].to_vec())
    }

    fn put_weights(&self, header: &Map<String, Value>, data: &[u8]) {
        let header = Value::from(header.clone()).to_string();
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat();
        self.write("model.safetensors", &bytes);
    }

    fn rename(&self, rename: impl Fn(&str) -> String) {
        let (header, data) = self.weights();
        let header = header.into_iter().map(|(name, entry)| (rename(&name), entry)).collect();
        self.put_weights(&header, &data);
    }

    fn run(&self, more: &[&str]) -> command::Prepared {
        let out = self.0.path("out");
        qasr(&[&["convert", &self.path(), "--type", "q8_0", "--name", "demo", "-o", &out], more].concat())
    }

    /// Converts; the result has the tensors and the vocabulary of the untouched checkpoint.
    fn converts(&self) -> Finished {
        let run = self.run(&[]).succeeds();
        self.is_the_demo();
        run
    }

    fn is_the_demo(&self) {
        for (file, shipped) in
            [("demo-q8_0.gguf", "demo-q8_0.gguf"), ("mmproj-demo-q8_0.gguf", "mmproj-demo-q8_0.gguf")]
        {
            let shipped = format!("{}/../convert/demo/{shipped}", env!("CARGO_MANIFEST_DIR"));
            let (ours, theirs) = (self.0.path(&format!("out/{file}")), Path::new(&shipped));
            let (ours_read, theirs_read) = (Gguf::open(Path::new(&ours)).unwrap(), Gguf::open(theirs).unwrap());
            for key in [
                "tokenizer.ggml.tokens",
                "tokenizer.ggml.token_type",
                "tokenizer.ggml.merges",
                "tokenizer.ggml.eos_token_id",
            ] {
                assert!(ours_read.get(key) == theirs_read.get(key), "{file}: {key} differs");
            }
            assert!(tensors(Path::new(&ours)) == tensors(theirs), "{file}: tensors differ");
        }
    }

    /// Fails with the bad-model code and one error that has all of `parts`, and writes nothing.
    fn is_refused(&self, parts: &[&str]) -> String {
        let run = self.run(&[]).fails_with(4);
        assert!(run.stderr.starts_with("qasr: error: ") && run.stdout.is_empty(), "{run:?}");
        for part in parts {
            assert!(run.stderr.contains(part), "'{part}' is not in {}", run.stderr);
        }
        assert!(!Path::new(&self.0.path("out")).exists());
        run.stderr
    }
}

/// Name, type and bytes of every tensor.
fn tensors(path: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let (file, bytes) = (Gguf::open(path).unwrap(), fs::read(path).unwrap());
    let data = |start: u64, len: u64| bytes[start as usize..(start + len) as usize].to_vec();
    file.tensors().iter().map(|info| (info.name.clone(), (info.kind.id(), data(info.offset, info.bytes)))).collect()
}

/// `tokenizer.json` as transformers 5 saves it, from the files of the published layout.
fn whole_tokenizer(folder: &Folder) -> Value {
    let merges = folder.0.read("ckpt/merges.txt");
    let merges: Vec<Value> = merges
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.is_empty())
        .map(|line| line.split(' ').collect::<Vec<_>>().into())
        .collect();
    let config = folder.json(CONFIG);
    let mut added: Vec<Value> = config["added_tokens_decoder"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(id, token)| json!({"id": id.parse::<u64>().unwrap(), "content": token["content"], "special": token["special"]}))
        .collect();
    added.sort_by_key(|token| token["id"].as_u64());
    json!({"version": "1.0", "added_tokens": added, "model": {"type": "BPE", "vocab": folder.json("vocab.json"), "merges": merges}})
}

/// `tokenizer_config.json` as transformers 5 saves it: no list of rows.
fn late_config(folder: &Folder) -> Value {
    let mut config = folder.json(CONFIG);
    let special: Vec<Value> = config["added_tokens_decoder"]
        .as_object()
        .unwrap()
        .values()
        .filter(|token| token["special"] == true)
        .map(|token| token["content"].clone())
        .collect();
    config.as_object_mut().unwrap().remove("added_tokens_decoder");
    config["extra_special_tokens"] = special.into();
    config["backend"] = "tokenizers".into();
    config
}

#[test]
fn added_tokens_are_found_wherever_a_writer_puts_them() {
    // Beside the base model's vocab.json and merges.txt.
    let folder = Folder::new("mixed");
    folder.put("tokenizer.json", &whole_tokenizer(&folder));
    folder.put(CONFIG, &late_config(&folder));
    let run = folder.converts();
    assert!(run.stderr.contains("62 added tokens were found in tokenizer.json"), "{}", run.stderr);
    let run = qasr(&["transcribe", "-np", "-m", &folder.0.path("out"), SAMPLE]).succeeds();
    assert_eq!(run.stdout, WORDS);
    // The merges from there too.
    folder.remove("merges.txt");
    assert!(folder.converts().stderr.contains("the merges were found in tokenizer.json"));
    // Nothing but tokenizer.json, with and without settings.
    folder.remove("vocab.json");
    folder.converts();
    folder.remove(CONFIG);
    folder.converts();
}

#[test]
fn added_tokens_json_and_the_names_of_special_tokens_are_enough() {
    let folder = Folder::new("added");
    let listed = folder.json(CONFIG)["added_tokens_decoder"].clone();
    let rows: Map<String, Value> = listed
        .as_object()
        .unwrap()
        .iter()
        .map(|(id, token)| (token["content"].as_str().unwrap().to_owned(), id.parse::<u64>().unwrap().into()))
        .collect();
    folder.put("added_tokens.json", &rows.clone().into());
    folder.put(CONFIG, &late_config(&folder));
    assert!(folder.converts().stderr.contains("62 added tokens were found in added_tokens.json"));
    // The names in special_tokens_map.json instead.
    let special = late_config(&Folder::new("added-original"))["extra_special_tokens"].clone();
    folder.put(
        "special_tokens_map.json",
        &json!({"eos_token": {"content": "<|im_end|>"}, "additional_special_tokens": special}),
    );
    folder.put(CONFIG, &json!({}));
    folder.converts();
    // One half of them here, one half there.
    let (mut decoder, mut rest) = (Map::new(), Map::new());
    for (id, token) in listed.as_object().unwrap() {
        if id.ends_with(['0', '2', '4', '6', '8']) {
            decoder.insert(id.clone(), token.clone());
        } else {
            rest.insert(token["content"].as_str().unwrap().to_owned(), id.parse::<u64>().unwrap().into());
        }
    }
    folder.put(CONFIG, &json!({"added_tokens_decoder": decoder}));
    folder.put("added_tokens.json", &rest.into());
    folder.converts();
    // All of it in vocab.json, as words.
    folder.remove("added_tokens.json");
    folder.put(CONFIG, &json!({}));
    let mut vocab = folder.json("vocab.json");
    vocab.as_object_mut().unwrap().extend(rows);
    folder.put("vocab.json", &vocab);
    folder.run(&[]).succeeds();
    let run = qasr(&["transcribe", "-np", "-m", &folder.0.path("out"), SAMPLE]).succeeds();
    assert_eq!(run.stdout, WORDS);
}

#[test]
fn a_folder_without_its_tokens_says_where_they_could_be() {
    let folder = Folder::new("no-tokens");
    folder.put(CONFIG, &late_config(&folder));
    folder.is_refused(&["lists added tokens", CONFIG, "tokenizer.json", "added_tokens.json", "of the base model"]);
    folder.remove("vocab.json");
    folder.is_refused(&["holds neither vocab.json nor tokenizer.json"]);
    let folder = Folder::new("no-merges");
    folder.remove("merges.txt");
    folder.is_refused(&["holds neither merges.txt nor tokenizer.json"]);
}

#[test]
fn settings_of_later_versions_are_read() {
    let folder = Folder::new("settings");
    let mut config = folder.json("config.json");
    let text = config["thinker_config"]["text_config"].as_object_mut().unwrap();
    let mut rope = text.remove("rope_scaling").unwrap();
    rope["rope_theta"] = text.remove("rope_theta").unwrap();
    for layout in [rope.clone(), json!({"full_attention": rope})] {
        text_config(&mut config)["rope_parameters"] = layout;
        config["dtype"] = "bfloat16".into();
        folder.put("config.json", &config);
        folder.converts();
    }
    let mut processor = folder.json("preprocessor_config.json");
    processor["feature_size"] = 80.into();
    folder.remove("preprocessor_config.json");
    folder.put("processor_config.json", &json!({"feature_extractor": processor}));
    fs::remove_dir_all(folder.0.path("out")).unwrap();
    folder.is_refused(&["feature_size is 80"]);
}

fn text_config(config: &mut Value) -> &mut Value {
    &mut config["thinker_config"]["text_config"]
}

#[test]
fn one_whole_file_comes_before_an_index() {
    let folder = Folder::new("index");
    let stale = json!({"weight_map": {"thinker.model.norm.weight": "model-00001-of-00002.safetensors"}});
    for index in [stale.to_string(), "no JSON".to_owned()] {
        folder.write("model.safetensors.index.json", index.as_bytes());
        let run = folder.converts();
        assert!(run.stderr.contains("model.safetensors.index.json was not used"), "{}", run.stderr);
    }
    folder.write("model-00002-of-00002.safetensors", b"left over");
    let run = folder.converts();
    assert!(run.stderr.contains("model-00002-of-00002.safetensors was not used"), "{}", run.stderr);
}

#[test]
fn missing_and_contradicting_shards_are_named() {
    let folder = Folder::empty("shards");
    let spec = Spec { shards: 3, ..Spec::default() };
    tiny::write(Path::new(&folder.path()), &spec).unwrap();
    let index = folder.json("model.safetensors.index.json");
    let shard = |number: usize| format!("model-{number:05}-of-00003.safetensors");
    folder.run(&["--dry-run"]).succeeds();
    // The index names the wrong one of two files that are there.
    let mut wrong = index.clone();
    wrong["weight_map"]["thinker.model.norm.weight"] = shard(1).into();
    folder.put("model.safetensors.index.json", &wrong);
    folder.is_refused(&[
        "model.safetensors.index.json and the weight files contradict",
        "'thinker.model.norm.weight'",
        &shard(1),
        "download",
    ]);
    folder.put("model.safetensors.index.json", &index);
    folder.remove(&shard(2));
    folder.is_refused(&[&shard(2), "model.safetensors.index.json puts", "download the checkpoint again"]);
    // Without an index, the names of the others decide.
    folder.remove("model.safetensors.index.json");
    folder.is_refused(&[&shard(2), &shard(1), "download the checkpoint again"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../../blobs/0123", folder.0.path(&format!("ckpt/{}", shard(2)))).unwrap();
        folder.is_refused(&[&shard(2), "a link to a file that is not there"]);
    }
}

#[test]
fn a_git_lfs_pointer_is_named_wherever_it_stands() {
    let files = [
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "vocab.json",
        "merges.txt",
        CONFIG,
    ];
    for name in files {
        let folder = Folder::new("pointer");
        folder.write(name, POINTER);
        folder.is_refused(&[&format!("{name}: is a Git LFS pointer: fetch the real file with `git lfs pull`")]);
    }
    let folder = Folder::empty("pointers");
    tiny::write(Path::new(&folder.path()), &Spec { shards: 2, ..Spec::default() }).unwrap();
    folder.write("model-00002-of-00002.safetensors", POINTER);
    folder.is_refused(&["model-00002-of-00002.safetensors: is a Git LFS pointer", "git lfs pull"]);
    folder.write("model.safetensors.index.json", POINTER);
    folder.is_refused(&["model.safetensors.index.json: is a Git LFS pointer"]);
    // A model that was cloned so.
    let scratch = Scratch::new("checkpoints-gguf-pointer");
    let model = scratch.write("m.gguf", POINTER);
    let demo = |name: &str| format!("{}/../convert/demo/{name}", env!("CARGO_MANIFEST_DIR"));
    for (args, named) in [
        (
            vec!["transcribe", "-np", "-m", &scratch.path(""), "--mmproj", &demo("mmproj-demo-q8_0.gguf"), SAMPLE],
            "m.gguf",
        ),
        (vec!["transcribe", "-np", "-m", &demo("demo-q8_0.gguf"), "--mmproj", &model, SAMPLE], "m.gguf"),
        (vec!["inspect", &model], "m.gguf"),
        (vec!["quantize", &model, "--mmproj", &demo("mmproj-demo-q8_0.gguf"), &scratch.path("out/"), "q4_0"], "m.gguf"),
    ] {
        let run = qasr(&args).fails_with(4);
        assert!(run.stderr.contains(&format!("{named}: is a Git LFS pointer: fetch")), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn an_adapter_is_named_with_its_base() {
    let folder = Folder::empty("adapter");
    folder.put("adapter_config.json", &json!({"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen3-ASR-0.6B"}));
    folder.write("adapter_model.safetensors", &[0; 64]);
    folder.write("optimizer.pt", b"PK");
    let merge = ["is a LoRA adapter of Qwen/Qwen3-ASR-0.6B", "merge"];
    folder.is_refused(&merge);
    // Beside all the small files that training programs save with it, and without its configuration.
    folder.write("config.json", &fs::read(format!("{CHECKPOINT}/config.json")).unwrap());
    folder.is_refused(&merge);
    folder.put("adapter_config.json", &json!({"peft_type": "IA3", "base_model_name_or_path": ""}));
    folder.is_refused(&["is a IA3 adapter whose base is not named", "merge"]);
    folder.remove("adapter_config.json");
    folder.is_refused(&["is a LoRA adapter whose base is not named (adapter_model.safetensors)", "merge"]);
    // Beside its base: that is converted, with a warning.
    let folder = Folder::new("adapter-and-base");
    folder.put("adapter_config.json", &json!({"peft_type": "LORA", "base_model_name_or_path": "/models/base"}));
    let run = folder.converts();
    assert!(run.stderr.contains("qasr: warning: ") && run.stderr.contains("adapter of /models/base"), "{}", run.stderr);
    // Saved with its matrices among the others.
    let folder = Folder::new("adapter-unmerged");
    folder.rename(|name| format!("base_model.model.{}", name.replace("q_proj.weight", "q_proj.base_layer.weight")));
    folder.is_refused(&["LoRA adapter that was not merged", "q_proj.base_layer.weight", "merge"]);
}

#[test]
fn what_lies_there_instead_of_a_checkpoint_is_named() {
    for (files, parts) in [
        (
            &["pytorch_model.bin", "optimizer.pt"][..],
            &["PyTorch weights (pytorch_model.bin)", "safe_serialization=True"][..],
        ),
        (
            &["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
            &["PyTorch weights", "safetensors"],
        ),
        (&["model.pth"], &["PyTorch weights (model.pth)"]),
        (
            &["asr-q8_0.gguf", "mmproj-asr-q8_0.gguf"],
            &["GGUF files (asr-q8_0.gguf and mmproj-asr-q8_0.gguf)", "no conversion"],
        ),
        (&["encoder.onnx", "decoder.onnx"], &["decoder.onnx and encoder.onnx", "safetensors"]),
        (
            &["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"],
            &["only the state of a training run", "save_pretrained"],
        ),
        (&["optimizer.safetensors"], &["only the state of a training run"]),
        (&["model.safetensors.crdownload"], &["unfinished downloads (model.safetensors.crdownload)", "download again"]),
        (
            &["consolidated.safetensors"],
            &["consolidated.safetensors and no model.safetensors", "names of a checkpoint"],
        ),
        (&["config.json"], &["holds no model.safetensors", "give the directory"]),
        (&[], &["holds no model.safetensors", "give the directory"]),
    ] {
        let folder = Folder::empty("instead");
        files.iter().for_each(|name| folder.write(name, b"x"));
        folder.is_refused(parts);
    }
    let folder = Folder::empty("below");
    fs::create_dir_all(folder.0.path("ckpt/snapshots/0123")).unwrap();
    folder.write("snapshots/0123/model.safetensors", b"x");
    folder.is_refused(&["snapshots/0123 does: give that directory"]);
}

#[test]
fn foreign_prefixes_and_buffers_are_left_out_with_a_note() {
    for prefix in ["base_model.model.", "module.", "model.", "_orig_mod.", "asr.net."] {
        let folder = Folder::new("prefix");
        folder.rename(|name| format!("{prefix}{name}"));
        let run = folder.converts();
        let note = if prefix == "_orig_mod." { "'_orig_mod.' was left out" } else { "tensor names begin with" };
        assert!(run.stderr.contains(note) && run.stderr.contains(prefix), "{}", run.stderr);
    }
    // The model without its wrapper.
    let folder = Folder::new("no-prefix");
    folder.rename(|name| name.replacen("thinker.", "", 1));
    assert!(folder.converts().stderr.contains("lack 'thinker.'"));

    let folder = Folder::new("buffers");
    let (mut header, mut data) = folder.weights();
    for (name, dtype) in [
        ("thinker.model.layers.0.self_attn.rotary_emb.inv_freq", "F32"),
        ("thinker.audio_tower.positional_embedding.positional_embedding", "BF16"),
        ("thinker.model.position_ids", "I64"),
    ] {
        let begin = data.len();
        data.extend([1; 8]);
        header.insert(name.to_owned(), json!({"dtype": dtype, "shape": [8], "data_offsets": [begin, data.len()]}));
    }
    folder.put_weights(&header, &data);
    let run = folder.converts();
    assert!(
        run.stderr.contains("3 buffers that the model computes by itself, such as 'thinker.audio_tower.posi"),
        "{}",
        run.stderr
    );
    // What is neither is an error by name, with a prefix and without.
    let entry = header["thinker.model.norm.weight"].clone();
    header.insert("thinker.model.extra.weight".to_owned(), entry);
    let end = data.len();
    header["thinker.model.extra.weight"]["data_offsets"] = json!([end, end + 512]);
    data.resize(end + 512, 0);
    folder.put_weights(&header, &data);
    fs::remove_dir_all(folder.0.path("out")).unwrap();
    folder.is_refused(&["unmapped: 'thinker.model.extra.weight'"]);
    folder.rename(|name| format!("module.{name}"));
    let note = "tensor names begin with 'module.', which was left out";
    folder.is_refused(&["1 problems", "unmapped: 'module.thinker.model.extra.weight'", note]);
}

/// A head that differs from a tied table: the official package ties after loading, whatever the file holds, where
/// `text_config` says so and nowhere else (docs/MODEL.md).
#[test]
fn the_head_is_the_one_that_the_official_package_uses() {
    let folder = Folder::new("head");
    let (header, mut data) = folder.weights();
    let place = |name: &str| {
        let ends = header[name]["data_offsets"].as_array().unwrap();
        ends[0].as_u64().unwrap() as usize..ends[1].as_u64().unwrap() as usize
    };
    let head = place("thinker.lm_head.weight");
    assert_eq!(data[head.clone()], data[place("thinker.model.embed_tokens.weight")]);
    // Other rows in other places.
    data[head].rotate_left(512 * 7);
    folder.put_weights(&header, &data);
    let run = folder.converts();
    assert!(run.stderr.contains("warning: the checkpoint's own output head is left out"), "{}", run.stderr);
    let output = || tensors(Path::new(&folder.0.path("out/demo-q8_0.gguf"))).contains_key("output.weight");
    let original = folder.json("config.json");
    for (text, others, is_written) in [
        (json!(true), json!(false), false),
        (json!(false), json!(true), true),
        (json!(null), json!(true), true),
        (json!(null), json!(null), true),
    ] {
        let mut config = original.clone();
        text_config(&mut config)["tie_word_embeddings"] = text.clone();
        config["thinker_config"]["tie_word_embeddings"] = others.clone();
        config["tie_word_embeddings"] = others.clone();
        folder.put("config.json", &config);
        let run = folder.run(&[]).succeeds();
        assert_eq!(output(), is_written, "text {text}, others {others}: {}", run.stderr);
    }
    let run = folder.run(&["--dry-run"]).succeeds();
    let written = run.stderr.contains("the output head differs from the token table and is written");
    assert!(written && run.stdout.contains("  output.weight "), "{} {}", run.stderr, run.stdout);
    folder.put("config.json", &original);
    let run = folder.run(&["--dry-run"]).succeeds();
    let left_out = run.stderr.contains("warning: the checkpoint's own output head is left out");
    assert!(left_out && !run.stdout.contains("  output.weight "), "{} {}", run.stderr, run.stdout);
}

/// The port inside transformers keeps a head that is stored beside a tied table.
#[test]
fn the_ports_own_head_is_kept() {
    let folder = Folder::empty("port-head");
    let spec = Spec { naming: tiny::Naming::Hf, head: tiny::TinyHead::Different, ..Spec::default() };
    tiny::write(Path::new(&folder.path()), &spec).unwrap();
    let mut config = folder.json("config.json");
    config["tie_word_embeddings"] = true.into();
    config["text_config"]["tie_word_embeddings"] = true.into();
    folder.put("config.json", &config);
    assert!(folder.run(&[]).succeeds().stderr.contains("the output head differs from the token table and is written"));
    // Without one it is the table, unless the outer flag denies it.
    let mut tensors = tiny::tensors(&spec);
    tensors.retain(|tensor| tensor.name != "lm_head.weight");
    tiny::write_weights(Path::new(&folder.path()), &tensors, SourceType::Bf16, 1).unwrap();
    config["text_config"]["tie_word_embeddings"] = false.into();
    folder.put("config.json", &config);
    folder.run(&[]).succeeds();
    config["tie_word_embeddings"] = false.into();
    folder.put("config.json", &config);
    fs::remove_dir_all(folder.0.path("out")).unwrap();
    folder.is_refused(&["nothing in the checkpoint becomes output.weight"]);
}

#[cfg(unix)]
#[test]
fn a_snapshot_gives_its_repositorys_name() {
    use std::os::unix::fs::symlink;
    let scratch = Scratch::new("checkpoints-cache");
    let hash = "3a6d1f0b5c9e8d7f6a5b4c3d2e1f0a9b8c7d6e5f";
    for (repository, name) in [("models--Qwen--Qwen3-ASR-0.6B", "Qwen3-ASR-0.6B"), ("models--my-asr", "my-asr")] {
        let snapshot = scratch.path(&format!("{repository}/snapshots/{hash}"));
        let blobs = scratch.path(&format!("{repository}/blobs"));
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(&blobs).unwrap();
        for (number, entry) in fs::read_dir(CHECKPOINT).unwrap().enumerate() {
            let path = entry.unwrap().path();
            fs::copy(&path, format!("{blobs}/{number}")).unwrap();
            let file = path.file_name().unwrap().to_str().unwrap();
            symlink(format!("../../blobs/{number}"), format!("{snapshot}/{file}")).unwrap();
        }
        qasr(&["convert", &snapshot, "--type", "q8_0", "-o", &scratch.path("out")]).succeeds();
        let written = scratch.path(&format!("out/{name}-q8_0.gguf"));
        assert_eq!(Gguf::open(Path::new(&written)).unwrap().str("general.name").unwrap(), name);
        // The cache's own folder names the snapshot.
        let run =
            qasr(&["convert", &scratch.path(repository), "--type", "q8_0", "-o", &scratch.path("out")]).fails_with(4);
        assert!(run.stderr.contains(&format!("snapshots/{hash} does: give that directory")), "{}", run.stderr);
    }
}

#[test]
fn a_damaged_file_of_a_pair_is_named() {
    let scratch = Scratch::new("checkpoints-damaged");
    let demo = |name: &str| fs::read(format!("{}/../convert/demo/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (decoder, encoder) = (demo("demo-q8_0.gguf"), demo("mmproj-demo-q8_0.gguf"));
    let folder = scratch.path("");
    let refused = |model: &str, named: &str| {
        let run = qasr(&["transcribe", "-np", "-m", model, SAMPLE]).fails_with(4);
        assert_eq!((run.stdout.as_str(), run.stderr.lines().count()), ("", 1), "{run:?}");
        assert!(
            run.stderr.contains(&format!("{named}: ")) && run.stderr.contains("cut off or damaged"),
            "{}",
            run.stderr
        );
    };
    let model = scratch.write("demo-q8_0.gguf", &decoder);
    for name in ["mmproj-demo-q8_0.gguf", "demo-MMProj.GGUF", "demo.mm-proj.gguf"] {
        for len in [0, 3, 20, 3000, 60_000, encoder.len() - 1] {
            scratch.write(name, &encoder[..len]);
            refused(&folder, name);
            refused(&model, name);
        }
        scratch.write(name, &[0; 5000]);
        refused(&folder, name);
        fs::remove_file(scratch.path(name)).unwrap();
    }
    // A name without information: it could be either.
    scratch.write("audio.gguf", &encoder[..60_000]);
    refused(&folder, "audio.gguf");
    refused(&model, "audio.gguf");
    fs::remove_file(scratch.path("audio.gguf")).unwrap();
    // The decoder, alone and beside another that is sound.
    scratch.write("mmproj-demo-q8_0.gguf", &encoder);
    for len in [0, 20, 60_000, decoder.len() - 1] {
        scratch.write("demo-q8_0.gguf", &decoder[..len]);
        refused(&folder, "demo-q8_0.gguf");
        refused(&model, "demo-q8_0.gguf");
    }
    let sound = scratch.write("other-q8_0.gguf", &decoder);
    refused(&folder, "demo-q8_0.gguf");
    // Named in full, the sound pair transcribes; a damaged encoder beside a sound one is not needed.
    scratch.write("mmproj-cut.gguf", &encoder[..100]);
    assert_eq!(qasr(&["transcribe", "-np", "-m", &sound, SAMPLE]).succeeds().stdout, WORDS);
}
