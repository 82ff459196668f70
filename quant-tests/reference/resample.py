#!/usr/bin/env python3
"""Log-mel features of recordings at other rates than 16 kHz, read and resampled by the official package.

  resample.py CHECKPOINT_DIR --small tests/data/formats --full SHARED/audio/formats --golden quant-tests/golden

CHECKPOINT_DIR needs the processor's files only. The package reads with librosa (libsndfile), takes the mean of the
channels and resamples with librosa's default, soxr's high quality setting; its processor then makes the features.

--golden writes two small files, read by tests/it/resample.rs:
  resample.tsv  one row per recording: `source` is `small` (in the project), `full` (in the optional full table of
                formats) or `bursts` (a signal of signals.py, 16-bit, whose name is its seed); `samples` are those at the
                recording's own rate, `frames` counts all frames, and every `step`th of them is stored, from frame 0
  resample.bin  the stored frames: 128 values each, int16 little-endian, in 1/4096
"""
import argparse
import importlib.metadata
import pathlib
import sys
import warnings

import numpy as np

import signals
from mel import Official

SCALE = 4096
SMALL = [("good/s16_8000.wav", 1), ("codecs/mulaw_8000.wav", 6), ("codecs/flac_44100.flac", 2)]
RATES = [11025, 12000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000, 384000]
FULL = [f"good/s16_{rate}.wav" for rate in RATES] + ["codecs/flac_48000_stereo_24.flac"]
FULL_STEP = 6
BURSTS = [(seed, rate) for seed, rate in enumerate([8000, 11025, 22050, 32000, 44100, 48000, 96000], 40)]
BURSTS_STEP = 5


def heading():
    packages = ("qwen-asr", "transformers", "torch", "numpy", "librosa", "soxr", "soundfile")
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages)
    arguments = [pathlib.Path(a).name if a.startswith("/") else a for a in sys.argv]
    return (f"# official log-mel features of recordings at other rates than 16 kHz, int16 in 1/{SCALE}\n"
            f"# generator: quant-tests/reference/resample.py with {versions}\n# command: {' '.join(arguments)}\n")


def recordings(small, full):
    """(source, name, what the package is given, step) of every row."""
    import soundfile
    for name, step in SMALL:
        yield "small", name, str(small / name), soundfile.info(small / name), step
    for name in FULL:
        yield "full", name, str(full / name), soundfile.info(full / name), FULL_STEP
    for seed, rate in BURSTS:
        # One second and an odd rest, so that the last output sample lies between two input samples.
        yield "bursts", str(seed), (signals.bursts(rate + 137, seed), rate), None, BURSTS_STEP


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("checkpoint")
    ap.add_argument("--small", type=pathlib.Path, required=True, help="folder of the committed formats")
    ap.add_argument("--full", type=pathlib.Path, required=True, help="folder of the full table of formats")
    ap.add_argument("--golden", type=pathlib.Path, required=True, help="folder for the values")
    args = ap.parse_args()
    warnings.filterwarnings("ignore")
    from qwen_asr.inference.utils import normalize_audio_input
    official = Official(args.checkpoint)
    rows, data = ["source\tname\trate\tsamples\tframes\tstep"], []
    for source, name, given, info, step in recordings(args.small, args.full):
        rate, samples = (info.samplerate, info.frames) if info else (given[1], len(given[0]))
        mel = official(normalize_audio_input(given))
        stored = np.round(mel[::step].astype(np.float64) * SCALE)
        assert np.abs(stored).max() < 32768, f"{name}: a value does not fit"
        data.append(stored.astype("<i2"))
        rows.append(f"{source}\t{name}\t{rate}\t{samples}\t{len(mel)}\t{step}")
    (args.golden / "resample.tsv").write_text(heading() + "\n".join(rows) + "\n")
    (args.golden / "resample.bin").write_bytes(np.concatenate(data).tobytes())


if __name__ == "__main__":
    main()
