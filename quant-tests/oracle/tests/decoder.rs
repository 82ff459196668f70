//! The decoder behind our seam against the same file in llama-cpp-2's safe API, which shares nothing with it but the
//! kernels: batches, positions, rollback and rows put in between are each side's own. Both engines behind the seam are held
//! to it; our own graph adds in another order and rounds elsewhere, so its limits are wider.

mod common;

use common::{Oracle, Pair, all_pairs, distance, largest, load, open, say};
use qasr::Model;
use qasr::model::decoder::{Input, most_likely};
use qasr::model::{CacheType, Engine, Session};
use qasr_format::Gguf;
use std::fs;

/// Both engines, with the largest difference of logits that one batch may show; relative to the largest logit.
const ENGINES: [(Engine, f32); 2] = [(Engine::Llama, 1e-5), (Engine::Own, 2e-2)];
/// The same for our own graph with a cache of half precision: llama.cpp also rounds queries and sums to it.
const HALF: f32 = 1e-1;
/// The same for one prompt in batches of other shapes: other kernels, and for quantized weights other roundings of
/// the activations.
const RESHAPED: f32 = 2e-2;
/// The cache of comparisons in which different batches must agree: the other kinds round what they keep.
const CACHE: CacheType = CacheType::F32;
/// Every pair with every engine.
fn pairs_and_engines() -> impl Iterator<Item = (Pair, (Engine, f32))> {
    ENGINES.into_iter().flat_map(|engine| all_pairs().map(move |pair| (pair, engine)))
}

/// Greedy tokens compared.
const STEPS: usize = 16;

/// A prompt over the plain part of the tiny vocabulary.
fn prompt() -> Vec<u32> {
    (0..40).map(|index| (index * 37 + 11) % 300).collect()
}

fn session(model: &Model) -> Session {
    model.session(common::CAPACITY).unwrap()
}

/// Decodes greedily from where the session is; returns the tokens.
fn greedy(session: &mut Session) -> Vec<u32> {
    let step = |_| {
        let id = most_likely(session.logits(0)).unwrap().token;
        session.append(&[Input::Tokens(&[id])], 1).unwrap();
        id
    };
    (0..STEPS).map(step).collect()
}

/// Rows of the token table, as a decoder looks them up.
fn rows(pair: &Pair, ids: &[u32]) -> Vec<f32> {
    let file = Gguf::open(&pair.files.decoder).unwrap();
    let table = file.tensor("token_embd.weight").unwrap();
    let width = table.dims[0] as usize;
    let bytes = fs::read(&pair.files.decoder).unwrap();
    let data = &bytes[table.offset as usize..][..table.bytes as usize];
    let values = ggml::quantize::dequantize(table.kind.id(), data, width * table.dims[1] as usize).unwrap();
    ids.iter().flat_map(|id| &values[*id as usize * width..][..width]).copied().collect()
}

#[test]
fn logits_and_greedy_tokens_are_those_of_the_safe_api() {
    for pair in all_pairs() {
        for (engine, tolerance) in ENGINES {
            for cache in [CacheType::F16, CacheType::F32] {
                let is_half = (engine, cache) == (Engine::Own, CacheType::F16);
                agree(&pair, cache, engine, if is_half { HALF } else { tolerance });
            }
        }
        // The comparison is worth something only if a prompt that differs in its first token falls through it.
        let theirs = load(&pair.files.decoder);
        let [right, wrong] = [0, 1].map(|change| {
            let mut prompt = prompt();
            prompt[0] += change;
            let mut oracle = Oracle::new(&theirs, CACHE);
            oracle.append(&prompt);
            oracle.logits().to_vec()
        });
        let apart = distance(&right, &wrong);
        assert!(apart > 3.0 * HALF, "{}: another prompt goes unnoticed: {apart:.1e}", pair.name);
    }
}

/// Prefill and greedy steps in our session and in the oracle, step by step.
fn agree(pair: &Pair, cache: CacheType, engine: Engine, tolerance: f32) {
    let name = format!("{}, {engine:?}, with a cache in {cache:?}", pair.name);
    let ours = open(pair, cache, engine).unwrap();
    let mut session = session(&ours);
    let theirs = load(&pair.files.decoder);
    let mut oracle = Oracle::new(&theirs, cache);

    session.append(&[Input::Tokens(&prompt())], 1).unwrap();
    oracle.append(&prompt());
    let mut worst = distance(oracle.logits(), session.logits(0));
    let mut is_bit_equal = oracle.logits() == session.logits(0);
    for step in 0..STEPS {
        let id = largest(oracle.logits());
        let own = most_likely(session.logits(0)).unwrap();
        // Two that are nearer to each other than the tolerance may change places.
        let is_tie = own.margin < 2.0 * tolerance * oracle.logits()[id as usize].abs();
        assert!(own.token == id || is_tie, "{name}: greedy token {step} is {}, not {id}", own.token);
        session.append(&[Input::Tokens(&[id])], 1).unwrap();
        oracle.append(&[id]);
        worst = worst.max(distance(oracle.logits(), session.logits(0)));
        is_bit_equal &= oracle.logits() == session.logits(0);
    }
    let same = if is_bit_equal { " (bit for bit)" } else { "" };
    say(&format!("decoder against llama-cpp-2, {name}: {STEPS} steps, largest difference {worst:.1e}{same}"));
    assert!(worst <= tolerance, "{name}: logits differ by {worst:.1e} of the largest");
}

#[test]
fn both_architectures_are_one_model() {
    for file_type in common::FILE_TYPES {
        let [one, three] = common::ARCHITECTURES.map(|arch| {
            let model = load(&common::tiny(file_type, arch).files.decoder);
            let mut oracle = Oracle::new(&model, CACHE);
            oracle.append(&prompt());
            oracle.logits().to_vec()
        });
        assert_eq!(one, three, "{}: qwen3 and qwen3vl give different logits", file_type.name());
    }
}

#[test]
fn a_rollback_forgets_and_repeats() {
    for (pair, (engine, _)) in pairs_and_engines() {
        let name = &format!("{}, {engine:?}", pair.name);
        let model = open(&pair, CACHE, engine).unwrap();
        let mut session = session(&model);
        session.append(&[Input::Tokens(&prompt())], 1).unwrap();
        let logits = session.logits(0).to_vec();
        let tokens = greedy(&mut session);
        assert_eq!(session.position(), prompt().len() + STEPS);

        // Back into the prompt, and forward again as before.
        let kept = prompt().len() - 5;
        session.truncate(kept);
        assert_eq!(session.position(), kept);
        assert!(session.logits(0).is_empty(), "{name}: logits outlive the position they belong to");
        session.append(&[Input::Tokens(&prompt()[kept..])], 1).unwrap();
        let apart = distance(&logits, session.logits(0));
        assert!(apart <= RESHAPED, "{name}: the same prompt after a rollback differs by {apart:.1e}");
        assert_eq!(greedy(&mut session), tokens, "{name}: greedy tokens after a rollback");

        // Truncate and continue with other tokens: the removed ones must leave no trace.
        session.truncate(kept);
        let branch = [7, 99, 201, 13, 250];
        session.append(&[Input::Tokens(&branch)], 1).unwrap();
        let theirs = load(&pair.files.decoder);
        let mut oracle = Oracle::new(&theirs, CACHE);
        oracle.append(&[&prompt()[..kept], &branch].concat());
        let apart = distance(oracle.logits(), session.logits(0));
        let noticed = distance(&logits, oracle.logits());
        say(&format!(
            "rollback, {name}: a branch differs by {apart:.1e} from a fresh start, by {noticed:.1e} from the trunk"
        ));
        assert!(apart <= RESHAPED, "{name}: a branch after a rollback differs by {apart:.1e} from a fresh start");
        assert!(noticed > 10.0 * RESHAPED, "{name}: the branch is too like the trunk to tell: {noticed:.1e}");
    }
}

#[test]
fn rows_between_tokens_are_those_tokens() {
    for (pair, (engine, tolerance)) in pairs_and_engines() {
        let name = &format!("{}, {engine:?}", pair.name);
        let model = open(&pair, CACHE, engine).unwrap();
        let prompt = prompt();
        let (before, rest) = prompt.split_at(9);
        let (middle, after) = rest.split_at(20);
        let theirs = load(&pair.files.decoder);
        let mut oracle = Oracle::new(&theirs, CACHE);
        oracle.append(&prompt);

        let with_rows = |ids: &[u32]| {
            let rows = rows(&pair, ids);
            let mut session = session(&model);
            session.append(&[Input::Tokens(before), Input::Rows(&rows), Input::Tokens(after)], 1).unwrap();
            assert_eq!(session.position(), prompt.len());
            session
        };
        let mut session = with_rows(middle);
        let apart = distance(oracle.logits(), session.logits(0));
        let same = if session.logits(0) == oracle.logits() { " (bit for bit)" } else { "" };
        say(&format!("tokens, rows, tokens, {name}: differs by {apart:.1e} from tokens alone{same}"));
        assert!(apart <= tolerance, "{name}: rows of the token table differ by {apart:.1e} from the tokens");
        for (step, id) in greedy(&mut session).into_iter().enumerate() {
            let [theirs, ours] = [largest(oracle.logits()), id].map(|id| oracle.logits()[id as usize]);
            assert!(theirs - ours <= 2.0 * tolerance * theirs.abs(), "{name}: greedy token {step} behind rows");
            oracle.append(&[id]);
        }

        let mut swapped = middle.to_vec();
        swapped.swap(0, 1);
        let mut plain = Oracle::new(&theirs, CACHE);
        plain.append(&prompt);
        let noticed = distance(plain.logits(), with_rows(&swapped).logits(0));
        assert!(noticed > 2.0 * tolerance, "{name}: two rows in the wrong order go unnoticed: {noticed:.1e}");
    }
}

#[test]
fn what_does_not_fit_leaves_the_session_as_it_was() {
    let pair = common::tiny(qasr_convert::FileType::F32, common::ARCHITECTURES[0]);
    for (engine, _) in ENGINES {
        let model = open(&pair, CACHE, engine).unwrap();
        let mut session = model.session(prompt().len()).unwrap();
        session.append(&[Input::Tokens(&prompt()[1..])], 1).unwrap();
        let logits = session.logits(0).to_vec();
        for wrong in [Input::Tokens(&[1, 2]), Input::Tokens(&[1 << 20]), Input::Rows(&[0.5; 3]), Input::Tokens(&[])] {
            assert!(session.append(&[wrong], 1).is_err(), "{wrong:?} was taken");
            assert_eq!(session.position(), prompt().len() - 1, "{wrong:?} moved the session");
            assert_eq!(session.logits(0), logits, "{wrong:?} changed the logits");
        }
        session.append(&[Input::Tokens(&prompt()[..1])], 1).unwrap();
    }
}
