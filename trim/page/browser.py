"""Data of the page's chart and episode browser, as plain values for JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trim.evaluation.comparison import nearest_setting
from trim.evaluation.results import Results, read_results, read_steps
from trim.evaluation.schema import RATERS
from trim.experiment.params import Params
from trim.ledger.units import UNIT_TITLES
from trim.problems import Problem, read_problems
from trim.problems.checks import is_right_step
from trim.report.figures import ENDS
from trim.report.tables import read_csv, titles, unseeded
from trim.setting import Setting

EPISODES = 36  # problems of each benchmark in the browser
KINDS = ("only the strong model solves it", "the weak model solves it", "neither solves it")


def chart(results: Path, params: Params) -> dict[str, Any]:
    """Every operating point, its mean over seeds, with its cost in every unit; always-strong's is 1."""
    summary, (benchmarks, routers) = read_csv(results / "summary.csv"), titles(params)
    summary["setting"] = unseeded(summary["setting"])
    numbers = ["accuracy", "accuracy_low", "accuracy_high", *UNIT_TITLES]
    points = summary.groupby(["benchmark", "router", "setting"], sort=False)[numbers].mean().reset_index()
    rows = []
    for benchmark, group in points.groupby("benchmark", sort=False):
        unit = group[group["router"] == "always_strong"].iloc[0]
        for row in group.itertuples(index=False):
            rows.append(
                {
                    "benchmark": benchmark,
                    "router": routers[row.router],
                    "group": params.group(row.router),
                    "setting": row.setting,
                    "accuracy": round(row.accuracy, 4),
                    "low": round(row.accuracy_low, 4),
                    "high": round(row.accuracy_high, 4),
                    "tokens": round(row.strong_tokens, 1),
                    **{name: round(getattr(row, name) / unit[name], 4) for name in UNIT_TITLES},
                }
            )
    return {"points": rows, "benchmarks": benchmarks, "units": UNIT_TITLES, "cost": params.evaluation.cost}


def episodes(results: Path, params: Params) -> dict[str, Any]:
    """Episodes of some test problems of each benchmark, under every router at the middle budget."""
    texts: dict[str, int] = {}
    summary, shown = read_csv(results / "summary.csv"), {}
    for benchmark, title in titles(params)[0].items():
        names = [n for n in params.routers_on(benchmark) if params.group(n) != "ablation" or n in ENDS]
        paths = {name: results / "episodes" / benchmark / f"{name}.parquet" for name in names}
        points = summary[summary["benchmark"] == benchmark].set_index("router")
        problems = {p.id: p for p in read_problems(results / "problems" / f"{benchmark}.parquet", "test")}
        chosen = _chosen(*(read_results(paths[end]) for end in ENDS))
        runs = []
        for name, path in paths.items():
            rows = points.loc[[name]]
            spent = rows["strong_fraction"].to_numpy()
            settings = list(map(Setting.parse, rows["setting"]))
            setting = settings[nearest_setting(settings, spent, params.evaluation.headline_budget)]
            steps = read_steps(path, setting)
            groups = dict(iter(steps[steps["problem"].isin(list(chosen))].groupby("problem", sort=False)))
            runs.append(
                {
                    "name": name,
                    "title": params.title(name),
                    "group": params.group(name),
                    "setting": str(setting),
                    "correct": [bool(groups[problem]["correct"].iloc[0]) for problem in chosen],
                    "steps": [_steps(groups[problem], problems[problem], texts) for problem in chosen],
                }
            )
        about = [
            {"id": name, "question": problems[name].question, "answer": problems[name].answer, "kind": kind}
            for name, kind in chosen.items()
        ]
        shown[benchmark] = {"title": title, "problems": about, "runs": runs}
    return {"benchmarks": shown, "texts": list(texts)}


def _chosen(weak: Results, strong: Results) -> dict[str, str]:
    """Some problems of each kind, mostly those that routing can win."""
    kinds = np.where(weak.correct[0], KINDS[1], np.where(strong.correct[0], KINDS[0], KINDS[2]))
    shares = dict(zip(KINDS, (EPISODES // 2, EPISODES // 4, EPISODES // 4), strict=True))
    chosen: dict[str, str] = {}
    for kind, count in shares.items():
        chosen |= {weak.problems[i]: kind for i in np.flatnonzero(kinds == kind)[:count]}
    return chosen


def _steps(rows: pd.DataFrame, problem: Problem, texts: dict[str, int]) -> list[list[Any]]:
    """Decision, text, draft (indices of texts, -1 for none), score of the draft, correctness of both if known."""

    def index(text: object) -> int:
        return texts.setdefault(text, len(texts)) if isinstance(text, str) and text else -1

    def right(step: int, text: object) -> bool | None:
        if not problem.reference or not isinstance(text, str) or not text:
            return None
        return is_right_step(problem, step, text)

    return [
        [
            row.decision,
            index(row.text),
            index(row.draft),
            next((round(score, 3) for rater in RATERS if not np.isnan(score := getattr(row, f"score_{rater}"))), None),
            right(row.step, row.text),
            right(row.step, row.draft),
        ]
        for row in rows.itertuples()
    ]
