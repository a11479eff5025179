"""Training: router networks, fitted on whole solution trees of the train split."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from trim.errors import TrimError
from trim.stages.job import Job
from trim.stages.stage import Benchmark, DrawsOut, Input, Output, Stage

if TYPE_CHECKING:
    from trim.pomdp.model import StepModel
    from trim.rl.tree import Tree


def make_training(
    benchmark: Benchmark,
    router: Annotated[str, Input("The router to train.")],
    job: Job,
    draws_out: DrawsOut,
    curves: Annotated[Path, Output("Folder to write the curves of the training into.")],
) -> str:
    """Train a router by PPO on the train split, and keep the best epoch on the validation split.

    Note:
        The training's state is kept beside the journal.
    """
    from trim.experiment.fitting import Training, fit_router
    from trim.experiment.trees import open_tree
    from trim.problems import read_problems
    from trim.rl.logs import curves as curves_in
    from trim.routers.fitted import write_fitted

    runner = job.runner(job.params.as_run(router))

    @cache
    def tree(split: str) -> Tree:
        return open_tree(runner, read_problems(job.problems, split))

    def unknown(name: str) -> StepModel:
        raise TrimError(f"{router}: a router is either trained or calibrated, not both")

    with curves_in(curves, job.tracker) as log:
        training = Training(tree, job.journal.with_suffix(".safetensors"), log)
        fitted = fit_router(runner, router, job.problems, unknown, training)
    runner.draws.export(draws_out)
    write_fitted(job.out, router, benchmark, fitted)
    return f"{job.out}: trained {router}"


STAGES = [
    Stage(
        "train",
        make_training,
        order=10,
        progress="train {router}, {benchmark}",
        out="Folder to write ROUTER.json and ROUTER.safetensors into.",
    )
]
