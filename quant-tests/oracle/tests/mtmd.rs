//! Our pair in llama.cpp's own multimodal code: it must open both files, take audio and run to the end. What it makes
//! of the audio is its own affair: it frames a clip differently from the official package.

mod common;

use common::{all_pairs, backend, context, convert, largest, load, say};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::mtmd::{
    MtmdBitmap, MtmdContext, MtmdContextParams, MtmdInputChunkType, MtmdInputChunks, MtmdInputText, mtmd_default_marker,
};
use qasr::model::CacheType;
use qasr_convert::tiny::{self, Spec};
use qasr_convert::{Arch, FileType};
use std::path::Path;
use tempfile::TempDir;

const RATE: usize = 16_000;

fn open(mmproj: &Path, model: &LlamaModel) -> Option<MtmdContext> {
    let params =
        MtmdContextParams { use_gpu: false, n_threads: 1, print_timings: false, ..MtmdContextParams::default() };
    MtmdContext::init_from_file(mmproj.to_str().unwrap(), model, &params).ok()
}

/// A tone that rises from `low` hertz, one octave a second.
fn tone(seconds: usize, low: f32) -> Vec<f32> {
    let mut phase = 0.0_f32;
    (0..seconds * RATE)
        .map(|index| {
            phase = (phase + low * (index as f32 / RATE as f32).exp2() / RATE as f32).fract();
            0.4 * (phase * std::f32::consts::TAU).sin()
        })
        .collect()
}

/// The official prompt's shape with one clip in it.
fn chunks(mtmd: &MtmdContext, samples: &[f32]) -> MtmdInputChunks {
    let text = format!("<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n", mtmd_default_marker());
    let text = MtmdInputText { text, add_special: false, parse_special: true };
    mtmd.tokenize(text, &[&MtmdBitmap::from_audio_data(samples).unwrap()]).unwrap()
}

fn audio_tokens(chunks: &MtmdInputChunks) -> Vec<usize> {
    let all = (0..chunks.len()).filter_map(|index| chunks.get(index));
    all.filter(|chunk| chunk.chunk_type() == MtmdInputChunkType::Audio).map(|chunk| chunk.n_tokens()).collect()
}

/// Evaluates a clip in a fresh context; returns the logits after the prompt.
fn evaluate<'a>(mtmd: &mut MtmdContext, model: &'a LlamaModel, samples: &[f32]) -> (LlamaContext<'a>, Vec<f32>) {
    let chunks = chunks(mtmd, samples);
    let mut decoder = context(model, CacheType::F16);
    let past = chunks.eval_chunks(mtmd, &mut decoder, 0, 0, i32::try_from(common::CAPACITY).unwrap(), true).unwrap();
    assert_eq!(past, chunks.total_positions(), "positions filled");
    let logits = decoder.get_logits_ith(-1).to_vec();
    (decoder, logits)
}

#[test]
fn our_pair_opens_and_takes_audio() {
    for pair in all_pairs() {
        let name = &pair.name;
        let model = load(&pair.files.decoder);
        let mut mtmd = open(&pair.files.encoder, &model).unwrap_or_else(|| panic!("{name}: mtmd refuses the pair"));
        assert!(mtmd.support_audio() && !mtmd.support_vision(), "{name}: what the encoder is for");
        assert_eq!(mtmd.get_audio_sample_rate(), Some(16_000), "{name}: sample rate");
        assert_eq!(mtmd.decode_use_mrope(), name.ends_with("qwen3vl"), "{name}: positions per row");

        // 13 tokens for each second begun, in chunks of 8 s, and one frame more than the official front end has: a whole
        // second begins another one, and whole eight seconds another chunk.
        for (seconds, tokens) in [(1, vec![26]), (8, vec![104, 13])] {
            let chunks = chunks(&mtmd, &tone(seconds, 200.0));
            assert_eq!(audio_tokens(&chunks), tokens, "{name}: audio tokens of {seconds} s, by chunk");
            assert!(chunks.total_tokens() > tokens.iter().sum(), "{name}: the prompt around the audio is missing");
        }

        let (_, low) = evaluate(&mut mtmd, &model, &tone(1, 200.0));
        let (mut decoder, again) = evaluate(&mut mtmd, &model, &tone(1, 200.0));
        let (_, high) = evaluate(&mut mtmd, &model, &tone(1, 900.0));
        let first = largest(&low);
        assert_eq!(low, again, "{name}: one sound, twice");
        let apart = common::distance(&low, &high);
        assert!(apart > 1e-4, "{name}: another sound gives the same logits: the audio is not used ({apart:.1e})");
        // The memory can be truncated after the audio, with either architecture.
        decoder.kv_cache_seq_rm(0, Some(20), None).unwrap();
        say(&format!(
            "mtmd, {name}: 1 s is 26 tokens, 8 s is 104 + 13; first token {first}; another sound {apart:.1e} away"
        ));
    }
}

#[test]
fn an_encoder_of_another_model_is_refused() {
    let folder = TempDir::new().unwrap();
    tiny::write(folder.path(), &Spec::default()).unwrap();
    let wide = convert(folder.path(), FileType::Q8_0, Arch::Qwen3);
    let narrow = common::tiny(FileType::Q8_0, Arch::Qwen3);
    let _ = backend();
    let model = load(&wide.files.decoder);
    assert!(open(&wide.files.encoder, &model).is_some(), "its own encoder");
    assert!(open(&narrow.files.encoder, &model).is_none(), "an encoder of another width was taken");
}
