"""A training's state in one safetensors file, with its identity, so that training can resume."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trim.files import read_arrays, write_arrays
from trim.rl.networks import ActorCritic

_MEASURED = ("accuracy", "tokens", "value")


@dataclass
class Trained:
    """Each member at its best epoch: the one of the highest mean return on validation.

    Attributes:
        parameters: the networks' parameters by name, with a leading axis for the M members.
        accuracy, tokens: results on validation at each of its costs: shares of problems solved, and strong tokens
            per problem, shape (M, K or 1).
        value: return on validation, same shape.
        epoch: number of epochs evaluated.
        logged: log of each update.
    """

    parameters: dict[str, np.ndarray]
    accuracy: np.ndarray
    tokens: np.ndarray
    value: np.ndarray
    epoch: int = 0
    logged: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """The mutable state of a training, and its file.

    Attributes:
        path: the file.
        identity: everything that decides the training's result; a file with another identity is not used.
        model, optimiser: model and optimiser of the ensemble.
        streams: random stream of each member.
        order: random stream of the minibatches' order.
        state: the best results so far.
    """

    path: Path
    identity: Mapping[str, Any]
    model: ActorCritic
    optimiser: torch.optim.Optimizer
    streams: Sequence[np.random.Generator]
    order: torch.Generator
    state: Trained

    def save(self) -> None:
        """Write the file, all or nothing."""
        tensors = {f"model.{name}": p.detach() for name, p in self.model.named_parameters()}
        tensors |= {f"best.{name}": torch.from_numpy(p) for name, p in self.state.parameters.items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": value for name, value in moments.items()}
        tensors |= {name: torch.from_numpy(getattr(self.state, name)) for name in _MEASURED}
        tensors |= {"torch": torch.get_rng_state(), "order": self.order.get_state()}
        numbers = {
            "identity": self.identity,
            "epoch": self.state.epoch,
            "logged": self.state.logged,
            "streams": [stream.bit_generator.state for stream in self.streams],
        }
        write_arrays(self.path, {name: tensor.cpu().numpy() for name, tensor in tensors.items()}, numbers)

    def load(self) -> None:
        """Put everything back, if the file is there and of this training.

        Raises:
            TrimError: if it is damaged.
        """
        if not self.path.is_file():
            return
        arrays, numbers = read_arrays(self.path)
        if numbers["identity"] != json.loads(json.dumps(self.identity)):
            return
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
                self.state.parameters[name] = tensors[f"best.{name}"].numpy()
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("adam."):
                _, index, moment = name.split(".")
                moments.setdefault(int(index), {})[moment] = tensor
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": moments})
        for name in _MEASURED:
            setattr(self.state, name, tensors[name].numpy())
        self.state.epoch, self.state.logged = numbers["epoch"], numbers["logged"]
        torch.set_rng_state(tensors["torch"])
        self.order.set_state(tensors["order"])
        for stream, saved in zip(self.streams, numbers["streams"], strict=True):
            stream.bit_generator.state = saved
