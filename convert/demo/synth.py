#!/usr/bin/env python3
"""Synthesize the digits with espeak-ng and (if installed) flite: more voices for the training mix."""
import argparse
import os
import random
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from words import WORDS

UNNATURAL = {"Demonic", "Storm", "Tweaky", "UniRobot", "anikaRobot", "whisper", "whisperf", "croak", "fast"}
ACCENTS = ["en-us"] * 4 + ["en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd",
                           "en-029", "en-us-nyc"]


def commands(out, takes, words):
    """One command line per clip; a file is named WORD-INDEX_VOICE.wav."""
    rng = random.Random(1)
    listing = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, text=True, check=True).stdout
    variants = sorted({m.group(1) for m in re.finditer(r"!v/(\S+)", listing)})
    for v in variants:
        if v in UNNATURAL or v.startswith("robosoft"):
            continue
        for k in range(takes):
            accent, speed, pitch = rng.choice(ACCENTS), rng.randint(110, 190), rng.randint(15, 85)
            for i, w in enumerate(words):
                yield ["espeak-ng", "-v", f"{accent}+{v}", "-s", str(speed), "-p", str(pitch),
                       "-w", os.path.join(out, f"{i}_e{v}{k}.wav"), w + rng.choice(["", ".", "?"])]
    if not shutil.which("flite"):
        print("skipped: flite is not installed, so its four voices are missing from the mix")
        return
    for v in ("kal16", "awb", "rms", "slt"):
        for k in range(10):
            stretch, f0 = rng.uniform(.75, 1.3), rng.uniform(80, 220)
            for i, w in enumerate(words):
                yield ["flite", "-voice", v, "--setf", f"duration_stretch={stretch:.2f}",
                       "--setf", f"int_f0_target_mean={f0:.0f}", "-t", w, "-o", os.path.join(out, f"{i}_f{v}{k}.wav")]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--out", required=True)
    p.add_argument("--takes", type=int, default=2, help="takes per espeak-ng voice")
    p.add_argument("--words", type=int, default=10, help="10: the digits; 20: the commands too")
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)

    def run(command):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20)
    with ThreadPoolExecutor(2) as workers:
        print(len(list(workers.map(run, commands(a.out, a.takes, WORDS[:a.words])))), "clips in", a.out)


if __name__ == "__main__":
    main()
