#!/usr/bin/env python3
"""Log-mel features as the official package computes them, for comparison with src/mel.

  mel.py CHECKPOINT_DIR --speech RECORDING --golden quant-tests/golden
  mel.py CHECKPOINT_DIR --clips FOLDER --out FOLDER

CHECKPOINT_DIR needs the processor's files only (tokenizer, preprocessor_config.json), no weights. Features come from
Qwen3ASRProcessor with one recording per call: float32 on the CPU.

--golden writes three small files, read by tests/it/mel.rs:
  mel.tsv           one row per signal; `frames` is -1 where the official code raises an error
  mel.bin           float32 little-endian, the frames listed in each row's `stored`, 128 values each
  mel_speech.s16le  0.8 s of RECORDING, which should be 16-bit at 16 kHz, as the row `speech` uses them

--clips writes, for every recording under the folder that the official package can read, NAME.f32 (16 kHz samples)
and NAME.mel.f32 ([frames, 128]), with an index.tsv; tests/it/mel.rs reads the folder named by QASR_REFERENCE_DIR.
"""
import argparse
import importlib.metadata
import pathlib
import sys
import warnings

import numpy as np

import signals

LENGTHS = [1, 159, 160, 161, 200, 201, 15999, 16000, 16001, 16159, 16160]
SPEECH = slice(4800, 4800 + 12800)
AUDIO = {".wav", ".flac", ".mp3", ".ogg", ".opus"}


def versions():
    packages = ("qwen-asr", "transformers", "torch", "numpy", "librosa")
    return ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages)


def heading(what):
    return (f"# {what}\n# generator: quant-tests/reference/mel.py with {versions()}\n"
            f"# command: {' '.join(pathlib.Path(a).name if '/' in a and a.startswith('/') else a for a in sys.argv)}\n")


class Official:
    def __init__(self, checkpoint):
        from qwen_asr.core.transformers_backend.processing_qwen3_asr import Qwen3ASRProcessor
        self.processor = Qwen3ASRProcessor.from_pretrained(checkpoint)

    def __call__(self, samples):
        """[frames, 128], or None where the official code raises an error because the mirror does not fit."""
        try:
            out = self.processor(text=["<|audio_pad|>"], audio=[samples], return_tensors="pt", padding=True)
        except RuntimeError as error:
            if "Padding size should be less than" not in str(error):
                raise
            return None
        frames = int(out["feature_attention_mask"].sum())
        return np.ascontiguousarray(out["input_features"][0, :, :frames].numpy().T)


def pick(frames, all_frames):
    """Which frames to store: all, or both ends and every 16th."""
    if all_frames or frames <= 12:
        return list(range(frames))
    return sorted({*range(3), *range(16, frames, 16), *range(frames - 3, frames)})


def golden(official, speech_path, folder):
    from qwen_asr.inference.utils import normalize_audios
    speech = np.round(normalize_audios(speech_path)[0][SPEECH].astype(np.float64) * 32768).astype("<i2")
    cases = [("bursts", seed, n, False) for seed, n in enumerate(LENGTHS, 1)]
    cases += [("bursts", 99, 8000, True), ("hiss", 20, 4000, False), ("murmur", 21, 4800, False),
              ("silence", 0, 1600, False), ("click", 22, 16000, False), ("square", 0, 3200, False),
              ("speech", 0, len(speech), True)]
    rows, data = ["signal\tseed\tsamples\tframes\tmin\tmax\tstored"], []
    for kind, seed, n, all_frames in cases:
        samples = signals.to_float(speech) if kind == "speech" else signals.KINDS[kind](n, seed)
        mel = official(samples)
        if mel is None:
            rows.append(f"{kind}\t{seed}\t{n}\t-1\t\t\t")
            continue
        stored = pick(len(mel), all_frames)
        data.append(mel[stored].astype("<f4"))
        rows.append(f"{kind}\t{seed}\t{n}\t{len(mel)}\t{mel.min():.7f}\t{mel.max():.7f}\t{','.join(map(str, stored))}")
    (folder / "mel.tsv").write_text(heading("official log-mel features") + "\n".join(rows) + "\n")
    (folder / "mel.bin").write_bytes(np.concatenate(data).tobytes())
    (folder / "mel_speech.s16le").write_bytes(speech.tobytes())


def dump(official, out, name, samples, rows):
    mel = official(samples)
    frames = -1 if mel is None else len(mel)
    (out / f"{name}.f32").write_bytes(samples.astype("<f4").tobytes())
    (out / f"{name}.mel.f32").write_bytes(b"" if mel is None else mel.astype("<f4").tobytes())
    rows.append(f"{name}\t{len(samples)}\t{frames}")


def clips(official, folder, out):
    from qwen_asr.inference.utils import normalize_audios
    out.mkdir(parents=True, exist_ok=True)
    rows, longest = ["name\tsamples\tframes"], np.zeros(0, np.float32)
    for path in sorted(p for p in folder.rglob("*") if p.suffix in AUDIO):
        try:
            samples = normalize_audios(str(path))[0]
        except Exception as error:  # whatever a damaged file makes its reader raise: it is not a decodable clip
            print(f"not readable: {path.name}: {error}", file=sys.stderr)
            continue
        dump(official, out, str(path.relative_to(folder)).replace("/", "__"), samples, rows)
        longest = max(longest, samples, key=len)
    for n in LENGTHS:
        dump(official, out, f"length_{n}", longest[len(longest) // 2:][:n], rows)
    (out / "index.tsv").write_text(heading("official log-mel features, all clips") + "\n".join(rows) + "\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("checkpoint")
    ap.add_argument("--speech", help="recording to take the stored 0.8 s from")
    ap.add_argument("--golden", type=pathlib.Path, help="folder for the committed values")
    ap.add_argument("--clips", type=pathlib.Path, help="folder of recordings")
    ap.add_argument("--out", type=pathlib.Path, help="folder for the dumps of --clips")
    args = ap.parse_args()
    if bool(args.golden) != bool(args.speech) or bool(args.clips) != bool(args.out):
        ap.error("--golden goes with --speech, --clips with --out")
    warnings.filterwarnings("ignore")
    official = Official(args.checkpoint)
    if args.golden:
        golden(official, args.speech, args.golden)
    if args.clips:
        clips(official, args.clips, args.out)


if __name__ == "__main__":
    main()
