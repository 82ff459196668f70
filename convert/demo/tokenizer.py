#!/usr/bin/env python3
"""Write the demo model's tokenizer and configuration files.

The real Qwen3-ASR vocabulary is cut down to the byte symbols, the merges that
the twenty words and the prompt need, and the most frequent other merges; the
added tokens keep their order and move down.  The configuration keeps every
key of the real one and changes only the sizes.
"""
import argparse
import json
import os
import shutil

from words import WORDS

TEXT_TOKENS = 400    # 256 byte symbols + 144 merges; the added tokens start here
VOCABULARY = 512     # padded, as the real model pads 151706 to 151936
REAL_ADDED = 151643  # first added token of the real tokenizer
REAL_LAST = 151704   # last one: <asr_text>


def merges_used(symbols, rank):
    """Merge `symbols` greedily by rank, as BPE does; return the merges applied."""
    used = []
    while len(symbols) > 1:
        best = min(zip(symbols, symbols[1:]), key=lambda pair: rank.get(pair, 1 << 60))
        if best not in rank:
            break
        used.append(best)
        out, i = [], 0
        while i < len(symbols):
            if tuple(symbols[i:i + 2]) == best:
                out.append(symbols[i] + symbols[i + 1])
                i += 2
            else:
                out.append(symbols[i])
                i += 1
        symbols = out
    return used


def moved(real_id):
    """The demo model's id of an added token of the real tokenizer."""
    return real_id - REAL_ADDED + TEXT_TOKENS


def read_json(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as f:
        return json.load(f)


def write_json(folder, name, value, **style):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, **style)


def write_vocabulary(real, out):
    vocab = read_json(real, "vocab.json")
    with open(os.path.join(real, "merges.txt"), encoding="utf-8") as f:
        merges = [tuple(line.split(" ")) for line in f.read().split("\n") if line and not line.startswith("#version")]
    rank = {m: i for i, m in enumerate(merges)}
    bytes_ = [t for t, _ in sorted(vocab.items(), key=lambda kv: kv[1])[:256]]
    assert all(len(t) == 1 for t in bytes_)
    needed = ["system", "user", "assistant", "language", "ĠEnglish", "ĠNone", "ĠChinese"]
    needed += WORDS + ["Ġ" + w for w in WORDS]
    keep = set()
    for w in needed:
        keep.update(merges_used(list(w), rank))
    # Fill up with the most frequent merges.  A subset kept in rank order
    # segments the words above exactly as the full list does.
    for m in merges:
        if len(keep) >= TEXT_TOKENS - 256:
            break
        keep.add(m)
    kept = sorted(keep, key=rank.get)
    assert len(kept) == TEXT_TOKENS - 256, len(kept)
    ids = {t: i for i, t in enumerate(bytes_)}
    ids.update({x + y: 256 + i for i, (x, y) in enumerate(kept)})
    write_json(out, "vocab.json", ids)
    with open(os.path.join(out, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join(f"{x} {y}\n" for x, y in kept))


def write_configuration(real, added_tokens, out, text_layers):
    tok = read_json(real, "tokenizer_config.json")
    with open(added_tokens, encoding="utf-8") as f:
        added = json.load(f)["added_tokens_decoder"]
    added.update(tok["added_tokens_decoder"])
    tok["added_tokens_decoder"] = {
        str(moved(int(i))): t for i, t in sorted(added.items(), key=lambda kv: int(kv[0])) if int(i) <= REAL_LAST}
    write_json(out, "tokenizer_config.json", tok, indent=2)
    for name in ("preprocessor_config.json", "chat_template.json"):
        shutil.copy(os.path.join(real, name), out)
    gen = read_json(real, "generation_config.json")
    gen["eos_token_id"] = [moved(151643), moved(151645)]
    gen["pad_token_id"] = moved(151643)
    write_json(out, "generation_config.json", gen, indent=2)

    cfg = read_json(real, "config.json")
    cfg["support_languages"] = ["English"]
    thinker = cfg["thinker_config"]
    thinker["audio_start_token_id"] = moved(151669)
    thinker["audio_end_token_id"] = moved(151670)
    thinker["audio_token_id"] = moved(151676)
    thinker["audio_config"].update(
        d_model=256, encoder_layers=4, num_hidden_layers=4, encoder_attention_heads=4,
        encoder_ffn_dim=512, downsample_hidden_size=32, output_dim=256)
    thinker["text_config"].update(
        hidden_size=256, intermediate_size=512, num_hidden_layers=text_layers, num_attention_heads=4,
        num_key_value_heads=2, head_dim=64, vocab_size=VOCABULARY)
    thinker["text_config"]["rope_scaling"]["mrope_section"] = [12, 10, 10]
    write_json(out, "config.json", cfg, indent=2)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--real", required=True, help="folder with the published vocab.json, merges.txt and JSON files")
    p.add_argument("--added-tokens", required=True, help="a published tokenizer_config.json that lists <asr_text>")
    p.add_argument("--out", required=True)
    p.add_argument("--text-layers", type=int, default=6)
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    write_vocabulary(a.real, a.out)
    write_configuration(a.real, a.added_tokens, a.out, a.text_layers)
    print("tokenizer and configuration written to", a.out)


if __name__ == "__main__":
    main()
