//! Model files with every kind of fault: the command ends with one sentence and the bad-model code, and nothing ends
//! it from inside C. Each fault sits in an otherwise sound pair, so that it is the only thing to be found.

use crate::damage::{Bench, kind, run, small, transcribe};
use qasr_convert::Arch;
use qasr_format::Gguf;
use qasr_format::gguf::Value;
use std::path::Path;

#[test]
fn sound_pairs_are_accepted_with_whatever_other_tools_add() {
    let bench = Bench::new("sound");
    bench.accepts_decoder("untouched", &bench.decoder);
    bench.run_encoder(&bench.encoder.bytes()).is_accepted("encoder untouched");
    let decorated = bench
        .decoder
        .with("general.description", "x")
        .with("general.tags", Value::Strings(vec!["speech".into()]))
        .with("quantize.imatrix.file", "imatrix.gguf")
        .with("quantize.imatrix.entries_count", 12)
        .with("tokenizer.chat_template", "{{ anything }}")
        .with("tokenizer.ggml.padding_token_id", 300)
        .with("tokenizer.ggml.add_bos_token", false)
        .with("qwen3.rope.dimension_count", 32)
        .with("qwen3.vocab_size", 512)
        .with("qwen3.attention.causal", true);
    bench.accepts_decoder("decorated", &decorated);
    for (recipe, arch) in [("f32", Arch::Qwen3Vl), ("bf16", Arch::Qwen3), ("q4_0", Arch::Qwen3Vl)] {
        let bench = Bench::make(&format!("sound-{recipe}"), &small(), recipe, arch);
        bench.accepts_decoder(recipe, &bench.decoder);
    }
}

#[test]
fn files_cut_anywhere_are_refused() {
    let bench = Bench::new("cut");
    for (bytes, is_decoder) in [(bench.decoder_bytes(), true), (bench.encoder_bytes(), false)] {
        let file = Gguf::read(&bytes[..], bytes.len() as u64, Path::new("")).unwrap();
        let mut places: Vec<usize> = vec![0, 1, 3, 4, 7, 8, 15, 16, 23, 24, 31, 32, file.data_start() as usize];
        let names = file.keys().map(|(key, _)| key).chain(file.tensors().iter().map(|tensor| tensor.name.as_str()));
        for name in names {
            // Before, inside and after the name.
            let pattern = [&(name.len() as u64).to_le_bytes()[..], name.as_bytes()].concat();
            let at = bytes.windows(pattern.len()).position(|window| window == pattern).unwrap();
            places.extend([at, at + 8, at + 9, at + pattern.len(), at + pattern.len() + 5]);
        }
        for tensor in file.tensors() {
            places.extend([tensor.offset as usize, (tensor.offset + tensor.bytes) as usize - 1]);
        }
        for place in places {
            let what = format!("cut at {place} of {}", bytes.len());
            let cut = &bytes[..place];
            let ended = if is_decoder { bench.run_decoder(cut) } else { bench.run_encoder(cut) };
            ended.is_refused(&what, "damaged.gguf");
        }
    }
}

#[test]
fn a_wrong_magic_or_version_is_refused() {
    let bench = Bench::new("magic");
    for (place, patch) in [
        (0, *b"GGUX"),
        (0, *b"ggml"),
        (0, *b"PK\x03\x04"),
        (0, [0; 4]),
        (4, [0; 4]),
        (4, [1, 0, 0, 0]),
        (4, [4, 0, 0, 0]),
        (4, [0, 0, 0, 3]),
        (4, [0xff; 4]),
    ] {
        let mut bytes = bench.decoder_bytes();
        bytes[place..place + 4].copy_from_slice(&patch);
        bench.run_decoder(&bytes).is_refused(&format!("{patch:?} at {place}"), "damaged.gguf");
        let mut bytes = bench.encoder_bytes();
        bytes[place..place + 4].copy_from_slice(&patch);
        bench.run_encoder(&bytes).is_refused(&format!("{patch:?} at {place}"), "damaged.gguf");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let bench = Bench::new("no-file");
    let folder = bench.scratch.path("");
    transcribe(&["-m", &bench.scratch.path("none.gguf")]).is_refused("missing", "none.gguf");
    transcribe(&["-m", &folder, "--mmproj", &folder]).is_refused("a folder", &folder);
    #[cfg(unix)]
    for (what, path) in [("a device", "/dev/zero".to_owned()), ("a pipe", pipe(&bench.scratch.path("pipe.gguf")))] {
        transcribe(&["-m", &path, "--mmproj", &path]).is_refused(what, &path);
        transcribe(&["-m", &path]).is_refused(what, &path);
        run(&["inspect", &path]).is_refused(what, &path);
    }
}

/// A named pipe nobody writes to: opening it waits for ever.
#[cfg(unix)]
fn pipe(path: &str) -> String {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    path.to_owned()
}

#[test]
fn another_architecture_is_refused() {
    let bench = Bench::new("architecture");
    for name in ["llama", "qwen2", "qwen3moe", "qwen3vlmoe", "clip", "", "two\nlines", "\u{1b}[2Jgone", "qwen3\0"] {
        bench.refuses_decoder(name, &bench.decoder.with("general.architecture", name), "architecture");
        if name != "clip" {
            bench.refuses_encoder(name, &bench.encoder.with("general.architecture", name), "architecture");
        }
    }
    bench.refuses_decoder("a number", &bench.decoder.with("general.architecture", 3), "general.architecture");
    bench.refuses_decoder("none", &bench.decoder.without("general.architecture"), "general.architecture");
    for name in ["qwen2a", "ultravox", "mlp"] {
        bench.refuses_encoder(name, &bench.encoder.with("clip.audio.projector_type", name), "projector");
    }
    bench.run_decoder(&bench.encoder_bytes()).is_refused("encoder as decoder", "clip");
    bench.run_encoder(&bench.decoder_bytes()).is_refused("decoder as encoder", "qwen3");
}

#[test]
fn an_encoder_of_another_model_is_refused() {
    let bench = Bench::new("pair");
    let mut spec = small();
    spec.seed = 2;
    let twin = Bench::make("pair-twin", &spec, "q8_0", Arch::Qwen3);
    bench.run_encoder(&twin.encoder_bytes()).is_refused("same sizes, other checkpoint", "not a pair");
    (spec.decoder.width, spec.encoder.projection) = (96, 96);
    let wide = Bench::make("pair-wide", &spec, "q8_0", Arch::Qwen3);
    bench.run_encoder(&wide.encoder_bytes()).is_refused("other width", "not a pair");
    bench.run_decoder(&wide.decoder_bytes()).is_refused("other width", "not a pair");
}

#[test]
fn every_missing_tensor_is_named() {
    let bench = Bench::new("missing");
    for (plan, _) in &bench.decoder.tensors {
        let mut part = bench.decoder.clone();
        part.tensors.retain(|(other, _)| other.name != plan.name);
        bench.refuses_decoder(&plan.name, &part, &plan.name);
    }
    for (plan, _) in &bench.encoder.tensors {
        let mut part = bench.encoder.clone();
        part.tensors.retain(|(other, _)| other.name != plan.name);
        bench.refuses_encoder(&plan.name, &part, &plan.name);
    }
    // One more than there should be, one of them instead of another, and all of them under other names.
    let mut part = bench.decoder.clone();
    let mut extra = part.tensors[1].clone();
    extra.0.name = "blk.0.attn_q.bias".to_owned();
    part.tensors.push(extra.clone());
    bench.refuses_decoder("a bias", &part, "attn_q.bias");
    part.tensors.swap_remove(2);
    bench.refuses_decoder("one for another", &part, "attn_q.bias");
    extra.0.name = "cls.output.weight".to_owned();
    part = bench.decoder.clone();
    part.tensors.push(extra);
    bench.refuses_decoder("a classifier", &part, "cls.output.weight");
    for (plan, _) in &mut part.tensors {
        plan.name = format!("v.{}", plan.name);
    }
    bench.refuses_decoder("all of them", &part, "token_embd.weight");
}

#[test]
fn every_wrong_shape_or_type_is_named() {
    let bench = Bench::make("shape", &small(), "f16", Arch::Qwen3);
    for (part, is_decoder) in [(&bench.decoder, true), (&bench.encoder, false)] {
        for (plan, _) in &part.tensors {
            let mut shapes = vec![[plan.dims.clone(), vec![2]].concat()[..4.min(plan.dims.len() + 1)].to_vec()];
            for axis in 0..plan.dims.len() {
                let mut dims = plan.dims.clone();
                dims[axis] += 1;
                shapes.push(dims);
            }
            let mut turned = plan.dims.clone();
            turned.reverse();
            shapes.extend([turned, vec![plan.dims.iter().product()], vec![1]]);
            shapes.retain(|dims| *dims != plan.dims);
            // All of them on the first of each kind would take minutes; one each finds a check that is missing.
            let dims = shapes.swap_remove(plan.name.len() % shapes.len());
            let what = format!("{} as {dims:?}", plan.name);
            let wrong = part.tensor(&plan.name, |plan, _| plan.dims = dims);
            let name = plan.name.as_str();
            // Two tensors give the sizes the others are held against.
            let named = if ["token_embd.weight", "a.position_embd.weight", "a.conv2d.1.weight"].contains(&name) {
                ""
            } else {
                name
            };
            if is_decoder {
                bench.refuses_decoder(&what, &wrong, named)
            } else {
                bench.refuses_encoder(&what, &wrong, named)
            }
        }
    }
    for (name, type_name) in [
        ("token_embd.weight", "i32"),
        ("token_embd.weight", "f64"),
        ("token_embd.weight", "q8_1"),
        ("token_embd.weight", "q4_1"),
        ("output_norm.weight", "f16"),
        ("blk.0.attn_q_norm.weight", "q8_0"),
        ("blk.0.attn_q.weight", "i8"),
        ("blk.0.ffn_up.weight", "nvfp4"),
    ] {
        let wrong = bench.decoder.tensor(name, |plan, _| plan.kind = kind(type_name));
        bench.refuses_decoder(&format!("{name} as {type_name}"), &wrong, name);
    }
    for (name, type_name) in [
        ("a.conv2d.1.bias", "f16"),
        ("a.conv2d.2.weight", "i16"),
        ("a.blk.0.ln1.weight", "bf16"),
        ("mm.a.mlp.2.weight", "i64"),
    ] {
        let wrong = bench.encoder.tensor(name, |plan, _| plan.kind = kind(type_name));
        bench.refuses_encoder(&format!("{name} as {type_name}"), &wrong, name);
    }
    // Every type that is computed with, in every place where rows fit it.
    for type_name in ["f32", "f16", "bf16", "q8_0", "q5_0", "q4_0", "iq4_nl"] {
        let mut part = bench.decoder.clone();
        for (plan, data) in part.tensors.iter_mut().filter(|(plan, _)| plan.dims.len() > 1) {
            (plan.kind, *data) = (kind(type_name), Vec::new());
        }
        bench.accepts_decoder(type_name, &part);
        let mut part = bench.encoder.clone();
        for (plan, data) in part.tensors.iter_mut().filter(|(plan, _)| plan.dims.len() == 2) {
            (plan.kind, *data) = (kind(type_name), Vec::new());
        }
        bench.run_encoder(&part.bytes()).is_accepted(type_name);
    }
}

#[test]
fn scales_and_values_that_are_no_numbers_are_refused() {
    for (recipe, size) in [("f32", 4), ("f16", 2), ("bf16", 2), ("q8_0", 2), ("q5_0", 2), ("q4_0", 2), ("iq4_nl", 2)] {
        let bench = Bench::make(&format!("nan-{recipe}"), &small(), recipe, Arch::Qwen3);
        for name in ["token_embd.weight", "blk.0.ffn_down.weight", "output_norm.weight"] {
            let end = |data: &mut Vec<u8>, block: usize, size: usize| {
                let start = data.len() - block;
                data[start..start + size].fill(0xff);
            };
            let wrong = bench.decoder.tensor(name, |plan, data| {
                let is_vector = plan.dims.len() == 1;
                end(data, plan.kind.block_bytes() as usize, if is_vector { 4 } else { size });
            });
            bench.refuses_decoder(&format!("{recipe} {name}"), &wrong, name);
        }
        let wrong = bench.encoder.tensor("a.blk.0.attn_q.weight", |_, data| data[..size].fill(0xff));
        bench.refuses_encoder(recipe, &wrong, "a.blk.0.attn_q.weight");
    }
    // Numbers, but so large that nothing after them is one.
    let bench = Bench::make("huge", &small(), "f32", Arch::Qwen3);
    let wrong = bench.decoder.tensor("output_norm.weight", |_, data| {
        data.chunks_exact_mut(4).for_each(|value| value.copy_from_slice(&f32::MAX.to_le_bytes()));
    });
    bench.refuses_decoder("huge", &wrong, "finite");
}

#[test]
fn absurd_counts_ask_for_no_memory() {
    let bench = Bench::new("counts");
    let bytes = bench.decoder_bytes();
    let find = |text: &str| bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    let tokens = find("tokenizer.ggml.tokens") + "tokenizer.ggml.tokens".len();
    let tensor = find("output_norm.weight") + "output_norm.weight".len();
    // Tensor count, key count, length of the first key, array length, first string in it, dimension count, extent,
    // type and offset of a tensor.
    for place in [8, 16, 24, tokens + 8, tokens + 16, tensor, tensor + 4, tensor + 12, tensor + 16] {
        for count in [u64::MAX, i64::MAX as u64, i64::MIN as u64, u64::from(u32::MAX), 1 << 40, 1 << 24] {
            let mut bytes = bytes.clone();
            bytes[place..place + 8].copy_from_slice(&count.to_le_bytes());
            bench.run_decoder(&bytes).is_refused(&format!("{count} at {place}"), "damaged.gguf");
        }
    }
    // A million descriptions of nothing, and every layer there could be.
    let mut part = bench.decoder.with("qwen3.block_count", 512);
    let mut empty = part.tensors[1].clone();
    (empty.0.dims, empty.1) = (vec![1], Vec::new());
    part.tensors.extend((0..200_000).map(|index| {
        let mut tensor = empty.clone();
        tensor.0.name = format!("t{index}");
        tensor
    }));
    bench.refuses_decoder("many tensors", &part, "and ");
    let many = bench.decoder.with("tokenizer.ggml.merges", Value::Strings(vec![String::new(); 4_000_000]));
    bench.refuses_decoder("many merges", &many, "merge");
    let many = bench.decoder.with("tokenizer.ggml.tokens", Value::Strings(vec![String::new(); 4_000_000]));
    bench.refuses_decoder("many tokens", &many, "tokens");
}

#[test]
fn data_off_alignment_is_refused() {
    let bench = Bench::make("alignment", &small(), "f32", Arch::Qwen3);
    // The writer knows one alignment only: the key is patched in, under a name of the same length.
    for alignment in [0, 3, 1, 8, 16, 1 << 30] {
        let mut shifted = 0;
        for filler in 0..32 {
            let part = bench.decoder.with("general.alignmenX", alignment).with("filler", "x".repeat(filler));
            let mut bytes = part.bytes();
            let at = bytes.windows(17).position(|window| window == b"general.alignmenX").unwrap();
            bytes[at..at + 17].copy_from_slice(b"general.alignment");
            let read = Gguf::read(&bytes[..], bytes.len() as u64, Path::new(""));
            let start = read.map_or(0, |file| file.data_start() as usize);
            if start == 0 || start % 32 == 16 || (start % 32 == 8 && alignment < 16) {
                // The data moves to where this alignment puts it.
                if start > 0 {
                    let whole = start.next_multiple_of(32);
                    bytes.drain(start..whole);
                }
                bench
                    .run_decoder(&bytes)
                    .is_refused(&format!("alignment {alignment}, data at {start}"), "damaged.gguf");
                shifted += 1;
                break;
            }
        }
        assert_eq!(shifted, 1, "alignment {alignment} was not tried");
    }
}

/// Splitmix: equal seeds damage equal places.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

/// Whatever happens to the bytes, the command ends by itself: with a text, or with one sentence.
#[test]
fn random_damage_ends_in_order() {
    let (mut accepted, mut refused) = (0, 0);
    for (arch, seed) in [(Arch::Qwen3, 1), (Arch::Qwen3Vl, 2)] {
        let bench = Bench::make(&format!("sweep-{seed}"), &small(), "q8_0", arch);
        let mut random = Random(seed);
        for (bytes, is_decoder) in [(bench.decoder_bytes(), true), (bench.encoder_bytes(), false)] {
            let header = Gguf::read(&bytes[..], bytes.len() as u64, Path::new("")).unwrap().data_start() as usize;
            for round in 0..200 {
                // Most in the header, where one byte can mean anything; some in the weights.
                let end = if round % 5 == 0 { bytes.len() } else { header };
                let mut damaged = bytes.clone();
                let mut what = format!("seed {seed}, round {round}, decoder {is_decoder}:");
                for _ in 0..1 + random.below(3) {
                    let at = random.below(end);
                    let until = (at + [1, 1, 4, 8][random.below(4)]).min(bytes.len());
                    let value = [0, 1, 0x7f, 0x80, 0xff, random.below(256) as u8][random.below(6)];
                    damaged[at..until].fill(value);
                    what += &format!(" {at}..{until} = {value}");
                }
                if round % 20 == 19 {
                    damaged.truncate(random.below(bytes.len()));
                }
                let ended = if is_decoder { bench.run_decoder(&damaged) } else { bench.run_encoder(&damaged) };
                ended.is_orderly(&what, &[0, 4, 5]);
                if ended.stderr.starts_with("qasr: error") { refused += 1 } else { accepted += 1 }
            }
        }
    }
    assert!(accepted > 50 && refused > 200, "both outcomes must occur: {accepted} / {refused}");
}
