"""Models from the hub: their files in its cache, and a record of each download."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from trim.errors import TrimError
from trim.stages.stage import Input, Stage

if TYPE_CHECKING:
    from trim.experiment.params import Params

_ROUNDED = 0.05  # `weights` may be a round number


def make_download(
    params: Params,
    model: Annotated[str, Input("The model: weak, strong, prm or encoders; by default all.")] = "",
    out: Annotated[Path | None, Input("File to record the download in.")] = None,
) -> Iterator[str]:
    """Download the experiment's models from the hub into its cache (HF_HOME), where jobs find them.

    HF_ENDPOINT names a mirror, HF_TOKEN opens gated models, HF_HUB_OFFLINE=1 forbids the network.

    Example: trim download --model strong

    Raises:
        TrimError: if one cannot be downloaded, or is not the one that the experiment describes.
    """
    known = [*type(params.models).model_fields, "encoders"]
    if model and model not in known:
        raise TrimError(f"--model {model}: allowed: {', '.join(known)}")
    for role in [model] if model else known:
        yield _encoders(params, out) if role == "encoders" else _model(params, role, out)


def _encoders(params: Params, out: Path | None) -> str:
    """Download the encoders that routers embed questions with; returns a report, and records them in `out`."""
    from trim.files import write_json
    from trim.models.hub import download

    found = params.encoders()
    for path, revision in found.items():
        download(path, revision, "model")
    if out:
        write_json(out, found)
    return f"encoders: {', '.join(found) or 'none comes from the hub'}"


def _model(params: Params, role: str, out: Path | None) -> str:
    """Download the model of a role; returns a report, and records it in `out`."""
    from trim.files import write_json
    from trim.models.files import on_hub, parameters
    from trim.models.hub import TOKENIZER_FILES, download

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


STAGES = [Stage("download", make_download, order=3)]
