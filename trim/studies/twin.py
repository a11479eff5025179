"""The embedded twin: its agreement with the published calibration, and its curves' distance from the released ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.engine.episode import Episode
from trim.engine.store import Node
from trim.evaluation.bootstrap import interval, one_thread, resamples
from trim.evaluation.published import RELEASED_TITLES, published_model, published_points
from trim.experiment.params import Params, measure_settings
from trim.experiment.runner import Runner
from trim.files import write_text
from trim.pomdp.calibration import STATES, Solution, density, observations
from trim.problems import read_problems
from trim.problems.checks import first_error
from trim.report.figures import ENDS, legend, panels, styles
from trim.report.tables import format_interval, read_csv, titles
from trim.routers.always import STRONG, WEAK
from trim.studies.study import Job, Study, measured_path, read_measured

Steps = dict[str, np.ndarray]
RIGHT, AFTER, ERROR = 0, 1, 2  # hidden states of the POMDP, in the order of `STATES`


def _run(job: Job) -> None:
    """Write a row per measure (value, low, high) of a benchmark's test problems.

    The weak model's own log-probabilities are read from the draws if a router used them.
    """
    params, runner = job.params, job.runner
    test = read_problems(job.problems, "test")
    episodes = {role: runner.run(test, [end]) for role, end in (("weak", WEAK), ("strong", STRONG))}
    steps, scored = _steps(runner, episodes["weak"])
    weights = resamples(len(test), measure_settings(params))
    rows = _figures(episodes, steps, weights, params.evaluation.confidence) + _densities(scored)
    write_text(job.out, pd.DataFrame(rows, columns=["figure", "value", "low", "high"]).to_csv(index=False))


def published_figures() -> dict[str, float]:
    """The same numbers from the paper's released data (`math_train`, MATH-500), as far as these determine them."""
    model = published_model()
    masses = dict(zip(STATES, model.observation.sum(axis=1), strict=True))
    centres = (np.arange(masses["S0"].size) + 0.5) / masses["S0"].size
    reached = np.concatenate([[1.0], np.cumprod(1 - model.hazard[0])[:-1]])
    ends, counts = model.hazard[0] * reached, np.arange(1, model.hazard.shape[1] + 1)
    mean = float(ends @ counts)
    solved = published_points()["accuracy"]
    return {
        "p_weak": float(model.p_weak[0]),
        "p_strong": float(model.p_strong[0]),
        "solved, weak": float(solved.iloc[0]),
        "solved, strong": float(solved.iloc[-1]),
        "steps, mean": mean,
        "steps, sd": float(np.sqrt(ends @ counts**2 - mean**2)),
        "AUC of the PRM, S0 against S2": _auc(masses["S0"], masses["S2"]),
        "AUC of the PRM, S0 against S1": _auc(masses["S0"], masses["S1"]),
        **{f"mean score, {state}": float(mass @ centres) for state, mass in masses.items()},
    }


def _auc(right: np.ndarray, wrong: np.ndarray) -> float:
    """Probability that a draw of one histogram lies above one of another; ties count half."""
    right, wrong = right / right.sum(), wrong / wrong.sum()
    below = np.concatenate([[0.0], np.cumsum(wrong)[:-1]])
    return float(right @ (below + wrong / 2))


def _steps(runner: Runner, episodes: Sequence[Episode]) -> tuple[Steps, list[Solution]]:
    """Problem index, state, PRM score and log-probability of every weak step; and the scored solutions."""
    nodes = [episode.node for episode in episodes]
    read = runner.scorer.score(nodes, [len(e.steps) for e in episodes])
    prefixes = [_at(node, count) for node in nodes for count in range(1, len(node.prefix.steps) + 1)]
    logs = [s.score for s in runner.weak.mean_logprobs(prefixes)]
    solutions = [
        Solution(np.array([s.score for s in row]), first_error(e.problem, [step.text for step in e.steps]))
        for row, e in zip(read, episodes, strict=True)
    ]
    points, states = observations(solutions)
    problem = np.repeat(np.arange(len(episodes)), [len(e.steps) for e in episodes])
    return {"problem": problem, "state": states, "score": points[:, 1], "log": np.array(logs)}, solutions


def _at(node: Node, steps: int) -> Node:
    """The node after the first steps of a solution."""
    reached = Node.root(node.prefix.question, node.prefix.separator)
    for step in node.prefix.steps[:steps]:
        reached = reached.child(step)
    return reached


def _figures(
    episodes_of: Mapping[str, Sequence[Episode]], steps: Steps, weights: np.ndarray, confidence: float
) -> list[tuple[str, float, float, float]]:
    """Numbers with intervals over resampled problems."""
    outcomes = {}
    for role, episodes in episodes_of.items():
        errors = [first_error(e.problem, [step.text for step in e.steps]) for e in episodes]
        right = np.array([len(e.steps) if error < 0 else error for e, error in zip(episodes, errors, strict=True)])
        outcomes[role] = right, right + (np.array(errors) >= 0), np.array([e.correct for e in episodes])
    lengths = np.array([len(e.steps) for e in episodes_of["weak"]], dtype=float)

    from sklearn.metrics import roc_auc_score

    def auc(name: str, wrong: int) -> Callable[[np.ndarray], float]:
        chosen = np.isin(steps["state"], [RIGHT, wrong])
        values, right = steps[name][chosen], steps["state"][chosen] == RIGHT
        problem = steps["problem"][chosen]
        return lambda weight: float(roc_auc_score(right, values, sample_weight=weight[problem]))

    def mean(state: int) -> Callable[[np.ndarray], float]:
        chosen = steps["state"] == state
        values, problem = steps["score"][chosen], steps["problem"][chosen]
        return lambda weight: float(np.average(values, weights=weight[problem]))

    measures: dict[str, Callable[[np.ndarray], float]] = {}
    for role, (right, reached, correct) in outcomes.items():
        measures[f"p_{role}"] = _share(right, reached)
        measures[f"solved, {role}"] = _share(correct, np.ones(len(correct)))
    measures |= {
        "steps, mean": lambda w: float(w @ lengths),
        "steps, sd": lambda w: float(np.sqrt(w @ lengths**2 - (w @ lengths) ** 2)),
        "AUC of the PRM, S0 against S2": auc("score", ERROR),
        "AUC of the PRM, S0 against S1": auc("score", AFTER),
        "AUC of the weak log-probability, S0 against S2": auc("log", ERROR),
        **{f"mean score, {name}": mean(state) for state, name in enumerate(STATES)},
    }
    rows, even = [], np.full(weights.shape[1], 1 / weights.shape[1])
    with one_thread():
        for name, measure in measures.items():
            samples = np.array([measure(w) for w in weights])
            rows.append((name, measure(even), *interval(samples, confidence)))
    return rows


def _share(part: np.ndarray, whole: np.ndarray) -> Callable[[np.ndarray], float]:
    """A ratio of two sums over weighted problems."""
    return lambda weight: float((weight @ part) / (weight @ whole))


def _densities(solutions: Sequence[Solution]) -> list[tuple[str, float, float, float]]:
    """Total variation between the score's density in each state and the published one, by the same estimator."""
    points, states = observations(solutions)
    published, rows = published_model().observation.sum(axis=1), []
    for state, name in enumerate(STATES):
        distance = np.abs(density(points[states == state]).sum(axis=0) - published[state]).sum() / 2
        rows.append((f"total variation of the score, {name}", float(distance), np.nan, np.nan))
    return rows


# Shares of the strong tokens at which curves are compared; both released routers have points there.
SHARES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)


def twin_benchmarks(params: Params) -> dict[str, str]:
    """Titles of the generated benchmarks, whose steps are checked exactly."""
    return {name: title for name, title in titles(params)[0].items() if params.benchmarks[name].family}


def _table(results: Path, params: Params) -> pd.DataFrame:
    """A row per number: published, and on every generated benchmark."""
    published = {name: f"{value:.3f}" for name, value in published_figures().items()}
    columns: dict[str, dict[str, str]] = {"published": published}
    for benchmark, title in twin_benchmarks(params).items():
        measured = read_measured(results, "twin", [benchmark])
        columns[title] = {row.figure: format_interval(row.value, row.low, row.high) for row in measured.itertuples()}
    if set(RELEASED_TITLES) <= set(params.routers):
        for name, cells in _curves(results, params).items():
            columns[name] |= cells
    names = dict.fromkeys(key for cells in list(columns.values())[::-1] for key in cells)
    return pd.DataFrame(
        [{"figure": name} | {column: cells.get(name, "") for column, cells in columns.items()} for name in names]
    )


def _curves(results: Path, params: Params) -> dict[str, dict[str, str]]:
    """Recovered gap at equal shares of strong tokens: distance from the released curves, and planning's advantage."""
    summary, columns = read_csv(results / "summary.csv"), {}
    released = {router: _recovered(published_points(router)) for router in RELEASED_TITLES}
    curves = {"published": released}
    for benchmark, title in twin_benchmarks(params).items():
        rows = summary[summary["benchmark"] == benchmark]
        curves[title] = {router: _recovered(rows[rows["router"] == router]) for router in RELEASED_TITLES}
    for name, curve in curves.items():
        cells = {}
        for router, title in RELEASED_TITLES.items():
            if name != "published":
                difference = curve[router] - released[router]
                cells[f"{title}: mean distance of PGR from the released curve"] = f"{np.abs(difference).mean():.3f}"
                cells[f"{title}: mean of PGR minus the released curve's"] = f"{difference.mean():+.3f}"
        for share, lead in zip(SHARES, curve["trim_pomdp"] - curve["trim_thr"], strict=True):
            cells[f"PGR of TRIM-POMDP minus TRIM-Thr at {100 * share:g} %"] = f"{lead:+.3f}"
        columns[name] = cells
    return columns


def _recovered(points: pd.DataFrame) -> np.ndarray:
    """PGR of a curve at each of `SHARES`, between always-weak and the most expensive point."""
    points = points.sort_values(["strong_fraction", "pgr"])
    fraction, pgr = (np.concatenate([[0.0], points[name]]) for name in ("strong_fraction", "pgr"))
    return np.interp(SHARES, fraction, pgr)


def _figure(results: Path, params: Params) -> Figure:
    """Curves of both routers, released and on the generated benchmarks."""
    summary = read_csv(results / "summary.csv")
    picture, axes_of = panels(RELEASED_TITLES, height=3.6)
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


STUDY = Study(
    name="twin",
    title="The embedded twin beside the published calibration",
    text=(
        "On test problems with exact labels of steps; intervals over problems. S0: all steps right; S1: an earlier "
        "step wrong; S2: this step is the first wrong one. Densities are estimated as in the calibration. The models "
        "were not trained to match the curves of TRIM-Thr and TRIM-POMDP: their distance from the released ones is the "
        "test."
    ),
    caption="Share of the gap that TRIM-Thr and TRIM-POMDP recover, released and here.",
    wanted=lambda params: bool(twin_benchmarks(params)),
    table=_table,
    figure=_figure,
    inputs=lambda params: ["summary.csv", *(measured_path("twin", name) for name in twin_benchmarks(params))],
    run=_run,
)
