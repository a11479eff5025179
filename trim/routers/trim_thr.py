"""TRIM-Thr: hand over a step whose PRM score is below a threshold (paper, section 4)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.routers.base import Aggregate, Sweep, SweepRouter, aggregated
from trim.routers.base import Params as BaseParams


class _Threshold(Policy):
    def __init__(self, threshold: float, span: int | None, aggregate: Aggregate) -> None:
        self.threshold, self._span, self._aggregate = threshold, span, aggregate

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        if phase == Phase.START:
            return np.where(self._intervenes(observation), Action.DELEGATE, Action.DRAFT)
        rejected = (self.threshold >= 1) | (aggregated(observation.scores, self._aggregate) < self.threshold)
        return np.where(rejected, Action.REWRITE, Action.ACCEPT)

    def _intervenes(self, observation: Observation) -> np.ndarray:
        """True where the strong model goes on after an earlier rewrite, shape (n,)."""
        if self._span is None:
            return np.any(observation.strong, axis=1)
        # An intervention begins with a rewritten draft; its later steps have none.
        started = observation.strong & (observation.draft_tokens > 0)
        return np.any(started[:, max(0, started.shape[1] - self._span + 1) :], axis=1)

    def explain(self, observation: Observation) -> str:
        (score,) = aggregated(observation.scores, self._aggregate)
        return f"score {score:.3f} is {'below' if score < self.threshold else 'not below'} {self.threshold:.3g}"


class TrimThr(SweepRouter):
    """The last step's score against a threshold: 0 never hands over, 1 always does.

    Fitting finds, for each token budget, the threshold that spends it on the validation split.
    """

    name = "trim_thr"
    title = "TRIM-Thr"
    needs_fitting = True

    class Params(BaseParams):
        """The thresholds of the sweep, one policy each, and variants of the rule.

        Attributes:
            thresholds: scores below which a draft is rewritten; one policy each.
            span: number of steps that the strong model writes at each intervention; null is all the rest (takeover).
            aggregate: aggregate of the scores so far; the paper uses the draft's own (last).
        """

        thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...]
        span: Annotated[int, Field(ge=1)] | None = 1
        aggregate: Aggregate = "last"

    def sweep(self) -> Sweep:
        """The thresholds."""
        return Sweep("tau", self.params.thresholds, ends=(0, 1))

    def policy(self, value: float) -> Policy:
        """See `SweepRouter.policy`."""
        return _Threshold(value, self.params.span, self.params.aggregate)
