"""Solution trees: everything that any policy can meet, where they are small enough to be made whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.config import Params
from trim.problems import SPLITS, Problem, read_problems
from trim.progress import Tracker
from trim.rl.tree import Tree
from trim.workspace import Workspace


def open_tree(workspace: Workspace, problems: Sequence[Problem]) -> Tree:
    """The trees of problems, explored where they are followed."""
    generation = workspace.params.generation
    models = workspace.weak, workspace.strong, workspace.scorer
    return Tree(problems, *models, generation.max_steps, generation.ends, workspace.judge)


def make_trees(
    params: Params, problems: Path, layers: Sequence[Path], out: Path, journal: Path, tracker: Tracker
) -> int:
    """Make the trees of every split whole; returns the number of decision points.

    Writes the draws of that as OUT/SPLIT.parquet.
    """
    count = 0
    for split in SPLITS:
        workspace = Workspace.over(params, layers, journal, tracker)
        tree = open_tree(workspace, read_problems(problems, split))
        tree.expand(tracker.advanced)
        workspace.draws.export(out / f"{split}.parquet")
        count += len(tree)
    return count
