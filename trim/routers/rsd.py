"""Reward-guided speculative decoding (Liao et al., 2025): a step's reward sets its probability of acceptance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.routers.base import Params as BaseParams
from trim.routers.base import Sweep, SweepRouter, coins
from trim.section import Seed

Acceptance = Literal["indicator", "linear", "clipped", "sigmoid"]


def _acceptance(form: Acceptance, at: float, width: float) -> Callable[[np.ndarray], np.ndarray]:
    """Probability of acceptance by reward in [0, 1]."""
    forms: dict[Acceptance, Callable[[np.ndarray], np.ndarray]] = {
        "indicator": lambda reward: (reward >= at).astype(float),
        "linear": lambda reward: reward**at,
        "clipped": lambda reward: np.clip((reward - at) / width + 0.5, 0, 1),
        "sigmoid": lambda reward: 1 / (1 + np.exp((at - reward) / width)),
    }
    return forms[form]


class _Accepting(Policy):
    def __init__(self, chance: Callable[[np.ndarray], np.ndarray], seed: int) -> None:
        self._chance, self._seed = chance, seed

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        if phase != Phase.DRAFTED:
            return super().decide(phase, observation)
        return np.where(
            coins(b"rsd", self._seed, observation.nodes) >= self._chance(observation.scores[:, -1]),
            Action.REWRITE,
            Action.ACCEPT,
        )


class RSD(SweepRouter):
    """Four forms of acceptance: a step at a threshold, the reward to a power, a ramp and a sigmoid.

    The step at a threshold is TRIM-Thr. The parameter is the threshold, the middle of the ramp or the
    sigmoid, or the power (1: the paper's).
    """

    name = "rsd"
    title = "RSD"
    group = "step"
    needs_fitting = True

    class Params(BaseParams):
        """The form of acceptance.

        Attributes:
            form: probability of acceptance as a function of the score: indicator, linear, clipped or sigmoid.
            values: the threshold, middle or power of each policy.
            width: width of the ramp, or scale of the sigmoid.
            seed: seed of the coins that accept a draft.
        """

        form: Acceptance = "sigmoid"
        values: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=2)
        width: float = Field(0.1, gt=0)
        seed: Seed = 0

    def sweep(self) -> Sweep:
        """The thresholds, middles or powers, by the name of the form."""
        return Sweep(self.params.form, self.params.values)

    def policy(self, value: float) -> Policy:
        """See `SweepRouter.policy`."""
        return _Accepting(_acceptance(self.params.form, value, self.params.width), self.params.seed)
