"""Results that are made by hand: a small experiment, and episodes whose every number is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trim.engine import records
from trim.engine.episode import Episode, Step
from trim.engine.store import Node
from trim.experiment.load import check
from trim.experiment.params import Params
from trim.ledger.calls import ROLES
from trim.models.cost import ModelCost
from trim.pomdp.model import StepModel
from trim.problems import Problem
from trim.report.tables import format_interval
from trim.setting import Setting

STRONG = 100  # tokens that the strong model writes alone
_PROBLEMS = 4
_DRAFT = 10
_COST = asdict(ModelCost(1, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
_SIZES = {"train": 30, "validation": 8, "test": 12}
_TITLES = {"standard": "Standard", "long": "Long chains", "hard": "Hard operations"}
ENDS = {"always_weak": {"-": (False, 0)}, "always_strong": {"-": (True, STRONG)}}


def experiment(
    raw: dict, routers: Mapping[str, dict], benchmarks: Sequence[str] = ("standard",), **sections: Any
) -> Params:
    """The shipped models, both ends and some more routers, budgets 0.1, 0.2 and 0.3, and few resamples."""
    evaluation = {"budgets": [0.1, 0.2, 0.3], "levels": [0.5, 0.95], "bootstrap": 20, "baselines": ["always_weak"]}
    return check(
        {
            "models": raw["models"],
            "benchmarks": {name: {"title": _TITLES[name], "family": name, "sizes": _SIZES} for name in benchmarks},
            "routers": {name: {} for name in ENDS} | dict(routers),
            "evaluation": evaluation | sections.pop("evaluation", {}),
        }
        | sections
    )


def write_csv(path: Path, columns: str, rows: Sequence[Sequence[Any]]) -> None:
    """A table of the results; `columns` are names with spaces between them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=columns.split()).to_csv(path, index=False)


def write_episodes(path: Path, settings: Mapping[str, tuple[Any, Any]], benchmark: str = "standard") -> None:
    """The episodes of a router on four problems, which are alike: resampled, all numbers stay as they are.

    Args:
        path: the file; its stem, or the part of it after a dot, is the router.
        settings: by setting, whether each problem (or all) is solved, and the strong model's tokens at each step (or
            at the only one), 0 where the weak model's draft is accepted.
        benchmark: name of the benchmark.
    """
    episodes, root = [], Node.root("q")
    for policy, (solved, tokens) in enumerate(settings.values()):
        for number, correct in enumerate(np.broadcast_to(solved, _PROBLEMS)):
            episode = Episode(Problem(f"p{number}", "q", "1", "test"), policy, root, root, correct=bool(correct))
            for written in np.atleast_1d(tokens).tolist():
                if written:
                    call = episode.caches.rewrite(written, drafted=False)
                    episode.steps.append(Step("strong", "t", written, None, 0, calls=(call,)))
                    episode.caches.accept("strong", written, repeats=False)
                else:
                    call = episode.caches.draft(_DRAFT)
                    episode.steps.append(Step("weak", "t", _DRAFT, None, _DRAFT, calls=(call,)))
                    episode.caches.accept("weak", _DRAFT, repeats=False)
            episodes.append(episode)
    router = path.stem.split(".")[-1]
    header = {
        "benchmark": benchmark, "split": "test", "router": router, "title": router,
        "reference": router in (*ENDS, "oracle"), "models": dict.fromkeys(ROLES, _COST),
    }  # fmt: skip
    records.write_episodes(path, episodes, list(map(Setting.parse, settings)), header)


def write_ends(folder: Path, benchmark: str = "standard") -> None:
    """The episodes of always-weak, which solves nothing, and of always-strong, which solves all."""
    for name, settings in ENDS.items():
        write_episodes(folder / f"{name}.parquet", settings, benchmark)


def one_step(right: Sequence[float], wrong: Sequence[float], p_weak: float = 0.6, p_strong: float = 0.9) -> StepModel:
    """A POMDP of a single step, by the masses of the scores of right and of wrong drafts."""
    return StepModel(
        observation=np.array([right, wrong, wrong])[:, None],
        prior=np.ones(1),
        p_weak=np.array([p_weak]),
        p_strong=np.array([p_strong]),
        hazard=np.ones((1, 1)),
        tokens=12.5,
    )


def sure(value: float) -> str:
    """A cell of a number that is the same in every resample."""
    return format_interval(value, value, value)
