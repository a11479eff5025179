"""Fusion of a reward model's score and the weak model's log-probability into one calibrated probability."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from trim.errors import TrimError
from trim.files import read_sealed, write_sealed
from trim.models.distortion import logits

_SURE = 1e-4  # nats; the lower bound of the surprise


@dataclass(frozen=True)
class Fusion:
    """A logistic regression on the score's logit, the log of the surprise, their squares and their product.

    Attributes:
        mean, scale: of these five features, shape (5,).
        weights: shape (5,).
        intercept: of the logit.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercept: float

    @classmethod
    def fit(cls, scores: np.ndarray, logprobs: np.ndarray, right: np.ndarray) -> Fusion:
        """Fit to n steps.

        Args:
            scores: a reward model's, in [0, 1], shape (n,).
            logprobs: mean log-probabilities under the weak model, in nats, shape (n,).
            right: correctness of the steps, shape (n,).

        Raises:
            TrimError: if there are no right steps, or no wrong ones.
        """
        from sklearn.linear_model import LogisticRegression

        if not 0 < np.mean(right) < 1:
            raise TrimError("evidence: the train split's steps are all right or all wrong; give more problems")
        features = _features(scores, logprobs)
        mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-9
        model = LogisticRegression(max_iter=1000).fit((features - mean) / scale, right)
        return cls(mean, scale, model.coef_[0], float(model.intercept_[0]))

    def __call__(self, scores: np.ndarray, logprobs: np.ndarray) -> np.ndarray:
        """Probability that steps are right, shape (n,)."""
        from scipy.special import expit

        scaled = (_features(scores, logprobs) - self.mean) / self.scale
        return np.asarray(expit(scaled @ self.weights + self.intercept))

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_sealed(path, {f.name: np.asarray(getattr(self, f.name)).tolist() for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Fusion:
        """Read a file written by `save`.

        Raises:
            TrimError: if the file is missing or no such fit.
        """
        values = read_sealed(path)
        try:
            arrays = {name: np.asarray(values[name], dtype=float) for name in ("mean", "scale", "weights")}
            return cls(**arrays, intercept=float(values["intercept"]))
        except (KeyError, TypeError, ValueError) as error:
            raise TrimError(f"{path}: not evidence ({error}); delete it and run Snakemake again") from error


def log_surprise(logprobs: np.ndarray) -> np.ndarray:
    """Log of the weak model's surprise, in nats, at steps of these mean log-probabilities; any shape."""
    return np.log(np.maximum(-np.asarray(logprobs), _SURE))


def _features(scores: np.ndarray, logprobs: np.ndarray) -> np.ndarray:
    score, surprise = logits(scores), log_surprise(logprobs)
    return np.column_stack([score, surprise, score**2, surprise**2, score * surprise])
