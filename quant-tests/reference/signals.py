"""Test signals from integer arithmetic only, so that Rust (tests/signals/mod.rs) makes exactly the same samples."""

import numpy as np


def lcg(n, seed):
    """n numbers in -32768..32767, as Python integers."""
    state, out = seed, []
    for _ in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        high = state >> 16
        out.append(high - 65536 if high >= 32768 else high)
    return out


def to_float(values, scale=32768):
    """Exact in float32: integers under 2**24 divided by a power of two."""
    return (np.array(values, dtype=np.float64) / scale).astype(np.float32)


def noise(n, seed, shift):
    return to_float([v >> shift for v in lcg(n, seed)])


def bursts(n, seed):
    """Low-passed noise whose level jumps by up to 72 dB every 25 ms."""
    shifts, level, out = [0, 3, 6, 9, 12, 5, 1], 0, []
    for i, v in enumerate(lcg(n, seed)):
        level += (v - level) >> 3
        out.append(level >> shifts[i // 400 % 7])
    return to_float(out)


def murmur(n, seed):
    """Noise of 2**-16 at most, then nothing: powers on both sides of the 1e-10 that the log starts from."""
    values = [v >> 8 if i < n // 2 else 0 for i, v in enumerate(lcg(n, seed))]
    return to_float(values, 2**23)


def click(n, seed):
    """Soft noise with one full-scale sample near the end."""
    x = noise(n, seed, 9)
    x[n - 1000] = 1.0
    return x


def silence(n, seed):
    return np.zeros(n, np.float32)


def square(n, seed):
    """Every sample as loud as every other."""
    return to_float([8192 if i // 40 % 2 == 0 else -8192 for i in range(n)])


def gaps(n, seed):
    """Noise with two equal silent gaps of 2000 samples."""
    x = noise(n, seed, 2)
    for eighths in (3, 5):
        x[n * eighths // 8:][:2000] = 0
    return x


def hiss(n, seed):
    return noise(n, seed, 0)


KINDS = {"bursts": bursts, "murmur": murmur, "click": click, "silence": silence, "square": square, "gaps": gaps,
         "hiss": hiss}
