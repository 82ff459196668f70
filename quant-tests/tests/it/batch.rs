//! Batched equals one by one, and our own graph equals llama.cpp.
//!
//! Utterances that are decoded together have the text, and every logit behind it, that each has alone: bit by bit, for every
//! type that is written and every number of utterances at once. Our graph adds in another order than llama.cpp, so its
//! tokens are those of llama.cpp up to the first choice between two that are nearly as likely.

use crate::common::{convert, demo_checkpoint, of_real_widths, open, options, recording, say};
use qasr::audio::Pcm16k;
use qasr::model::decoder::Input;
use qasr::model::{CacheType, Engine, ModelFiles};
use qasr::recognizer::{Recognizer, Script};
use qasr::units::SampleIndex;
use qasr::{Model, Options, transcribe};

/// Types and recipes of whole files.
const KINDS: [&str; 11] =
    ["f32", "f16", "bf16", "q8_0", "q6_k", "q4_k_m", "q4_0", "iq4_nl", "balanced", "small", "safe"];

/// Utterances at once.
const WIDTHS: [usize; 4] = [2, 3, 5, 8];

/// Twelve utterances of other lengths: the words of two recordings, some of them cut short, with silence between.
fn recording_of_utterances() -> Pcm16k {
    let words = [recording("sample").samples, recording("six_words").samples];
    let mut samples = vec![0.0; 8000];
    for number in 0..12 {
        let words = &words[number % 2];
        let length = words.len() - number / 2 * 3100;
        samples.extend_from_slice(&words[..length.max(16_000)]);
        samples.extend(std::iter::repeat_n(0.0, 24_000));
    }
    Pcm16k::new(samples).unwrap()
}

/// Text, tokens and the bits of all log probabilities.
type Told = Vec<(SampleIndex, String, Vec<u32>, Vec<u32>)>;

fn told(model: &Model, audio: &Pcm16k, batch: usize) -> Told {
    let mut options = Options::default();
    options.batch = batch;
    let mut order = Vec::new();
    let transcript = transcribe(model, audio, &options, &mut |progress| order.push(progress.segment.start)).unwrap();
    assert!(transcript.complete);
    assert!(order.is_sorted() && order.len() == transcript.segments.len(), "results come in order");
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    let of = |segment: &qasr::Segment| {
        (segment.start, segment.text.clone(), segment.tokens.clone(), bits(&segment.log_probabilities))
    };
    transcript.segments.iter().map(of).collect()
}

#[test]
fn utterances_decoded_together_have_the_bits_of_each_alone() {
    let audio = recording_of_utterances();
    for kind in KINDS {
        let (_folder, files) = convert(&demo_checkpoint(), kind);
        let model = open(&files);
        let alone = told(&model, &audio, 1);
        assert!(alone.len() >= 10, "{} utterances", alone.len());
        for width in WIDTHS {
            assert_eq!(told(&model, &audio, width), alone, "{kind}, {width} at once");
        }
        if ["q8_0", "small"].contains(&kind) {
            for (cache, threads) in [(CacheType::F16, 2), (CacheType::Q8_0, 1)] {
                let mut options = options();
                (options.cache, options.threads, options.steady_threads) = (cache, threads, true);
                let model = Model::open(&files, &options).unwrap();
                assert_eq!(told(&model, &audio, 5), told(&model, &audio, 1), "{kind}, {cache:?}, {threads} threads");
            }
        }
    }
}

/// Distance of two logits below which another order of additions may choose the other.
const NEAR_TIE: f32 = 1e-3;

fn with_engine(files: &ModelFiles, engine: Engine) -> Model {
    let mut options = options();
    options.engine = engine;
    Model::open(files, &options).unwrap()
}

#[test]
fn our_graph_and_llama_choose_the_same_tokens() {
    let clips = [recording("sample"), recording("six_words")];
    for kind in KINDS {
        let (_folder, files) = convert(&demo_checkpoint(), kind);
        let mut smallest = f32::INFINITY;
        let texts = [Engine::Own, Engine::Llama].map(|engine| {
            let model = with_engine(&files, engine);
            clips.each_ref().map(|clip| {
                let mut recognizer = Recognizer::new(&model, &Options::default(), clip.samples.len(), None).unwrap();
                recognizer.begin(SampleIndex(0), "").unwrap();
                let found = recognizer.recognize(&clip.samples, true, Script::default(), usize::MAX).unwrap();
                smallest = smallest.min(found.closest);
                (found.tokens, found.margins)
            })
        });
        let [own, llama] = texts;
        for ((own, margins), (llama, _)) in own.iter().zip(&llama) {
            let differs = own.iter().zip(llama).position(|(own, llama)| own != llama);
            let is_tie = |at: usize| margins[at] < NEAR_TIE;
            assert!(differs.is_none_or(is_tie), "{kind}: {own:?} {llama:?} differ at {differs:?}, margins {margins:?}");
            assert!(differs.is_some() || own.len() == llama.len(), "{kind}: {own:?} {llama:?}");
        }
        say(&format!("own graph and llama.cpp, {kind}: same tokens; the nearest choice was clear by {smallest:.3}"));
    }
}

/// The largest difference of logits, relative to their spread, after a prompt of several passes and tokens one by one.
#[test]
fn our_graph_and_llama_agree_on_logits() {
    let wide = of_real_widths();
    for (checkpoint, kind, cache, limit) in [
        (demo_checkpoint(), "f32", CacheType::F32, 2e-5),
        (demo_checkpoint(), "q8_0", CacheType::F32, 2e-2),
        (demo_checkpoint(), "q4_0", CacheType::F16, 4e-2),
        (demo_checkpoint(), "balanced", CacheType::Q8_0, 1e-1),
        // Weights without training: a code that is rounded the other way grows from layer to layer.
        (wide.path().to_owned(), "f16", CacheType::F32, 4e-3),
        (wide.path().to_owned(), "q8_0", CacheType::F32, 1e-1),
        (wide.path().to_owned(), "q4_k_m", CacheType::F16, 2e-1),
    ] {
        let (_folder, files) = convert(&checkpoint, kind);
        let [own, llama] = [Engine::Own, Engine::Llama].map(|engine| {
            let mut options = options();
            (options.engine, options.cache) = (engine, cache);
            let model = Model::open(&files, &options).unwrap();
            let vocabulary = model.decoder_config().sizes.vocabulary as u32;
            let ids = |seed: u32, count: u32| -> Vec<u32> {
                (0..count).map(|at| (at * 7919 + seed * 104_729 + at * at * 31) % vocabulary).collect()
            };
            let mut session = model.session(700).unwrap();
            // More rows than are computed at once.
            session.append(&[Input::Tokens(&ids(1, 300))], 3).unwrap();
            let mut rows: Vec<Vec<f32>> = (0..3).map(|output| session.logits(output).to_vec()).collect();
            for id in ids(2, 5) {
                session.append_each(&[id]).unwrap();
                rows.push(session.logits(0).to_vec());
            }
            session.truncate(250);
            session.append(&[Input::Tokens(&ids(3, 9))], 1).unwrap();
            rows.push(session.logits(0).to_vec());
            rows
        });
        let mut worst = 0.0f32;
        for (own, llama) in own.iter().zip(&llama) {
            let mean = llama.iter().sum::<f32>() / llama.len() as f32;
            let spread = (llama.iter().map(|logit| (logit - mean).powi(2)).sum::<f32>() / llama.len() as f32).sqrt();
            let apart = own.iter().zip(llama).map(|(own, llama)| (own - llama).abs()).fold(0.0, f32::max);
            worst = worst.max(apart / spread);
        }
        say(&format!(
            "own graph and llama.cpp, {kind}, cache {cache:?}: logits differ by up to {worst:.2e} of their spread"
        ));
        assert!(worst < limit, "{kind}, {cache:?}: {worst:e}");
    }
}
