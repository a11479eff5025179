"""AutoMix (Aggarwal et al., 2024): the weak model solves, its solution is verified, the strong model solves again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.routers.always import STRONG
from trim.routers.base import Aggregate, Sweep, SweepRouter, Trial, aggregated, threshold
from trim.routers.base import Params as BaseParams
from trim.routers.query import Shares

_GRID = np.linspace(0, 1, 101)


class _Cascade(Policy):
    rater, judges = None, False

    def __init__(
        self,
        verifier: Literal["prm", "self"],
        samples: int,
        aggregate: Aggregate,
        rejects: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self.verifier, self.samples, self._aggregate, self._rejects = verifier, samples, aggregate, rejects

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        if phase != Phase.ENDED:
            return super().decide(phase, observation)
        rejected = self._rejects(aggregated(observation.ratings, self._aggregate))
        return np.where(rejected, Action.RESTART, Action.ACCEPT)


class AutoMix(SweepRouter):
    """A cascade with a meta-verifier on the confidence from verification.

    threshold: below it the strong model solves the problem again; one setting per share of the validation
    problems. pomdp: the hidden state is which models solve the problem; its belief given the
    confidence, by kernel densities on the train split, gives the strong model's gain; one
    setting per cost of a token, where a right solution is worth 1. The weak model's tokens
    and the verification are paid for.
    """

    name = "automix"
    title = "AutoMix"
    group = "cascade"
    needs_fitting = True
    needs = frozenset({"train_rollouts"})

    class Params(BaseParams):
        """Verification of solutions, and the decision on it.

        Attributes:
            verifier: source of the confidence: the reward model's scores (prm), or sampled verdicts of the weak
                model (self).
            aggregate: aggregate of a solution's scores; verdicts are averaged.
            samples: number of verdicts on each solution.
            meta: the decision rule on the confidence: a threshold, or AutoMix's POMDP (pomdp).
            shares: shares of the problems that are solved again, one threshold each.
            costs: costs of a strong token, one policy of the POMDP each.
        """

        verifier: Literal["prm", "self"] = "prm"
        aggregate: Aggregate = "min"
        samples: int = Field(8, ge=1)
        meta: Literal["threshold", "pomdp"] = "threshold"
        shares: Shares = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
        costs: tuple[Annotated[float, Field(gt=0)], ...] = ()

    def prepare(self, trial: Trial) -> dict[str, Any]:
        """Confidences on the validation split, or gains over the confidence."""
        if self.params.meta == "threshold":
            return {"confidence": self._confidence(trial, "validation")[0]}
        return self._gains(trial)

    def sweep(self) -> Sweep:
        """The shares, or the costs."""
        if self.params.meta == "threshold":
            return Sweep("share", self.params.shares, ends=(0, 1))
        return Sweep("cost", self.params.costs, descending=True)

    def policy(self, value: float) -> Policy:
        """See `SweepRouter.policy`."""
        if self.params.meta == "threshold":
            return self._cascade(_below(threshold(self.fitted["confidence"], value)))
        return self._cascade(_worth(self.fitted["gain"], value * self.fitted["tokens"]))

    @property
    def _aggregate(self) -> Aggregate:
        return "mean" if self.params.verifier == "self" else self.params.aggregate

    def _cascade(self, rejects: Callable[[np.ndarray], np.ndarray]) -> Policy:
        return _Cascade(self.params.verifier, self.params.samples, self._aggregate, rejects)

    def _confidence(self, trial: Trial, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Confidences of the weak solutions of a split, and their correctness."""
        policy = self._cascade(lambda confidence: np.zeros(len(confidence), dtype=bool))
        solved = trial.episodes(policy, split)
        values = [aggregated(np.array([episode.ratings]), self._aggregate)[0] for episode in solved]
        return np.array(values), np.array([episode.correct for episode in solved])

    def _gains(self, trial: Trial) -> dict[str, Any]:
        """Expected gain of the strong model over a grid of confidences, and its mean tokens."""
        confidence, weak = self._confidence(trial, "train")
        solved = trial.episodes(STRONG, "train")
        gain = np.array([episode.correct for episode in solved]).astype(int) - weak
        joint = np.stack([_density(confidence[gain == g]) * (gain == g).mean() for g in (-1, 0, 1)])
        belief = joint / np.maximum(joint.sum(axis=0), 1e-12)
        tokens = np.mean([sum(step.tokens for step in episode.steps) for episode in solved])
        return {"gain": belief[2] - belief[0], "tokens": float(tokens)}


def _density(values: np.ndarray) -> np.ndarray:
    """Density of values in [0, 1], over `_GRID`, by Gaussian kernels mirrored at both ends."""
    if not len(values):
        return np.zeros(len(_GRID))
    width = max(0.02, len(values) ** -0.2 * values.std())
    mirrored = np.concatenate([-values, values, 2 - values])
    return np.exp(-(((_GRID[:, None] - mirrored) / width) ** 2) / 2).sum(axis=1) / len(values) / width


def _below(threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda confidence: confidence < threshold


def _worth(gain: np.ndarray, price: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda confidence: np.interp(confidence, _GRID, gain) > price
