//! What safe code could once do to the process, through the safe functions alone: each is an error now. Without its mend
//! a test here fails or ends the whole test program; the comments say which.

use ggml::graph::{Arena, Executor};
use ggml::llama::{CacheType, Input, LoadOptions, Model, Session, SessionOptions};
use ggml::weights::{TensorSpec, Weights, is_repacked};
use ggml::{Backend, Convolution, Threads, UncheckedFile, quantize};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tempfile::NamedTempFile;

// ggml's ids.
const F32: u32 = 0;
const F16: u32 = 1;
const Q4_0: u32 = 2;
const Q8_0: u32 = 8;

fn executor() -> Executor {
    Executor::new(Backend::cpu(1).expect("a CPU")).expect("an allocator")
}

fn spec(name: &str, kind: u32, dims: [u64; 4], matrix: bool) -> TensorSpec {
    TensorSpec { name: name.into(), kind, dims, offset: 0, matrix }
}

/// One tensor over a file of zeros.
fn map(spec: TensorSpec, repack: bool) -> (ggml::Result<Weights>, NamedTempFile) {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(&[0; 1 << 16]).expect("written");
    let checked = UncheckedFile::new(file.path()).and_then(UncheckedFile::vouch).expect("nobody writes to it");
    (Weights::map(&checked, &[spec], &Backend::cpu(1).expect("a CPU"), repack), file)
}

/// The decoder of the demo model: 512 tokens, rows of 256.
fn demo() -> Arc<Model> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../convert/demo/demo-q8_0.gguf");
    let checked = UncheckedFile::new(&path).and_then(UncheckedFile::vouch).expect("made by this project");
    Model::load(&checked, "qwen3", 512, LoadOptions { mmap: true, repack: false }).expect("loads")
}

fn options(context_length: usize) -> SessionOptions {
    SessionOptions {
        context_length,
        rows_at_once: 64,
        outputs_at_once: 4,
        threads: Threads::new(1).expect("one thread"),
        cache: CacheType::F16,
        each_at_once: 16,
        watch: None,
    }
}

/// U2. It was computed with what lay in memory.
#[test]
fn an_input_without_values_is_an_error() {
    let arena = Arena::new(8).expect("arena");
    let (a, b) = (arena.input(&[2]).expect("a"), arena.input(&[2]).expect("b"));
    let sum = arena.add(a, b).expect("sum");
    assert!(executor().run(&arena, &[(a, &[1., 2.])], sum).is_err(), "one of two");
    assert!(executor().run(&arena, &[(a, &[1., 2.]), (a, &[1., 2.])], sum).is_err(), "one twice");
    assert_eq!(executor().run(&arena, &[(a, &[1., 2.]), (b, &[3., 4.])], sum).expect("both"), [4., 6.]);
}

/// U3. A product called a null function: a segmentation fault.
#[test]
fn a_weight_that_nothing_multiplies_is_not_loaded() {
    // I8, I16, I32, I64, F64, Q8_1, Q8_K; Q2_K and TQ2_0, which no file of ours has; two holes in ggml's table, and none.
    for kind in [24, 25, 26, 27, 28, 9, 15, 10, 35, 4, 5, 4711] {
        let (weights, _file) = map(spec("w", kind, [256, 8, 1, 1], true), false);
        if let Ok(weights) = weights {
            let arena = Arena::new(8).expect("arena");
            let rows = arena.input(&[256, 2]).expect("rows");
            let product = arena.mul_mat(weights.get("w").expect("w"), rows).expect("product");
            let _ = executor().run(&arena, &[(rows, &[0.0; 512])], product);
            panic!("type {kind} was loaded");
        }
        assert!(!is_repacked(&spec("w", kind, [256, 8, 1, 1], true), &Backend::cpu(1).expect("a CPU")));
    }
}

/// U4. ggml's convolution cut the stride to 32 bits: a division by zero. Ours takes the numbers as they are.
#[test]
fn a_convolution_has_numbers_that_can_be_held() {
    let arena = Arena::new(32).expect("arena");
    let image = arena.input(&[1, 8, 8]).expect("image");
    let patches = |stride, padding| {
        arena.patches(&[image], Convolution { kernel: 3, stride, padding }, 0..1).map(|patches| patches.dims())
    };
    assert!(patches(0, 1).is_err());
    assert_eq!(patches(1 << 32, 1).expect("one patch"), [9, 1, 1, 1]);
    assert!(patches(1, 1 << 31).is_err(), "patches beyond any memory");
    assert!(patches(1, usize::MAX / 2 + 1).is_err());
    assert_eq!(patches(2, 1).expect("a convolution as we use it"), [9, 4, 1, 1]);
}

/// U4. Any product was accepted; the product of two results can have more values than its size in bytes can express.
#[test]
fn a_product_of_products_has_bounds() {
    let arena = Arena::new(16).expect("arena");
    let (a, b) = (arena.input(&[1, 1 << 20]).expect("a"), arena.input(&[1, 1 << 20]).expect("b"));
    assert!(arena.mul_mat(a, b).is_err(), "2^40 values");
    let arena = Arena::new(64).expect("arena");
    let mut nodes = 0;
    let first = arena.input(&[1 << 20]).expect("a");
    while nodes < 60 && arena.gelu_erf(first).is_ok() {
        nodes += 1;
    }
    assert_eq!(nodes, 60, "many nodes of some size");
    let arena = Arena::new(64).expect("arena");
    let large = arena.input(&[1 << 29]).expect("half of what an arena holds");
    let second = arena.gelu_erf(large).expect("the other half");
    assert!(arena.gelu_erf(second).is_err(), "the sum of all nodes is bounded");
}

/// U4. Rows that end inside a block were read as shorter ones.
#[test]
fn a_quantized_weight_keeps_rows_of_whole_blocks() {
    let (weights, _file) = map(spec("w", Q4_0, [64, 6, 1, 1], false), false);
    let weights = weights.expect("mapped");
    let arena = Arena::new(8).expect("arena");
    let weight = weights.get("w").expect("w");
    assert!(arena.reshape(weight, [48, 8, 1, 1]).is_err());
    assert!(arena.reshape(weight, [1, 384, 1, 1]).is_err());
    assert_eq!(arena.reshape(weight, [32, 12, 1, 1]).expect("whole blocks").dims(), [32, 12, 1, 1]);
}

/// U4. ggml's question whether a stack of matrices multiplies one ended the process.
#[test]
fn a_stack_of_matrices_is_not_repacked() {
    for kind in [F32, F16, Q8_0, Q4_0] {
        let stack = spec("w", kind, [64, 8, 2, 3], true);
        assert!(!is_repacked(&stack, &Backend::cpu(1).expect("a CPU")));
        let (weights, _file) = map(stack, true);
        assert_eq!(weights.expect("mapped as it is").get("w").expect("w").dims(), [64, 8, 2, 3]);
    }
}

/// Found here. A repacked weight has no kernel for rows in four dimensions: an assertion of ggml's.
#[test]
fn a_repacked_weight_multiplies_up_to_three_dimensions() {
    let matrix = spec("w", Q4_0, [64, 8, 1, 1], true);
    if !is_repacked(&matrix, &Backend::cpu(1).expect("a CPU")) {
        eprintln!("this CPU repacks nothing");
        return;
    }
    let (weights, _file) = map(matrix, true);
    let weights = weights.expect("repacked");
    let arena = Arena::new(8).expect("arena");
    let rows = arena.input(&[64, 5, 2, 2]).expect("rows");
    let product = arena.mul_mat(weights.get("w").expect("w"), rows);
    if let Ok(product) = product {
        let _ = executor().run(&arena, &[(rows, &vec![1.0; 64 * 20])], product);
        panic!("rows in four dimensions");
    }
    let arena = Arena::new(8).expect("arena");
    let rows = arena.input(&[64, 5, 3]).expect("rows");
    let product = arena.mul_mat(weights.get("w").expect("w"), rows).expect("three");
    assert_eq!(executor().run(&arena, &[(rows, &vec![1.0; 64 * 15])], product).expect("runs"), [0.0; 8 * 15]);
}

/// Found here. ggml's test overlooks the strides of extents of 1, its kernels do not: an assertion.
#[test]
fn a_row_turned_into_a_column_is_no_plain_node() {
    let arena = Arena::new(16).expect("arena");
    let row = arena.input(&[8]).expect("a row");
    let column = arena.permute(row, [1, 0, 2, 3]).expect("a view");
    assert_eq!(column.dims(), [1, 8, 1, 1]);
    let weight = arena.input(&[1, 3]).expect("a weight");
    let product = arena.mul_mat(weight, column);
    if let Ok(product) = product {
        let _ = executor().run(&arena, &[(row, &[1.0; 8]), (weight, &[1.0; 3])], product);
        panic!("a product with a view");
    }
    assert!(arena.norm(column, 0.0).is_err() && arena.soft_max(column, 1.0).is_err());
    let copy = arena.contiguous(column).expect("a copy");
    let product = arena.mul_mat(weight, copy).expect("a product with the copy");
    let values = executor().run(&arena, &[(row, &[1.0; 8]), (weight, &[1.0; 3])], product).expect("runs");
    assert_eq!(values, [1.0; 24]);
}

/// Found here. An assertion of ggml's.
#[test]
fn an_epsilon_is_not_negative() {
    for epsilon in [-1e-5, f32::NAN, f32::NEG_INFINITY] {
        let arena = Arena::new(8).expect("arena");
        let a = arena.input(&[4]).expect("a");
        if let Ok(normed) = arena.norm(a, epsilon) {
            let _ = executor().run(&arena, &[(a, &[1., 2., 3., 4.])], normed);
            panic!("an epsilon of {epsilon}");
        }
    }
}

/// C1. ggml marks an output and what it is a view of: for a view of a weight, in memory that other threads read.
#[test]
fn an_output_is_no_view() {
    let (weights, _file) = map(spec("w", F32, [16, 4, 1, 1], false), false);
    let weights = weights.expect("mapped");
    let arena = Arena::new(16).expect("arena");
    let view = arena.reshape(weights.get("w").expect("w"), [64, 1, 1, 1]).expect("a view");
    assert!(executor().run(&arena, &[], view).is_err_and(|error| error.0.contains("view")));
    let a = arena.input(&[64]).expect("a");
    let double = arena.add(a, a).expect("2a");
    let view = arena.reshape(double, [8, 8, 1, 1]).expect("a view");
    assert!(executor().run(&arena, &[(a, &[1.0; 64])], view).is_err_and(|error| error.0.contains("view")));
    let copy = arena.contiguous(view).expect("a copy");
    assert_eq!(executor().run(&arena, &[(a, &[1.0; 64])], copy).expect("runs"), [2.0; 64]);
}

/// The allocator kept a plan without memory, and the next graph wrote there: a segmentation fault. In a process
/// of its own, which may have little memory.
#[test]
#[cfg(target_os = "linux")]
fn memory_that_is_not_there_is_an_error_twice() {
    const INSIDE: &str = "FENCE_TEST_LITTLE_MEMORY";
    if std::env::var_os(INSIDE).is_none() {
        let this = std::env::current_exe().expect("a test program");
        let script =
            "ulimit -v 2000000; exec \"$0\" --exact memory_that_is_not_there_is_an_error_twice --test-threads=1";
        let done = std::process::Command::new("sh").args(["-c", script]).arg(this).env(INSIDE, "1").output();
        let done = done.expect("a shell");
        assert!(done.status.success(), "{:?}: {}", done.status, String::from_utf8_lossy(&done.stdout));
        return;
    }
    let mut executor = executor();
    for _ in 0..2 {
        let arena = Arena::new(8).expect("arena");
        let (a, b) = (arena.input(&[1, 1 << 15]).expect("a"), arena.input(&[1, 1 << 14]).expect("b"));
        let product = arena.mul_mat(a, b).expect("2 GiB");
        let values = [(a, &vec![1.0; 1 << 15][..]), (b, &vec![1.0; 1 << 14][..])];
        assert!(executor.run(&arena, &values, product).is_err_and(|error| error.0.contains("memory")));
    }
}

/// U1. Two graphs wrote into the weights they share: a data race. It does not show in the values; the unit test of
/// `weights` looks at what was written.
#[test]
fn two_executors_share_weights() {
    let (weights, _file) = map(spec("w", F32, [16, 4, 1, 1], false), false);
    let weights = weights.expect("mapped");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut executor = executor();
                for _ in 0..50 {
                    let arena = Arena::new(4).expect("arena");
                    let rows = arena.input(&[16]).expect("rows");
                    let product = arena.mul_mat(weights.get("w").expect("w"), rows).expect("product");
                    assert_eq!(executor.run(&arena, &[(rows, &[1.0; 16])], product).expect("runs"), [0.0; 4]);
                }
            });
        }
    });
}

/// Loads that failed at the same time could take each other's message; the unit test of `log` shows it every time.
#[test]
fn every_load_gets_its_own_message() {
    let load = |name: String| {
        let folder = tempfile::tempdir().expect("a folder");
        for round in 0..50 {
            let path = folder.path().join(format!("{name}-{round}.gguf"));
            std::fs::write(&path, b"GGUF\x03\0\0\0").expect("written");
            let checked = UncheckedFile::new(&path).and_then(UncheckedFile::vouch).expect("a file");
            let error = Model::load(&checked, "qwen3", 8, LoadOptions { mmap: true, repack: false }).err();
            let message = error.expect("only a beginning").0;
            assert!(message.contains(&name), "{name} {round}: {message}");
            let names = ["first", "second", "third"].into_iter().filter(|name| message.contains(name)).count();
            assert_eq!(names, 1, "{message}");
        }
    };
    std::thread::scope(|scope| {
        for name in ["first", "second", "third"] {
            scope.spawn(move || load(name.to_owned()));
        }
    });
}

/// Positions are counted in 32 bits with a sign. llama.cpp worked on the first that it was given for more than a minute.
#[test]
fn a_context_beyond_all_bounds_is_an_error() {
    let model = demo();
    for positions in [usize::MAX, u32::MAX as usize, i32::MAX as usize, (1 << 28) + 1] {
        assert!(Session::new(&model, options(positions)).is_err(), "{positions}");
    }
}

#[test]
fn what_does_not_fit_a_session_leaves_it_as_it_was() {
    let model = demo();
    let (width, vocabulary) = (model.width(), model.vocabulary() as u32);
    let mut session = Session::new(&model, options(8)).expect("a session");
    session.append(&[Input::Tokens(&[1, 2])], 1).expect("two tokens");
    let before = session.logits(0).expect("asked for").to_vec();
    let rows = vec![0.0; width * 9];
    for (inputs, outputs, what) in [
        (vec![Input::Tokens(&[vocabulary])], 0, "a token outside the vocabulary"),
        (vec![Input::Tokens(&[u32::MAX])], 0, "a token that is negative for C"),
        (vec![Input::Rows(&rows[..width - 1])], 0, "part of a row"),
        (vec![Input::Rows(&rows[..width * 7])], 0, "one position too many"),
        (vec![Input::Tokens(&[1; 4]), Input::Rows(&rows[..width * 3])], 0, "one too many together"),
        (vec![Input::Tokens(&[1])], 2, "more outputs than positions"),
        (vec![Input::Tokens(&[1; 6])], 5, "more outputs than agreed on"),
        (vec![Input::Tokens(&[]), Input::Rows(&[])], 0, "nothing"),
        (vec![], 0, "no input"),
    ] {
        assert!(session.append(&inputs, outputs).is_err(), "{what}");
        assert_eq!(session.position(), 2, "{what}");
    }
    assert_eq!(session.logits(0), Some(&before[..]), "still there");
    assert!(session.logits(1).is_none());
    for position in [usize::MAX, 9, 2] {
        session.truncate(position);
        assert_eq!(session.position(), 2, "truncated to {position}");
    }
    let not_numbers = vec![f32::NAN; width];
    session.append(&[Input::Rows(&not_numbers)], 1).expect("values are the caller's");
    session.truncate(1);
    session.append(&[Input::Tokens(&[2])], 1).expect("one token again");
    let again = session.logits(0).expect("asked for");
    assert!(again.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-3), "what was not a number is gone");
    session.append(&[Input::Tokens(&[1; 6])], 4).expect("full");
    assert!(session.append(&[Input::Tokens(&[1])], 0).is_err(), "beyond the context");
}

#[test]
fn senseless_options_are_brought_to_sense() {
    let model = demo();
    for (context_length, rows_at_once, outputs_at_once, threads) in
        [(0, 0, 0, 0), (1, usize::MAX, usize::MAX, usize::MAX), (300, 1, 0, 3)]
    {
        let threads = Threads::new(threads).expect("threads");
        assert!((1..=std::thread::available_parallelism().map_or(1, usize::from)).contains(&threads.limit()));
        let options = SessionOptions { rows_at_once, outputs_at_once, threads, ..options(context_length) };
        let mut session = Session::new(&model, options).expect("a session");
        let added = session.append(&[Input::Tokens(&[1])], 1);
        assert_eq!(added.is_ok(), context_length > 0, "{added:?}");
    }
}

/// Sessions and executors that share threads take turns; each gives what it gives alone.
#[test]
fn many_share_one_pool() {
    let model = demo();
    let threads = Threads::new(0).expect("threads");
    let expected = {
        let mut session = Session::new(&model, options(64)).expect("a session");
        session.append(&[Input::Tokens(&[3; 40])], 1).expect("tokens");
        session.logits(0).expect("asked for").to_vec()
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let shared = SessionOptions { threads: Arc::clone(&threads), ..options(64) };
                    let mut session = Session::new(&model, shared).expect("a session");
                    session.append(&[Input::Tokens(&[3; 40])], 1).expect("tokens");
                    assert_eq!(session.logits(0), Some(&expected[..]));
                    let mut executor = Executor::new(Backend::new(&threads).expect("a CPU")).expect("an executor");
                    let arena = Arena::new(8).expect("arena");
                    let a = arena.input(&[64, 64]).expect("a");
                    let product = arena.mul_mat(a, a).expect("a product");
                    let values = executor.run(&arena, &[(a, &[1.0; 4096])], product).expect("runs");
                    assert!(values.iter().all(|value| *value == 64.0));
                }
            });
        }
    });
}

/// Stored bytes may be anything; reading them back never leaves the slice.
#[test]
fn any_bytes_are_read_back() {
    for kind in 0..64 {
        for byte in [0, 0x7f, 0xff] {
            let data = vec![byte; 4096];
            for values in [0, 1, 32, 256, 4096, usize::MAX, usize::MAX / 2 + 1] {
                let _ = quantize::dequantize(kind, &data, values);
                let _ = quantize::dequantize(kind, &data[..34], values);
                let _ = quantize::dequantize(kind, &[], values);
            }
        }
    }
}

/// What is made while loading is checked as what is read: ggml asserts on the rest, or reads past the end.
#[test]
fn a_matrix_that_is_added_has_values_for_its_extents() {
    let backend = Backend::cpu(1).expect("a CPU");
    let (weights, _file) = map(spec("w", F16, [8, 4, 1, 1], false), false);
    let mut weights = weights.expect("mapped");
    let values = vec![0.5; 64 * 8];
    let mut add = |name: &str, kind: u32, dims: [usize; 2], values: &[f32]| {
        weights.add(name, kind, dims, values, &backend, true).map_err(|error| error.0)
    };
    assert!(add("a", F32, [64, 8], &values[1..]).is_err_and(|error| error.contains("511 values")));
    assert!(add("a", F32, [64, 9], &values).is_err());
    assert!(add("a", F32, [0, 8], &[]).is_err());
    assert!(add("a", F32, [usize::MAX, 2], &values).is_err());
    assert!(add("a", F32, [1 << 32, 1 << 32], &values).is_err());
    assert!(add("a", Q4_0, [16, 32], &values).is_err(), "half a block");
    assert!(add("a", 9, [64, 8], &values).is_err(), "q8_1, which nothing multiplies");
    assert!(add("a", 4711, [64, 8], &values).is_err());
    assert!(add("a", F32, [64, 8], &[f32::NAN; 512]).is_err());
    assert!(add("w", F32, [64, 8], &values).is_err_and(|error| error.contains("of this name")));
    assert!(add("", F32, [64, 8], &values).is_err());
    assert!(add("nul\0inside", F32, [64, 8], &values).is_err());
    for (kind, name) in [(F32, "f32"), (F16, "f16"), (30, "bf16"), (Q8_0, "q8_0"), (Q4_0, "q4_0")] {
        add(name, kind, [64, 8], &values).expect("added");
    }
    for name in ["f32", "f16", "bf16", "q8_0", "q4_0"] {
        let arena = Arena::new(4).expect("arena");
        let rows = arena.input(&[64, 5]).expect("rows");
        let product = arena.mul_mat(weights.get(name).expect("added"), rows).expect("a product");
        let found = executor().run(&arena, &[(rows, &[1.0; 64 * 5])], product).expect("runs");
        assert!(found.iter().all(|value| (value - 32.0).abs() < 0.1), "{name}: {found:?}");
    }
}

#[test]
fn values_are_read_from_inside_the_file() {
    let (weights, _file) = map(spec("w", F16, [8, 4, 1, 1], false), false);
    let weights = weights.expect("mapped");
    assert_eq!(weights.read(&spec("w", F16, [8, 4, 1, 1], false)).expect("zeros"), [0.0; 32]);
    for (offset, kind, dims) in [
        (1 << 16, F16, [8, 4, 1, 1]),
        (u64::MAX - 31, F16, [8, 4, 1, 1]),
        (16, F16, [8, 4, 1, 1]),
        (0, F32, [1 << 14, 2, 1, 1]),
        (0, F32, [1 << 32, 1 << 32, 1, 1]),
        (0, Q4_0, [8, 4, 1, 1]),
        (0, 4711, [8, 4, 1, 1]),
    ] {
        let spec = TensorSpec { offset, ..spec("w", kind, dims, false) };
        assert!(weights.read(&spec).is_err(), "{offset} {kind} {dims:?}");
    }
}

/// ggml asserts on all of these, or computes with another kernel that asserts on more.
#[test]
fn an_outer_product_is_of_two_plain_matrices_with_as_many_rows() {
    let (weights, _file) = map(spec("w", F16, [8, 4, 1, 1], false), false);
    let mut weights = weights.expect("mapped");
    let backend = Backend::cpu(1).expect("a CPU");
    weights.add("repacked", Q4_0, [64, 8], &[0.5; 512], &backend, true).expect("added");
    let arena = Arena::new(16).expect("arena");
    let other = Arena::new(2).expect("another");
    let input = |dims: &[usize]| arena.input(dims).expect("an input");
    let (a, b) = (input(&[8, 4]), input(&[3, 4]));
    assert_eq!(arena.out_prod(a, b).expect("fits").dims(), [8, 3, 1, 1]);
    assert!(arena.out_prod(a, input(&[4, 3])).is_err(), "other numbers of rows");
    assert!(arena.out_prod(a, input(&[3, 4, 2])).is_err() && arena.out_prod(input(&[8, 4, 1, 2]), b).is_err());
    let half = weights.get("w").expect("w");
    assert!(arena.out_prod(half, b).is_err() && arena.out_prod(a, half).is_err(), "half precision");
    let repacked = weights.get("repacked").expect("added");
    assert!(arena.out_prod(repacked, input(&[3, 8])).is_err(), "a quantized matrix");
    let turned = arena.permute(input(&[4, 8]), [1, 0, 2, 3]).expect("a view");
    assert!(arena.out_prod(turned, b).is_err() && arena.out_prod(b, turned).is_err(), "a transposed matrix");
    let foreign = other.input(&[8, 4]).expect("an input");
    assert!(arena.out_prod(foreign, b).is_err() && arena.out_prod(b, foreign).is_err(), "of another arena");
    let arena = Arena::new(4).expect("arena");
    let (a, b) = (arena.input(&[1 << 20]).expect("a"), arena.input(&[1 << 20]).expect("b"));
    assert!(arena.out_prod(a, b).is_err(), "2^40 values");
}
