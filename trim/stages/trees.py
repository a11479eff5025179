"""Solution trees: everything that any policy can meet, where they are small enough to be made whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.experiment.trees import open_tree
from trim.problems import read_problems
from trim.progress import Tracker

_TOGETHER = 256  # problems whose trees the prefix caches hold


def make_trees(
    params: Params, problems: Path, split: str, layers: Sequence[Path], out: Path, journal: Path, tracker: Tracker
) -> int:
    """Write the draws of the whole trees of a split; returns the number of decision points."""
    runner, solved, points = Runner.open(params, layers, journal, tracker), read_problems(problems, split), 0
    for start in range(0, len(solved), _TOGETHER):
        tree = open_tree(runner, solved[start : start + _TOGETHER])
        tree.expand()
        points += len(tree)
        tracker.advanced(min(start + _TOGETHER, len(solved)), len(solved))
    runner.draws.export(out)
    return points


def make_logprobs(
    params: Params, problems: Path, split: str, layers: Sequence[Path], out: Path, journal: Path, tracker: Tracker
) -> int:
    """Write the log-probability of every weak draft in the whole trees of a split under both models.

    Returns:
        The number of drafts.
    """
    runner, solved, drafts = Runner.open(params, layers, journal, tracker), read_problems(problems, split), 0
    for start in range(0, len(solved), _TOGETHER):
        tree = open_tree(runner, solved[start : start + _TOGETHER])
        tree.expand()
        drafts += len(tree.logprobs("weak"))
        tree.logprobs("strong")
        tree.prompt_tokens()
        tracker.advanced(min(start + _TOGETHER, len(solved)), len(solved))
    runner.draws.export(out)
    return drafts
