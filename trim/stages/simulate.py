"""Simulation: routers in the calibration that was released with the paper, and what was measured there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from trim.config import Params
from trim.evaluation.published import PROBLEMS, published_points
from trim.pomdp.model import StepModel, published
from trim.pomdp.planner import plan
from trim.pomdp.policy import Decide, planned
from trim.pomdp.predict import predict_thresholds
from trim.pomdp.simulate import simulate
from trim.tables import write_text

# Observation, tracker of beliefs, restriction: see `trim.routers.trim_pomdp`.
VARIANTS: dict[str, tuple[str, str, float | None]] = {
    "POMDP, paper": ("pair", "latest", 0.4),
    "POMDP, latest pair": ("pair", "latest", None),
    "POMDP, pair filter": ("pair", "filter", None),
    "TRIM-POMDP": ("score", "filter", None),
}
RELEASED = {"trim_thr": "TRIM-Thr, released", "trim_pomdp": "TRIM-POMDP, released"}
COLUMNS = ("router", "setting", "accuracy", "low", "high", "calls", "value", "value_low", "value_high", "bound")


def make_simulation(params: Params, out: Path, progress: Callable[[int, int], None]) -> None:
    """Write a row per operating point: accuracy with interval, and steps handed over per solution.

    TRIM-POMDP's variants (see `VARIANTS`) are simulated at each cost; their mean reward stands
    beside the planner's upper bound for any policy. TRIM-Thr follows in closed form. Beside them
    stand both routers as they were measured on MATH-500 and released.
    """
    settings, model, rows = params.simulation, published(), []
    models = {"pair": model, "score": model.on_scores()}
    plans = {observation: plan(where, settings.costs) for observation, where in models.items()}
    total = len(VARIANTS) * len(settings.costs)
    for name, (observation, tracker, restriction) in VARIANTS.items():
        for index, cost in enumerate(settings.costs):
            decide = planned(plans[observation], index, models[observation], tracker, restriction)
            # Problems follow the pairs' model in every variant; one that sees scores alone ignores the rest.
            figures = *_run(params, model, decide, cost), plans["pair"].start[index, 1]
            rows.append((name, f"cost={cost:g}", *figures))
            progress(len(rows), total)
    nothing = (np.nan,) * 4
    thresholds = np.linspace(0, 1, 21)
    said = predict_thresholds(model, thresholds.tolist())
    for tau, accuracy, calls, _ in zip(thresholds, *said, strict=True):
        rows.append(("TRIM-Thr, predicted", f"tau={tau:g}", accuracy, np.nan, np.nan, calls, *nothing))
    rows += [(*point, *nothing) for router in RELEASED for point in _released(params, router)]
    write_text(out, pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False, float_format="%.6g"))


def _run(params: Params, model: StepModel, decide: Decide, cost: float) -> tuple[float, ...]:
    """Accuracy with interval, steps handed over per solution, mean reward with interval."""
    found = simulate(model, decide, params.simulation.solutions, params.simulation.seed)
    accuracy = _with_interval(found.correct, params)
    reward = _with_interval(model.reward * found.correct - cost * model.tokens * found.calls, params)
    return *accuracy, found.calls.mean(), *reward


def _with_interval(values: np.ndarray, params: Params) -> tuple[float, float, float]:
    mean, spread = values.mean(), _deviations(params) * values.std() / len(values) ** 0.5
    return mean, mean - spread, mean + spread


def _deviations(params: Params) -> float:
    return float(norm.ppf((1 + params.evaluation.confidence) / 2))


def _released(params: Params, router: str) -> Iterator[tuple[str, str, float, float, float, float]]:
    """A router as released for MATH-500: accuracy with interval, and steps handed over."""
    for point in published_points(router).itertuples():
        spread = _deviations(params) * (point.accuracy * (1 - point.accuracy) / PROBLEMS) ** 0.5
        yield (
            RELEASED[router],
            point.setting,
            point.accuracy,
            point.accuracy - spread,
            point.accuracy + spread,
            point.calls,
        )
