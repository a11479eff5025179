"""Beliefs about the solutions, from observations and actions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trim.pomdp.model import StepModel


@dataclass(frozen=True)
class History:
    """Observations of n solutions at t + 1 decisions, the current one included.

    Attributes:
        earlier: least score of the accepted steps before each draft, 1 if there are none, shape (n, t + 1).
        scores: scores of the drafts, shape (n, t + 1).
        again: True if the draft was regenerated, shape (n, t).
    """

    earlier: np.ndarray
    scores: np.ndarray
    again: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)


def latest(model: StepModel, history: History) -> np.ndarray:
    """The paper's belief: the latest observation, from a uniform prior; shape (n, Z, 3)."""
    prior = np.broadcast_to(model.prior[:, None] / 3, (len(history), model.classes, 3))
    return model.observe(prior, history.earlier[:, -1], history.scores[:, -1])


def filtered(model: StepModel, history: History) -> np.ndarray:
    """The Bayesian filter over all observations and actions so far; shape (n, Z, 3)."""
    states = np.broadcast_to(model.draft(model.start()), (len(history), model.classes, 3))
    for step in range(history.scores.shape[1]):
        belief = model.observe(states, history.earlier[:, step], history.scores[:, step])
        if step < history.again.shape[1]:
            again = history.again[:, step, None, None]
            standing = np.where(again, model.regenerate(belief), model.accept(belief))
            # That the solution went on tells the classes apart; the last step's hazard, 1, does not count.
            survival = 1 - model.hazard[:, min(step, model.steps - 2)]
            standing = standing * survival[:, None]
            states = model.draft(standing / standing.sum(axis=(1, 2), keepdims=True))
    return belief


TRACKERS = {"latest": latest, "filter": filtered}
