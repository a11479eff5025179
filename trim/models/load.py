"""The models of an experiment: how they are named in the store of draws, and how each backend loads them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from trim.errors import TrimError
from trim.hub import cached
from trim.models.folder import identity, parameters, resolve

if TYPE_CHECKING:
    from trim.config import Model
    from trim.models.base import LanguageModel, RewardModel, Sampling


def on_hub(model: Model) -> bool:
    """Whether a model's files come from the hub."""
    return model.revision is not None and not resolve(model.path).is_dir()


def folder(model: Model) -> Path:
    """Where a model's files are.

    Raises:
        TrimError: if it is one of the hub that was not downloaded.
    """
    return cached(model.path, str(model.revision)) if on_hub(model) else resolve(model.path)


def name(model: Model) -> str:
    """What a model's draws are filed under: all that decides them but the texts and the sampling.

    Raises:
        TrimError: if it is a folder without revision, and a file of it is missing.
    """
    if model.backend == "openai" or model.revision:
        who = f"{model.path}@{model.revision}" if model.revision else model.path
    else:
        who = identity(resolve(model.path))
    parts = [who, model.dtype]
    if model.server:
        parts = [model.backend, model.server.api, who]
    elif model.backend != "transformers":
        parts = [model.backend, *parts]
    return "/".join([*parts, *([] if model.thinking is None else [f"thinking={model.thinking}"])])


def weights(model: Model) -> int:
    """Number of parameters.

    Raises:
        TrimError: if it is neither given nor can be told from the files.
    """
    if model.weights is not None or model.server:
        return model.weights or 0
    try:
        return parameters(folder(model))
    except TrimError as error:
        raise TrimError(f"{error}, or give `weights` of {model.path}") from error


# The backends are imported where they are used: a replay from the store needs no torch.
@cache
def language_model(model: Model, sampling: Sampling, instruction: str, spending: Path | None = None) -> LanguageModel:
    """Load a language model, once a process.

    Args:
        model: which one, and how.
        sampling: how tokens are drawn.
        instruction: what the user turn asks for, after the question.
        spending: folder in which the cost of a server is written down.

    Raises:
        TrimError: if it cannot be loaded.
    """
    if model.backend != "transformers" and sampling.step != "paragraph":
        raise TrimError(f"{model.path}: steps that are no paragraphs are written by the backend transformers only")
    if model.server:
        from trim.models.openai import ServedLM

        return ServedLM(model, sampling, instruction, spending)
    if model.backend == "vllm":
        from trim.models.vllm import VllmLM

        return VllmLM(folder(model), sampling, instruction, model.dtype, model.thinking, model.engine)
    from trim.models.transformers import TransformersLM

    return TransformersLM(folder(model), sampling, instruction, model.dtype, model.thinking)


@cache
def reward_model(model: Model, instruction: str, spending: Path | None = None) -> RewardModel:
    """Load a process reward model, once a process; see `language_model`."""
    if model.server:
        from trim.models.openai import ServedPRM

        return ServedPRM(model, instruction, spending)
    if model.backend == "vllm":
        from trim.models.vllm import VllmPRM

        return VllmPRM(folder(model), instruction, model.dtype, model.engine)
    from trim.models.transformers import TransformersPRM

    return TransformersPRM(folder(model), instruction, model.dtype)
