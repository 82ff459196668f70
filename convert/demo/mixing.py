"""Strings of words with gaps, cuts, rooms, levels and noise: the training signal, made on the fly."""
import numpy as np

from words import RATE, WORDS

# Ranges of the gap between two words in seconds: run together, close, apart.
GAPS = [(-.04, .08), (.05, .35), (.3, 1.2)]


def replay(x, rate):
    """Play `x` `rate` times as fast (changes tempo, pitch and formants)."""
    n = max(200, int(len(x) / rate))
    return np.interp(np.linspace(0, len(x) - 1, n), np.arange(len(x)), x).astype(np.float32)


def compose(rng, length, pools, weights, none_share=.07, cut_share=.35, max_words=28, tempo=1., mixed_share=.45):
    """One string of words in exactly `length` samples.

    -> (wave (length,), word indices, spans [(first sample, last sample, word)]).
    A string is by one speaker, or (mixed_share) by a new one at every word.
    """
    y = np.zeros(length, np.float32)
    words, spans = [], []
    if rng.random() < none_share:
        return y, words, spans
    pool = pools[rng.choice(len(pools), p=weights)]
    names = list(pool.by_speaker)
    own = pool.by_speaker[names[rng.integers(len(names))]]
    mixed = rng.random() < mixed_share
    # A mixed string is over digits, over commands, or over everything.
    kind = rng.random()
    allowed = range(10) if kind < .5 else range(10, len(WORDS)) if kind < .65 else range(len(WORDS))
    rate = rng.uniform(1 - .15 * tempo, 1 + .18 * tempo)
    lo, hi = GAPS[rng.choice(3, p=[.35, .4, .25])]
    lead = rng.uniform(0, .5) if rng.random() < .85 else rng.uniform(0, 3)
    pos = int(min(lead, max(0., length / RATE - .7)) * RATE)
    limit = max_words if rng.random() < .5 else rng.integers(1, max_words + 1)
    same = rng.random() < .08                            # runs of one word
    w = None
    while len(words) < limit:
        if w is None or not (same and rng.random() < .7):
            w = int(rng.choice(allowed if mixed else list(own)))
        if mixed:
            source = pools[rng.choice(len(pools), p=weights)].by_word.get(w)
            if not source:                               # this pool lacks the word
                w = int(rng.choice(list(own)))
                source = own[w]
        else:
            source = own[w]
        x = replay(source[rng.integers(len(source))], rate * rng.uniform(.96, 1.04))
        x = x * 10 ** (rng.uniform(-4, 0) / 20)
        if pos + len(x) > length:
            # Streaming cuts words: label one that is mostly heard, skip one
            # that has hardly begun, and never train on the unclear middle.
            if rng.random() < cut_share:
                heard = rng.uniform(.05, .3) if rng.random() < .5 else rng.uniform(.78, 1.)
                start = length - int(heard * len(x))
                if start >= pos:
                    y[start:] += x[:length - start]
                    if heard > .5:
                        words.append(w)
                        spans.append((start, length, w))
            break
        y[max(pos, 0):pos + len(x)] += x[max(0, -pos):]
        words.append(w)
        spans.append((max(pos, 0), pos + len(x), w))
        pos += len(x) + int(rng.uniform(lo, hi) * RATE)
    return y, words, spans


def colored_noise(rng, length, slope):
    """Gaussian noise with a 1/f^slope power spectrum, unit RMS, (length,) float32."""
    n = 1 << (length - 1).bit_length()
    s = np.fft.rfft(rng.standard_normal(n).astype(np.float32))
    f = np.arange(len(s), dtype=np.float32)
    f[0] = 1
    x = np.fft.irfft(s * np.maximum(f, n * 40 / RATE) ** (-slope / 2))[:length]
    return (x / (x.std() + 1e-9)).astype(np.float32)


def degrade(rng, y, noises, strength=1.):
    """Room, level, noise, hum and clicks; `strength` is the share of strings that get any of it."""
    length = len(y)
    if rng.random() > strength:
        return (y * .5 + colored_noise(rng, length, 1.) * 1e-3).astype(np.float32)
    speech = np.abs(y).max() > 0
    if speech and rng.random() < .2:
        y = _room(rng, y)
    gain = 10 ** (rng.uniform(-24, 0) / 20)
    loud = y[np.abs(y) > .02]
    level = np.sqrt((loud ** 2).mean()) if speech and len(loud) else .1
    y = y * gain
    level *= gain
    kind = rng.random()
    if kind < .25 and noises:
        n = noises[rng.integers(len(noises))]
        n = np.resize(np.concatenate([n, n[::-1]]), length + len(n))[rng.integers(len(n)):][:length]
        y = y + n / (n.std() + 1e-6) * level * 10 ** (-rng.uniform(6, 40) / 20)
    elif kind < .75:
        y = y + colored_noise(rng, length, rng.uniform(0, 2)) * level * 10 ** (-rng.uniform(6, 45) / 20)
    if rng.random() < .08:                               # hum
        t = np.arange(length) / RATE
        f0 = rng.choice([50., 60., rng.uniform(80, 2000)])
        tone = sum(np.sin(2 * np.pi * f0 * m * t + rng.uniform(0, 6)) / m for m in (1, 2, 3))
        y = y + tone * level * rng.uniform(.02, .15)
    if rng.random() < .08:                               # clicks
        for _ in range(rng.integers(1, 6)):
            i = rng.integers(length)
            n = min(length - i, int(rng.uniform(10, 400)))
            y[i:i + n] += rng.standard_normal(n) * np.exp(-np.arange(n) / (n / 4)) * level * rng.uniform(.3, 2)
    if rng.random() < .5:
        y = np.round(y * 32767) / 32767                  # 16-bit file
    return np.clip(y, -1, 1).astype(np.float32)


def _room(rng, y):
    """Convolve with decaying noise, 0.08-0.35 s to -60 dB."""
    decay, n = rng.uniform(.08, .35), int(.4 * RATE)
    h = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / RATE / decay) * rng.uniform(.02, .12)
    h[0] = 1
    m = 1 << (len(y) + n).bit_length()
    return np.fft.irfft(np.fft.rfft(y, m) * np.fft.rfft(h, m), m)[:len(y)].astype(np.float32)
