"""Step routers with a language model, not a reward model, as the rater of weak steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trim.engine.actions import Action, Phase
from trim.engine.policy import Decisions, Policy, Rater
from trim.routers.base import Params as BaseParams
from trim.routers.base import Router, Trial, at_budgets, settings, thresholds
from trim.routers.query import Shares


class _Rated(Policy):
    def __init__(self, rater: Rater, threshold: float) -> None:
        self.rater, self._threshold = rater, threshold

    def decide(self, phase: Phase, seen: Decisions) -> np.ndarray:
        if phase != Phase.DRAFTED:
            return super().decide(phase, seen)
        return np.where(seen.drafts[:, -1] < self._threshold, Action.REWRITE, Action.ACCEPT)


class RatedRouter(Router):
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

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """Ratings on the validation split, and shares by budget."""
        accepting = trial.episodes(_Rated(self.rater, -np.inf), "validation")
        ratings = np.array([step.score for episode in accepting for step in episode.steps])
        found = {"ratings": np.quantile(ratings, np.linspace(0, 1, 1001))}
        values = sorted({0.0, 1.0, *self.params.shares})
        return found | {"budgets": at_budgets(trial, values, self._policies(found, values), budgets)}

    def policies(self) -> dict[str, Policy]:
        """One setting per share, and one per fitted budget."""
        shares = settings("share", self.params.shares, self.fitted)
        return dict(zip(shares, self._policies(self.fitted, list(shares.values())), strict=True))

    def _policies(self, found: dict[str, Any], shares: Sequence[float]) -> list[Policy]:
        return [_Rated(self.rater, t) for t in thresholds(found["ratings"], np.asarray(shares))]
