//! A pair in other types: the same bytes as converting straight to them, the keys that must stay, exceptions, recipes,
//! and everything that is refused.

use std::fs;
use std::path::Path;

use crate::common::{again, both, checkpoint, fresh_dir, importance, listing, open, run, run_with, tensors, values};
use qasr_convert::tiny::{Spec, TinyHead};
use qasr_convert::{
    Arch, ConvertErrorKind, Destination, FileType, Head, Override, QuantizeOptions, Recipe, SourceType, quantize,
};
use qasr_format::gguf::{Header, PlannedTensor};
use qasr_format::{GgmlType, Value};

#[test]
fn quantizing_an_exact_pair_is_converting_in_two_steps() {
    for (name, spec, exact) in [
        ("two_steps_bf16", Spec { head: TinyHead::Different, ..Spec::narrow_encoder() }, FileType::Bf16),
        ("two_steps_f32", Spec { kind: SourceType::F32, ..Spec::default() }, FileType::F32),
    ] {
        let dir = fresh_dir(name);
        checkpoint(&dir, &spec);
        run(&dir, exact).expect("exact pair");
        for file_type in [FileType::Q4_0, FileType::Q4KM, FileType::Q8_0] {
            run(&dir, file_type).expect("straight");
            let report = again(&dir, exact, file_type, |_| {}).expect("in two steps");
            assert_eq!(report.rounded_twice, "", "{file_type}");
            for (straight, stepwise) in
                both(&dir, "out", file_type.name()).iter().zip(&both(&dir, "again", file_type.name()))
            {
                let (straight, stepwise) = (tensors(straight), tensors(stepwise));
                assert!(straight.len() > 20 && straight == stepwise, "{name} {file_type}");
            }
        }
    }
    // Half precision cannot hold what bfloat16 can: here the two ways may part.
    let dir = fresh_dir("two_steps_f16");
    checkpoint(&dir, &Spec { kind: SourceType::F32, ..Spec::default() });
    run(&dir, FileType::F16).expect("rounded pair");
    run(&dir, FileType::Q8_0).expect("straight");
    again(&dir, FileType::F16, FileType::Q8_0, |_| {}).expect("in two steps");
    assert!(tensors(&both(&dir, "out", "q8_0")[0]) != tensors(&both(&dir, "again", "q8_0")[0]));
}

#[test]
fn keys_stay_but_for_those_about_types() {
    let dir = fresh_dir("requantized_keys");
    checkpoint(&dir, &Spec::default());
    run_with(&dir, FileType::Bf16, |options| {
        options.arch = Arch::Qwen3Vl;
        options.segment_seconds = Some(20.0);
    })
    .expect("exact pair");
    let report = again(&dir, FileType::Bf16, Recipe::pair(FileType::Q4_0, FileType::Q8_0), |_| {}).expect("quantize");
    assert_eq!(report.head, Head::Absent);
    let changed = ["general.file_type", "qasr.recipe", "qasr.recipe.types"];
    for (before, after) in both(&dir, "out", "bf16").iter().zip([&report.plan.decoder.path, &report.plan.encoder.path])
    {
        let (before, after) = (open(before), open(after));
        assert_eq!(before.keys().len(), after.keys().len());
        for (key, value) in before.keys() {
            let now = after.get(key).unwrap_or_else(|| panic!("{key} is gone"));
            assert_eq!(now == value, !changed.contains(&key), "{key}: {value} became {now}");
        }
    }
    let [decoder, encoder] =
        ["tiny-q4_0.gguf", "mmproj-tiny-q8_0.gguf"].map(|name| open(&dir.join("again").join(name)));
    assert_eq!((decoder.u32("general.file_type").unwrap(), decoder.str("qasr.recipe").unwrap()), (2, "q4_0"));
    assert_eq!((encoder.u32("general.file_type").unwrap(), encoder.str("qasr.recipe").unwrap()), (7, "q8_0"));
    assert_eq!(report.source_sha256, decoder.str("qasr.source.sha256").unwrap());

    let renamed = again(&dir, FileType::Bf16, FileType::Q8_0, |options| options.name = Some("other".to_owned()))
        .expect("renamed");
    assert!(renamed.plan.decoder.path.ends_with("other-q8_0.gguf"));
    assert_eq!(open(&renamed.plan.encoder.path).str("general.name").unwrap(), "other");
}

#[test]
fn values_below_sixteen_bits_are_rounded_twice_and_counted() {
    let dir = fresh_dir("rounded_twice");
    checkpoint(&dir, &Spec::default());
    run(&dir, FileType::Q8_0).expect("source");
    let report = again(&dir, FileType::Q8_0, FileType::Q4_0, |_| {}).expect("quantize");
    assert!(report.rounded_twice.ends_with(" q8_0"), "{}", report.rounded_twice);
    // Quantizing q8_0 values again would give the same bytes by itself; q4_k values would not.
    run(&dir, FileType::Q4KM).expect("another source");
    for file_type in [FileType::Q8_0, FileType::Q4KM] {
        let copied = again(&dir, file_type, file_type, |_| {}).expect("copy");
        assert_eq!(copied.rounded_twice, "");
        for (before, after) in both(&dir, "out", file_type.name()).iter().zip(&both(&dir, "again", file_type.name())) {
            assert!(tensors(before) == tensors(after), "what has its type already is copied");
        }
    }
    // Up is possible too, and exact.
    again(&dir, FileType::Q8_0, FileType::F32, |_| {}).expect("up");
    let name = "blk.1.ffn_down.weight";
    assert_eq!(values(&both(&dir, "out", "q8_0")[0], name), values(&both(&dir, "again", "f32")[0], name));
}

/// Differences of other writers: extents of 1 left out, their own alignment, a head stored twice, vectors in half
/// precision, no key of ours.
#[test]
fn pairs_of_other_writers_are_read() {
    let dir = fresh_dir("other_writers");
    checkpoint(&dir, &Spec::default());
    run(&dir, FileType::F32).expect("source");
    let [decoder, encoder] = both(&dir, "out", "f32");
    rewrite(&decoder, |keys, all| {
        keys.retain(|(key, _)| !key.starts_with("qasr."));
        let (table, data) = all.iter().find(|(tensor, _)| tensor.name == "token_embd.weight").cloned().expect("table");
        all.push((PlannedTensor { name: "output.weight".to_owned(), ..table }, data));
    });
    rewrite(&encoder, |keys, all| {
        keys.retain(|(key, _)| !key.starts_with("qasr."));
        for (tensor, data) in all {
            if tensor.name == "a.conv2d.1.weight" {
                // [3, 3, 1, 32] cannot be shortened; a bias of [1, 1, 32] keeps its leading ones.
                continue;
            }
            if tensor.name.ends_with("post_ln.weight") {
                tensor.dims.push(1);
            }
            if tensor.name == "a.post_ln.bias" {
                let values: Vec<f32> =
                    data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
                *data = ggml::quantize::quantize_rows(GgmlType::F16.id(), &values, values.len(), None).expect("half");
                tensor.kind = GgmlType::F16;
            }
        }
    });
    let report = again(&dir, FileType::F32, FileType::Q4_0, |_| {}).expect("quantize");
    assert_eq!((report.head, report.source_sha256.as_str()), (Head::Dropped, ""));
    let encoder = open(&report.plan.encoder.path);
    let info = encoder.tensor("a.post_ln.bias").expect("bias");
    assert_eq!((info.kind, info.dims.as_slice()), (GgmlType::F32, &[256][..]));
    assert_eq!(encoder.tensor("a.post_ln.weight").expect("weight").dims, [256]);
    assert_eq!(open(&report.plan.decoder.path).str("qasr.recipe").unwrap(), "q4_0");
}

type RawTensor = (PlannedTensor, Vec<u8>);

/// Changes keys and tensors of a file.
fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<(String, Value)>, &mut Vec<RawTensor>)) {
    let gguf = open(path);
    let data = tensors(path);
    let mut keys: Vec<_> = gguf.keys().map(|(key, value)| (key.to_owned(), value.clone())).collect();
    let planned = |info: &qasr_format::TensorInfo| PlannedTensor {
        name: info.name.clone(),
        dims: info.dims.clone(),
        kind: info.kind,
    };
    let mut all: Vec<RawTensor> =
        gguf.tensors().iter().map(|info| (planned(info), data[&info.name].1.clone())).collect();
    change(&mut keys, &mut all);
    let header = Header::new(&keys, &all.iter().map(|(tensor, _)| tensor.clone()).collect::<Vec<_>>()).expect("header");
    let mut bytes = header.bytes().to_vec();
    for (i, (_, data)) in all.iter().enumerate() {
        bytes.resize(header.place(i).expect("placed").0 as usize, 0);
        bytes.extend(data);
    }
    bytes.resize(header.file_len() as usize, 0);
    fs::write(path, bytes).expect("write");
}

#[test]
fn what_is_no_pair_is_refused_and_nothing_is_written() {
    let dir = fresh_dir("no_pair");
    checkpoint(&dir, &Spec::default());
    run(&dir, FileType::Q8_0).expect("source");
    let [decoder, encoder] = both(&dir, "out", "q8_0");
    let refused = |decoder: &Path, encoder: &Path, part: &str| {
        let options = QuantizeOptions::new(decoder, encoder, Destination::Folder(dir.join("again")), FileType::Q4_0);
        let error = quantize(&options, &mut |_| {}).expect_err(part);
        assert_eq!(error.kind(), ConvertErrorKind::Checkpoint, "{error}");
        assert!(error.to_string().contains(part), "{part}: {error}");
        assert_eq!(listing(&dir.join("again")), [""; 0]);
    };
    refused(&encoder, &encoder, "architecture 'clip' is no Qwen3-ASR decoder");
    refused(&decoder, &decoder, "architecture 'qwen3' is no audio encoder");
    refused(&dir.join("none.gguf"), &encoder, "none.gguf: cannot open");
    let spoilt = |whole: &Path, change: fn(&mut Vec<(String, Value)>, &mut Vec<RawTensor>)| {
        let copy = dir.join("spoilt.gguf");
        fs::copy(whole, &copy).expect("copy");
        rewrite(&copy, change);
        copy
    };
    let path = spoilt(&decoder, |_, all| all.retain(|(tensor, _)| tensor.name != "blk.1.attn_k.weight"));
    refused(&path, &encoder, "missing: 'blk.1.attn_k.weight'");
    let path = spoilt(&decoder, |_, all| all[3].0.name = "blk.0.extra.weight".to_owned());
    refused(&path, &encoder, "unknown: 'blk.0.extra.weight'");
    let path = spoilt(&encoder, |_, all| {
        let (tensor, _) = all.iter_mut().find(|(tensor, _)| tensor.name == "a.conv_out.weight").expect("tensor");
        tensor.dims = vec![tensor.dims[1], tensor.dims[0]];
    });
    refused(&decoder, &path, "misshapen: 'a.conv_out.weight'");
    let path = spoilt(&encoder, |keys, _| {
        for (key, value) in keys {
            if key.ends_with("projector_type") {
                *value = "ultravox".into();
            }
        }
    });
    refused(&decoder, &path, "projector 'ultravox' belongs to another model");
    let path = spoilt(&encoder, |keys, _| {
        for (key, value) in keys {
            if key.ends_with("projection_dim") {
                *value = 128_u32.into();
            }
        }
    });
    refused(&decoder, &path, "do not belong together");
    let path = spoilt(&encoder, |keys, _| {
        for (key, value) in keys {
            if key == "qasr.source.sha256" {
                *value = "00".into();
            }
        }
    });
    refused(&decoder, &path, "was made from another checkpoint");
    let path = spoilt(&decoder, |keys, _| {
        for (key, value) in keys {
            if key.ends_with("block_count") {
                *value = 0_u32.into();
            }
        }
    });
    refused(&path, &encoder, "'qwen3.block_count' is 0");
    // A scale that is not a number makes a whole block of them.
    let path = spoilt(&decoder, |_, all| {
        let (_, data) = all.iter_mut().find(|(tensor, _)| tensor.name == "blk.1.ffn_up.weight").expect("tensor");
        data[..2].copy_from_slice(&0x7e00_u16.to_le_bytes());
    });
    refused(&path, &encoder, "'blk.1.ffn_up.weight': holds NaN");
}

#[test]
fn a_source_is_never_overwritten() {
    let dir = fresh_dir("onto_itself");
    checkpoint(&dir, &Spec::default());
    run(&dir, FileType::Q8_0).expect("source");
    let before = both(&dir, "out", "q8_0").map(|path| fs::read(path).expect("file"));
    let [decoder, encoder] = both(&dir, "out", "q8_0");
    let detour = dir.join("out/../out");
    for destination in [
        Destination::Folder(dir.join("out")),
        Destination::Folder(detour.clone()),
        Destination::Files { decoder: dir.join("x.gguf"), encoder: detour.join("tiny-q8_0.gguf") },
    ] {
        let error = again(&dir, FileType::Q8_0, FileType::Q8_0, |options| options.destination = destination)
            .expect_err("itself");
        assert_eq!(error.kind(), ConvertErrorKind::Usage);
        assert!(error.to_string().contains("is the file that is read"), "{error}");
    }
    let same = Destination::Files { decoder: dir.join("x.gguf"), encoder: dir.join("x.gguf") };
    let error =
        again(&dir, FileType::Q8_0, FileType::Q8_0, |options| options.destination = same).expect_err("one file");
    assert!(error.to_string().contains("cannot be both files"), "{error}");
    assert!(before == [decoder, encoder].map(|path| fs::read(path).expect("file")));
    let names = Destination::Files { decoder: dir.join("new/x.gguf"), encoder: dir.join("new/mmproj-x.gguf") };
    again(&dir, FileType::Q8_0, FileType::Q8_0, |options| options.destination = names).expect("elsewhere");
    assert_eq!(listing(&dir.join("new")), ["mmproj-x.gguf", "x.gguf"]);
}

#[test]
fn exceptions_reach_both_ways_into_the_files() {
    let dir = fresh_dir("exceptions");
    checkpoint(&dir, &Spec::default());
    run(&dir, FileType::Bf16).expect("source");
    let mut types = Recipe::pair(FileType::Q4_0, FileType::Q8_0);
    types.overrides = ["^blk.*ffn_down=q6_k", "mm.a.mlp=f16"].map(|item| Override::parse(item).expect(item)).into();
    let report = again(&dir, FileType::Bf16, types.clone(), |_| {}).expect("quantize");
    run_with(&dir, FileType::Q4_0, |options| options.types = types.clone()).expect("convert");
    for (decoder, encoder) in [
        (&report.plan.decoder.path, &report.plan.encoder.path),
        (&dir.join("out/tiny-q4_0-custom.gguf"), &dir.join("out/mmproj-tiny-q8_0-custom.gguf")),
    ] {
        let kinds = |path: &Path, part: &str| {
            let gguf = open(path);
            let found = gguf.tensors().iter().filter(|info| info.name.contains(part) && info.name.ends_with("weight"));
            found.map(|info| info.kind.name()).collect::<Vec<_>>()
        };
        assert_eq!(kinds(decoder, "ffn_down"), ["q6_k"; 2]);
        assert_eq!(kinds(decoder, "ffn_up"), ["q4_0"; 2]);
        assert_eq!(kinds(encoder, "ffn_down"), ["q8_0"; 4]);
        assert_eq!(kinds(encoder, "mm.a.mlp"), ["f16"; 2]);
        let text = open(decoder).str("qasr.recipe.text").expect("text").to_owned();
        assert_eq!(Recipe::parse(&text, Path::new("key")).expect("a recipe").overrides, types.overrides);
    }
    types.overrides.push(Override::parse("no_such=q8_0").expect("typed"));
    let error = again(&dir, FileType::Bf16, types.clone(), |_| {}).expect_err("useless");
    assert!(error.kind() == ConvertErrorKind::Usage && error.to_string().contains("'no_such=q8_0' matches no tensor"));
    let error = run_with(&dir, FileType::Q4_0, |options| options.types = types.clone()).expect_err("useless");
    assert!(error.kind() == ConvertErrorKind::Usage && error.to_string().contains("no_such"), "{error}");
}

#[test]
fn a_named_recipe_names_the_files_and_says_its_cost() {
    let dir = fresh_dir("named_recipe");
    checkpoint(&dir, &Spec::default());
    run(&dir, FileType::Bf16).expect("source");
    let mut recipe = Recipe::shipped("balanced").expect("shipped");
    recipe.cost = vec!["kl 0.5".to_owned()];
    let report = again(&dir, FileType::Bf16, recipe, |_| {}).expect("quantize");
    assert_eq!(listing(&dir.join("again")), ["mmproj-tiny-balanced.gguf", "tiny-balanced.gguf"]);
    for path in [&report.plan.decoder.path, &report.plan.encoder.path] {
        let gguf = open(path);
        assert_eq!(gguf.str("qasr.recipe").unwrap(), "balanced");
        assert_eq!(gguf.strings("qasr.recipe.cost").unwrap(), ["kl 0.5"]);
        assert!(gguf.str("qasr.recipe.text").unwrap().starts_with("qasr-recipe 1\nname balanced\n"));
    }
    // As shipped, it says on which model it was measured; nothing was measured with this importance.
    let shipped = Recipe::shipped("balanced").expect("shipped");
    let report = again(&dir, FileType::Bf16, shipped.clone(), |_| {}).expect("quantize");
    let gguf = open(&report.plan.decoder.path);
    let cost = gguf.strings("qasr.recipe.cost").unwrap();
    assert!(cost[0].starts_with("digits model: kl ") && cost.len() > 3, "{cost:?}");
    let path = importance(&dir, |_| {});
    let with =
        again(&dir, FileType::Bf16, shipped, |options| options.importance = Some(path)).expect("with importance");
    for path in [&with.plan.decoder.path, &with.plan.encoder.path] {
        assert_eq!(open(path).get("qasr.recipe.cost"), None);
    }
    // What is made of it in another type does not claim that recipe.
    let options = QuantizeOptions::new(
        &report.plan.decoder.path,
        &report.plan.encoder.path,
        Destination::Folder(dir.join("third")),
        FileType::F16,
    );
    let third = quantize(&options, &mut |_| {}).expect("quantize");
    assert_eq!(listing(&dir.join("third")), ["mmproj-tiny-f16.gguf", "tiny-f16.gguf"]);
    let gguf = open(&third.plan.decoder.path);
    assert_eq!((gguf.get("qasr.recipe.text"), gguf.get("qasr.recipe.cost")), (None, None));
}

#[test]
fn a_dry_run_plans_and_writes_nothing() {
    let dir = fresh_dir("requantize_dry");
    checkpoint(&dir, &Spec { head: TinyHead::Different, ..Spec::default() });
    run(&dir, FileType::Bf16).expect("source");
    let report = again(&dir, FileType::Bf16, FileType::Q4KM, |options| options.dry_run = true).expect("plan");
    assert!(!report.is_written && report.head == Head::Written && !dir.join("again").exists());
    let text = report.describe(true);
    for part in ["tiny-q4_k_m.gguf", "blk.0.attn_v.weight", "q6_k", "output.weight"] {
        assert!(text.contains(part), "the plan lacks {part}: {text}");
    }
}
