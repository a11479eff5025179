"""Speed of evaluation: every measure with its interval, of many operating points."""

from __future__ import annotations

import numpy as np

from trim.evaluation.bootstrap import MeasureSettings
from trim.evaluation.comparison import Comparison, comparisons, measures, summary
from trim.evaluation.results import PER_PROBLEM, Results


def study(points: int, problems: int, routers: int = 10) -> Comparison:
    """Random outcomes of `points` operating points on `problems` problems, with 1,000 resamples."""
    rng = np.random.default_rng(0)
    length = rng.integers(50, 200, problems).astype(float)

    def results(name: str, shares: np.ndarray) -> Results:
        correct = rng.random((len(shares), problems)) < 0.5 + 0.3 * shares[:, None]
        totals = dict.fromkeys(PER_PROBLEM, shares[:, None] * length)
        settings = [f"{share:.4f}" for share in shares]
        names = [str(i) for i in range(problems)]
        return Results(
            "b", "test", name, name, False, settings, [None] * len(shares), names, correct, {"prefix": totals}
        )

    made = [results("always_weak", np.zeros(1)), results("always_strong", np.ones(1))]
    made += [results(f"router {i}", np.linspace(0, 1, points // routers)) for i in range(routers)]
    protocol = MeasureSettings("strong_tokens", "prefix", (0.1, 0.15, 0.2, 0.25, 0.3), (0.5, 0.8, 0.95), 1000, 0.95, 0)
    return comparisons(made, protocol)[0]


def measure(found: Comparison) -> None:
    """What `trim evaluate` computes of one benchmark."""
    summary(found)
    measures(found)
