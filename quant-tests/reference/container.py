"""The container of golden values: `index.json` says what is where, `values.bin` holds the numbers (see README.md)."""
import hashlib
import importlib.metadata
import json
import os
import platform

import numpy as np

TYPES = {"float32": "f32", "int16": "s16"}


def sha256(path):
    """Hex SHA-256 of a file of any size."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def provenance(script, command):
    """Who made the values: script, command line with placeholders for places, package versions."""
    packages = ("qwen-asr", "transformers", "torch", "numpy", "librosa", "soxr", "tokenizers")
    return {
        "script": f"quant-tests/reference/{script}",
        "command": command,
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "arithmetic": "float32 on the CPU, eager attention with the package's own window mask",
    }


class Writer:
    """Writes a container into `folder`; nothing carries the final names before `close`."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.arrays = folder, {}
        self.file = open(os.path.join(folder, "values.bin.part"), "wb")

    def add(self, name, values):
        """Store one array (float32, or int16 for samples); returns its name."""
        values = np.ascontiguousarray(values)
        assert name not in self.arrays, name
        kind = TYPES[str(values.dtype)]
        assert kind == "s16" or np.isfinite(values).all(), name
        self.file.write(b"\0" * (-self.file.tell() % 4))
        self.arrays[name] = {"type": kind, "shape": list(values.shape), "offset": self.file.tell()}
        self.file.write(values.astype(values.dtype.newbyteorder("<")).tobytes())
        return name

    def close(self, index):
        self.file.close()
        part = os.path.join(self.folder, "index.json.part")
        with open(part, "w", encoding="utf-8") as file:
            file.write(dumps({**index, "arrays": self.arrays}))
        os.replace(self.file.name, os.path.join(self.folder, "values.bin"))
        os.replace(part, os.path.join(self.folder, "index.json"))


def dumps(value, depth=0):
    """JSON with one line per leaf collection: diffs stay readable, lists of numbers stay short."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if not any(isinstance(v, (dict, list)) and v for v in inner) or depth > 4:
        return json.dumps(value, ensure_ascii=False)
    pad, end = " " * (depth + 1), " " * depth
    if isinstance(value, dict):
        rows = [f"{pad}{json.dumps(k, ensure_ascii=False)}: {dumps(v, depth + 1)}" for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{end}" + "}"
    return "[\n" + ",\n".join(pad + dumps(v, depth + 1) for v in value) + f"\n{end}]"
