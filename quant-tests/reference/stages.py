#!/usr/bin/env python3
"""Store what the official package computes at each stage, as a container of golden values (README.md).

  stages.py CHECKPOINT OUT --plan golden --clips CLIPS   small: synthetic signals and one short recording
  stages.py CHECKPOINT OUT --plan clips --clips CLIPS    recordings of 0.3 to 119 s, ten decoded four ways

CLIPS is the folder `audio/clips` of the shared material; the golden plan reads `en_jfk.wav` (US government work,
public domain) from it.
"""
import argparse
import os
import time

import numpy as np
import torch

import official
from container import Writer, provenance, sha256
from synthetic import fingerprint, signal

CONTEXT = "Qasr, ggml; don't iPhone 交易 停滞"

# name, samples, amplitude: F mod 100 in 0, 1, 8, 9, 96, 97, 99; lone short chunks; one window, one frame more, three
# windows; a recording under the logarithm's floor; digital silence.
SIGNALS = [
    ("frames_1", 250, 20000), ("frames_8", 1280, 20000), ("frames_30", 4800, 20000), ("frames_63", 10080, 20000),
    ("frames_99", 15999, 20000), ("frames_100", 16000, 20000), ("frames_101", 16160, 20000),
    ("frames_108", 17280, 20000), ("frames_109", 17440, 20000), ("frames_196", 31360, 20000),
    ("frames_197", 31520, 20000), ("frames_199", 31840, 20000), ("seconds_8", 128000, 20000),
    ("seconds_8_and_a_frame", 128160, 20000), ("seconds_16_and_a_half", 264000, 20000), ("quiet", 24000, 3),
    ("silence", 19200, 0)]

# Contexts and languages whose prompts are stored without any audio: what a tokenizer can get wrong.
PROMPTS = [(context, language) for context in (
    "", "one two three", "\nafter a line break", "  two spaces, a tab\tand\r\nCRLF", "don't I'LL we've", "交易 停滞",
    "cafe\u0301 n\u0303 \u1e9b\u0323", "3.14 2026 ١٢٣", "👩‍🚀 zero-width", "iPhone JavaScript QASR", "a\n\n\nb", "x ")
    for language in (None, "English")]

LENGTHS = [  # seconds, file the first samples of which are taken
    (0.3, "en_jfk.wav"), (0.63, "en_jfk.wav"), (0.99, "en_jfk.wav"), (1.0, "en_jfk.wav"), (1.01, "en_jfk.wav"),
    (5.0, "en_jfk.wav"), (8.0, "en_jfk.wav"), (8.01, "en_jfk.wav"), (11.0, "en_jfk.wav"),
    (35.0, "film/notld_45s_right_through_the_billboard.flac"),
    (119.0, "film/notld_119s_theres_supposed_to_be_another_broadcast.flac")]

DECODED = [  # file, language to force; the first six seconds at most
    ("en_jfk.wav", "English"), ("LJ002-0020.flac", "English"), ("barista_2ca1aacd.flac", "English"),
    ("de_leopard.flac", "German"), ("fr_leopard.flac", "French"), ("ja_leopard.flac", "Japanese"),
    ("zh_short_word.flac", "Chinese"), ("sv_nst_u2.flac", "Swedish"), ("libri/1688-142285-0003.flac", "English"),
    ("film/notld_5s_dont_worry_about_him.flac", "English")]


def golden_clips(clips):
    """(name, source, float samples, int16 samples, recipe) of the golden plan."""
    for seed, (name, count, amplitude) in enumerate(SIGNALS, 1):
        made = signal(seed, count, amplitude)
        recipe = {"seed": seed, "count": count, "amplitude": amplitude, "fnv1a": fingerprint(made)}
        yield name, "reference/synthetic.py", made.astype(np.float32) / 32768, made, recipe
    heard = official.read(os.path.join(clips, "en_jfk.wav"))[4800:44800]
    whole = np.round(heard * 32768)
    assert (whole == heard * 32768).all(), "the recording is not 16-bit at 16 kHz"
    yield "jfk", "en_jfk.wav, samples 4800..44800, public domain", heard, whole.astype(np.int16), None


def tower(writer, model, name, samples, most_rows, extra):
    """Store the audio tower's stages of one clip; of long ones a seeded choice of rows."""
    stages = official.encode(model, samples, layers=extra and len(samples) < 20000)
    frames, tokens, windows = len(stages["mel"]), len(stages["enc_out"]), stages.pop("windows")
    assert tokens == 13 * (frames // 100) + official.token_count(frames % 100)
    rows = None
    if most_rows and tokens > most_rows:
        rows = np.random.Generator(np.random.PCG64(tokens)).choice(tokens, most_rows, replace=False)
        edges = [b + d for b in windows[1:-1] for d in (-1, 0)]           # both sides of every window border
        rows = sorted({*rows.tolist(), *edges, tokens - 1})
    if not extra:
        del stages["mel"]
    for stage, values in stages.items():
        writer.add(f"{name}/{stage}", values if rows is None or stage == "mel" else values[rows])
    return {"sample_count": len(samples), "frames": frames, "tokens": tokens, "windows": windows, "rows": rows,
            "prompts": []}


def prompts(model):
    """Prompt ids around the audio, for contexts and languages that are hard to split."""
    made, silence = [], np.zeros(1600, np.float32)
    for context, language in PROMPTS:
        ids = official.prepare(model, silence, context, language)["input_ids"][0].tolist()
        before, after = official.prompt_ids(model, ids)
        made.append({"context": context, "language": language, "before": before, "after": after})
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("--plan", choices=("golden", "clips"), required=True)
    parser.add_argument("--clips", required=True)
    parser.add_argument("--steps", type=int, default=32, help="greedy tokens at most")
    parser.add_argument("--all-ways", type=int, default=10, help="decoded clips that also get only one of the two")
    parser.add_argument("--rows", type=int, default=24, help="rows kept of a long clip (golden plan)")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, ends = official.load(args.checkpoint), official.end_tokens(args.checkpoint)
    writer, records, golden = Writer(args.out), [], args.plan == "golden"
    started = time.time()

    def decode(record, name, samples, ways):
        for way, (language, context) in ways.items():
            logits, prompt = official.decode(model, samples, ends, context, language, args.steps)
            prompt["logits"] = writer.add(f"{name}/{way}/logits", logits)
            record["prompts"].append({"name": way, **prompt})
        margins = [m for prompt in record["prompts"] for m in prompt["margins"]]
        print(f"{time.time() - started:6.0f} s  {name}: {len(margins)} tokens, smallest margin {min(margins):.4f}")

    if golden:
        for name, source, samples, whole, recipe in golden_clips(args.clips):
            record = {"name": name, "source": source, "signal": recipe}
            if recipe is None:
                record["samples"] = writer.add(f"{name}/samples", whole)
            record.update(tower(writer, model, name, samples, args.rows, extra=False))
            ways = {"plain": (None, "")}
            if name in ("frames_63", "frames_101", "frames_199", "jfk", "quiet"):
                ways |= {"language": ("English", ""), "context": (None, CONTEXT), "both": ("English", CONTEXT)}
            decode(record, name, samples, ways)
            records.append(record)
    else:
        for seconds, file in LENGTHS:
            name = f"seconds_{seconds:g}"
            samples = official.read(os.path.join(args.clips, file))[:round(seconds * 16000)]
            assert len(samples) == round(seconds * 16000), file
            record = {"name": name, "source": f"{file}, first {seconds:g} s", "signal": None,
                      "samples": writer.add(f"{name}/samples", samples)}
            record.update(tower(writer, model, name, samples, None, extra=True))
            records.append(record)
            print(f"{time.time() - started:6.0f} s  {name}: {record['frames']} frames, {record['tokens']} tokens")
        for number, (file, language) in enumerate(DECODED):
            name = os.path.splitext(os.path.basename(file))[0]
            samples = official.read(os.path.join(args.clips, file))[:96000]
            record = {"name": name, "source": f"{file}, first 6 s", "signal": None,
                      "samples": writer.add(f"{name}/samples", samples)}
            record.update(tower(writer, model, name, samples, None, extra=True))
            ways = {"plain": (None, ""), "both": (language, CONTEXT)}
            if number < args.all_ways:
                ways |= {"language": (language, ""), "context": (None, CONTEXT)}
            decode(record, name, samples, ways)
            records.append(record)

    writer.close({
        "format": 1,
        "made_by": provenance("stages.py", f"stages.py CHECKPOINT OUT --plan {args.plan} --clips CLIPS "
                              f"--steps {args.steps} --all-ways {args.all_ways} --rows {args.rows}"),
        "checkpoint_sha256": sha256(os.path.join(args.checkpoint, "model.safetensors")),
        "end_tokens": ends, "clips": records, "prompt_texts": prompts(model)})


if __name__ == "__main__":
    main()
