"""Step scores: the reward model reads the weak model's rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.config import Params
from trim.problems import read_problems
from trim.progress import Tracker
from trim.routers.always import AlwaysWeak
from trim.stages.rollouts import shard_of
from trim.workspace import Workspace


def make_scores(
    params: Params,
    problems: Path,
    split: str,
    shard: int,
    layers: Sequence[Path],
    out: Path,
    journal: Path,
    tracker: Tracker,
) -> int:
    """Score every step of the weak model's rollouts; returns the number of new scores."""
    workspace = Workspace.over(params, layers, journal, tracker)
    chosen = shard_of(read_problems(problems, split), shard, params.shards)
    episodes = workspace.run(chosen, list(AlwaysWeak(None).policies().values()))
    nodes = [episode.node for episode in episodes]
    workspace.scorer.score(nodes, [len(episode.steps) for episode in episodes])
    return workspace.draws.export(out)
