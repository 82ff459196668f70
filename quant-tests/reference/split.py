#!/usr/bin/env python3
"""Cuts of long recordings as the official package makes them, for comparison with src/audio/split.rs.

  split.py quant-tests/golden/split.tsv

Limits under 10 s are ours: the official function is then called with half the limit as its search width.
"""
import importlib.metadata
import pathlib
import sys

from qwen_asr.inference.utils import split_audio_into_chunks

import signals

RATE = 16000

# signal, seed, samples, limit in samples
CASES = [
    ("bursts", 1, 480000, 192000),    # 12 s: the official width of 5 s
    ("hiss", 2, 480000, 160000),      # 10 s: the official width is exactly half
    ("hiss", 3, 200000, 32000),
    ("bursts", 4, 200000, 24000),
    ("silence", 0, 100000, 32000),    # everything equal: the first window, its first sample
    ("square", 0, 100000, 32000),     # equal, but not silent
    ("gaps", 5, 64000, 32000),        # two silent gaps in reach: the first
    ("gaps", 6, 48000, 32000),        # the second piece needs no cut
    ("hiss", 7, 32000, 32000),        # just fits
    ("hiss", 8, 32001, 32000),        # one sample too many
    ("silence", 0, 32001, 32000),     # the same, all equal
    ("hiss", 9, 33000, 32000),        # short remainder: the reach ends with the recording
    ("hiss", 10, 3400, 1600),         # no room for a quiet window: cut at the limit
    ("hiss", 11, 3400, 1601),         # still none: the reach is exactly one window
    ("hiss", 12, 3400, 1602),         # room for three windows
    ("hiss", 13, 40000, 8000),        # pieces under 0.5 s are padded
    ("murmur", 14, 64000, 32000),     # half of it silent
    ("silence", 0, 0, 32000),
]


def official(samples, limit):
    """Starts of the pieces, and their lengths after padding."""
    reach = min(5 * RATE, limit // 2)
    assert int(limit / RATE * RATE) == limit and int(reach / RATE * RATE) == reach, "choose a limit without rounding"
    pieces = split_audio_into_chunks(samples, RATE, limit / RATE, search_expand_sec=reach / RATE)
    return [round(offset * RATE) for _, offset in pieces], [len(piece) for piece, _ in pieces]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    package = f"qwen-asr {importlib.metadata.version('qwen-asr')}, numpy {importlib.metadata.version('numpy')}"
    lines = ["# cuts of the official package", f"# generator: quant-tests/reference/split.py with {package}",
             "# command: quant-tests/reference/split.py quant-tests/golden/split.tsv",
             "signal\tseed\tsamples\tlimit\tstarts\tpadded_lengths"]
    for kind, seed, n, limit in CASES:
        starts, lengths = official(signals.KINDS[kind](n, seed), limit)
        lines.append(f"{kind}\t{seed}\t{n}\t{limit}\t{','.join(map(str, starts))}\t{','.join(map(str, lengths))}")
    pathlib.Path(sys.argv[1]).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
