"""Simulation of policies in a calibrated POMDP."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trim.pomdp.beliefs import History
from trim.pomdp.model import S0, S2, StepModel
from trim.pomdp.policy import Decide


class Simulated(NamedTuple):
    """Per solution, shape (n,): whether it is right, calls of the strong model, steps."""

    correct: np.ndarray
    calls: np.ndarray
    steps: np.ndarray


def threshold(tau: float) -> Decide:
    """TRIM-Thr; a score represents its whole bin, so `tau` should be an edge of a bin."""
    return lambda history, tokens: history.scores[:, -1] < tau


def simulate(model: StepModel, decide: Decide, n: int, seed: int) -> Simulated:
    """Solve `n` problems that follow the model; every step has its mean number of tokens."""
    rng = np.random.default_rng(seed)
    shape = model.observation.shape[1:]
    cumulative = model.observation.reshape(3, -1).cumsum(axis=1)
    kind = rng.choice(model.classes, n, p=model.prior)
    right = np.ones(n, dtype=bool)
    calls, steps = np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    going = np.arange(n)
    seen = np.zeros((2, n, model.steps))
    again = np.zeros((n, model.steps), dtype=bool)
    for step in range(model.steps):
        if not len(going):
            break
        z = kind[going]
        fine = rng.random(len(going)) < model.p_weak[z]
        state = np.where(right[going], np.where(fine, S0, S2), 1)
        uniform = rng.random(len(going))
        drawn = np.empty(len(going), dtype=int)
        for s in range(3):
            drawn[state == s] = np.searchsorted(cumulative[s], uniform[state == s] * cumulative[s, -1], side="right")
        seen[:, going, step] = (np.stack(np.divmod(drawn, shape[1])) + 0.5) / np.array(shape)[:, None]
        history = History(seen[0, going, : step + 1], seen[1, going, : step + 1], again[going, :step])
        chosen = decide(history, np.full(len(going), model.tokens))
        again[going, step] = chosen
        repaired = (state != 1) & (rng.random(len(going)) < model.p_strong[z])
        right[going] = np.where(chosen, repaired, state == S0)
        calls[going] += chosen
        steps[going] += 1
        going = going[rng.random(len(going)) >= model.hazard[z, step]]
    return Simulated(right, calls, steps)
