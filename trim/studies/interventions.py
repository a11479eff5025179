"""Where routers intervene: the steps that each router hands over, and which of them were wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.evaluation.bootstrap import one_thread
from trim.evaluation.comparison import comparisons, nearest_setting
from trim.evaluation.results import read_results, read_steps
from trim.experiment.params import Params, measure_settings
from trim.problems import Problem, read_problems
from trim.problems.checks import is_right_step
from trim.report.figures import first_of_kinds, legend, panels, styles
from trim.report.tables import format_interval, titles
from trim.studies.study import Measurement, Study, read_measured

SCORES = (0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 1)
POSITIONS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 30)
RATES = {"handed_over": ("handed", "drafts"), "caught": ("hit", "wrong"), "wasted": ("miss", "handed")}


def decisions(steps: pd.DataFrame, problems: Mapping[str, Problem], difficulty: Mapping[str, str]) -> pd.DataFrame:
    """A row per judged draft.

    Args:
        steps: rows of an episodes table, of one setting.
        problems: the problems by id.
        difficulty: the problems' difficulty by id.

    Returns:
        Columns problem, handed (the strong model rewrote it), first (it is the first wrong step
        of a solution that was right so far), known (the truth is known and nothing was wrong
        before), position, score, difficulty.
    """
    rows = []
    names = ["problem", "decision", "text", "draft", "draft_tokens", "score_prm"]
    last, place, sound = None, 0, False
    for problem, decision, text, draft, drafted, score in zip(*(steps[name].tolist() for name in names), strict=True):
        if decision == "discard":
            continue
        source = problems[problem]
        if problem != last:
            last, place, sound = problem, 0, bool(source.reference)
        if drafted > 0:
            judged = draft if decision == "rewrite" else text
            wrong = sound and not is_right_step(source, place, judged)
            rows.append((problem, decision == "rewrite", wrong, sound, place, score))
        sound = sound and is_right_step(source, place, text)
        place += 1
    table = pd.DataFrame(rows, columns=["problem", "handed", "first", "known", "position", "score"])
    return table.assign(difficulty=table["problem"].map(difficulty))


def rates(
    judged: pd.DataFrame, problems: Sequence[str], weights: np.ndarray, interval: Callable[[np.ndarray], tuple]
) -> pd.DataFrame:
    """Rates of interventions, over all drafts and by position, score and difficulty.

    Args:
        judged: the result of `decisions`.
        problems: ids, in the order of the weights.
        weights: weights of the bootstrap, shape (resamples, n).
        interval: returns the interval of a number, from its resamples.

    Returns:
        Columns by, bin, drafts, and, each with low and high: handed_over, the share of the drafts;
        caught, the share of the first wrong steps that were handed over; wasted, the share of the
        handed-over drafts that were right. The last two are NaN unless the truth is known.
    """
    counts = pd.DataFrame(
        {
            "problem": judged["problem"],
            "drafts": 1,
            "handed": judged["handed"].astype(int),
            "wrong": judged["first"].astype(int),
            "hit": (judged["first"] & judged["handed"]).astype(int),
            "miss": (judged["known"] & ~judged["first"] & judged["handed"]).astype(int),
        }
    )
    bins = {
        "all": pd.Series("all", index=judged.index),
        "position": pd.cut(judged["position"], POSITIONS, right=False),
        "score": pd.cut(judged["score"], SCORES, include_lowest=True),
        "difficulty": judged["difficulty"],
    }
    truth = bool(judged["known"].any())
    rows = []
    for by, labels in bins.items():
        for label, group in counts.groupby(labels, observed=True, sort=by != "difficulty"):
            sums = group.groupby("problem").sum().reindex(problems, fill_value=0)
            row = {"by": by, "bin": str(label), "drafts": int(sums["drafts"].sum())}
            for name, (above, below) in RATES.items():
                both = sums[[above, below]].to_numpy(dtype=float)
                with one_thread():
                    samples = np.vstack([both.mean(axis=0), weights @ both])
                with np.errstate(divide="ignore", invalid="ignore"):
                    share = samples[:, 0] / samples[:, 1]
                defined = np.isfinite(share[0]) and (truth or name == "handed_over")
                low, high = interval(share[1:]) if defined else (np.nan, np.nan)
                row |= {name: share[0] if defined else np.nan, f"{name}_low": low, f"{name}_high": high}
            rows.append(row)
    return pd.DataFrame(rows)


def _measure(params: Params, benchmark: str, results: Path) -> dict[str, pd.DataFrame]:
    """A row per step router and bin; see `rates`.

    Difficulty is which of the models solves the problem alone.
    """
    episodes = [results / path for path in params.episodes(benchmark)]
    by_router = {path.stem: read_results(path) for path in episodes}
    ends = by_router["always_weak"].correct[0], by_router["always_strong"].correct[0]
    difficulty = {
        name: "weak solves it" if weak else "only strong solves it" if strong else "neither solves it"
        for name, weak, strong in zip(by_router["always_weak"].problems, *ends, strict=True)
    }
    (comparison,) = comparisons(list(by_router.values()), measure_settings(params))
    problems = {problem.id: problem for problem in read_problems(results / "problems" / f"{benchmark}.parquet", "test")}
    tables = []
    for path in episodes:
        result = by_router[path.stem]
        spent = comparison.fractions(path.stem, "strong_tokens")[0]
        setting = result.settings[nearest_setting(result.settings, spent, params.evaluation.headline_budget)]
        steps = read_steps(path, setting)
        if not (steps["decision"] == "rewrite").any():
            continue
        judged = decisions(steps, problems, difficulty)
        table = rates(judged, result.problems, comparison.weights, comparison.interval)
        tables.append(table.assign(benchmark=benchmark, router=path.stem, setting=str(setting)))
    return {"": pd.concat(tables)}


def _table(results: Path, params: Params) -> pd.DataFrame:
    """Share of drafts handed over, of first wrong steps caught, and of interventions wasted on right steps."""
    benchmarks, routers = titles(params)
    measured = read_measured(results, "interventions", params.benchmarks)
    table = measured.assign(benchmark=measured["benchmark"].map(benchmarks), router=measured["router"].map(routers))
    for name in RATES:
        columns = [name, f"{name}_low", f"{name}_high"]
        cells = [
            "" if np.isnan(row[0]) else format_interval(*row)
            for row in measured[columns].itertuples(index=False, name=None)
        ]
        table[name] = cells
    return table[["benchmark", "router", "setting", "by", "bin", "drafts", *RATES]]


def _figure(results: Path, params: Params) -> Figure:
    """On the first benchmark: drafts handed over by position, score and difficulty; errors caught and calls wasted."""
    _, routers = titles(params)
    measured = read_measured(results, "interventions", params.benchmarks)
    measured = measured[measured["benchmark"] == next(iter(params.benchmarks))]
    kinds = [name for name in first_of_kinds(params) if name in set(measured["router"])]
    names = [name for name in kinds if params.group(name) in ("trim", "step") or name in ("random", "oracle")]
    labels = {"position": "by step", "score": "by PRM score", "difficulty": "by difficulty", "all": "caught and wasted"}
    picture, axes_of = panels(labels, height=3)
    for router, (colour, marker) in styles(names).items():
        mine = measured[measured["router"] == router]
        for by in ("position", "score", "difficulty"):
            axes, rows = axes_of[by], mine[mine["by"] == by]
            places = list(dict.fromkeys(measured[measured["by"] == by]["bin"]))
            at = [places.index(name) for name in rows["bin"]]
            axes.plot(at, rows["handed_over"], marker + "-", color=colour, markersize=3.5, label=routers[router])
            axes.set_xticks(range(len(places)), places, rotation=30, ha="right", fontsize=6)
            axes.set_ylabel("share handed over")
        for row in mine[mine["by"] == "all"].itertuples():
            across = [[row.wasted - row.wasted_low], [row.wasted_high - row.wasted]]
            up = [[row.caught - row.caught_low], [row.caught_high - row.caught]]
            axes_of["all"].errorbar(row.wasted, row.caught, up, across, marker, color=colour, markersize=5, capsize=2)
    axes_of["all"].set_xlabel("share of interventions on right steps")
    axes_of["all"].set_ylabel("share of first wrong steps caught")
    return legend(picture)


STUDY = Study(
    name="interventions",
    title="Where routers intervene",
    text=(
        "At the setting for the middle budget: the share of judged drafts that are handed over, the share of first "
        "wrong steps that are caught, and the share of interventions wasted on right steps; by position, by PRM score, "
        "and by which model solves the problem alone."
    ),
    caption="Drafts handed over, first wrong steps caught and interventions wasted, on the first benchmark.",
    wanted=lambda params: True,
    table=_table,
    figure=_figure,
    measurement=Measurement(
        benchmarks=lambda params: list(params.benchmarks),
        inputs=lambda params, name: [f"problems/{name}.parquet", *params.episodes(name)],
        make=_measure,
    ),
)
