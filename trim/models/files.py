"""Facts about a model from its folder alone, without loading it."""

from __future__ import annotations

import hashlib
import json
import math
from importlib.resources import files
from pathlib import Path

from trim.errors import TrimError
from trim.models.hub import cached
from trim.models.settings import Model

EMBEDDED = "embedded/"


def resolve(path: str) -> Path:
    """The folder of a model; "embedded/NAME" is in the package."""
    if path.startswith(EMBEDDED):
        return Path(str(files("trim.models"))) / path
    return Path(path)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model, in order.

    Raises:
        TrimError: if there is none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise TrimError(f"{folder / 'model.safetensors'}: No such file or directory; restore the model folder")
    return files


# Files that decide a model's output: required and optional ones.
_NEEDED = ("config.json", "tokenizer.json")
_OPTIONAL = (
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)


def identity(folder: Path) -> str:
    """Name and revision: a digest of the files that decide the model's output.

    Raises:
        TrimError: if a file is missing.
    """
    state = hashlib.sha256()
    try:
        for path in [folder / name for name in (*_NEEDED, *_OPTIONAL)]:
            if path.name in _NEEDED or path.is_file():
                content = path.read_bytes()
                state.update(path.name.encode() + len(content).to_bytes(8, "little") + content)
        for path in weight_files(folder):
            state.update(path.stat().st_size.to_bytes(8, "little"))
            with path.open("rb") as file:
                while block := file.read(1 << 24):
                    state.update(block)
    except OSError as error:
        raise TrimError(f"{error.filename}: {error.strerror}; restore the model folder") from error
    return f"{folder.name}@{state.hexdigest()[:16]}"


def parameters(folder: Path) -> int:
    """Number of weights, from the headers of the safetensors files.

    Raises:
        TrimError: if a file is damaged.
    """
    return sum(map(math.prod, _shapes(folder).values()))


def check_kind(folder: Path, scores: bool) -> None:
    """Check that a folder holds a reward model (`scores`) or a language model, by the names of its weights.

    Raises:
        TrimError: if it holds the other kind, or a file is damaged.
    """
    heads = [name for name in _shapes(folder) if name.startswith("score.")]
    if scores and not heads:
        raise TrimError(f"{folder}: not a reward model: it lacks weights score.*; name the folder of one")
    if heads and not scores:
        raise TrimError(f"{folder}: a reward model, where a language model is needed: it holds weights {heads[0]}")


def _shapes(folder: Path) -> dict[str, list[int]]:
    """Shape of each tensor, from the headers of the safetensors files."""
    shapes: dict[str, list[int]] = {}
    for path in weight_files(folder):
        try:
            with path.open("rb") as file:
                header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            shapes |= {name: [int(n) for n in t["shape"]] for name, t in header.items() if name != "__metadata__"}
        except (OSError, OverflowError, MemoryError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrimError(f"{path}: not a safetensors file; restore the model folder") from error
    return shapes


def on_hub(model: Model) -> bool:
    """True if a model's files come from the hub."""
    return model.revision is not None and not resolve(model.path).is_dir()


def folder(model: Model) -> Path:
    """The folder of a model's files.

    Raises:
        TrimError: if it is a model of the hub that was not downloaded.
    """
    return cached(model.path, str(model.revision)) if on_hub(model) else resolve(model.path)
