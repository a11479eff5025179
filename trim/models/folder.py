"""What can be told of a model from its folder alone, without loading it."""

from __future__ import annotations

import hashlib
import json
import math
from importlib.resources import files
from pathlib import Path

from trim.errors import TrimError

_DECISIVE = ("config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors")
EMBEDDED = "embedded/"


def resolve(path: str) -> Path:
    """The folder of a model; "embedded/NAME" lies in the package."""
    if path.startswith(EMBEDDED):
        return Path(str(files("trim.models"))) / path
    return Path(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrimError(f"{path}: {error.strerror}; restore the model folder") from error


def identity(folder: Path) -> str:
    """Name and revision: a digest of the files that decide what the model writes.

    Raises:
        TrimError: if a file is missing.
    """
    digest = hashlib.sha256()
    for name in _DECISIVE:
        content = _read(folder / name)
        digest.update(len(content).to_bytes(8, "little") + content)
    return f"{folder.name}@{digest.hexdigest()[:16]}"


def parameters(folder: Path) -> int:
    """Number of weights, from the header of the safetensors file.

    Raises:
        TrimError: if the file is damaged.
    """
    path = folder / "model.safetensors"
    content = _read(path)
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return sum(math.prod(t["shape"]) for name, t in header.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError) as error:
        raise TrimError(f"{path}: not a safetensors file; restore the model folder") from error
