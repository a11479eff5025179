"""Whole solution trees: every state that any policy can reach, if they are small enough."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.experiment.trees import whole_tree
from trim.problems import read_problems
from trim.progress import Tracker
from trim.rl.tree import Tree

_TOGETHER = 256  # problems whose trees the prefix caches hold


def make_trees(
    params: Params, problems: Path, split: str, layers: Sequence[Path], out: Path, journal: Path, tracker: Tracker
) -> int:
    """Write the draws of the whole trees of a split; returns the number of decision points."""
    runner = Runner.open(params, layers, journal, tracker)
    points = sum(map(len, _whole(runner, problems, split)))
    runner.draws.export(out)
    return points


def make_logprobs(
    params: Params, problems: Path, split: str, layers: Sequence[Path], out: Path, journal: Path, tracker: Tracker
) -> int:
    """Write the log-probability of every weak draft in the whole trees of a split under both models.

    Returns:
        The number of drafts.
    """
    runner, drafts = Runner.open(params, layers, journal, tracker), 0
    for tree in _whole(runner, problems, split):
        drafts += len(tree.logprobs("weak"))
        tree.logprobs("strong")
        tree.prompt_tokens()
    runner.draws.export(out)
    return drafts


def _whole(runner: Runner, problems: Path, split: str) -> Iterator[Tree]:
    """The whole trees of a split, some problems at a time."""
    solved = read_problems(problems, split)
    for start in range(0, len(solved), _TOGETHER):
        yield whole_tree(runner, solved[start : start + _TOGETHER])
        runner.tracker.advanced(min(start + _TOGETHER, len(solved)), len(solved))
