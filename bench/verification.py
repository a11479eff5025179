"""Speed of evidence: probes on hidden states, and the fit and the plan of policies that may read."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from trim.models.base import StepStates
from trim.models.cost import ModelCost
from trim.reading.calibrate import calibrate
from trim.reading.gains import fit
from trim.reading.planning import plan
from trim.reading.situations import Situations
from trim.rl.tree import Tree
from trim.verifiers import registry
from trim.verifiers.verifier import Seen

_COSTS = {role: ModelCost(size, 1, 0.1, 5, 0, 0, 0) for role, size in (("weak", 1), ("strong", 8), ("prm", 8))}
_PRICES = (0.1, 0.2, 0.3, 0.45, 0.7, 1, 1.5, 2.5)


def probes(steps: int = 15_000) -> Iterator[tuple[str, float]]:
    """Seconds of each probe's training on so many steps of a model of width 64."""
    rng = np.random.default_rng(0)
    hidden, truth = rng.normal(size=(steps, 64)).astype(np.float32), np.zeros(steps, dtype=np.int64)
    truth[hidden[:, 0] + rng.normal(size=steps) > 0.5] = 1
    seen = Seen(None, np.arange(steps), StepStates(hidden[:, :4], hidden), truth)  # type: ignore[arg-type]
    for name in ("logistic", "network"):
        start = time.perf_counter()
        registry()[name].learn(seen)
        yield registry()[name].title, time.perf_counter() - start


def fitting(tree: Tree, validation: Tree) -> tuple[int, float]:
    """Situations of the trees, and seconds of fitting a policy for eight prices."""
    made = [Situations(t, _COSTS, "flops") for t in (tree, validation)]
    start = time.perf_counter()
    fit(*made, _PRICES, ("delegate", "accept", "verify", "rewrite"))
    return len(made[0]), time.perf_counter() - start


def planning(tree: Tree) -> tuple[float, float]:
    """Seconds of planning for nine prices of all actions, and the largest gap of the bounds; a right solution is 1."""
    model = calibrate(tree, _COSTS, "flops")
    start = time.perf_counter()
    found = plan(model, (*_PRICES, 4))
    return time.perf_counter() - start, float(found.gap.max())
