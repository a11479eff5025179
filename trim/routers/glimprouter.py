"""GlimpRouter (Zeng et al., 2026): the entropy of a step's first token decides which model writes the step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trim.engine.actions import Action, Phase
from trim.engine.policy import Decisions, Policy
from trim.routers.base import Params as BaseParams
from trim.routers.base import Router, Trial, at_budgets, settings, thresholds
from trim.routers.query import Shares


class Glimpsing(Policy):
    """Hands over, without a draft, the steps whose first weak token has an entropy above a threshold."""

    rater, judges = None, False
    glimpses = True

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def decide(self, phase: Phase, seen: Decisions) -> np.ndarray:
        """See `Policy.decide`."""
        return np.where(seen.glimpses > self._threshold, Action.DELEGATE, Action.DRAFT)


def weak_entropies(trial: Trial) -> np.ndarray:
    """Entropies of first tokens of the weak model's steps when it solves the validation problems alone, shape (n,)."""
    episodes = trial.episodes(Glimpsing(np.inf), "validation")
    return np.array([step.glimpse for episode in episodes for step in episode.steps])


class GlimpRouter(Router):
    """One setting per share of the weak model's own steps, those of the highest entropy."""

    name = "glimprouter"
    title = "GlimpRouter"
    group = "step"
    needs_fitting = True

    class Params(BaseParams):
        """Shares of the steps, one policy each."""

        shares: Shares = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8)

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """Entropies on the validation split, and shares by budget."""
        found = {"entropies": np.quantile(weak_entropies(trial), np.linspace(0, 1, 1001))}
        values = sorted({0.0, 1.0, *self.params.shares})
        return found | {"budgets": at_budgets(trial, values, self._policies(found, values), budgets)}

    def policies(self) -> dict[str, Policy]:
        """One setting per share, and one per fitted budget."""
        shares = settings("share", self.params.shares, self.fitted)
        return dict(zip(shares, self._policies(self.fitted, list(shares.values())), strict=True))

    @staticmethod
    def _policies(found: dict[str, Any], shares: Sequence[float]) -> list[Policy]:
        return [Glimpsing(t) for t in thresholds(found["entropies"], 1 - np.asarray(shares))]
