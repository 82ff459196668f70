//! A trained checkpoint with a vocabulary of its own, where the folder beside the checkout has it.

use crate::optional;

use crate::common::fresh_dir;
use qasr_convert::{Arch, ConvertOptions, FileType, Head, convert};
use qasr_format::{Gguf, Value};

/// Nothing of the published model may be assumed: 512 tokens with other numbers, other rope sections, bf16 on disk.
#[test]
fn the_digits_checkpoint_keeps_its_own_ids() {
    let Some(checkpoint) = optional::shared("digits-model") else { return };
    let dir = fresh_dir("digits");
    let mut options = ConvertOptions::new(&checkpoint, &dir, FileType::F16);
    options.arch = Arch::Qwen3Vl;
    let report = convert(&options, &mut |_| {}).expect("convert");
    assert_eq!(report.head, Head::Dropped);
    assert_eq!(report.plan.name, "digits-model");
    let decoder = Gguf::open(&dir.join("digits-model-f16.gguf")).expect("decoder");
    let encoder = Gguf::open(&dir.join("mmproj-digits-model-f16.gguf")).expect("encoder");
    let tokens = decoder.strings("tokenizer.ggml.tokens").expect("tokens");
    assert_eq!((tokens.len(), tokens[402].as_str(), tokens[461].as_str()), (512, "<|im_end|>", "<asr_text>"));
    assert_eq!(decoder.u32("tokenizer.ggml.eos_token_id").expect("eos"), 402);
    assert_eq!(decoder.i32s("qasr.end_token_ids").expect("ends"), [400, 402]);
    let sections = decoder.get("qwen3vl.rope.dimension_sections");
    assert_eq!(sections, Some(&Value::I32s(vec![12, 10, 10, 0])));
    assert_eq!(decoder.u32("qwen3vl.n_deepstack_layers").expect("deepstack"), 0);
    assert_eq!(encoder.u32("clip.audio.block_count").expect("layers"), 4);
    // bf16 weights of ordinary size are exact in f16.
    assert!(report.errors.iter().all(|error| error.relative < 1e-5), "{:?}", report.errors);
}
