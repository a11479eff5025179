"""Rollouts: one model alone solves one shard of the problems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.ledger.calls import Role
from trim.problems import SPLITS, Problem, read_problems
from trim.progress import Tracker
from trim.routers.always import AlwaysStrong, AlwaysWeak


def shard_of(problems: Sequence[Problem], shard: int, shards: int) -> list[Problem]:
    """Every `shards`-th problem, from `shard` on."""
    return list(problems[shard::shards])


def make_rollouts(
    params: Params, problems: Path, model: Role, shard: int, out: Path, journal: Path, tracker: Tracker
) -> int:
    """Solve one shard of every split with one model alone; returns the number of new draws.

    Writes OUT/SPLIT/MODEL.SHARD.parquet for each split.
    """
    router = {"weak": AlwaysWeak, "strong": AlwaysStrong}[model]
    policies, count = list(router(None).policies().values()), 0
    for split in SPLITS:
        runner = Runner.open(params, (), journal, tracker)
        solved = shard_of(read_problems(problems, split), shard, params.shards)
        runner.run(solved, policies)
        runner.prompt_tokens(solved, model)
        count += runner.draws.export(out / split / f"{model}.{shard}.parquet")
    return count
