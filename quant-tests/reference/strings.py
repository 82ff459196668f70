#!/usr/bin/env python3
"""Store what the official package transcribes from the spoken-digit strings, as JSON.

  strings.py CHECKPOINT DIGITS OUT.json [--lists dev,test_seen]

DIGITS is the folder `digits` of the shared material, with `strings_LIST.tsv` and the recordings they name. Every text
comes from the package's own `transcribe` (float32, attention windows on), the ids from its `generate` with the
checkpoint's own end tokens; the script checks that both tell the same text.
"""
import argparse
import csv
import json
import os

import torch

import official
from container import dumps, provenance, sha256


def errors(truth, heard):
    """Word edits (substitutions, insertions, deletions) that turn `truth` into `heard`."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(truth, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("digits")
    parser.add_argument("out")
    parser.add_argument("--lists", default="dev,test_seen")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, ends = official.load(args.checkpoint, max_new_tokens=64), official.end_tokens(args.checkpoint)
    lists = {}
    for name in args.lists.split(","):
        rows, wrong, words = [], 0, 0
        with open(os.path.join(args.digits, f"strings_{name}.tsv"), encoding="utf-8") as file:
            table = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        for entry in table:
            samples = official.read(os.path.join(args.digits, entry["file"]))
            told = model.transcribe((samples, 16000))[0]
            _, prompt = official.decode(model, samples, ends, "", None, 64)
            assert (told.language, told.text) == (prompt["found_language"], prompt["text"]), entry["file"]
            rows.append({"file": entry["file"], "truth": entry["text"], "text": told.text, "language": told.language,
                         "ids": prompt["ids"], "smallest_margin": min(prompt["margins"])})
            wrong += errors(entry["text"].split(), told.text.split())
            words += len(entry["text"].split())
        lists[name] = rows
        print(f"{name}: {len(rows)} strings, {words} words, word error rate {100 * wrong / words:.2f} %")
    with open(args.out + ".part", "w", encoding="utf-8") as file:
        file.write(dumps({
            "format": 1, "made_by": provenance("strings.py", f"strings.py CHECKPOINT DIGITS OUT --lists {args.lists}"),
            "checkpoint_sha256": sha256(os.path.join(args.checkpoint, "model.safetensors")), "lists": lists}))
    os.replace(args.out + ".part", args.out)


if __name__ == "__main__":
    main()
