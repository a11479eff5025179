"""Step scores: the reward model reads the weak model's rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.config import Params
from trim.problems import SPLITS, read_problems
from trim.progress import Tracker
from trim.routers.always import AlwaysWeak
from trim.stages.rollouts import shard_of
from trim.workspace import Workspace


def make_scores(
    params: Params, problems: Path, shard: int, layers: Sequence[Path], out: Path, journal: Path, tracker: Tracker
) -> int:
    """Score every step of the weak model's rollouts in one shard; returns the number of new scores.

    Writes OUT/SPLIT.SHARD.parquet for each split.
    """
    policies, count = list(AlwaysWeak(None).policies().values()), 0
    for split in SPLITS:
        workspace = Workspace.over(params, layers, journal, tracker)
        solved = shard_of(read_problems(problems, split), shard, params.shards)
        episodes = workspace.run(solved, policies)
        workspace.prompt_tokens(solved, "prm")
        workspace.scorer.score([e.node for e in episodes], [len(e.steps) for e in episodes])
        count += workspace.draws.export(out / f"{split}.{shard}.parquet")
    return count
