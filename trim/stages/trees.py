"""Whole solution trees: every state that any policy can reach, if they are small enough."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from trim.stages.job import Job
from trim.stages.stage import Input, Split, Stage

if TYPE_CHECKING:
    from trim.experiment.runner import Runner
    from trim.rl.tree import Tree

_TOGETHER = 256  # problems whose trees the prefix caches hold


def make_trees(job: Job, split: Annotated[Split, Input("The split whose problems are expanded.")]) -> str:
    """Expand every problem's full solution tree, for RL training and upper bounds; writes the draws to OUT."""
    runner = job.runner()
    points = sum(map(len, _whole(runner, job.problems, split)))
    runner.draws.export(job.out)
    return f"{job.out}: draws of {points} decision points"


def make_logprobs(job: Job, split: Annotated[Split, Input("The split whose trees' drafts are rated.")]) -> str:
    """Rate every weak draft of the whole solution trees by its log-probability under both models: OUT."""
    runner, drafts = job.runner(), 0
    for tree in _whole(runner, job.problems, split):
        drafts += len(tree.logprobs("weak"))
        tree.logprobs("strong")
        tree.prompt_tokens()
    runner.draws.export(job.out)
    return f"{job.out}: log-probabilities of {drafts} drafts"


def _whole(runner: Runner, problems: Path, split: str) -> Iterator[Tree]:
    """The whole trees of a split, some problems at a time."""
    from trim.experiment.trees import whole_tree
    from trim.problems import read_problems

    solved = read_problems(problems, split)
    for start in range(0, len(solved), _TOGETHER):
        yield whole_tree(runner, solved[start : start + _TOGETHER])
        runner.tracker.advanced(min(start + _TOGETHER, len(solved)), len(solved))


STAGES = [
    Stage("trees", make_trees, order=6, progress="trees"),
    Stage("logprobs", make_logprobs, order=7, progress="log-probabilities"),
]
