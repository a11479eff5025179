"""Step scores: the reward model reads the weak model's rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.problems import SPLITS, read_problems
from trim.progress import Tracker
from trim.routers.always import AlwaysWeak
from trim.stages.rollouts import shard_of


def make_scores(
    params: Params, problems: Path, shard: int, layers: Sequence[Path], out: Path, journal: Path, tracker: Tracker
) -> int:
    """Score every step of the weak model's rollouts in one shard; returns the number of new scores.

    Writes OUT/SPLIT.SHARD.parquet for each split.
    """
    policies, count = list(AlwaysWeak(None).policies().values()), 0
    for split in SPLITS:
        runner = Runner.open(params, layers, journal, tracker)
        solved = shard_of(read_problems(problems, split), shard, params.shards)
        episodes = runner.run(solved, policies)
        runner.prompt_tokens(solved, "prm")
        runner.scorer.score([e.node for e in episodes], [len(e.steps) for e in episodes])
        count += runner.draws.export(out / f"{split}.{shard}.parquet")
    return count
