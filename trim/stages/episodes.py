"""Episodes: one router's decisions, replayed from the draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from trim.config import Params
from trim.evaluation.records import write_episodes
from trim.problems import read_problems
from trim.progress import Tracker
from trim.stages.fit import fitted_policies
from trim.workspace import Workspace


def make_episodes(
    params: Params,
    benchmark: str,
    split: str,
    router: str,
    problems: Path,
    layers: Sequence[Path],
    fitted: Mapping[str, Path],
    out: Path,
    journal: Path | None,
    tracker: Tracker,
) -> None:
    """Run one router and write a row per step; reads all draws from the layers if they hold them."""
    workspace = Workspace(params, layers, journal, tracker)
    policies = fitted_policies(params, router, fitted)
    episodes = workspace.run(read_problems(problems, split), list(policies.values()))
    kind = params.kind(router)
    header = {
        "benchmark": benchmark,
        "split": split,
        "router": router,
        "title": params.title(router),
        "reference": kind.reference,
        "models": {name: asdict(cost) for name, cost in workspace.costs().items()},
    }
    write_episodes(out, episodes, list(policies), header)
