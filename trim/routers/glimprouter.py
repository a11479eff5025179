"""GlimpRouter (Zeng et al., 2026): the entropy of a step's first token decides which model writes the step."""

from __future__ import annotations

from typing import Any

import numpy as np

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.routers.base import Params as BaseParams
from trim.routers.base import Sweep, SweepRouter, Trial, threshold
from trim.routers.query import Shares


class Glimpsing(Policy):
    """Hands over, without a draft, the steps whose first weak token has an entropy above a threshold."""

    rater, judges = None, False
    glimpses = True

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        """See `Policy.decide`."""
        return np.where(observation.glimpses > self._threshold, Action.DELEGATE, Action.DRAFT)


def weak_entropies(trial: Trial) -> np.ndarray:
    """Entropies of first tokens of the weak model's steps when it solves the validation problems alone, shape (n,)."""
    episodes = trial.episodes(Glimpsing(np.inf), "validation")
    return np.array([step.glimpse for episode in episodes for step in episode.steps])


class GlimpRouter(SweepRouter):
    """One setting per share of the weak model's own steps, those of the highest entropy."""

    name = "glimprouter"
    title = "GlimpRouter"
    group = "step"
    needs_fitting = True

    class Params(BaseParams):
        """Shares of the steps, one policy each."""

        shares: Shares = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8)

    def prepare(self, trial: Trial) -> dict[str, Any]:
        """Quantiles of the entropies on the validation split."""
        return {"entropies": np.quantile(weak_entropies(trial), np.linspace(0, 1, 1001))}

    def sweep(self) -> Sweep:
        """The shares of the steps."""
        return Sweep("share", self.params.shares, ends=(0, 1))

    def policy(self, value: float) -> Policy:
        """See `SweepRouter.policy`."""
        return Glimpsing(threshold(self.fitted["entropies"], 1 - value))
