"""Rollouts: one model alone solves one shard of a split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.config import Params
from trim.problems import Problem, read_problems
from trim.progress import Tracker
from trim.routers.always import AlwaysStrong, AlwaysWeak
from trim.workspace import Workspace


def shard_of(problems: Sequence[Problem], shard: int, shards: int) -> list[Problem]:
    """Every `shards`-th problem, from `shard` on."""
    return list(problems[shard::shards])


def make_rollouts(
    params: Params, problems: Path, split: str, model: str, shard: int, out: Path, journal: Path, tracker: Tracker
) -> int:
    """Have one model solve one shard of a split alone; returns the number of new draws."""
    workspace = Workspace.over(params, (), journal, tracker)
    router = {"weak": AlwaysWeak, "strong": AlwaysStrong}[model]
    chosen = shard_of(read_problems(problems, split), shard, params.shards)
    workspace.run(chosen, list(router(None).policies().values()))
    return workspace.draws.export(out)
