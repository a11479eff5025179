"""The models of an experiment: their names in the store of draws, and loading them by backend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from trim.errors import TrimError
from trim.models.base import LanguageModel, Prefix, RewardModel, StepStates
from trim.models.files import folder, identity, parameters, resolve
from trim.models.lean import scikit_learn_later
from trim.models.settings import Model, Sampling, backend_module
from trim.steps import ChatFormat


def causes(model: Model) -> dict[str, Any]:
    """The values of a model's section that can change a text or a score, without the texts and the sampling."""
    values: dict[str, Any] = {"backend": model.backend, "path": model.path, "revision": model.revision}
    values |= {"dtype": model.dtype, "thinking": model.thinking}
    if model.server:
        values |= {"model": model.server.model, "api": model.server.api, "context": model.server.context}
        values |= {} if model.server.seed else {"seed": False}
    elif model.backend == "vllm":
        values |= {"context": model.engine.context}
    return values


def name(model: Model) -> str:
    """The name of a model's draws: its `causes`, with the digest of a folder for its path.

    Raises:
        TrimError: if it is a folder without revision, and a file of it is missing.
    """
    values = causes(model)
    revision = values.pop("revision")
    who = values.pop("path")
    if revision:
        who = f"{who}@{revision}"
    elif not model.server:
        who = identity(resolve(model.path))
    rest = [f"{key}={value}" for key, value in values.items() if value is not None]
    return "/".join([who, *rest])


def weights(model: Model) -> int:
    """Number of parameters.

    Raises:
        TrimError: if it is neither given nor known from the files.
    """
    if model.weights is not None or model.server:
        return model.weights or 0
    try:
        return parameters(folder(model))
    except TrimError as error:
        raise TrimError(f"{error}, or give `weights` of {model.path}") from error


# A backend is imported when a model is loaded: a replay from the store needs no torch.
def _backend(model: Model) -> Any:
    with scikit_learn_later():
        return import_module(backend_module(model.backend))


@cache
def language_model(model: Model, sampling: Sampling, chat: ChatFormat, spending: Path | None = None) -> LanguageModel:
    """Load a language model, once per process.

    Args:
        model: the model's section.
        sampling: sampling of tokens.
        chat: prompt format of a solution.
        spending: folder of the ledger of a server's costs.

    Raises:
        TrimError: if it cannot be loaded.
    """
    backend = _backend(model)
    if sampling.step != "paragraph" and not backend.ANY_STEP:
        raise TrimError(f"{model.path}: the backend {model.backend} writes no steps but paragraphs")
    return backend.language_model(model, sampling, chat, spending)


@cache
def reward_model(model: Model, chat: ChatFormat, spending: Path | None = None) -> RewardModel:
    """Load a process reward model, once per process; see `language_model`."""
    return _backend(model).reward_model(model, chat, spending)


def step_states(model: Model, chat: ChatFormat, solutions: Sequence[Prefix]) -> StepStates:
    """A language model's states at the last step of each solution; the model is loaded for this and released.

    Args:
        model: a model with local weights, not behind a server.
        chat: prompt format of a solution.
        solutions: n solutions.
    """
    return _backend(model).step_states(model, chat, solutions)
