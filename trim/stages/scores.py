"""Step scores: the reward model reads the weak model's rollouts."""

from __future__ import annotations

from trim.stages.job import Job
from trim.stages.rollouts import shard_of
from trim.stages.stage import Shard, Stage


def make_scores(job: Job, shard: Shard = 0) -> str:
    """Score every step of the weak model's solutions: OUT/SPLIT.SHARD.parquet."""
    from trim.problems import SPLITS, read_problems
    from trim.routers.always import AlwaysWeak

    policies, count = list(AlwaysWeak(None).policies().values()), 0
    for split in SPLITS:
        runner = job.runner()
        solved = shard_of(read_problems(job.problems, split), shard, job.params.shards)
        episodes = runner.run(solved, policies)
        runner.prompt_tokens(solved, "prm")
        runner.scorer.score([e.node for e in episodes], [len(e.steps) for e in episodes])
        count += runner.draws.export(job.out / f"{split}.{shard}.parquet")
    return f"{job.out}: {count} scores"


STAGES = [Stage("scores", make_scores, order=5, progress="scores", out="Folder to write SPLIT.SHARD.parquet into.")]
