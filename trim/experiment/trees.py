"""The solution trees of an experiment's problems."""

from __future__ import annotations

from collections.abc import Sequence

from trim.experiment.runner import Runner
from trim.problems import Problem
from trim.rl.tree import Tree


def open_tree(runner: Runner, problems: Sequence[Problem]) -> Tree:
    """The trees of problems, explored where they are followed."""
    generation = runner.params.generation
    models = runner.weak, runner.strong, runner.scorer
    return Tree(problems, *models, generation.max_steps, generation.ends, runner.judge)
