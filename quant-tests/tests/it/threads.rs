//! How many threads compute changes nothing: they become fewer in the middle of a recording when other processes take
//! the cores, and a text must not show it.

use crate::common::{convert, demo_checkpoint, optional};
use qasr::mel::LogMel;
use qasr::model::CacheType;
use qasr::model::decoder::Input;
use qasr::{Model, ModelFiles, ModelOptions};

const KINDS: [&str; 10] = ["f32", "f16", "bf16", "q8_0", "q6_k", "q5_k_m", "q5_0", "q4_k_m", "q4_0", "iq4_nl"];

/// Logits of passes of every shape that recognition has, and the encoder's rows of a whole and a short window.
fn compute(files: &ModelFiles, threads: usize, cache: CacheType) -> Vec<Vec<f32>> {
    let mut options = ModelOptions::default();
    (options.threads, options.steady_threads, options.cache) = (threads, true, cache);
    let model = Model::open(files, &options).unwrap();
    let mut computed = Vec::new();
    for frames in [800, 130] {
        let data = (0..frames * 128).map(|value| (value * 7919 % 1009) as f32 / 504.5 - 1.0).collect();
        let mel = LogMel { frames, peak: 0.0, data };
        computed.push(model.encoder().encode(&mel).unwrap().to_vec());
    }
    let rows = computed[0].clone();
    let mut session = model.session(600).unwrap();
    let id = |index: usize| (index * 31 % 400) as u32;
    let ids: Vec<u32> = (0..600).map(id).collect();
    for (tokens, audio) in [(0..9, true), (9..12, false), (12..28, false), (28..188, false)] {
        let audio = if audio { &rows[..] } else { &[] };
        session.append(&[Input::Tokens(&ids[tokens]), Input::Rows(audio)], 1).unwrap();
        computed.push(session.logits(0).to_vec());
    }
    // Beyond 256 positions ggml divides the attention of a single row among the threads unless it is kept from it.
    assert!(session.position() > 256);
    for token in &ids[188..190] {
        session.append(&[Input::Tokens(&[*token])], 1).unwrap();
        computed.push(session.logits(0).to_vec());
    }
    computed
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        optional::skip("threads: one processor");
        return;
    }
    for kind in KINDS {
        let (_folder, files) = convert(&demo_checkpoint(), kind);
        // The attention is the same for all types of weights.
        let others: &[CacheType] = if kind == "f16" { &[CacheType::Q8_0, CacheType::F32] } else { &[] };
        for cache in [CacheType::F16].iter().chain(others).copied() {
            let (one, two) = (compute(&files, 1, cache), compute(&files, 2, cache));
            for (index, (one, two)) in one.iter().zip(&two).enumerate() {
                let differ = one.iter().zip(two).filter(|(one, two)| one.to_bits() != two.to_bits()).count();
                assert_eq!(differ, 0, "{kind}, cache {cache:?}, result {index}: values that differ, of {}", one.len());
            }
        }
    }
}
