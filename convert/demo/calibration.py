#!/usr/bin/env python3
"""Recordings for measuring what quantization costs: strings of words with rooms, levels and noise, as in training.

  calibration/  by the training speakers, for the importance matrix and for choosing types
  heldout/      by the speakers of dev and test, for what is reported

Each gets a manifest.tsv that `qasr eval`, `imatrix`, `recipe` and `quant-report` take.
"""
import argparse
import os

import numpy as np
import soundfile as sf

from clips import load
from mixing import compose, degrade
from words import RATE, WORDS

SECONDS = (1., 2., 3., 5., 8., 12., 18., 25.)


def write(folder, digits, splits, count, seed, opus):
    pools, noise = load(digits, splits)
    names = sorted(pools)
    noises = [x for split in splits for x in noise.get(split, [])]
    rng = np.random.default_rng(seed)
    os.makedirs(folder, exist_ok=True)
    rows = ["file\tseconds\ttext\tlanguage\tcategory"]
    for i in range(count):
        length = int(SECONDS[i % len(SECONDS)] * RATE)
        words = []
        while not words:
            # Nothing is cut at the end, where the truth would be a matter of taste.
            y, words, _ = compose(rng, length, [pools[name] for name in names], None, cut_share=0., max_words=24)
        is_noisy = i % 2 == 1
        y = degrade(rng, y, noises, strength=1. if is_noisy else 0.)
        name = f"{i:03d}.{'opus' if opus else 'flac'}"
        kind = {"format": "OGG", "subtype": "OPUS"} if opus else {"format": "FLAC", "subtype": "PCM_16"}
        sf.write(os.path.join(folder, name), y, RATE, **kind)
        text = " ".join(WORDS[word] for word in words)
        rows.append(f"{name}\t{length / RATE:.1f}\t{text}\ten\t{'noisy' if is_noisy else 'clean'}")
    with open(os.path.join(folder, "manifest.tsv"), "w", encoding="utf-8") as f:
        f.write("\n".join(rows) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("digits", help="folder with train.tsv, dev.tsv, test.tsv and their packs")
    parser.add_argument("out")
    parser.add_argument("--count", type=int, default=64, help="recordings in each set")
    parser.add_argument("--opus", action="store_true", help="compressed, for keeping in a repository")
    args = parser.parse_args()
    write(os.path.join(args.out, "calibration"), args.digits, ("train",), args.count, 1, args.opus)
    write(os.path.join(args.out, "heldout"), args.digits, ("dev", "test"), args.count, 2, args.opus)


if __name__ == "__main__":
    main()
