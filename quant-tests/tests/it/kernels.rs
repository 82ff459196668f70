//! Does a row depend on the rows beside it? ggml chooses kernels by their number, and they add in different orders.
//!
//! A text must not depend on how much of it went through the decoder at once: live verifies what it heard before, offline
//! goes token by token. `Session::append_each` promises that, and these tests hold it to the promise, bit by bit,
//! for every type that is written, on the CPU features of the build they run in.

use crate::common::{convert, demo_checkpoint, of_real_widths, say};
use ggml::graph::{Arena, Executor};
use ggml::weights::{TensorSpec, Weights, is_repacked, rows_alike};
use ggml::{Backend, CheckedFile, UncheckedFile, quantize};
use qasr::Model;
use qasr::model::decoder::{Input, OUTPUTS_AT_ONCE, Session};
use qasr::model::{CacheType, ModelFiles, ModelOptions};
use qasr_format::GgmlType;
use std::io::Write;

/// Types of tensors that the converter writes.
const TYPES: [&str; 10] = ["f32", "f16", "bf16", "q8_0", "q6_k", "q5_k", "q5_0", "q4_k", "q4_0", "iq4_nl"];

/// Types and recipes of whole files.
const KINDS: [&str; 13] =
    ["f32", "f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_0", "q4_k_m", "q4_0", "iq4_nl", "balanced", "small", "safe"];

/// Those that the checkpoint with wide rows is tried with: quickly made, and one for each number of rows at once.
const WIDE_KINDS: [&str; 3] = ["f16", "q8_0", "q4_k_m"];

const COLUMNS: usize = 1024;
const OUTPUTS: usize = 64;
const MOST_ROWS: usize = 128;

/// Numbers of rows tried: all small ones, and those around which kernels change or might.
fn numbers_of_rows() -> Vec<usize> {
    (1..=17).chain([24, 31, 32, 33, 48, 63, 64, 65, 96, 104, 127, MOST_ROWS]).collect()
}

/// Values between -1 and 1, the same at every run.
fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// A matrix of one type in a file.
struct Matrix {
    _file: tempfile::NamedTempFile,
    checked: CheckedFile,
    spec: TensorSpec,
}

impl Matrix {
    fn new(kind: &str) -> Self {
        let kind = GgmlType::find(kind).unwrap().id();
        let bytes = quantize::quantize_rows(kind, &noise(1, COLUMNS * OUTPUTS), COLUMNS, None).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let dims = [COLUMNS as u64, OUTPUTS as u64, 1, 1];
        let checked = UncheckedFile::new(file.path()).unwrap().vouch().unwrap();
        Self { _file: file, checked, spec: TensorSpec { name: "matrix".into(), kind, dims, offset: 0, matrix: true } }
    }

    /// The products of `rows`, all in one graph, for each of them.
    fn products(&self, repack: bool, rows: &[f32]) -> Vec<Vec<u32>> {
        let backend = Backend::cpu(1).unwrap();
        let weights = Weights::map(&self.checked, std::slice::from_ref(&self.spec), &backend, repack).unwrap();
        let arena = Arena::new(4).unwrap();
        let input = arena.input(&[COLUMNS, rows.len() / COLUMNS]).unwrap();
        let product = arena.mul_mat(weights.get("matrix").unwrap(), input).unwrap();
        let values = Executor::new(backend).unwrap().run(&arena, &[(input, rows)], product).unwrap();
        values.chunks(OUTPUTS).map(bits).collect()
    }
}

/// Reports for every type, in the layout of the file and, where there is one, in that of the CPU, from how many rows on
/// ggml's fastest kernels give a row other bits than it has alone. `rows_alike` is held to it for repacked weights; what
/// it promises of others holds in `append_each` only, and is tested below.
#[test]
fn numbers_of_rows_that_give_the_bits_of_one_row() {
    let rows = noise(2, COLUMNS * MOST_ROWS);
    let backend = Backend::cpu(1).unwrap();
    say(&format!("kernels of {}", ggml::cpu_features().join(" ")));
    for kind in TYPES {
        let matrix = Matrix::new(kind);
        let layouts = if is_repacked(&matrix.spec, &backend) { vec![false, true] } else { vec![false] };
        for repack in layouts {
            let alone: Vec<Vec<u32>> = rows.chunks(COLUMNS).flat_map(|row| matrix.products(repack, row)).collect();
            let is_other = |count: &usize| matrix.products(repack, &rows[..count * COLUMNS]) != alone[..*count];
            let other: Vec<usize> = numbers_of_rows().into_iter().filter(is_other).collect();
            let layout = if repack { "repacked" } else { "as in the file" };
            let verdict = match other.first() {
                None => "the same bits among any number of rows".into(),
                Some(first) => format!("other bits from {first} rows on"),
            };
            say(&format!("kernels: {kind} {layout}: {verdict}"));
            if repack {
                let promised = rows_alike(&matrix.spec, &backend, true);
                assert!(other.iter().all(|count| *count > promised), "{kind} promises {promised} rows, not {other:?}");
            }
        }
    }
}

/// Positions before the text: from 512 cached ones on, ggml's fastest kernels divide the attention of a single row among
/// the threads. Here they are rounded up to 256 and 768.
const BEFORE: [usize; 2] = [40, 520];

/// Logits after each token of a text that goes through in passes of `at_once`.
fn logits(session: &mut Session, before: usize, text: &[u32], at_once: usize) -> Vec<Vec<u32>> {
    session.truncate(before);
    let mut all = Vec::new();
    for ids in text.chunks(at_once) {
        session.append_each(ids).unwrap();
        all.extend((0..ids.len()).map(|row| bits(session.logits(row))));
    }
    all
}

/// Returns how many tokens can go at once.
fn check_decoder(name: &str, files: &ModelFiles, cache: CacheType, threads: usize) -> usize {
    let mut options = ModelOptions::default();
    (options.threads, options.steady_threads, options.cache) = (threads, true, cache);
    let model = Model::open(files, &options).unwrap();
    let vocabulary = model.decoder_config().sizes.vocabulary as u32;
    let ids = |seed: u32, count: usize| -> Vec<u32> {
        (0..count as u32).map(|at| (at * 7919 + seed * 104_729 + at * at * 31) % vocabulary).collect()
    };
    let mut session = model.session(640).unwrap();
    let at_once = session.each_at_once();
    assert!((1..=OUTPUTS_AT_ONCE).contains(&at_once), "{name}: {at_once}");
    let text = ids(2, OUTPUTS_AT_ONCE + 3);
    for before in BEFORE {
        session.truncate(0);
        for pass in ids(1, before).chunks(104) {
            session.append(&[Input::Tokens(pass)], 0).unwrap();
        }
        let alone = logits(&mut session, before, &text, 1);
        for count in [3, OUTPUTS_AT_ONCE].into_iter().filter(|count| *count <= at_once) {
            let together = logits(&mut session, before, &text, count);
            let differs = together.iter().zip(&alone).position(|(one, other)| one != other);
            assert_eq!(differs, None, "{name}, {before} positions before, {count} at once: logits after this token");
        }
    }
    assert!(session.append_each(&text[..at_once + 1]).is_err(), "{name}: more than can be alike");
    at_once
}

#[test]
fn a_token_of_a_text_has_the_same_logits_however_many_go_at_once() {
    let wide = of_real_widths();
    for (name, checkpoint, kinds) in
        [("demo", demo_checkpoint(), KINDS.as_slice()), ("wide", wide.path().to_owned(), &WIDE_KINDS)]
    {
        let mut counts = Vec::new();
        for &kind in kinds {
            let (_folder, files) = convert(&checkpoint, kind);
            let at_once = check_decoder(&format!("{name}, {kind}"), &files, CacheType::F16, 1);
            counts.push(format!("{kind} {at_once}"));
            if name == "demo" && ["q8_0", "small"].contains(&kind) {
                check_decoder(&format!("{name}, {kind}, 2 threads"), &files, CacheType::F16, 2);
                check_decoder(&format!("{name}, {kind}, f32 cache"), &files, CacheType::F32, 1);
                check_decoder(&format!("{name}, {kind}, q8_0 cache"), &files, CacheType::Q8_0, 1);
            }
        }
        say(&format!("kernels, {name}: tokens of a text at once: {}", counts.join(", ")));
    }
}
