"""Rollouts: one model alone solves one shard of the problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from trim.stages.job import Job
from trim.stages.stage import Shard, Stage

if TYPE_CHECKING:
    from trim.problems import Problem


def shard_of(problems: Sequence[Problem], shard: int, shards: int) -> list[Problem]:
    """Every `shards`-th problem, from `shard` on."""
    return list(problems[shard::shards])


def make_rollouts(job: Job, model: Literal["weak", "strong"], shard: Shard = 0) -> str:
    """Solve every problem with one model alone: OUT/SPLIT/MODEL.SHARD.parquet."""
    from trim.problems import SPLITS, read_problems
    from trim.routers.always import AlwaysStrong, AlwaysWeak

    router = {"weak": AlwaysWeak, "strong": AlwaysStrong}[model]
    policies, count = list(router(None).policies().values()), 0
    for split in SPLITS:
        runner = job.runner()
        solved = shard_of(read_problems(job.problems, split), shard, job.params.shards)
        runner.run(solved, policies)
        runner.prompt_tokens(solved, model)
        count += runner.draws.export(job.out / split / f"{model}.{shard}.parquet")
    return f"{job.out}: {count} draws"


STAGES = [
    Stage(
        "rollouts",
        make_rollouts,
        order=4,
        progress="{model} rollouts",
        out="Folder to write SPLIT/MODEL.SHARD.parquet into.",
        reads_draws=False,
    )
]
