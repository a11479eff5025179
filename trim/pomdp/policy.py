"""A plan as a policy: beliefs tracked from the observations, decisions by the plan."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trim.pomdp.beliefs import TRACKERS, History
from trim.pomdp.model import S2, StepModel
from trim.pomdp.planner import Plan

Decide = Callable[[History, np.ndarray], np.ndarray]


def planned(
    plan: Plan, cost: int, model: StepModel, tracker: str = "filter", restriction: float | None = None
) -> Decide:
    """A plan's policy for one of its costs.

    Args:
        plan: made by `trim.pomdp.planner.plan`.
        cost: index into the plan's costs.
        model: that it was made for.
        tracker: how beliefs follow, a key of `TRACKERS`.
        restriction: act only where max(b) - b[S2] is below it (paper: 0.4).
    """
    track = TRACKERS[tracker]

    def decide(history: History, tokens: np.ndarray) -> np.ndarray:
        belief = track(model, history)
        again = plan.regenerate(cost, history.scores.shape[1] - 1, model, belief, tokens)
        if restriction is not None:
            states = belief.sum(axis=1)
            again &= states.max(axis=1) - states[:, S2] < restriction
        return again

    return decide
