"""The strong model writes the first n steps, and the weak model the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from trim.engine.policy import Decisions, Policy
from trim.routers.base import Params as BaseParams
from trim.routers.base import Router, Trial, at_budgets, coins, settings
from trim.section import Seed


class _First(Policy):
    rater = None

    def __init__(self, steps: float, seed: int) -> None:
        self._whole, self._rest, self._seed = int(steps), steps % 1, seed

    def delegate(self, seen: Decisions) -> np.ndarray:
        step = seen.strong.shape[1]
        if step == self._whole:
            return coins(b"first", self._seed, [problem.question.encode() for problem in seen.problems]) < self._rest
        return np.full(len(seen), step < self._whole)


class FirstSteps(Router):
    """Uses no score: the strong model writes the first n steps of every solution; a fraction of a step is a coin."""

    name = "first_steps"
    title = "First steps"
    group = "step"
    needs_fitting = True

    class Params(BaseParams):
        """Numbers of steps, one policy each."""

        steps: tuple[Annotated[float, Field(gt=0)], ...] = (0.5, 1, 2, 3, 4, 5, 6, 8, 10)
        seed: Seed = 0

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """Numbers of steps by budget, interpolated between those of the sweep."""
        values = sorted({0.0, *self.params.steps})
        return {"budgets": at_budgets(trial, values, [self._policy(value) for value in values], budgets)}

    def policies(self) -> dict[str, Policy]:
        """One setting per number of steps, and one per fitted budget."""
        values = settings("steps", self.params.steps, self.fitted)
        return {name: self._policy(value) for name, value in values.items()}

    def _policy(self, steps: float) -> Policy:
        return _First(steps, self.params.seed)
