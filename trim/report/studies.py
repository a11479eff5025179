"""The studies, a table and a figure each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trim.config import Params
from trim.pomdp.calibration import STATES
from trim.pomdp.model import StepModel
from trim.report.claims import claims_figure, claims_table, paper_figure, paper_table
from trim.report.costs import spent_figure, spent_table, units_figure, units_table
from trim.report.figures import draw, legend, panels, styles
from trim.report.gain import ceiling_figure, ceiling_table, generalisation_figure, generalisation_table
from trim.report.rivals import (
    definitions_figure,
    definitions_table,
    interventions_figure,
    interventions_table,
    transfer_figure,
    transfer_table,
)
from trim.report.tables import at_budgets, at_middle, figure, read_csv, titles, write
from trim.report.twin import twin_figure, twin_table
from trim.tables import read_json

LABELS = {"single": "labelled steps", "rule": "threshold rule", "classes": "difficulty classes"}


def write_study(results: Path, params: Params, name: str) -> list[Path]:
    """Write the table and draw the figure of one of `STUDIES`; returns the paths.

    Raises:
        TrimError: if what it is drawn from is missing or damaged.
    """
    table, picture = STUDIES[name]
    return write(results, name, table(results, params)) + draw(results, name, partial(picture, results, params))


def _calibrated(params: Params) -> dict[str, str]:
    """Titles of the benchmarks that a POMDP is calibrated on."""
    return {name: title for name, title in titles(params)[0].items() if name in params.calibrated()}


def _models(results: Path, benchmark: str) -> dict[str, StepModel]:
    return {kind: StepModel.load(results / "calibration" / benchmark / f"{kind}.json") for kind in LABELS}


def _calibration_table(results: Path, params: Params) -> pd.DataFrame:
    """Parameters by source of the labels, and how often the threshold rule finds the first error."""
    rows = []
    for benchmark, title in _calibrated(params).items():
        models = _models(results, benchmark)
        agreement = read_json(results / "calibration" / benchmark / "agreement.json")
        for kind, label in LABELS.items():
            model = models[kind]
            apart = np.abs(model.observation - models["single"].observation).sum(axis=(1, 2)) / 2
            wrong = {name: rule["wrong_by_rule" if kind == "rule" else "wrong"] for name, rule in agreement.items()}
            rows.append(
                {
                    "benchmark": title,
                    "labels": label,
                    "p_weak": _each(model.p_weak),
                    "p_strong": _each(model.p_strong),
                    "prior": _each(model.prior),
                    "mean tokens": f"{model.tokens:.2f}",
                    "AUC": f"{model.auc():.3f}",
                    "weak wrong": f"{wrong['weak']:.3f}",
                    "strong wrong": f"{wrong['strong']:.3f}",
                    **{f"apart {state}": f"{value:.3f}" for state, value in zip(STATES, apart, strict=True)},
                    **{
                        name: f"{agreement['weak'][name]:.3f}" if kind == "rule" else ""
                        for name in ("exact", "earlier", "later")
                    },
                }
            )
    return pd.DataFrame(rows)


def _each(values: np.ndarray) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _calibration_figure(results: Path, params: Params) -> Figure:
    """Densities of the observation in each state, and the hazard, on the first benchmark."""
    benchmark, title = next(iter(_calibrated(params).items()))
    models = _models(results, benchmark)
    picture = Figure(figsize=(7.4, 5.6), layout="constrained")
    axes = picture.subplots(2, 2).ravel()
    names = ("S0: all steps right", "S1: an earlier step wrong", "S2: this step wrong")
    masses = np.log10(np.maximum(models["single"].observation, 1e-7))
    for panel, mass, name in zip(axes, masses, names, strict=False):
        image = panel.imshow(mass.T, origin="lower", extent=(0, 1, 0, 1), cmap="viridis", vmin=-5, vmax=0)
        panel.set_title(name)
        panel.set_xlabel("least earlier score")
        panel.set_ylabel("score of the step")
        panel.grid(False)
    picture.colorbar(image, ax=list(axes[:3]), label="log10 of the mass in a bin", shrink=0.7)
    last = axes[3]
    for kind, (colour, _) in styles(LABELS).items():
        for z, hazard in enumerate(models[kind].hazard):
            reached = np.concatenate([[1.0], np.cumprod(1 - hazard)[:-1]]) > 1e-3
            steps = np.arange(1, len(hazard) + 1)[reached]
            style = ("-", "--", ":")[z] if kind != "rule" else "-."
            last.plot(steps, hazard[reached], style, color=colour, label=LABELS[kind] if z == 0 else None)
    last.set_title(f"hazard ({title})")
    last.set_xlabel("step")
    last.set_ylabel("P(the solution ends here)")
    last.legend(fontsize=7)
    return picture


def _prediction_table(results: Path, params: Params) -> pd.DataFrame:
    """Mean absolute errors of the predicted curve of TRIM-Thr, and their differences from the paper's model."""
    rows = []
    for benchmark, title in _calibrated(params).items():
        errors = read_csv(results / "studies" / "prediction" / f"{benchmark}.errors.csv").fillna({"baseline": ""})
        for (model, baseline), group in errors.groupby(["model", "baseline"], sort=False):
            found = {row.measure: figure(row.value, row.low, row.high) for row in group.itertuples()}
            minus = LABELS[str(baseline)] if baseline else ""
            rows.append({"benchmark": title, "model": LABELS[str(model)], "minus": minus} | found)
    return pd.DataFrame(rows)


def _prediction_figure(results: Path, params: Params) -> Figure:
    """Predicted and measured curves of TRIM-Thr."""
    picture, axes_of = panels(_calibrated(params))
    for benchmark, axes in axes_of.items():
        points = read_csv(results / "studies" / "prediction" / f"{benchmark}.points.csv")
        for kind, (colour, marker) in styles(LABELS).items():
            rows = points[points["model"] == kind].sort_values("threshold")
            axes.plot(rows["calls"], rows["accuracy"], marker + "-", color=colour, markersize=3, label=LABELS[kind])
        axes.plot(rows["measured_calls"], rows["measured_accuracy"], "k.-", linewidth=1.6, label="measured")
        _curve_axes(axes)
    return legend(picture)


def _curve_axes(axes: Axes, calls: str = "steps handed over / all steps") -> None:
    axes.set_xlabel(calls)
    axes.set_ylabel("accuracy")


def _published_table(results: Path, params: Params) -> pd.DataFrame:
    """Every simulated and published point."""
    rows = read_csv(results / "studies" / "published.csv")
    intervals = (("accuracy", "low", "high"), ("value", "value_low", "value_high"))
    shown = {
        columns[0]: [
            "" if np.isnan(row[0]) else figure(*row) for row in rows[list(columns)].itertuples(index=False, name=None)
        ]
        for columns in intervals
    }
    table = rows[["router", "setting", "calls", "bound"]].assign(**shown).round(4)
    return table[["router", "setting", "accuracy", "calls", "value", "bound"]]


def _published_figure(results: Path, params: Params) -> Figure:
    """Accuracy over calls in the published calibration."""
    rows = read_csv(results / "studies" / "published.csv")
    picture = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = picture.subplots()
    for router, (colour, marker) in styles(rows["router"].unique()).items():
        points = rows[rows["router"] == router].sort_values(["calls", "accuracy"])
        axes.plot(points["calls"], points["accuracy"], marker + "-", color=colour, markersize=3.5, label=router)
        if points["low"].notna().any():
            axes.fill_between(points["calls"], points["low"], points["high"], color=colour, alpha=0.15, linewidth=0)
    _curve_axes(axes, "steps handed over per solution")
    return legend(picture)


def _robustness(results: Path, params: Params) -> pd.DataFrame:
    names, routers = titles(params)
    folder = results / "studies" / "robustness"
    rows = pd.concat([read_csv(folder / f"{name}.csv") for name in params.robustness.benchmarks])
    rows = rows.fillna({"baseline": ""})
    return rows.assign(
        benchmark=rows["benchmark"].map(names),
        router=rows["router"].map(routers),
        minus=rows["baseline"].map(routers | {"": ""}),
    )


def _robustness_table(results: Path, params: Params) -> pd.DataFrame:
    """Accuracy at budgets and APGR under every distortion; differences of the routers."""
    table, rows = _robustness(results, params), []
    measures = [*at_budgets(params), "apgr"]
    keys = ["benchmark", "distortion", "strength", "auc", "router", "minus"]
    for key, group in table.groupby(keys, sort=False):
        found = {row.measure: figure(row.value, row.low, row.high) for row in group.itertuples()}
        rows.append(dict(zip(keys, key, strict=True)) | {name: found[name] for name in measures})
    return pd.DataFrame(rows).round({"auc": 3})


def _robustness_figure(results: Path, params: Params) -> Figure:
    """Accuracy at the middle budget over the strength of each distortion."""
    table = _robustness(results, params)
    measure = at_middle(params)
    first = titles(params)[0][params.robustness.benchmarks[0]]
    table = table[(table["measure"] == measure) & (table["minus"] == "") & (table["benchmark"] == first)]
    kinds = [kind for kind in table["distortion"].unique() if kind != "none"]
    picture, axes_of = panels({kind: f"distortion: {kind}" for kind in kinds}, height=2.8)
    for kind, axes in axes_of.items():
        for router, (colour, marker) in styles(table["router"].unique()).items():
            rows = table[(table["router"] == router) & table["distortion"].isin(["none", kind])]
            # A temperature of 1 leaves the scores as they are; so does a strength of 0 of the others.
            neutral = 1.0 if kind == "temperature" else 0.0
            rows = rows.assign(strength=rows["strength"].where(rows["distortion"] == kind, neutral))
            rows = rows.sort_values("strength")
            spread = np.abs(rows[["low", "high"]].to_numpy().T - rows["value"].to_numpy())
            axes.errorbar(rows["strength"], rows["value"], spread, fmt=marker + "-", color=colour, capsize=2)
            axes.plot([], [], marker + "-", color=colour, label=router)
        axes.set_xlabel("strength")
        axes.set_ylabel(f"accuracy at {measure.removeprefix('acc@')} %")
    return legend(picture)


Table = Callable[[Path, Params], pd.DataFrame]
Picture = Callable[[Path, Params], Figure]
STUDIES: dict[str, tuple[Table, Picture]] = {
    "calibration": (_calibration_table, _calibration_figure),
    "prediction": (_prediction_table, _prediction_figure),
    "published": (_published_table, _published_figure),
    "robustness": (_robustness_table, _robustness_figure),
    "ceiling": (ceiling_table, ceiling_figure),
    "generalisation": (generalisation_table, generalisation_figure),
    "transfer": (transfer_table, transfer_figure),
    "interventions": (interventions_table, interventions_figure),
    "definitions": (definitions_table, definitions_figure),
    "twin": (twin_table, twin_figure),
    "units": (units_table, units_figure),
    "spent": (spent_table, spent_figure),
    "paper": (paper_table, paper_figure),
    "claims": (claims_table, claims_figure),
}
