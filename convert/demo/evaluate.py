#!/usr/bin/env python3
"""Word error rate of a checkpoint through the official package at float32, one recording at a time.

  strings_dev, strings_test_seen   the joined digits of the folder
  dev, test, test_seen             every single word of the tables that is one of the twenty
  long_dev, long_test              strings of 1-24 words by unseen speakers, joined here with gaps of 0-0.8 s
  none                             recorded and synthetic noise, silence: false words
"""
import argparse
import json
import os
import time

import numpy as np
import soundfile as sf
import torch

from clips import load, read_packs, read_table
from mixing import colored_noise
from official import load as load_official
from scoring import wer
from words import RATE, WORDS

SETS = ("strings_dev", "strings_test_seen", "dev", "test", "test_seen", "long_dev", "long_test", "none")
JOINS = [(0., .12), (.08, .35), (.25, .8)]        # seconds between two words


def strings(folder, name):
    for row in read_table(folder, name + ".tsv"):
        x, rate = sf.read(os.path.join(folder, row["file"]), dtype="float32")
        assert rate == RATE
        yield row["file"], row["text"], x


def words(folder, split):
    for row, x, rate in read_packs(folder, split):
        assert rate == RATE
        if row["kind"] in ("digit", "command"):
            yield row["utt"], row["text"], x


def long_strings(folder, split, count):
    """Strings by one speaker each; a corpus's speakers with fewer than 8 clips stand together as one."""
    pools, _ = load(folder, (split,))
    for name in sorted(pools):
        voices, rest = {}, {}
        for speaker, clips in pools[name].by_speaker.items():
            if sum(map(len, clips.values())) >= 8:
                voices[speaker] = clips
            else:
                for w, xs in clips.items():
                    rest.setdefault(w, []).extend(xs)
        if rest:
            voices["rest"] = rest
        order = sorted(voices)
        rng = np.random.default_rng(1234)
        for i in range(count):
            clips = voices[order[i % len(order)]]
            parts, said = [np.zeros(int(rng.uniform(.1, .4) * RATE), np.float32)], []
            gap = JOINS[rng.choice(3, p=[.35, .45, .2])]
            for _ in range(1 + i % 24):
                w = int(rng.choice(sorted(clips)))
                takes = clips[w]
                parts += [takes[rng.integers(len(takes))] * np.float32(rng.uniform(.7, 1)),
                          np.zeros(int(rng.uniform(*gap) * RATE), np.float32)]
                said.append(WORDS[w])
            parts.append(np.zeros(int(rng.uniform(.1, .5) * RATE), np.float32))
            y = np.concatenate(parts) * .5
            yield f"{name}_{i:03d}", " ".join(said), y + colored_noise(rng, len(y), 1.) * 4e-4


def no_speech(folder):
    for row, x, _ in read_packs(folder, "dev"):
        if row["kind"] == "noise":
            yield row["utt"], "", x
    rng = np.random.default_rng(99)
    for seconds in (.5, 1, 2, 3, 5, 8, 12, 20):
        n = int(seconds * RATE)
        yield f"silence_{seconds}s", "", np.zeros(n, np.float32)
        for slope, colour in ((0, "white"), (1, "pink"), (2, "brown")):
            level = .5 * 10 ** (-rng.uniform(10, 60) / 20)
            yield f"{colour}_{seconds}s", "", np.clip(colored_noise(rng, n, slope) * level, -1, 1)


def cases(folder, name, count):
    if name == "none":
        return no_speech(folder)
    if name.startswith("long_"):
        return long_strings(folder, name[len("long_"):], count)
    return strings(folder, name) if name.startswith("strings_") else words(folder, name)


def summary(name, got):
    """got: list of (id, reference, language, text)."""
    if name == "none":
        loud = [(i, text) for i, _, _, text in got if text]
        return dict(items=len(got), empty=len(got) - len(loud), language_none=sum(not g[2] for g in got), heard=loud)
    pairs = [(ref, text) for _, ref, _, text in got]
    out = wer(pairs)
    if name.startswith("long_"):
        groups = {f"{lo}-{hi}": (lo, hi) for lo, hi in ((1, 6), (7, 12), (13, 18), (19, 24))}
        for corpus in sorted({g[0].split("_")[0] for g in got}):
            own = [(ref, text) for i, ref, _, text in got if i.startswith(corpus)]
            out[corpus] = dict(all=round(wer(own)["wer"], 4), **{
                k: round(wer([p for p in own if lo <= len(p[0].split()) <= hi])["wer"], 4) for k, (lo, hi) in groups.items()})
    if name in ("dev", "test"):
        for corpus in ("fsdd", "gsc"):
            own = [(ref, text) for i, ref, _, text in got if i.startswith(corpus)]
            if own:
                out[corpus] = round(wer(own)["wer"], 4)
    out["wer"] = round(out["wer"], 4)
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--checkpoint", required=True)
    p.add_argument("--digits", required=True, help="folder with the tables, packs and strings")
    p.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    p.add_argument("--count", type=int, default=72, help="long strings per corpus")
    p.add_argument("--texts", help="write every text to this TSV file")
    p.add_argument("--files", nargs="+", default=(), help="also transcribe these recordings, and print the text")
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    asr = load_official(a.checkpoint)

    def hear(audio):
        r = asr.transcribe(audio)[0]
        return r.language, r.text

    for path in a.files:
        print(path, *hear(path), sep="\t", flush=True)
    rows = []
    for name in a.sets:
        began = time.time()
        got = [(i, ref, *hear((np.asarray(x, np.float32), RATE))) for i, ref, x in cases(a.digits, name, a.count)]
        print(json.dumps({name: summary(name, got), "seconds": round(time.time() - began)}), flush=True)
        rows += [(name, *g) for g in got]
    if a.texts:
        with open(a.texts, "w", encoding="utf-8") as f:
            f.write("set\tid\treference\tlanguage\ttext\n" + "".join("\t".join(r) + "\n" for r in rows))


if __name__ == "__main__":
    main()
