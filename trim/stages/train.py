"""Training: router networks, fitted on whole solution trees of the train split."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from trim.errors import TrimError
from trim.experiment.fitting import Training, fit_router
from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.experiment.trees import open_tree
from trim.pomdp.model import StepModel
from trim.problems import read_problems
from trim.progress import Tracker
from trim.rl.logs import curves
from trim.rl.tree import Tree
from trim.routers.fitted import write_fitted


def make_training(
    params: Params,
    benchmark: str,
    router: str,
    problems: Path,
    layers: Sequence[Path],
    out: Path,
    draws_out: Path,
    curves_out: Path,
    journal: Path,
    tracker: Tracker,
) -> None:
    """Train a router on a benchmark.

    Writes ROUTER.json and ROUTER.safetensors into the folder `out`, the draws made for it, and the curves of its
    training into the folder `curves_out`. The training's state is kept beside the journal.
    """
    runner = Runner.open(params.as_run(router), layers, journal, tracker)

    @cache
    def tree(split: str) -> Tree:
        return open_tree(runner, read_problems(problems, split))

    def unknown(name: str) -> StepModel:
        raise TrimError(f"{router}: a router is either trained or calibrated, not both")

    with curves(curves_out, tracker) as log:
        training = Training(tree, journal.with_suffix(".safetensors"), log)
        fitted = fit_router(runner, router, problems, unknown, training)
    runner.draws.export(draws_out)
    write_fitted(out, router, benchmark, fitted)
