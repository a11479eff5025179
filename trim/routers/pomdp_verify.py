"""TRIM-POMDP with reading as an action: the strong model may write without a draft, read a draft, or rewrite it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.pomdp.model import S0
from trim.reading.planning import PricedModel, PricedPlan, plan, to_bins
from trim.routers.base import Trial
from trim.routers.priced import PricedRouter, Prices


class _Planned(Policy):
    second = "strong"

    def __init__(self, model: PricedModel, whole: PricedPlan, price: int) -> None:
        self._model, self._plan, self._index, self._price = model, whole, price, whole.prices[price]

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        if phase == Phase.START:
            return np.where(self._delegates(observation), Action.DELEGATE, Action.DRAFT)
        states, unread = self._drafted(observation)
        if phase == Phase.DRAFTED:
            best = self._ways(states[:, None], self._step(observation), unread)[..., 0].argmax(axis=0)
            return np.array([Action.ACCEPT, Action.READ, Action.REWRITE])[best]
        states = states * self._seen(observation.seconds[:, -1], "second")
        return np.where(self._read(states, self._step(observation))[1], Action.REWRITE, Action.ACCEPT)

    def _delegates(self, observation: Observation) -> np.ndarray:
        model = self._model
        right, unread = self._standing(observation)
        step = self._step(observation)
        states = model.drafted(right)[:, None] * model.first.T
        drafted = self._ways(states, step, unread).max(axis=0).sum(axis=-1) - self._price * model.draft[step]
        written = self._worth(step, np.zeros_like(unread), right * model.p_strong, np.ones(len(observation)))
        return written - self._cost("delegate", step, unread) > drafted

    def explain(self, observation: Observation) -> str:
        states = self._drafted(observation)[0][0]
        right, lost, wrong = states / states.sum()
        belief = f"all right {right:.3f}, this step wrong {wrong:.3f}, an earlier one {lost:.3f}"
        return f"{super().explain(observation)}: belief before it was read {belief}"

    def _step(self, observation: Observation) -> int:
        return min(observation.strong.shape[1], len(self._model.hazard) - 1)

    def _drafted(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the states given the draft's score, shape (n, 3), and the number of unread steps."""
        right, unread = self._standing(observation)
        return self._scored(observation, -1, right), unread

    def _scored(self, observation: Observation, step: int, right: np.ndarray) -> np.ndarray:
        """Weights of the states of a step's draft; `right`: P(the steps before are right)."""
        return self._model.drafted(right) * self._seen(observation.drafts[:, step], "first")

    def _standing(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        """Probability that the steps so far are right, and the number that the strong model has not read."""
        model, steps = self._model, observation.strong.shape[1]
        right, unread = np.ones(len(observation)), np.zeros(len(observation), dtype=np.int64)
        for step in range(steps):
            strong, drafted = observation.strong[:, step], observation.draft_tokens[:, step] > 0
            states = self._scored(observation, step, right) * self._seen(observation.seconds[:, step], "second")
            states = states / states.sum(axis=1, keepdims=True)
            judged = np.where(strong, model.rewritten(states), states[:, S0])
            right = np.where(drafted, judged, right * model.p_strong)
            unread = np.where(strong | np.isfinite(observation.seconds[:, step]), 0, unread + 1)
        return right, unread

    def _seen(self, values: np.ndarray, which: str) -> np.ndarray:
        """P(observation | state), shape (n, 3); 1 where nothing was observed."""
        probabilities = getattr(self._model, which)[:, to_bins(values, getattr(self._model, f"{which}_edges"))].T
        return np.where(np.isfinite(values)[:, None], probabilities, 1.0)

    def _ways(self, states: np.ndarray, step: int, unread: np.ndarray) -> np.ndarray:
        """Values of accepting, reading and rewriting for weights of states after a score, (n, A, 3) -> (3, n, A)."""
        mass, none = states.sum(axis=-1), np.zeros_like(unread)
        kept = self._worth(step, unread + 1, states[..., S0], mass)
        rewritten = self._worth(step, none, self._model.rewritten(states), mass) + self._spared(states, step)
        read = self._read(states[:, :, None] * self._model.second.T, step)[0].sum(axis=-1)
        return np.stack(
            [
                kept,
                read - self._cost("verify", step, unread)[:, None] * mass,
                rewritten - self._cost("rewrite", step, unread)[:, None] * mass,
            ]
        )

    def _read(self, states: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Value after reading a draft, for weights of states (n, ..., 3), and True to rewrite it; shape (n, ...)."""
        mass, none = states.sum(axis=-1), np.zeros(len(states), dtype=np.int64)
        kept = self._worth(step, none, states[..., S0], mass)
        again = self._worth(step, none, self._model.rewritten(states), mass)
        again = again - self._price * self._model.rewrite_verified[step] * mass + self._spared(states, step)
        return np.maximum(kept, again), again > kept

    def _worth(self, step: int, unread: np.ndarray, right: np.ndarray, mass: np.ndarray) -> np.ndarray:
        return self._plan.worth(self._index, step, unread, right, mass)

    def _spared(self, states: np.ndarray, step: int) -> np.ndarray:
        return self._price * (states @ self._model.spared[step])

    def _cost(self, action: str, step: int, unread: np.ndarray) -> np.ndarray:
        prices = getattr(self._model, action)[step]
        return self._price * prices[np.minimum(unread, len(prices) - 1)]


class PomdpVerify(PricedRouter):
    """One policy per price of spending as much as always-strong does, where a right solution is worth 1.

    Fitting calibrates a POMDP on whole solution trees of the train split, plans at all prices at once, and finds
    the price that spends each budget of strong tokens on the validation split.
    """

    name = "pomdp_verify"
    title = "TRIM-POMDP, reading"

    class Params(PricedRouter.Params):
        """The prices and the currency."""

        prices: Prices = (0.1, 0.2, 0.3, 0.45, 0.7, 1, 1.5, 2, 2.5)

    def prepare(self, trial: Trial) -> dict[str, Any]:
        """The model, and the plans of the sweep."""
        from trim.reading.calibrate import calibrate

        tree = trial.tree("train")
        tree.expand()
        model = calibrate(tree, trial.costs, self.params.currency)
        return {"model": vars(model), "plan": vars(plan(model, self.sweep().rising()))}

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """The model, the plans with their largest gap, and prices by budget, interpolated."""
        found = super().fit(trial, budgets)
        model, first = self._planned
        whole = first.joined(plan(model, list(found["budgets"].values())))
        return found | {"largest_gap": float(whole.gap.max()), "plan": vars(whole)}

    @cached_property
    def _planned(self) -> tuple[PricedModel, PricedPlan]:
        return PricedModel(**self.fitted["model"]), PricedPlan(**self.fitted["plan"])

    def policy(self, value: float) -> Policy:
        """See `SweepRouter.policy`."""
        model, whole = self._planned
        return _Planned(model, whole, whole.prices.tolist().index(value))
