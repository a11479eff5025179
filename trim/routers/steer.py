"""STEER (Lee et al., 2025): the weak model's confidence before a step, by a mixture of two components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.routers.base import Params as BaseParams
from trim.routers.base import Sweep, SweepRouter, Trial
from trim.routers.glimprouter import weak_entropies

_LEAST = 1e-3  # nats; smaller entropies are treated as equal


def _logs(entropies: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(entropies, _LEAST))


class _Mixture(Policy):
    rater, judges = None, False
    glimpses = True

    def __init__(self, fitted: dict[str, Any], threshold: float) -> None:
        self._fitted, self._threshold = fitted, threshold

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        return np.where(unsure(self._fitted, observation.glimpses) >= self._threshold, Action.DELEGATE, Action.DRAFT)


def unsure(fitted: dict[str, Any], entropies: np.ndarray) -> np.ndarray:
    """Log-odds of the component of the higher mean against the other, shape (n,); they share a deviation."""
    (sure, other), middle = fitted["means"], fitted["means"].mean()
    prior = np.log(fitted["weights"][1] / fitted["weights"][0])
    return prior + (other - sure) * (_logs(entropies) - middle) / fitted["variance"]


class Steer(SweepRouter):
    """Hands over, without a draft, the steps whose log-odds of the unsure component reach a threshold.

    The confidence is the logarithm of the entropy of the step's first token, one of the paper's choices. The mixture
    is fitted, without labels, on the steps that the weak model writes alone.
    """

    name = "steer"
    title = "STEER"
    group = "step"
    needs_fitting = True

    class Params(BaseParams):
        """Log-odds of being unsure at which a step is handed over, one policy each."""

        odds: tuple[float, ...] = (-4, -2, -1, 0, 1, 2, 4)

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """The mixture, and log-odds by budget."""
        from sklearn.mixture import GaussianMixture

        entropies, sweep = weak_entropies(trial), self.sweep()
        mixture = GaussianMixture(2, covariance_type="tied", random_state=0).fit(_logs(entropies)[:, None])
        order = np.argsort(mixture.means_[:, 0])
        self.fitted = {
            "weights": mixture.weights_[order],
            "means": mixture.means_[order, 0],
            "variance": mixture.covariances_.ravel(),
        }
        # More settings between these, which hand over rising shares of the weak model's own steps.
        spread = np.quantile(unsure(self.fitted, entropies), np.linspace(0, 1, 21)).tolist()
        tried = {odds: self.policy(odds) for odds in sweep.rising([*spread, spread[-1] + 1])}
        return self.fitted | {"budgets": sweep.at_budgets(trial, tried, budgets)}

    def sweep(self) -> Sweep:
        """The log-odds."""
        return Sweep("odds", self.params.odds, descending=True)

    def policy(self, value: float) -> Policy:
        """See `SweepRouter.policy`."""
        return _Mixture(self.fitted, value)
