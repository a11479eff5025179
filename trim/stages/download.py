"""Models from the hub: their files in its cache, and a record of each download."""

from __future__ import annotations

import math
from pathlib import Path

from trim.errors import TrimError
from trim.experiment.params import Params
from trim.files import write_json
from trim.models.files import on_hub, parameters
from trim.models.hub import TOKENIZER_FILES, download

_ROUNDED = 0.05  # `weights` may be a round number


def download_encoders(params: Params, out: Path | None = None) -> str:
    """Download the encoders that routers embed questions with; returns a report, and writes it to `out` too.

    Raises:
        TrimError: if one cannot be downloaded.
    """
    found = params.encoders()
    for path, revision in found.items():
        download(path, revision, "model")
    if out:
        write_json(out, found)
    return f"encoders: {', '.join(found) or 'none comes from the hub'}"


def download_model(params: Params, role: str, out: Path | None = None) -> str:
    """Download the model of a role; returns a report, and writes it to `out` too.

    Raises:
        TrimError: if it cannot be downloaded, or is not the one that the experiment describes.
    """
    model = getattr(params.models, role)
    if not on_hub(model):
        return f"{role}: {model.path} is not on the hub"
    if model.server:
        download(model.path, model.revision, "model", TOKENIZER_FILES)
        return f"{role}: the tokenizer of {model.path}@{model.revision[:12]}"
    folder = download(model.path, model.revision, "model")
    count = parameters(folder)
    if model.weights is not None and not math.isclose(model.weights, count, rel_tol=_ROUNDED):
        raise TrimError(f"models.{role}.weights: {model.weights} found, but {model.path} has {count}")
    if out:
        write_json(out, {"path": model.path, "revision": model.revision, "weights": count})
    return f"{role}: {model.path}@{model.revision[:12]}, {count:,} weights"
