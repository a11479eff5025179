"""Solution trees: everything that any policy can meet, where they are small enough to be made whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.experiment.trees import open_tree
from trim.problems import read_problems
from trim.progress import Tracker


def make_trees(
    params: Params, problems: Path, split: str, layers: Sequence[Path], out: Path, journal: Path, tracker: Tracker
) -> int:
    """Write the draws of the whole trees of a split; returns the number of decision points."""
    runner = Runner.open(params, layers, journal, tracker)
    tree = open_tree(runner, read_problems(problems, split))
    tree.expand(tracker.advanced)
    runner.draws.export(out)
    return len(tree)
