"""The solution trees of an experiment's problems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.experiment.runner import Runner
from trim.problems import SPLITS, Problem, read_problems
from trim.rl.tree import Tree


def open_tree(runner: Runner, problems: Sequence[Problem]) -> Tree:
    """The trees of problems, explored where they are followed."""
    generation = runner.params.generation
    models = runner.weak, runner.strong, runner.scorer
    return Tree(problems, *models, generation.max_steps, generation.ends, runner.judge)


def whole_tree(runner: Runner, problems: Sequence[Problem]) -> Tree:
    """The trees of problems, made whole; see `Tree.expand`."""
    tree = open_tree(runner, problems)
    tree.expand()
    return tree


def whole_trees(runner: Runner, problems: Path) -> list[Tree]:
    """The whole trees of the train, validation and test split of a table of problems; see `Tree.expand`."""
    return [whole_tree(runner, read_problems(problems, split)) for split in SPLITS]
