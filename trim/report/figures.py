"""Figures in print quality."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trim.evaluation.results import read_scores
from trim.experiment.params import Params
from trim.files import replacing
from trim.report.tables import at_budgets, read_csv, titles, unseeded

# Okabe and Ito's palette, safe for colour-blind readers; beyond it, line styles differ.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = "osD^vPX*"
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "trim",
    "svg.fonttype": "path",
}
ENDS = ("always_weak", "always_strong")
PLOTTED = ["strong_fraction", "accuracy", "accuracy_low", "accuracy_high"]


def draw_figures(results: Path, params: Params) -> list[Path]:
    """Draw every figure as SVG and PNG into results/figures; returns the paths."""
    paths = []
    makers = {"curves": _main_curves, "rivals": _rivals, "variants": _variants, "budgets": _bars, "scores": _scores}
    for name, make in makers.items():
        paths += draw(results, name, partial(make, results, params))
    return paths


def draw(results: Path, name: str, make: Callable[[], Figure]) -> list[Path]:
    """Draw one figure as SVG and PNG into results/figures, in the style of all; returns the paths."""
    paths = []
    with mpl.rc_context(STYLE):
        figure = make()
        FigureCanvasAgg(figure)
        for suffix, extra in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 200})):
            paths.append(results / "figures" / f"{name}.{suffix}")
            with replacing(paths[-1]) as partial:
                figure.savefig(partial, format=suffix, **extra)
    return paths


def panels(names: Mapping[str, str], height: float = 3.1) -> tuple[Figure, dict[str, Axes]]:
    """A figure with one titled panel per name, two in a row."""
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.7 * columns if columns > 1 else 5.5, height * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    for axes, title in zip(grid, names.values(), strict=False):
        axes.set_title(title)
    return figure, dict(zip(names, grid, strict=False))


def legend(figure: Figure) -> Figure:
    """One legend under all panels, for everything they show; if they are empty, the figure says so."""
    handle_of: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handle_of.setdefault(label, handle)
    labels, handles = list(handle_of), list(handle_of.values())
    if not labels:
        figure.text(0.5, 0.5, "the experiment has no router of this kind", ha="center", va="center")
        return figure
    column = 0.065 * max(map(len, labels)) + 0.5  # inches, about
    figure.legend(handles, labels, loc="outside lower center", ncols=max(1, int(figure.get_figwidth() // column)))
    return figure


def styles(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each name, no pair twice."""
    number = len(COLOURS)
    return {name: (COLOURS[i % number], MARKERS[(i + i // number) % len(MARKERS)]) for i, name in enumerate(names)}


def first_of_kinds(params: Params) -> list[str]:
    """The first router of each kind and group, the ends aside."""
    firsts: dict[tuple[str, str], str] = {}
    for name in params.routers:
        firsts.setdefault((params.router_type(name).name, params.group(name)), name)
    return [name for name in firsts.values() if name not in ENDS]


def _of_groups(params: Params, *groups: str) -> list[str]:
    return [name for name in first_of_kinds(params) if params.group(name) in groups]


def _curves(results: Path, params: Params, shown: Sequence[str]) -> Figure:
    return curves(read_csv(results / "summary.csv"), titles(params)[0], {name: params.title(name) for name in shown})


_BASE = "trim_thr"  # the reference of the differences in the main figure


def _main_curves(results: Path, params: Params) -> Figure:
    """TRIM's routers between random and oracle; below, their paired differences from TRIM-Thr at each budget."""
    shown = [n for n in _of_groups(params, "trim", "reference") if n != "oracle_query"]
    summary, (benchmarks, names) = read_csv(results / "summary.csv"), titles(params)
    compared = [n for n in shown if params.group(n) == "trim" and n != _BASE]
    if _BASE not in params.evaluation.baselines or not compared:
        return _curves(results, params, shown)
    differences, looks = read_csv(results / "differences.csv"), styles(shown)
    figure = Figure(figsize=(3.1 * len(benchmarks) + 0.6, 5.6), layout="constrained")
    grid = figure.subplots(2, len(benchmarks), squeeze=False, height_ratios=(3, 2))
    for (benchmark, title), (above, below) in zip(benchmarks.items(), grid.T, strict=True):
        above.set_title(title)
        _draw(above, _points(summary, benchmark), {name: names[name] for name in shown}, bands=False)
        rows = differences[(differences["benchmark"] == benchmark) & (differences["baseline"] == _BASE)]
        for place, name in enumerate(compared):
            mine = rows[rows["router"] == name].set_index("measure").reindex(at_budgets(params))
            x = np.arange(len(mine)) + 0.16 * (place - (len(compared) - 1) / 2)
            error = np.abs(mine[["low", "high"]].to_numpy().T - mine["value"].to_numpy())
            colour, marker = looks[name]
            below.errorbar(x, mine["value"], error, fmt=marker, color=colour, markersize=4, capsize=2)
        below.axhline(0, color="0.4", linewidth=0.8)
        below.set_xticks(range(len(at_budgets(params))), [f"{100 * b:g}" for b in params.evaluation.budgets])
        below.set_xlabel("budget: % of always-strong's cost")
        below.set_ylabel(f"gain over {names[_BASE]}")
    return legend(figure)


def _rivals(results: Path, params: Params) -> Figure:
    """The first of TRIM's routers beside its rivals."""
    bound = [name for name in params.routers if name == "oracle_query"]
    return _curves(
        results, params, [*_of_groups(params, "trim")[:1], *bound, *_of_groups(params, "query", "cascade", "step")]
    )


def _variants(results: Path, params: Params) -> Figure:
    """The ablations beside the first of TRIM's routers."""
    shown = [name for name in params.routers if params.group(name) == "ablation"]
    return _curves(results, params, [*_of_groups(params, "trim")[:1], *shown])


def curves(summary: pd.DataFrame, benchmarks: Mapping[str, str], routers: Mapping[str, str]) -> Figure:
    """Accuracy over strong tokens, every operating point (its mean over seeds) with its interval.

    Args:
        summary: rows as of summary.csv.
        benchmarks: titles of the panels by benchmark.
        routers: labels by router.
    """
    figure, axes_of = panels(benchmarks)
    for benchmark, axes in axes_of.items():
        _draw(axes, _points(summary, benchmark), routers, bands=True)
    return legend(figure)


def _points(summary: pd.DataFrame, benchmark: str) -> pd.DataFrame:
    """A benchmark's rows of summary.csv, with `point`: the setting without its seed."""
    rows = summary[summary["benchmark"] == benchmark]
    return rows.assign(point=unseeded(rows["setting"]))


def _draw(axes: Axes, rows: pd.DataFrame, routers: Mapping[str, str], bands: bool) -> None:
    """Curves of routers between both ends, with or without bands of their intervals."""
    weak, strong = (rows[rows["router"] == end].iloc[0] for end in ENDS)
    axes.plot([0, 1], [weak["accuracy"], strong["accuracy"]], ":", color="0.4", label="weak to strong")
    axes.axhline(strong["accuracy"], color="0.4", linewidth=0.8)
    axes.axhspan(strong["accuracy_low"], strong["accuracy_high"], color="0.5", alpha=0.12, linewidth=0)
    for router, (colour, marker) in styles(routers).items():
        points = rows[rows["router"] == router].groupby("point", sort=False)[PLOTTED].mean()
        points = points.sort_values(["strong_fraction", "accuracy"])
        if points.empty:
            continue
        x, y = points["strong_fraction"].to_numpy(), points["accuracy"].to_numpy()
        low, high = points["accuracy_low"].to_numpy(), points["accuracy_high"].to_numpy()
        if len(points) > 1:
            x0, y0 = np.r_[0, x], np.r_[weak["accuracy"], y]
            axes.plot(x0, y0, color=colour, linewidth=1.2)
            if bands:
                band = np.r_[weak["accuracy_low"], low], np.r_[weak["accuracy_high"], high]
                axes.fill_between(x0, *band, color=colour, alpha=0.15, linewidth=0)
            axes.plot(x, y, marker, color=colour, markersize=3.5, label=routers[router])
        else:
            error = np.abs(np.vstack([low, high]) - y)
            axes.errorbar(x, y, error, fmt=marker, color=colour, markersize=5, capsize=2, label=routers[router])
    axes.set_xlim(-0.02, 1.1)
    axes.set_xlabel("strong tokens / always-strong's")
    axes.set_ylabel("accuracy")


def _bars(results: Path, params: Params) -> Figure:
    """Accuracy at each budget, by router."""
    budgets, (benchmarks, names) = read_csv(results / "measures.csv"), titles(params)
    looks = styles([*_of_groups(params, "trim"), *_of_groups(params, "query", "cascade", "step")])
    shown = at_budgets(params)
    width = 0.8 / max(1, len(looks))
    figure, axes_of = panels(benchmarks, height=2.6)
    for benchmark, axes in axes_of.items():
        for index, (router, (colour, _)) in enumerate(looks.items()):
            rows = budgets[(budgets["benchmark"] == benchmark) & (budgets["router"] == router)].set_index("measure")
            values = rows.reindex(shown)
            x = np.arange(len(shown)) + (index - (len(looks) - 1) / 2) * width
            error = np.abs(values[["low", "high"]].to_numpy().T - values["value"].to_numpy())
            axes.bar(x, values["value"], width, color=colour, label=names[router])
            axes.errorbar(x, values["value"], error, fmt="none", ecolor="0.2", elinewidth=0.8)
        axes.set_xticks(range(len(shown)), [name.removeprefix("acc@") + " %" for name in shown])
        axes.set_xlabel("budget: share of always-strong's cost")
        axes.set_ylabel("accuracy")
    return legend(figure)


def _scores(results: Path, params: Params) -> Figure:
    """Distribution of PRM scores of the drafts under the first of TRIM's routers, by the solution's fate."""
    reading = params.needing("train_logprobs")  # their scores are not the reward model's alone
    scored = next((name for name in params.routers if params.group(name) == "trim" and name not in reading), None)
    figure, axes_of = panels(titles(params)[0], height=2.4)
    for benchmark, axes in axes_of.items():
        if scored is None or scored not in params.routers_on(benchmark):
            continue
        scores: pd.DataFrame = read_scores(results / "episodes" / benchmark / f"{scored}.parquet")
        bins = np.linspace(0, 1, 21).tolist()
        for correct, colour, label in ((True, COLOURS[0], "solved"), (False, COLOURS[1], "not solved")):
            values = scores.loc[scores["correct"] == correct, "score_prm"]
            if len(values):
                axes.hist(values, bins, density=True, histtype="step", color=colour, label=label)
        axes.set_yscale("log")
        axes.set_xlabel("PRM score of a draft")
        axes.set_ylabel("density")
    return legend(figure)
