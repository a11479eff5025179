"""Training: routers that are networks, fitted on whole solution trees of the train split."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from trim.errors import TrimError
from trim.experiment.fitting import Training, fit_routers
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
    router_type: str,
    problems: Path,
    layers: Sequence[Path],
    out: Path,
    draws_out: Path,
    curves_out: Path,
    journal: Path,
    tracker: Tracker,
) -> None:
    """Train all routers of one type that are fitted on a benchmark, over the same trees.

    Writes TYPE.json and TYPE.safetensors into the folder `out`, the draws made for them, and the curves of each
    router's training into the folder `curves_out`. Beside the journal each training keeps its state.
    """
    runner = Runner.open(params, layers, journal, tracker)

    @cache
    def tree(split: str) -> Tree:
        return open_tree(runner, read_problems(problems, split))

    def unknown(name: str) -> StepModel:
        raise TrimError(f"{router_type}: a router is either trained or calibrated, not both")

    training = Training(
        tree,
        checkpoint=lambda router: journal.with_name(f"{journal.stem}-{router}.safetensors"),
        log=lambda router: curves(curves_out / router, tracker),
    )
    fitted = fit_routers(runner, params.fitted_on(benchmark, router_type), problems, unknown, training)
    runner.draws.export(draws_out)
    write_fitted(out, router_type, benchmark, fitted)
