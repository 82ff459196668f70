"""Runs the official `qwen_asr` package on the CPU in float32 and listens in on its stages."""
import contextlib
import io
import json
import os

import numpy as np
import torch


def load(checkpoint, max_new_tokens=512):
    """The official model with attention windows switched on.

    Two corrections bring a CPU run from a local directory to what the package computes on a GPU from the hub:
    - it works out the attention windows (`cu_seqlens`) but hands them only to flash attention; its own helper turns
      them into a mask, which nothing calls. Here every encoder layer gets that mask;
    - its "mistral regex" flag replaces Qwen's splitting pattern when the model lies in a local directory.
    """
    with contextlib.redirect_stderr(io.StringIO()):
        from qwen_asr import Qwen3ASRModel
        from transformers import AutoTokenizer
        from transformers.utils import logging
        logging.set_verbosity_error()
        model = Qwen3ASRModel.from_pretrained(
            checkpoint, dtype=torch.float32, device_map="cpu", attn_implementation="eager",
            max_new_tokens=max_new_tokens)
        model.processor.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    tower = model.model.thinker.audio_tower

    def add_mask(layer, args, kwargs):
        hidden, bounds = args
        return args, {**kwargs, "attention_mask": tower._prepare_attention_mask(hidden, bounds)}

    for layer in tower.layers:
        layer.register_forward_pre_hook(add_mask, with_kwargs=True)
    return model


def end_tokens(checkpoint):
    """The end tokens of this checkpoint: the package has those of the full vocabulary as literals."""
    with open(os.path.join(checkpoint, "generation_config.json"), encoding="utf-8") as file:
        ids = json.load(file).get("eos_token_id", [151645, 151643])
    return ids if isinstance(ids, list) else [ids]


def read(path):
    """Mono 16 kHz float32 samples of a file, decoded and resampled by the package."""
    from qwen_asr.inference.utils import normalize_audios
    return normalize_audios(path)[0].astype(np.float32)


def token_count(frames):
    """Encoder tokens of one chunk of at most 100 mel frames."""
    for _ in range(3):
        frames = (frames + 1) // 2
    return frames


@contextlib.contextmanager
def hooked(pairs):
    """Forward hooks for the length of a block."""
    handles = [module.register_forward_hook(hook, with_kwargs=True) for module, hook in pairs]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def prepare(model, samples, context="", language=None):
    prompt = model._build_text_prompt(context=context, force_language=language)
    return model.processor(text=[prompt], audio=[samples], return_tensors="pt", padding=True)


@torch.no_grad()
def encode(model, samples, layers=False):
    """Features and audio tower of one clip.

    Returns mel [F, 128] (frame-major), conv [A, d] (after `conv_out`, before positions), layer_NN [A, d] when asked,
    enc_out [A, hidden], and the window bounds in tokens.
    """
    inputs = prepare(model, samples)
    frames = int(inputs["feature_attention_mask"].sum())
    tower, kept = model.model.thinker.audio_tower, {}

    def keep(name):
        def hook(module, args, kwargs, out):
            kept[name] = (out[0] if isinstance(out, tuple) else out).numpy().copy()
        return hook

    def keep_bounds(module, args, kwargs, out):
        kept["windows"] = args[1].tolist()

    pairs = [(tower.conv_out, keep("conv")), (tower.layers[0], keep_bounds)]
    if layers:
        pairs += [(layer, keep(f"layer_{i:02d}")) for i, layer in enumerate(tower.layers)]
    with hooked(pairs):
        rows = model.model.thinker.get_audio_features(
            inputs["input_features"], feature_attention_mask=inputs["feature_attention_mask"])
    chunks = [min(100, frames - start) for start in range(0, frames, 100)]
    kept["conv"] = np.concatenate([kept["conv"][i, :token_count(n)] for i, n in enumerate(chunks)])
    mel = inputs["input_features"][0, :, :frames].T.numpy()
    return {"mel": np.ascontiguousarray(mel), **kept, "enc_out": rows.numpy()}


def prompt_ids(model, ids):
    """A prompt's ids before and after its audio placeholders."""
    pad = model.processor.tokenizer.convert_tokens_to_ids(model.processor.audio_token)
    places = [i for i, token in enumerate(ids) if token == pad]
    return ids[:places[0]], ids[places[-1] + 1:]


@torch.no_grad()
def decode(model, samples, ends, context, language, steps, top=5):
    """Prefill and greedy decoding of one clip, through the package's own `generate`."""
    from qwen_asr.inference.utils import parse_asr_output
    inputs = prepare(model, samples, context, language)
    ids = inputs["input_ids"][0].tolist()
    out = model.model.generate(**inputs, max_new_tokens=steps, eos_token_id=ends, output_logits=True)
    new = out.sequences[0, len(ids):]
    logits = torch.stack([step[0] for step in out.logits]).float()
    best = logits.topk(top)
    raw = model.processor.batch_decode([new], skip_special_tokens=True, clean_up_tokenization_spaces=False)[0]
    found, text = parse_asr_output(raw, user_language=language)
    before, after = prompt_ids(model, ids)
    return logits[0].numpy(), {
        "language": language, "context": context, "before": before, "after": after, "ids": new.tolist(),
        "margins": [round(float(v[0] - v[1]), 6) for v in best.values],
        "top_ids": best.indices.tolist(), "top_logits": [[round(x, 5) for x in row] for row in best.values.tolist()],
        "raw": raw, "found_language": found, "text": text}
