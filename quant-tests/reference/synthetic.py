"""Test sounds from integer arithmetic only, so that Python and Rust (`src/golden.rs`) make the same samples."""
import numpy as np


def signal(seed, count, amplitude):
    """`count` int16 samples: tenth-of-a-second stretches of buzz, hiss, both and near silence, softly faded.

    `amplitude` is the loudest possible sample; 3 gives a recording whose quietest bands are under the logarithm's floor.
    """
    state, phase, smooth = seed & 0xFFFFFFFF, 0, 0
    out = np.empty(count, np.int16)
    for i in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        phase = (phase + 480 + 7 * ((i >> 6) % 97)) & 0xFFFF
        hiss = (state >> 16) - 32768
        buzz = phase - 32768
        stretch = (i // 1600) % 4
        mix = (buzz, hiss, (buzz + hiss) >> 1, hiss >> 6)[stretch]
        smooth += ((mix - smooth) * 5) >> 3
        place = i % 1600
        fade = min(place, 1599 - place, 400)
        out[i] = (smooth * amplitude * fade // 400) >> 15
    return out


def fingerprint(samples):
    """64-bit FNV-1a over the little-endian bytes of int16 samples, as 16 hex digits."""
    value = 0xCBF29CE484222325
    for byte in samples.astype("<i2").tobytes():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"
