"""Simulation: routers in the calibration that was released with the paper, and what was measured there."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from trim.config import Params
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
COLUMNS = ("router", "setting", "accuracy", "low", "high", "calls", "value", "value_low", "value_high", "bound")


def make_simulation(params: Params, out: Path, progress: Callable[[int, int], None]) -> None:
    """Write a row per operating point: accuracy and share of steps handed over, with intervals.

    TRIM-POMDP's variants (see `VARIANTS`) are simulated at each cost; their mean reward stands
    beside the planner's upper bound for any policy. TRIM-Thr follows in closed form, and beside
    it stands its published measurement on MATH-500.
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
    for tau, accuracy, calls, steps in zip(thresholds, *said, strict=True):
        rows.append(("TRIM-Thr, predicted", f"tau={tau:g}", accuracy, np.nan, np.nan, calls / steps, *nothing))
    rows += [(*point, *nothing) for point in _measured_thresholds(params)]
    write_text(out, pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(index=False, float_format="%.6g"))


def _run(params: Params, model: StepModel, decide: Decide, cost: float) -> tuple[float, ...]:
    """Accuracy with interval, calls per step, mean reward with interval."""
    found = simulate(model, decide, params.simulation.solutions, params.simulation.seed)
    accuracy = _with_interval(found.correct, params)
    reward = _with_interval(model.reward * found.correct - cost * model.tokens * found.calls, params)
    return *accuracy, found.calls.sum() / found.steps.sum(), *reward


def _with_interval(values: np.ndarray, params: Params) -> tuple[float, float, float]:
    mean, spread = values.mean(), _deviations(params) * values.std() / len(values) ** 0.5
    return mean, mean - spread, mean + spread


def _deviations(params: Params) -> float:
    return float(norm.ppf((1 + params.evaluation.confidence) / 2))


def _measured_thresholds(params: Params) -> list[tuple[str, str, float, float, float, float]]:
    """TRIM-Thr as released for MATH-500: accuracy with interval, strong tokens over always-strong's."""
    text = (files("trim.pomdp") / "published" / "trim_thr_math500.jsonl").read_text(encoding="utf-8")
    points = [json.loads(line) for line in text.splitlines()]
    unit = max(point["avg_target_tokens_per_question"] for point in points)
    rows = []
    for point in points:
        accuracy = point["accuracy"]
        spread = _deviations(params) * (accuracy * (1 - accuracy) * accuracy / point["num_correct"]) ** 0.5
        fraction = point["avg_target_tokens_per_question"] / unit
        setting = f"tau={point['threshold']:g}"
        rows.append(("TRIM-Thr, published", setting, accuracy, accuracy - spread, accuracy + spread, fraction))
    return rows
