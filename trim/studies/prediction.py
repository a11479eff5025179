"""Prediction: TRIM-Thr's curve as predicted by the calibrated POMDPs, against the measured one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.errors import TrimError
from trim.evaluation.bootstrap import interval, means, resamples
from trim.evaluation.results import Results, read_results
from trim.experiment.params import Params, measure_settings
from trim.pomdp.model import CALIBRATIONS, StepModel
from trim.pomdp.predict import predict_thresholds
from trim.report.figures import legend, panels, styles
from trim.report.tables import format_interval
from trim.studies.calibration import LABELS, calibrated_titles
from trim.studies.study import Measurement, Study, read_measured

POINTS = ("benchmark", "model", "threshold", "accuracy", "calls", "measured_accuracy", "measured_calls")
ERRORS = ("benchmark", "model", "baseline", "measure", "value", "low", "high")


def _measure(params: Params, benchmark: str, folder: Path) -> dict[str, pd.DataFrame]:
    """Compare each model's prediction of TRIM-Thr, from the train split, with TRIM-Thr's results on the test problems.

    Returns:
        `points`: a row per model and threshold; calls are a share of all steps. `errors`: the mean absolute errors
        over thresholds with bootstrap intervals over problems: of accuracy and calls at equal thresholds, and of
        accuracy at equal calls (`curve`); and their differences from the first model's.

    Raises:
        TrimError: if no threshold of the sweep is an edge of the models' bins.
    """
    calibrations, episodes = folder / "calibration" / benchmark, folder / "episodes" / benchmark / "trim_thr.parquet"
    results = read_results(episodes)
    models = {variant: StepModel.load(calibrations / f"{variant}.json") for variant in CALIBRATIONS}
    bins = models[CALIBRATIONS[0]].observation.shape[2]
    chosen = {index: setting.value for index, setting in enumerate(results.settings) if setting.parameter == "tau"}
    chosen = {index: tau for index, tau in chosen.items() if np.isclose(tau * bins, round(tau * bins))}
    if not chosen:
        raise TrimError(f"{episodes}: no threshold is a multiple of {1 / bins:g}; add one to trim_thr's")
    taus = list(chosen.values())
    accuracy, calls = _measured(results, list(chosen), params)
    rows: list[tuple] = []
    made: list[tuple[str, str, str, np.ndarray]] = []
    first: dict[str, np.ndarray] = {}
    for variant, model in models.items():
        said = predict_thresholds(model, taus)
        share = said.calls / said.steps
        rows += zip(
            [results.benchmark] * len(taus), [variant] * len(taus), taus, said.accuracy, share, accuracy[0], calls[0],
            strict=True,
        )  # fmt: skip
        order = np.argsort(share)
        at_equal_calls = np.stack([np.interp(row, share[order], said.accuracy[order]) for row in calls])
        found = {
            "accuracy": np.abs(said.accuracy - accuracy).mean(axis=1),
            "calls": np.abs(share - calls).mean(axis=1),
            "curve": np.abs(at_equal_calls - accuracy).mean(axis=1),
        }
        first = first or found
        for baseline, reference in (("", None), (CALIBRATIONS[0], first)):
            for measure, values in found.items():
                if reference is not found:
                    made.append((variant, baseline, measure, values - reference[measure] if reference else values))
    table = [
        (results.benchmark, variant, baseline, measure, values[0], *interval(values[1:], params.evaluation.confidence))
        for variant, baseline, measure, values in made
    ]
    return {
        "points": pd.DataFrame(rows, columns=list(POINTS)),
        "errors": pd.DataFrame(table, columns=list(ERRORS)),
    }


def _measured(results: Results, chosen: list[int], params: Params) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and share of steps handed over, shape (1 + resamples, T) each: as observed, then per resample."""
    weights = resamples(len(results.problems), measure_settings(params))
    correct, calls, steps = (
        means(values[chosen], weights)
        for values in (results.correct, results.totals["strong_calls"], results.totals["steps"])
    )
    return correct, calls / steps


def _table(results: Path, params: Params) -> pd.DataFrame:
    """Mean absolute errors of the predicted curve of TRIM-Thr, and their differences from the paper's model."""
    rows = []
    for benchmark, title in calibrated_titles(params).items():
        errors = read_measured(results, "prediction", [benchmark], "errors").fillna({"baseline": ""})
        for (model, baseline), group in errors.groupby(["model", "baseline"], sort=False):
            found = {row.measure: format_interval(row.value, row.low, row.high) for row in group.itertuples()}
            vs = LABELS[str(baseline)] if baseline else ""
            rows.append({"benchmark": title, "model": LABELS[str(model)], "vs": vs} | found)
    return pd.DataFrame(rows)


def _figure(results: Path, params: Params) -> Figure:
    """Predicted and measured curves of TRIM-Thr."""
    picture, axes_of = panels(calibrated_titles(params))
    for benchmark, axes in axes_of.items():
        points = read_measured(results, "prediction", [benchmark], "points")
        for variant, (colour, marker) in styles(LABELS).items():
            rows = points[points["model"] == variant].sort_values("threshold")
            axes.plot(rows["calls"], rows["accuracy"], marker + "-", color=colour, markersize=3, label=LABELS[variant])
        axes.plot(rows["measured_calls"], rows["measured_accuracy"], "k.-", linewidth=1.6, label="measured")
        axes.set_xlabel("steps handed over / all steps")
        axes.set_ylabel("accuracy")
    return legend(picture)


STUDY = Study(
    name="prediction",
    title="Predicting TRIM-Thr",
    text=(
        "Mean absolute error over thresholds of the curve predicted by each calibrated POMDP, on held-out problems: of "
        "accuracy and calls at equal thresholds, and of accuracy at equal calls (curve)."
    ),
    caption="TRIM-Thr's curve: predicted by the calibrated models, and measured.",
    wanted=lambda params: bool(params.calibrated()) and "trim_thr" in params.routers,
    table=_table,
    figure=_figure,
    measurement=Measurement(
        benchmarks=lambda params: params.calibrated(),
        inputs=lambda params, name: [
            *(f"calibration/{name}/{variant}.json" for variant in CALIBRATIONS),
            f"episodes/{name}/trim_thr.parquet",
        ],
        make=_measure,
        parts=("points", "errors"),
    ),
)
