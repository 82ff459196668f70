//! Writing, reading, adding up; and one test per way a file can be wrong.

use super::*;
use std::fs;
use std::path::PathBuf;

/// A folder of its own that goes away with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("qasr-imatrix-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("folder");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("importance.gguf")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sums(squares: &[f32], rows: f32) -> ColumnSums {
    ColumnSums { squares: squares.to_vec(), rows }
}

fn example() -> Importance {
    let matrices = [
        ("blk.0.attn_q.weight", sums(&[8.0, 0.0, 2.0, 0.5], 4.0)),
        ("a.blk.0.ffn_up.weight", sums(&[1.0, 2.0, 3.0], 1.0)),
        ("mm.a.mlp.1.weight", sums(&[0.0; 5], 0.0)),
    ];
    Importance {
        datasets: vec!["clips.tsv".to_owned(), "noise.tsv".to_owned()],
        chunks: 7,
        chunk_size: 512,
        matrices: matrices.map(|(name, sums)| (name.to_owned(), sums)).into(),
    }
}

#[test]
fn what_is_written_is_read() {
    let folder = Folder::new("round");
    fs::write(folder.file(), example().to_bytes().expect("content")).expect("write");
    assert_eq!(Importance::read(&folder.file()).expect("read"), example());
}

#[test]
fn the_layout_is_llama_cpps() {
    let folder = Folder::new("layout");
    fs::write(folder.file(), example().to_bytes().expect("content")).expect("write");
    let gguf = Gguf::open(&folder.file()).expect("open");
    assert_eq!(gguf.str("general.type").expect("type"), "imatrix");
    assert_eq!(gguf.strings("imatrix.datasets").expect("datasets"), ["clips.tsv", "noise.tsv"]);
    // The loader asks for u32, not for any whole number.
    assert_eq!(gguf.get("imatrix.chunk_count"), Some(&Value::U32(7)));
    assert_eq!(gguf.get("imatrix.chunk_size"), Some(&Value::U32(512)));
    let shape = |name: &str| gguf.tensor(name).map(|tensor| (tensor.dims.clone(), tensor.kind));
    assert_eq!(shape("blk.0.attn_q.weight.in_sum2"), Some((vec![4, 1], GgmlType::F32)));
    assert_eq!(shape("blk.0.attn_q.weight.counts"), Some((vec![1, 1], GgmlType::F32)));
    assert_eq!(gguf.tensors().len(), 6);
}

#[test]
fn weights_are_mean_squares_and_one_where_nothing_was_seen() {
    let importance = example();
    assert_eq!(importance.weights("blk.0.attn_q.weight"), Some(vec![2.0, 0.0, 0.5, 0.125]));
    assert_eq!(importance.weights("mm.a.mlp.1.weight"), Some(vec![1.0; 5]));
    assert_eq!(importance.weights("blk.1.attn_q.weight"), None);
}

#[test]
fn nothing_useless_is_written() {
    let refused = |importance: &Importance, part: &str| {
        let error = importance.to_bytes().expect_err(part);
        assert!(error.contains(part), "{error}");
    };
    refused(&Importance::default(), "without any sums");
    for value in [f32::NAN, f32::INFINITY, -1.0] {
        let mut spoilt = example();
        spoilt.matrices.insert("x".to_owned(), sums(&[0.0, value], 1.0));
        refused(&spoilt, "'x': the sum of squares of column 1");
        spoilt.matrices.insert("x".to_owned(), sums(&[0.0], value));
        refused(&spoilt, "'x': the number of rows");
    }
    let mut long = example();
    long.matrices.insert("x".repeat(60), sums(&[1.0], 1.0));
    refused(&long, "xxx");
    let mut empty = example();
    empty.matrices.insert("x".to_owned(), sums(&[], 1.0));
    refused(&empty, "'x.in_sum2'");
}

/// A file made of any keys and f32 tensors, the last value of each as given.
fn raw(folder: &Folder, keys: &[(&str, Value)], tensors: &[(&str, &[u64], GgmlType, f32)]) -> PathBuf {
    let keys: Vec<_> = keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let planned: Vec<_> = tensors
        .iter()
        .map(|&(name, dims, kind, _)| PlannedTensor { name: name.to_owned(), dims: dims.to_vec(), kind })
        .collect();
    let header = Header::new(&keys, &planned).expect("header");
    let mut bytes = header.bytes().to_vec();
    bytes.resize(header.file_len() as usize, 0);
    for (i, (.., value)) in tensors.iter().enumerate() {
        let (start, len) = header.place(i).expect("placed");
        let end = (start + len) as usize;
        if len >= 4 {
            bytes[end - 4..end].copy_from_slice(&value.to_le_bytes());
        }
    }
    fs::write(folder.file(), bytes).expect("write");
    folder.file()
}

fn good_keys() -> Vec<(&'static str, Value)> {
    vec![
        (general::TYPE, key::TYPE_VALUE.into()),
        (key::DATASETS, Value::Strings(vec!["x".to_owned()])),
        (key::CHUNK_COUNT, Value::U32(1)),
        (key::CHUNK_SIZE, Value::U32(1)),
    ]
}

const F32: GgmlType = GgmlType::F32;

#[test]
fn files_of_other_writers_are_read() {
    let folder = Folder::new("others");
    // llama.cpp leaves trailing extents of 1 out, and newer ones have plain sums as well.
    let path = raw(
        &folder,
        &good_keys(),
        &[("w.counts", &[1], F32, 2.0), ("w.in_sum2", &[3], F32, 6.0), ("w.in_sum", &[3], F32, -1.0)],
    );
    let importance = Importance::read(&path).expect("read");
    assert_eq!(importance.matrices, [("w".to_owned(), sums(&[0.0, 0.0, 6.0], 2.0))].into());
}

#[test]
fn every_wrong_file_is_refused_by_name() {
    let folder = Folder::new("wrong");
    let refused = |path: &Path, part: &str| {
        let error = Importance::read(path).map(|_| ()).expect_err(part).to_string();
        assert!(error.contains(part) && error.contains("importance.gguf"), "{part}: {error}");
    };
    refused(&folder.file(), "cannot open");
    fs::write(folder.file(), b"not at all").expect("write");
    refused(&folder.file(), "not a GGUF file");

    let pair: &[(&str, &[u64], GgmlType, f32)] = &[("w.in_sum2", &[3, 1], F32, 1.0), ("w.counts", &[1, 1], F32, 1.0)];
    let without = |name: &str| good_keys().into_iter().filter(|(key, _)| *key != name).collect::<Vec<_>>();
    assert!(Importance::read(&raw(&folder, &good_keys(), pair)).is_ok(), "the base of all others is good");
    refused(&raw(&folder, &without(general::TYPE), pair), "is missing, not \"imatrix\"");
    let mut model = without(general::TYPE);
    model.push((general::TYPE, "model".into()));
    refused(&raw(&folder, &model, pair), "is \"model\", not \"imatrix\"");
    for name in [key::DATASETS, key::CHUNK_COUNT, key::CHUNK_SIZE] {
        refused(&raw(&folder, &without(name), pair), name);
    }
    refused(&raw(&folder, &good_keys(), &[]), "holds no sums");
    refused(&raw(&folder, &good_keys(), &[("w.in_sum", &[3], F32, 1.0)]), "holds no sums");
    refused(&raw(&folder, &good_keys(), &pair[..1]), "'w.in_sum2' has no 'w.counts'");
    refused(&raw(&folder, &good_keys(), &pair[1..]), "'w.counts' has no 'w.in_sum2'");
    refused(&raw(&folder, &good_keys(), &[pair[0], pair[1], ("w", &[1], F32, 1.0)]), "'w' has no place");
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0] {
        refused(&raw(&folder, &good_keys(), &[("w.in_sum2", &[3], F32, value), pair[1]]), "column 2");
        refused(&raw(&folder, &good_keys(), &[pair[0], ("w.counts", &[1], F32, value)]), "number of rows");
    }
    for (squares, counts) in [(&[3, 2][..], &[1, 2][..]), (&[3, 2], &[1]), (&[3], &[2])] {
        let tensors = [("w.in_sum2", squares, F32, 1.0), ("w.counts", counts, F32, 1.0)];
        refused(&raw(&folder, &good_keys(), &tensors), "no experts");
    }
    for at in 0..2 {
        let mut tensors = [pair[0], pair[1]];
        tensors[at].2 = GgmlType::F16;
        refused(&raw(&folder, &good_keys(), &tensors), "must be f32");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let folder = Folder::new("cut");
    fs::write(folder.file(), example().to_bytes().expect("content")).expect("write");
    let whole = fs::read(folder.file()).expect("read");
    // Behind the last value there is only padding.
    let last = whole.iter().rposition(|&byte| byte != 0).expect("a value");
    for len in (0..=last).step_by(7).chain([last]) {
        fs::write(folder.file(), &whole[..len]).expect("write");
        assert!(Importance::read(&folder.file()).is_err(), "{len} of {}", whole.len());
    }
}
