"""Step routers with a language model, not a reward model, as the rater of weak steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy, Rater
from trim.routers.base import Params as BaseParams
from trim.routers.base import Sweep, SweepRouter, Trial, threshold
from trim.routers.query import Shares


class _Rated(Policy):
    def __init__(self, rater: Rater, threshold: float) -> None:
        self.rater, self._threshold = rater, threshold

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        if phase != Phase.DRAFTED:
            return super().decide(phase, observation)
        return np.where(observation.drafts[:, -1] < self._threshold, Action.REWRITE, Action.ACCEPT)


class RatedRouter(SweepRouter):
    """Hands over the steps whose rating is below a threshold; one setting per share of the weak model's own steps.

    A share is turned into a threshold by the ratings of the weak solutions of the validation split.
    """

    group = "step"
    needs_fitting = True

    class Params(BaseParams):
        """Shares of the steps, one policy each."""

        shares: Shares = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8)

    @property
    def rater(self) -> Rater:
        """The rater of the steps."""
        raise NotImplementedError

    def prepare(self, trial: Trial) -> dict[str, Any]:
        """Quantiles of the ratings on the validation split."""
        accepting = trial.episodes(_Rated(self.rater, -np.inf), "validation")
        ratings = np.array([step.score for episode in accepting for step in episode.steps])
        return {"ratings": np.quantile(ratings, np.linspace(0, 1, 1001))}

    def sweep(self) -> Sweep:
        """The shares of the steps."""
        return Sweep("share", self.params.shares, ends=(0, 1))

    def policy(self, value: float) -> Policy:
        """See `SweepRouter.policy`."""
        return _Rated(self.rater, threshold(self.fitted["ratings"], value))
