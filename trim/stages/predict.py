"""Prediction: the calibrated POMDPs' curve of TRIM-Thr against the measured one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from trim.config import Params
from trim.errors import TrimError
from trim.evaluation.records import Results, read_results
from trim.evaluation.summary import interval, means, resamples
from trim.pomdp.model import CALIBRATIONS, StepModel
from trim.pomdp.predict import predict_thresholds
from trim.stages.evaluate import protocol
from trim.tables import write_text

POINTS = ("benchmark", "model", "threshold", "accuracy", "calls", "measured_accuracy", "measured_calls")
ERRORS = ("benchmark", "model", "baseline", "measure", "value", "low", "high")


def make_prediction(params: Params, calibrations: Path, episodes: Path, points: Path, errors: Path) -> None:
    """Compare what each model says of TRIM-Thr with what TRIM-Thr did on held-out problems.

    Args:
        params: the experiment.
        calibrations: folder of the models, from the train split.
        episodes: TRIM-Thr's on the test split.
        points: file for a row per model and threshold; calls are a share of all steps.
        errors: file for the mean absolute errors over thresholds with bootstrap intervals over
            problems: of accuracy and calls at equal thresholds, and of accuracy at equal calls
            (`curve`); and their differences from the first model's.

    Raises:
        TrimError: if no threshold of the sweep is an edge of the models' bins.
    """
    results = read_results(episodes)
    models = {kind: StepModel.load(calibrations / f"{kind}.json") for kind in CALIBRATIONS}
    bins = models[CALIBRATIONS[0]].observation.shape[2]
    chosen = {
        index: float(setting.removeprefix("tau="))
        for index, setting in enumerate(results.settings)
        if setting.startswith("tau=")
    }
    chosen = {index: tau for index, tau in chosen.items() if np.isclose(tau * bins, round(tau * bins))}
    if not chosen:
        raise TrimError(f"{episodes}: no threshold is a multiple of {1 / bins:g}; add one to trim_thr's")
    taus = list(chosen.values())
    accuracy, calls = _measured(results, list(chosen), params)
    rows: list[tuple] = []
    made: list[tuple[str, str, str, np.ndarray]] = []
    first: dict[str, np.ndarray] = {}
    for kind, model in models.items():
        said = predict_thresholds(model, taus)
        share = said.calls / said.steps
        rows += zip(
            [results.benchmark] * len(taus), [kind] * len(taus), taus, said.accuracy, share, accuracy[0], calls[0],
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
                    made.append((kind, baseline, measure, values - reference[measure] if reference else values))
    table = [
        (results.benchmark, kind, baseline, measure, values[0], *interval(values[1:], params.evaluation.confidence))
        for kind, baseline, measure, values in made
    ]
    for path, columns, records in ((points, POINTS, rows), (errors, ERRORS, table)):
        write_text(path, pd.DataFrame(records, columns=list(columns)).to_csv(index=False, float_format="%.6g"))


def _measured(results: Results, chosen: list[int], params: Params) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and share of steps handed over, shape (1 + resamples, T) each: as observed, then per resample."""
    weights = resamples(len(results.problems), protocol(params))
    correct, calls, steps = (
        means(values[chosen], weights)
        for values in (results.correct, results.totals["strong_calls"], results.totals["steps"])
    )
    return correct, calls / steps
