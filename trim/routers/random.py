"""Random routing: the floor for any use of the scores."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.routers.base import Params as BaseParams
from trim.routers.base import Sweep, SweepRouter, coins
from trim.section import Seed


class _Coin(Policy):
    rater = None

    def __init__(self, probability: float, seed: int) -> None:
        self.probability, self.seed = probability, seed

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        if phase != Phase.DRAFTED:
            return super().decide(phase, observation)
        return np.where(
            coins(b"random", self.seed, observation.nodes) < self.probability, Action.REWRITE, Action.ACCEPT
        )


class Random(SweepRouter):
    """Hands each step over with a fixed probability."""

    name = "random"
    title = "Random"
    group = "reference"

    class Params(BaseParams):
        """Probabilities, one policy each."""

        probabilities: tuple[Annotated[float, Field(ge=0, le=1)], ...] = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75)
        seed: Seed = 0

    def sweep(self) -> Sweep:
        """The probabilities."""
        return Sweep("p", self.params.probabilities)

    def policy(self, value: float) -> Policy:
        """See `SweepRouter.policy`."""
        return _Coin(value, self.params.seed)
