"""Routers simulated in the calibration released with the paper, beside the released measurements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.special import ndtri

from trim.evaluation.published import PROBLEMS, published_model, published_points
from trim.experiment.params import Params
from trim.pomdp.model import StepModel
from trim.pomdp.planner import plan
from trim.pomdp.policy import Decide, planned
from trim.pomdp.predict import predict_thresholds
from trim.pomdp.simulate import simulate
from trim.report.figures import legend, styles
from trim.report.tables import format_interval
from trim.setting import Setting
from trim.studies.study import Measurement, Study, read_measured

# Observation, tracker of beliefs, restriction: see `trim.routers.trim_pomdp`.
VARIANTS: dict[str, tuple[str, str, float | None]] = {
    "POMDP, paper": ("pair", "latest", 0.4),
    "POMDP, latest pair": ("pair", "latest", None),
    "POMDP, pair filter": ("pair", "filter", None),
    "TRIM-POMDP": ("score", "filter", None),
}
RELEASED = {"trim_thr": "TRIM-Thr, released", "trim_pomdp": "TRIM-POMDP, released"}
COLUMNS = ("router", "setting", "accuracy", "low", "high", "calls", "value", "value_low", "value_high", "bound")


OBSERVATION = "math_train"  # the problems that the released densities come from


def _measure(params: Params, benchmark: str, folder: Path) -> dict[str, pd.DataFrame]:
    """A row per operating point: accuracy with interval, and steps handed over per solution.

    TRIM-POMDP's variants (see `VARIANTS`) are simulated at each cost; their mean reward is
    given beside the planner's upper bound for any policy. TRIM-Thr is computed in closed form. The
    last rows are both routers as measured on MATH-500 and released.
    """
    settings, model, rows = params.simulation, published_model(OBSERVATION), []
    models = {"pair": model, "score": model.on_scores()}
    plans = {observation: plan(where, settings.costs) for observation, where in models.items()}
    for name, (observation, tracker, restriction) in VARIANTS.items():
        for index, cost in enumerate(settings.costs):
            decide = planned(plans[observation], index, models[observation], tracker, restriction)
            # Every variant is simulated in the model of pairs; a variant that observes scores alone ignores the rest.
            figures = *_run(params, model, decide, cost), plans["pair"].start[index, 1]
            rows.append((name, str(Setting("cost", cost)), *figures))
    nothing = (np.nan,) * 4
    thresholds = np.linspace(0, 1, 21)
    said = predict_thresholds(model, thresholds.tolist())
    for tau, accuracy, calls, _ in zip(thresholds, *said, strict=True):
        rows.append(("TRIM-Thr, predicted", str(Setting("tau", tau)), accuracy, np.nan, np.nan, calls, *nothing))
    rows += [(*point, *nothing) for router in RELEASED for point in _released(params, router)]
    return {"": pd.DataFrame(rows, columns=list(COLUMNS))}


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
    return float(ndtri((1 + params.evaluation.confidence) / 2))


def _released(params: Params, router: str) -> Iterator[tuple[str, str, float, float, float, float]]:
    """A router as released for MATH-500: its points, with accuracy, interval, and steps handed over."""
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


def _table(results: Path, params: Params) -> pd.DataFrame:
    """Every simulated and published point."""
    rows = read_measured(results, "published", [OBSERVATION])
    intervals = (("accuracy", "low", "high"), ("value", "value_low", "value_high"))
    shown = {
        columns[0]: [
            "" if np.isnan(row[0]) else format_interval(*row)
            for row in rows[list(columns)].itertuples(index=False, name=None)
        ]
        for columns in intervals
    }
    table = rows[["router", "setting", "calls", "bound"]].assign(**shown).round(4)
    return table[["router", "setting", "accuracy", "calls", "value", "bound"]]


def _figure(results: Path, params: Params) -> Figure:
    """Accuracy over calls in the published calibration."""
    rows = read_measured(results, "published", [OBSERVATION])
    picture = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = picture.subplots()
    for router, (colour, marker) in styles(rows["router"].unique()).items():
        points = rows[rows["router"] == router].sort_values(["calls", "accuracy"])
        axes.plot(points["calls"], points["accuracy"], marker + "-", color=colour, markersize=3.5, label=router)
        if points["low"].notna().any():
            axes.fill_between(points["calls"], points["low"], points["high"], color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel("steps handed over per solution")
    axes.set_ylabel("accuracy")
    return legend(picture)


STUDY = Study(
    name="published",
    title="In the published calibration",
    text=(
        "TRIM-POMDP's variants simulated in the calibration released with the paper, and both routers as released for "
        "MATH-500; no policy exceeds `bound`. `calls`: steps handed over per solution. Choose costs on validation "
        "problems, never by simulation: the model makes all problems equally hard, and predicts 14 to 27 points more "
        "than was measured at the same cost."
    ),
    caption="Routers simulated in the calibration released with the paper, and as released for MATH-500.",
    wanted=lambda params: bool(params.calibrated()),
    table=_table,
    figure=_figure,
    measurement=Measurement(benchmarks=lambda params: [OBSERVATION], inputs=lambda params, name: [], make=_measure),
)
