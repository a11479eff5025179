"""Checkpoints of a training that can go on from them, in one safetensors file with what made them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trim.errors import TrimError
from trim.rl.networks import ActorCritic
from trim.tables import replacing

if TYPE_CHECKING:
    from trim.rl.training import Trained

MEASURED = ("accuracy", "tokens", "value")
Randomness = tuple[Sequence[np.random.Generator], torch.Generator]


def save_checkpoint(
    path: Path,
    identity: Mapping[str, Any],
    model: ActorCritic,
    optimiser: torch.optim.Optimizer,
    randomness: Randomness,
    state: Trained,
) -> None:
    """Write everything that training goes on from."""
    streams, generator = randomness
    tensors = {f"model.{name}": p.detach() for name, p in model.named_parameters()}
    tensors |= {f"best.{name}": torch.from_numpy(p) for name, p in state.parameters.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": value for name, value in moments.items()}
    tensors |= {name: torch.from_numpy(getattr(state, name)) for name in MEASURED}
    tensors |= {"torch": torch.get_rng_state(), "order": generator.get_state()}
    numbers = {
        "identity": identity,
        "epoch": state.epoch,
        "logged": state.logged,
        "streams": [stream.bit_generator.state for stream in streams],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        save_file({k: v.contiguous() for k, v in tensors.items()}, partial, {"state": json.dumps(numbers)})


def load_checkpoint(
    path: Path,
    identity: Mapping[str, Any],
    model: ActorCritic,
    optimiser: torch.optim.Optimizer,
    randomness: Randomness,
    state: Trained,
) -> None:
    """Put everything back; a checkpoint that something else made is left alone.

    Raises:
        TrimError: if the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            numbers = json.loads(file.metadata()["state"])
            if numbers["identity"] != json.loads(json.dumps(identity)):
                return
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrimError(f"{path}: damaged ({error}); delete it and run again") from error
    streams, generator = randomness
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
            state.parameters[name] = tensors[f"best.{name}"].numpy()
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("adam."):
            _, index, moment = name.split(".")
            moments.setdefault(int(index), {})[moment] = tensor
    optimiser.load_state_dict(optimiser.state_dict() | {"state": moments})
    for name in MEASURED:
        setattr(state, name, tensors[name].numpy())
    state.epoch, state.logged = numbers["epoch"], numbers["logged"]
    torch.set_rng_state(tensors["torch"])
    generator.set_state(tensors["order"])
    for stream, saved in zip(streams, numbers["streams"], strict=True):
        stream.bit_generator.state = saved
