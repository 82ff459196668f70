//! Importance matrices: their effect, the keys that name them, and that no correct file is refused and no damaged
//! one accepted because of them.

use std::fs;
use std::path::Path;

use crate::common::{again, both, checkpoint, fresh_dir, importance, listing, open, run, run_with, tensors, values};
use qasr_convert::tiny::Spec;
use qasr_convert::{ConvertErrorKind, ConvertOptions, FileType, Head, Recipe, Stage, convert};
use qasr_format::{ColumnSums, Importance, Value};

/// Sum over all values of weight times squared error, relative to that of the values themselves.
fn weighted_error(dir: &Path, path: &Path, exact: &Path, name: &str) -> f64 {
    let weights = Importance::read(&dir.join("importance.gguf")).expect("read").weights(name).expect("weights");
    let (wanted, got) = (values(exact, name), values(path, name));
    let weighted = |value: f32, i: usize| f64::from(weights[i % weights.len()]) * f64::from(value).powi(2);
    let error: f64 = wanted.iter().zip(&got).enumerate().map(|(i, (a, b))| weighted(a - b, i)).sum();
    error / wanted.iter().enumerate().map(|(i, a)| weighted(*a, i)).sum::<f64>()
}

#[test]
fn importance_changes_the_bytes_and_lowers_the_error_that_counts() {
    let dir = fresh_dir("importance");
    checkpoint(&dir, &Spec::default());
    run(&dir, FileType::Bf16).expect("source");
    let path = importance(&dir, |importance| {
        importance.matrices.remove("blk.1.ffn_up.weight");
        importance.matrices.insert("blk.1.attn_q.weight".into(), ColumnSums { squares: vec![0.0; 256], rows: 50.0 });
        // Patches of a kernel, and something that is not in the model.
        importance.matrices.insert("a.conv2d.2.weight".into(), ColumnSums { squares: vec![1.0; 288], rows: 5.0 });
        importance.matrices.insert("blk.7.ffn_up.weight".into(), ColumnSums { squares: vec![1.0; 3], rows: 5.0 });
    });
    let exact = both(&dir, "out", "bf16");
    let name = |encoder: bool| if encoder { "a.blk.2.ffn_up.weight" } else { "blk.1.ffn_down.weight" };
    for file_type in [FileType::Q4_0, FileType::Iq4Nl, FileType::Q4KM, FileType::Q5_0, FileType::Q6K] {
        let plain = run(&dir, file_type).expect("without");
        let with =
            again(&dir, FileType::Bf16, file_type, |options| options.importance = Some(path.clone())).expect("with");
        let used = with.importance.expect("used");
        assert_eq!((used.file.as_str(), used.chunks), ("importance.gguf", 9));
        assert_eq!(used.missing, ["blk.1.attn_q.weight", "blk.1.ffn_up.weight"]);
        assert!(used.used > 30 && used.entries > used.used, "{used:?}");
        let pairs =
            [(&plain.plan.decoder.path, &with.plan.decoder.path), (&plain.plan.encoder.path, &with.plan.encoder.path)];
        for (i, (plain, with)) in pairs.into_iter().enumerate() {
            let name = name(i == 1);
            let before = weighted_error(&dir, plain, &exact[i], name);
            let after = weighted_error(&dir, with, &exact[i], name);
            assert!(after < 0.93 * before, "{file_type} {name}: {before} → {after}");
            let gguf = open(with);
            assert_eq!(gguf.str("quantize.imatrix.file").unwrap(), "importance.gguf");
            assert_eq!(gguf.str("quantize.imatrix.dataset").unwrap(), "a.tsv, b.tsv");
            assert_eq!(gguf.get("quantize.imatrix.entries_count"), Some(&Value::U32(used.entries as u32)));
            assert_eq!(gguf.get("quantize.imatrix.chunks_count"), Some(&Value::U32(9)));
            assert_eq!(open(plain).get("quantize.imatrix.file"), None);
        }
        let [plain, with] = [&plain.plan.decoder.path, &with.plan.decoder.path].map(|path| tensors(path));
        for missing in ["blk.1.attn_q.weight", "blk.1.ffn_up.weight"] {
            assert!(plain[missing] == with[missing], "{file_type}: without importance all is as it was");
        }
        // Converting the checkpoint with it is the same work.
        let report = run_with(&dir, file_type, |options| options.importance = Some(path.clone())).expect("convert");
        assert_eq!(report.head, Head::Dropped);
        let missing = report.importance.expect("used").missing;
        assert_eq!(
            missing,
            ["blk.1.attn_q.weight", "blk.1.ffn_up.weight"],
            "nothing is missing of a head that is dropped"
        );
        assert!(tensors(&both(&dir, "out", file_type.name())[0]) == with, "{file_type}");
    }
}

/// Every type whose encoding regards importance.
const REGARDING: [FileType; 6] =
    [FileType::Q4_0, FileType::Iq4Nl, FileType::Q4KM, FileType::Q5_0, FileType::Q5KM, FileType::Q6K];

/// Types that ggml encodes without importance, and types that are copied.
#[test]
fn importance_is_not_said_to_be_used_where_it_changes_nothing() {
    let dir = fresh_dir("unused_importance");
    checkpoint(&dir, &Spec::default());
    run(&dir, FileType::Bf16).expect("source");
    let path = importance(&dir, |_| {});
    let names_it = |path: &Path| open(path).keys().any(|(key, _)| key.starts_with("quantize.imatrix"));
    for file_type in [FileType::Q8_0, FileType::F16, FileType::Bf16, FileType::F32] {
        let with =
            again(&dir, FileType::Bf16, file_type, |options| options.importance = Some(path.clone())).expect("with");
        let used = with.importance.expect("given");
        assert_eq!((used.used, used.missing), (0, vec![]), "{file_type}");
        assert!(!names_it(&with.plan.decoder.path) && !names_it(&with.plan.encoder.path), "{file_type}");
        run(&dir, file_type).expect("without");
        let [with, without] = ["again", "out"].map(|folder| tensors(&both(&dir, folder, file_type.name())[0]));
        assert!(with == without, "{file_type}");
    }
    let mixed = Recipe::pair(FileType::Q4_0, FileType::Q8_0);
    let with = again(&dir, FileType::Bf16, mixed, |options| options.importance = Some(path.clone())).expect("mixed");
    assert_eq!(with.importance.expect("given").used, with.plan.decoder.tensors.iter().filter(|t| t.rows() > 1).count());
    assert!(names_it(&with.plan.decoder.path) && !names_it(&with.plan.encoder.path));
    run(&dir, FileType::Q4_0).expect("four bits");
    let copied =
        again(&dir, FileType::Q4_0, FileType::Q4_0, |options| options.importance = Some(path)).expect("copied");
    assert_eq!(copied.importance.expect("given").used, 0);
    assert!(!names_it(&copied.plan.decoder.path));
}

/// One column that counts far more than all others: where it lies in a block, that block's scale serves it alone.
#[test]
fn importance_of_one_column_does_not_make_a_correct_file_look_damaged() {
    let dir = fresh_dir("one_column");
    checkpoint(&dir, &Spec::default());
    run(&dir, FileType::Bf16).expect("source");
    for (column, weight) in [(7, 1e5), (200, 3e3)] {
        let path = importance(&dir, |importance| {
            for sums in importance.matrices.values_mut() {
                sums.squares.fill(50.0);
                sums.squares[column] *= weight;
            }
        });
        for file_type in REGARDING {
            let report = run_with(&dir, file_type, |options| options.importance = Some(path.clone()));
            let report = report.unwrap_or_else(|error| panic!("{file_type}, column {column} at {weight}: {error}"));
            assert!(report.importance.expect("used").used > 30);
        }
    }
}

/// Damage by a disk or a cable between writing and reading back, in the file before it gets its final name.
#[test]
fn damage_is_found_whatever_the_importance() {
    let dir = fresh_dir("damaged");
    checkpoint(&dir, &Spec::default());
    run(&dir, FileType::Bf16).expect("source");
    let path = importance(&dir, |importance| {
        for sums in importance.matrices.values_mut() {
            sums.squares[7] = 5e6;
        }
    });
    let name = "blk.1.ffn_gate.weight";
    type Damage = fn(&mut [u8]);
    // Scales lie first in a block, but for q6_k, where they lie last.
    let damages: [(&str, Damage); 3] = [
        ("a scale a few percent off", |block| {
            let at = if block.len() == 210 { 208 } else { 0 };
            block[at] ^= 0x20;
        }),
        ("a block of zeros", |block| block.fill(0)),
        ("one value", |block| block[block.len() / 2] ^= 0x11),
    ];
    for file_type in REGARDING {
        for (what, damage) in damages {
            let mut options = ConvertOptions::new(dir.join("ckpt"), dir.join("new"), file_type);
            options.importance = Some(path.clone());
            let mut is_damaged = false;
            let error = convert(&options, &mut |progress| {
                if progress.stage != Stage::Verify || is_damaged {
                    return;
                }
                let unfinished = listing(&dir.join("new"));
                let decoder = unfinished.iter().find(|name| name.starts_with(".ckpt-")).expect("decoder");
                let decoder = dir.join("new").join(decoder);
                let info = open(&decoder).tensor(name).expect("tensor").clone();
                // The last block of the first row, far from the column that counts.
                let end = (info.offset + info.kind.row_bytes(info.row_len()).expect("whole blocks")) as usize;
                let start = end - info.kind.block_bytes() as usize;
                let mut bytes = fs::read(&decoder).expect("file");
                damage(&mut bytes[start..end]);
                fs::write(&decoder, bytes).expect("damage");
                is_damaged = true;
            })
            .map(|_| ())
            .expect_err(what);
            let said = error.to_string();
            assert!(error.kind() == ConvertErrorKind::Io && said.contains(name) && said.contains("row 0"), "{said}");
            assert_eq!(listing(&dir.join("new")), [""; 0], "{file_type}: {what}");
        }
    }
}

#[test]
fn importance_of_another_model_is_refused() {
    let dir = fresh_dir("foreign_importance");
    checkpoint(&dir, &Spec::default());
    run(&dir, FileType::Bf16).expect("source");
    let refused = |change: fn(&mut Importance), part: &str| {
        let path = importance(&dir, change);
        let error = again(&dir, FileType::Bf16, FileType::Q4_0, |options| options.importance = Some(path.clone()))
            .expect_err(part);
        assert_eq!(error.kind(), ConvertErrorKind::Checkpoint);
        assert!(error.to_string().contains(part) && error.to_string().contains("importance.gguf"), "{error}");
        let error = run_with(&dir, FileType::Q4_0, |options| options.importance = Some(path)).expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(listing(&dir.join("again")), [""; 0]);
    };
    refused(
        |importance| {
            let sums = ColumnSums { squares: vec![1.0; 128], rows: 1.0 };
            importance.matrices.insert("a.blk.1.attn_q.weight".into(), sums);
        },
        "'a.blk.1.attn_q.weight': 128 instead of 256",
    );
    refused(
        |importance| {
            let sums = ColumnSums { squares: vec![1.0; 256], rows: 1.0 };
            importance.matrices = [("blk.50.attn_q.weight".to_owned(), sums)].into();
        },
        "holds nothing about any matrix of this model",
    );
    fs::write(dir.join("importance.gguf"), b"GGUF").expect("write");
    let error =
        again(&dir, FileType::Bf16, FileType::Q4_0, |options| options.importance = Some(dir.join("importance.gguf")));
    assert_eq!(error.expect_err("damaged").kind(), ConvertErrorKind::Checkpoint);
}
