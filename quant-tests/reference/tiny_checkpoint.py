#!/usr/bin/env python3
"""Make the golden tiny checkpoint: random weights, everything else as published.

  tiny_checkpoint.py VOCABULARY_DIR OUT_DIR

VOCABULARY_DIR holds the tokenizer and processor files of the digits model (512 tokens), which are copied. Names,
layout, configuration and number format are those of the released checkpoints, the head stored twice included. Each
tensor depends on its own name only. The values are scaled so that activations stay near order one and greedy
decoding does not stick to one token; the model recognises nothing.
"""
import argparse
import hashlib
import json
import os
import shutil

import numpy as np
import torch
from safetensors.torch import save_file

AUDIO = dict(width=128, layers=4, heads=2, ffn=192, channels=16)   # four: llama.cpp's loader refuses fewer
TEXT = dict(width=64, layers=2, heads=4, kv_heads=2, head=32, ffn=128, rows=512)
COPIED = ("vocab.json", "merges.txt", "tokenizer_config.json", "chat_template.json", "preprocessor_config.json",
          "generation_config.json")


def normal(name, shape, mean, spread):
    seed = int.from_bytes(hashlib.sha256(f"qasr golden tiny {name}".encode()).digest()[:8], "little")
    values = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)
    return torch.from_numpy(mean + spread * values).to(torch.bfloat16)


def tensors():
    made = {}

    def matrix(name, rows, columns, gain=1.0, bias=None):
        made[f"{name}.weight"] = normal(f"{name}.weight", (rows, columns), 0, gain * columns ** -0.5)
        if bias is not None:
            made[f"{name}.bias"] = normal(f"{name}.bias", (rows,), 0, bias)

    def norm(name, size, centre=1.0, bias=False):
        made[f"{name}.weight"] = normal(f"{name}.weight", (size,), centre, 0.1 * centre)
        if bias:
            made[f"{name}.bias"] = normal(f"{name}.bias", (size,), 0, 0.1)

    tower, a = "thinker.audio_tower.", AUDIO
    for number, channels in ((1, 1), (2, a["channels"]), (3, a["channels"])):
        name = f"{tower}conv2d{number}"
        made[f"{name}.weight"] = normal(f"{name}.weight", (a["channels"], channels, 3, 3), 0,
                                        1.7 * (9 * channels) ** -0.5)
        made[f"{name}.bias"] = normal(f"{name}.bias", (a["channels"],), 0, 0.1)
    matrix(f"{tower}conv_out", a["width"], a["channels"] * 16, 1.6)
    for layer in range(a["layers"]):
        block = f"{tower}layers.{layer}."
        for part, gain, bias in (("q", 1.3, 0.1), ("k", 1.3, 0.1), ("v", 1.0, 0.05), ("out", 1.0, 0.02)):
            matrix(f"{block}self_attn.{part}_proj", a["width"], a["width"], gain, bias)
        norm(f"{block}self_attn_layer_norm", a["width"], bias=True)
        matrix(f"{block}fc1", a["ffn"], a["width"], 1.2, 0.1)
        matrix(f"{block}fc2", a["width"], a["ffn"], 0.7, 0.02)
        norm(f"{block}final_layer_norm", a["width"], bias=True)
    norm(f"{tower}ln_post", a["width"], bias=True)
    matrix(f"{tower}proj1", a["width"], a["width"], 1.2, 0.1)
    matrix(f"{tower}proj2", TEXT["width"], a["width"], 0.4, 0.02)

    model, t = "thinker.model.", TEXT
    table = normal(f"{model}embed_tokens.weight", (t["rows"], t["width"]), 0, 0.1)
    made[f"{model}embed_tokens.weight"] = table
    for layer in range(t["layers"]):
        block = f"{model}layers.{layer}."
        for part, rows in (("q", t["heads"]), ("k", t["kv_heads"]), ("v", t["kv_heads"])):
            matrix(f"{block}self_attn.{part}_proj", rows * t["head"], t["width"])
        matrix(f"{block}self_attn.o_proj", t["width"], t["heads"] * t["head"], 0.3 if layer == 0 else 1.3)
        for part in ("q_norm", "k_norm"):
            norm(f"{block}self_attn.{part}", t["head"], 1.8)
        norm(f"{block}input_layernorm", t["width"])
        norm(f"{block}post_attention_layernorm", t["width"])
        for part in ("gate_proj", "up_proj"):
            matrix(f"{block}mlp.{part}", t["ffn"], t["width"], 1.2)
        matrix(f"{block}mlp.down_proj", t["width"], t["ffn"], 1.5)
    norm(f"{model}norm", t["width"], 2.0)
    made["thinker.lm_head.weight"] = table.clone()
    return made


def configuration(vocabulary):
    """The published configuration with this model's sizes; special ids come from the vocabulary's configuration."""
    with open(os.path.join(vocabulary, "config.json"), encoding="utf-8") as file:
        special = {k: v for k, v in json.load(file)["thinker_config"].items() if k.endswith("_token_id")}
    a, t = AUDIO, TEXT
    side = t["head"] // 2 * 20 // 64
    audio = dict(
        model_type="qwen3_asr_audio_encoder", activation_function="gelu", activation_dropout=0, attention_dropout=0,
        dropout=0, conv_chunksize=500, d_model=a["width"], downsample_hidden_size=a["channels"],
        encoder_attention_heads=a["heads"], encoder_ffn_dim=a["ffn"], encoder_layers=a["layers"],
        num_hidden_layers=a["layers"], initializer_range=0.02, max_source_positions=1500, n_window=50,
        n_window_infer=800, num_mel_bins=128, output_dim=t["width"], scale_embedding=False)
    text = dict(
        model_type="qwen3", attention_bias=False, attention_dropout=0.0, head_dim=t["head"], hidden_act="silu",
        hidden_size=t["width"], initializer_range=0.02, intermediate_size=t["ffn"], max_position_embeddings=65536,
        num_attention_heads=t["heads"], num_hidden_layers=t["layers"], num_key_value_heads=t["kv_heads"],
        rms_norm_eps=1e-6, rope_theta=1000000, tie_word_embeddings=True, use_cache=True, vocab_size=t["rows"],
        rope_scaling=dict(interleaved=True, mrope_interleaved=True, rope_type="default", type="default",
                          mrope_section=[t["head"] // 2 - 2 * side, side, side]))
    thinker = dict(model_type="qwen3_asr", architectures=["Qwen3ASRForConditionalGeneration"], audio_config=audio,
                   text_config=text, dtype="bfloat16", initializer_range=0.02, **special)
    return dict(architectures=["Qwen3ASRForConditionalGeneration"], model_type="qwen3_asr",
                support_languages=["English"], thinker_config=thinker, transformers_version="4.57.6")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabulary")
    parser.add_argument("out")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(os.path.join(args.vocabulary, name), os.path.join(args.out, name))
    with open(os.path.join(args.out, "config.json"), "w", encoding="utf-8") as file:
        json.dump(configuration(args.vocabulary), file, indent=1)
        file.write("\n")
    made = tensors()
    save_file(made, os.path.join(args.out, "model.safetensors"), metadata={"format": "pt"})
    print(f"{len(made)} tensors, {sum(t.numel() for t in made.values()) / 1e6:.3f} M values")


if __name__ == "__main__":
    main()
