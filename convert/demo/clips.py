"""Spoken words: the packs of `digits/`, trimmed and sorted by speaker and by word."""
import csv
import glob
import math
import os

import numpy as np
import soundfile as sf
from scipy.signal import resample_poly

from words import HOP, RATE, WORDS


def trim(x, rate):
    """samples (n,) -> 16 kHz float32 (m,), peak 1, cut to the part well above the noise floor; None if unusable."""
    if rate != RATE:
        g = math.gcd(rate, RATE)
        x = resample_poly(x, RATE // g, rate // g).astype(np.float32)
    n = len(x) // HOP
    if n < 4:
        return None
    e = (x[:n * HOP].reshape(n, HOP) ** 2).mean(1)
    floor = np.percentile(e, 15) * 5 if n > 60 else 0.
    on = np.nonzero(e > min(max(e.max() * 10 ** -3.5, floor), e.max() * .05))[0]
    if not len(on):                                      # digital silence
        return None
    lo, hi = max(0, on[0] - 3) * HOP, min(n, on[-1] + 4) * HOP
    x = x[lo:hi] - x[lo:hi].mean()
    peak = np.abs(x).max()
    if peak < 1e-4 or not 0.1 < len(x) / RATE < 1.6:
        return None
    x = x / peak
    ramp = np.linspace(0, 1, 80, dtype=np.float32)      # 5 ms, against clicks
    x[:80] *= ramp
    x[-80:] *= ramp[::-1]
    return x.astype(np.float32)


class Pool:
    """Clips by speaker and by word index."""

    def __init__(self):
        self.by_speaker, self.by_word = {}, {}

    def add(self, speaker, word, x):
        if x is not None:
            self.by_speaker.setdefault(speaker, {}).setdefault(word, []).append(x)
            self.by_word.setdefault(word, []).append(x)

    def __len__(self):
        return sum(map(len, self.by_word.values()))


def read_table(folder, name):
    """Rows of one of the TSV tables, as dicts."""
    with open(os.path.join(folder, name), encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_packs(folder, split):
    """Rows of <split>.tsv with their audio: yields (row, samples float32 (n,), rate)."""
    packs = {}
    for row in read_table(folder, split + ".tsv"):
        if row["pack"] not in packs:
            packs[row["pack"]] = sf.read(os.path.join(folder, row["pack"]), dtype="float32")
        x, rate = packs[row["pack"]]
        start = int(row["start"])
        yield row, x[start:start + int(row["frames"])], rate


def load(folder, splits, synthetic=None):
    """-> ({"<corpus>_<split>": Pool}, {split: [noise]}); the corpora are fsdd, gsc and tts (train only).

    The splits are by speaker, as the tables have them; nothing is moved between them here.
    """
    pools, noise = {}, {}
    for split in splits:
        for row, x, rate in read_packs(folder, split):
            if row["kind"] == "noise":
                noise.setdefault(split, []).append(x - x.mean())
            elif row["text"] in WORDS:
                pool = pools.setdefault(f"{row['corpus']}_{split}", Pool())
                pool.add(row["speaker"], WORDS.index(row["text"]), trim(x, rate))
    if synthetic:
        pool = pools["tts_train"] = Pool()
        for path in sorted(glob.glob(os.path.join(synthetic, "*.wav"))):
            word, voice = os.path.basename(path)[:-4].split("_", 1)
            x, rate = sf.read(path, dtype="float32", always_2d=True)
            pool.add(voice, int(word), trim(x.mean(1), rate))
    return pools, noise
