"""A calibrated POMDP's prediction for TRIM-Thr: its whole curve in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trim.pomdp.model import StepModel


class Predicted(NamedTuple):
    """By threshold, shape (T,): share of problems solved, strong calls and steps per problem."""

    accuracy: np.ndarray
    calls: np.ndarray
    steps: np.ndarray


def predict_thresholds(model: StepModel, thresholds: Sequence[float]) -> Predicted:
    """TRIM-Thr's accuracy and cost if problems followed the model exactly.

    Args:
        model: the calibrated POMDP.
        thresholds: thresholds in [0, 1]; scores are spread evenly over their bin, so edges of bins are exact.
    """
    tau = np.asarray(thresholds, dtype=float)
    bins = model.observation.shape[2]
    edges = np.linspace(0, 1, bins + 1)
    below = np.concatenate([np.zeros((3, 1)), model.observation.sum(axis=1).cumsum(axis=1)], axis=1)
    again = np.stack([np.interp(tau, edges, b / b[-1]) for b in below], axis=1)[:, None]  # (T, 1, states)
    standing = np.broadcast_to(model.start(), (len(tau), model.classes, 2))
    accuracy, calls, steps = (np.zeros(len(tau)) for _ in range(3))
    for hazard in model.hazard.T:
        states = model.draft(standing)
        steps += states.sum(axis=(1, 2))
        calls += (states * again).sum(axis=(1, 2))
        standing = model.regenerate(states * again) + model.accept(states * (1 - again))
        accuracy += (standing[..., 0] * hazard).sum(axis=1)
        standing = standing * (1 - hazard)[:, None]
    return Predicted(accuracy, calls, steps)
