"""The embedded twin: what it shares with the published calibration, and how far its curves lie from released ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.config import Params
from trim.evaluation.published import published_points
from trim.report.figures import ENDS, legend, panels, styles
from trim.report.tables import figure, read_csv, titles
from trim.stages.twin import published_figures

# Shares of the strong tokens at which curves are compared: where both released routers have points.
SHARES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
ROUTERS = {"trim_thr": "TRIM-Thr", "trim_pomdp": "TRIM-POMDP"}


def twin_benchmarks(params: Params) -> dict[str, str]:
    """Titles of the generated benchmarks, whose steps are checked exactly."""
    return {name: title for name, title in titles(params)[0].items() if params.benchmarks[name].family}


def twin_table(results: Path, params: Params) -> pd.DataFrame:
    """A row per figure: published, and on every generated benchmark."""
    published = {name: f"{value:.3f}" for name, value in published_figures().items()}
    columns: dict[str, dict[str, str]] = {"published": published}
    for benchmark, title in twin_benchmarks(params).items():
        found = read_csv(results / "studies" / "twin" / f"{benchmark}.csv")
        columns[title] = {row.figure: figure(row.value, row.low, row.high) for row in found.itertuples()}
    if set(ROUTERS) <= set(params.routers):
        for name, cells in _curves(results, params).items():
            columns[name] |= cells
    names = dict.fromkeys(key for cells in list(columns.values())[::-1] for key in cells)
    return pd.DataFrame(
        [{"figure": name} | {column: cells.get(name, "") for column, cells in columns.items()} for name in names]
    )


def _curves(results: Path, params: Params) -> dict[str, dict[str, str]]:
    """Recovered gap at equal shares of strong tokens: the distance to the released curves, and planning's advantage."""
    summary, found = read_csv(results / "summary.csv"), {}
    released = {router: _recovered(published_points(router)) for router in ROUTERS}
    curves = {"published": released}
    for benchmark, title in twin_benchmarks(params).items():
        rows = summary[summary["benchmark"] == benchmark]
        curves[title] = {router: _recovered(rows[rows["router"] == router]) for router in ROUTERS}
    for name, own in curves.items():
        cells = {}
        for router, title in ROUTERS.items():
            if name != "published":
                apart = own[router] - released[router]
                cells[f"{title}: mean distance of PGR from the released curve"] = f"{np.abs(apart).mean():.3f}"
                cells[f"{title}: mean of PGR minus the released curve's"] = f"{apart.mean():+.3f}"
        for share, lead in zip(SHARES, own["trim_pomdp"] - own["trim_thr"], strict=True):
            cells[f"PGR of TRIM-POMDP minus TRIM-Thr at {100 * share:g} %"] = f"{lead:+.3f}"
        found[name] = cells
    return found


def _recovered(points: pd.DataFrame) -> np.ndarray:
    """PGR of a curve at each of `SHARES`, between always-weak and the dearest point."""
    points = points.sort_values(["strong_fraction", "pgr"])
    fraction, pgr = (np.concatenate([[0.0], points[name]]) for name in ("strong_fraction", "pgr"))
    return np.interp(SHARES, fraction, pgr)


def twin_figure(results: Path, params: Params) -> Figure:
    """On the first generated benchmark: both routers' curves, released and here."""
    summary = read_csv(results / "summary.csv")
    picture, axes_of = panels(ROUTERS, height=3.6)
    for router, axes in axes_of.items():
        points = published_points(router).sort_values("strong_fraction")
        axes.plot(points["strong_fraction"], points["pgr"], "k*--", label="released, MATH-500")
        benchmarks = twin_benchmarks(params)
        for benchmark, (colour, marker) in styles(benchmarks).items():
            mine = summary[(summary["benchmark"] == benchmark) & summary["router"].isin([router, ENDS[0]])]
            mine = mine.sort_values(["strong_fraction", "pgr"])
            axes.plot(
                mine["strong_fraction"], mine["pgr"], marker + "-", color=colour, markersize=3,
                label=benchmarks[benchmark],
            )  # fmt: skip
        axes.set_xlim(-0.02, 0.6)
        axes.set_xlabel("strong tokens / always-strong's")
        axes.set_ylabel("share of the accuracy gap recovered")
    return legend(picture)
