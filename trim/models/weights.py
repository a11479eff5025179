"""Checks of a model's weights: none missing, none unexpected, all finite."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from trim.errors import TrimError, first_line
from trim.models.files import weight_files

REWARD_MODEL = "Qwen2ForProcessRewardModel"
_SHOWN = 3  # names in a message
# Heads of an encoder, which its hidden states do not use.
_HEADS = ("cls.", "lm_head.", "pooler.", "classifier.", "qa_outputs.", "vocab_")


def load_whole(cls: Any, folder: Path, dtype: torch.dtype, what: str) -> Any:
    """A model from its safetensors files, refused if a weight is missing, unexpected, misshapen or not finite.

    Args:
        cls: class of transformers that loads it; code in the folder is never run.
        folder: the model's folder.
        dtype: precision of the weights.
        what: expected kind, for messages: "language model", "reward model" or "encoder".

    Raises:
        TrimError: naming the folder and the weights.
    """
    weight_files(folder)
    try:
        model, report = cls.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:
        raise TrimError(f"{folder}: not a readable {what} ({first_line(error)})") from error
    unused = _HEADS if what == "encoder" else ()
    for fault, key in (
        ("lacks", "missing_keys"),
        ("holds unknown", "unexpected_keys"),
        ("has misshapen", "mismatched_keys"),
    ):
        _refuse(folder, what, fault, (str(name) for name in report[key] if not str(name).startswith(unused or ("\0",))))
    _refuse(folder, what, "has non-finite", _not_finite(model.state_dict()))
    return model.eval()


def check_folder(folder: Path, what: str) -> None:
    """The checks of `load_whole`, for a model that another engine loads.

    Raises:
        TrimError: naming the folder and the fault.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architectures, heads = config.get("architectures") or ["none"], config.get("score_heads", 1)
    except (OSError, ValueError, AttributeError) as error:
        raise TrimError(f"{folder / 'config.json'}: cannot be read ({first_line(error)})") from error
    if (architectures[0] == REWARD_MODEL) != (what == "reward model"):
        wanted = REWARD_MODEL if what == "reward model" else "a language model"
        raise TrimError(f"{folder}: a {architectures[0]}, where {wanted} is needed")
    if heads != 1:
        raise TrimError(f"{folder}: a reward model of {heads} heads, which the backend transformers alone reads")
    names: set[str] = set()
    for path in weight_files(folder):
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118
                    names.add(name)
                    _refuse(folder, what, "has non-finite", _not_finite({name: file.get_tensor(name)}))
        except (OSError, SafetensorError) as error:
            raise TrimError(f"{path}: not a safetensors file ({first_line(error)})") from error
    head = {f"score.{layer}.{part}" for layer in (0, 2) for part in ("weight", "bias")}
    if what == "reward model":
        _refuse(folder, what, "lacks", head - names)
    else:
        _refuse(folder, what, "holds unknown", (name for name in names if name.startswith("score.")))


def _not_finite(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    return [
        name for name, tensor in tensors.items() if tensor.is_floating_point() and not bool(tensor.isfinite().all())
    ]


def _refuse(folder: Path, what: str, fault: str, names: Iterable[str]) -> None:
    listed = sorted(names)
    if listed:
        more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
        raise TrimError(f"{folder}: not this {what}: it {fault} weights {', '.join(listed[:_SHOWN])}{more}")
