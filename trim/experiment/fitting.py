"""Fitting an experiment's routers, and their policies once they are fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trim.engine.episode import Episode
from trim.engine.policy import Policy
from trim.errors import TrimError
from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.pomdp.model import StepModel
from trim.problems import Problem, read_problems
from trim.routers.always import STRONG, WEAK
from trim.routers.base import Outcome, Router
from trim.routers.fitted import read_fitted
from trim.setting import Setting

if TYPE_CHECKING:  # planned and thresholded routers do not depend on the training of networks
    from trim.rl.tree import Tree


@dataclass(frozen=True)
class Training:
    """Inputs of trained routers beside the validation problems.

    Attributes:
        tree: returns the solution trees of a split.
        checkpoint: the file that keeps the training's state.
        log: called after each update of the training.
    """

    tree: Callable[[str], Tree]
    checkpoint: Path
    log: Callable[[int, int, dict[str, float]], None]


class _Trial:
    """See `trim.routers.base.Trial`."""

    def __init__(
        self, runner: Runner, problems: Path, calibration: Callable[[str], StepModel], training: Training | None
    ) -> None:
        self._runner, self.calibration, self._training = runner, calibration, training
        self._split = cache(partial(read_problems, problems))
        self.problems: list[Problem] = self._split("validation")
        self.episodes = cache(self._episodes)
        self._unit = sum(step.tokens for e in self.episodes(STRONG) for step in e.steps)
        self.costs = runner.costs()
        self.checkpoint = training.checkpoint if training else None
        self.log = training.log if training else None

    def __call__(self, policies: Mapping[str, Policy]) -> dict[str, Outcome]:
        correct, tokens = by_problem(self._runner, self.problems, list(policies.values()))
        return {
            name: Outcome(float(right.mean()), float(spent.sum() / self._unit))
            for name, right, spent in zip(policies, correct, tokens, strict=True)
        }

    def _episodes(self, policy: Policy, split: str = "validation", sample: int = 0) -> list[Episode]:
        runner = self._runner if sample == 0 else self._runner.with_sample(sample)
        return runner.run(self._split(split), [policy])

    def tree(self, split: str) -> Tree:
        assert self._training
        return self._training.tree(split)


def by_problem(
    runner: Runner, problems: Sequence[Problem], policies: Sequence[Policy]
) -> tuple[np.ndarray, np.ndarray]:
    """Correctness and strong tokens of k policies on n problems, shape (k, n) each."""
    episodes, shape = runner.run(problems, policies), (len(policies), len(problems))
    correct = np.array([e.correct for e in episodes]).reshape(shape)
    tokens = np.array([sum(step.strong_tokens for step in (*e.discarded, *e.steps)) for e in episodes])
    return correct, tokens.reshape(shape)


def fit_router(
    runner: Runner,
    router: str,
    problems: Path,
    calibration: Callable[[str], StepModel],
    training: Training | None = None,
) -> dict[str, Any]:
    """The fitted parameters of a router.

    Args:
        runner: the runner of the experiment that holds the router.
        router: the router's name.
        problems: the table of the benchmark's problems.
        calibration: returns a POMDP of the benchmark by name.
        training: needed by routers that are trained.
    """
    trial = _Trial(runner, problems, calibration, training)
    return runner.params.router(router).fit(trial, runner.params.evaluation.budgets)


def fitted_policies(params: Params, router: str, benchmark: str, fitted: Path | None) -> dict[Setting, Policy]:
    """A router's policies on a benchmark; see `fitted_router`."""
    return fitted_router(params, router, benchmark, fitted).policies()


def fitted_router(params: Params, router: str, benchmark: str, fitted: Path | None) -> Router:
    """A router ready for use on a benchmark, with its fitted parameters from `fitted`/BENCHMARK.

    Raises:
        TrimError: if a file there is missing or damaged.
    """
    found = params.router_type(router)
    if found.hindsight:
        raise TrimError(f"{router}: it needs the outcomes of the problems, so it can only be run on a benchmark")
    if not found.needs_fitting:
        return params.router(router)
    if fitted is None:
        raise TrimError(f"--fitted is missing: {router} must be fitted before use")
    return params.router(router, read_fitted(fitted / params.source(router, benchmark), router))


def policies_for(
    runner: Runner, router: str, benchmark: str, fitted: Path | None, problems: Sequence[Problem]
) -> dict[Setting, Policy]:
    """As `fitted_policies`, for these problems; routers that are bounds (hindsight) also get the problems' outcomes."""
    found = runner.params.router_type(router)
    if not found.hindsight:
        return fitted_policies(runner.params, router, benchmark, fitted)
    weak, strong = (runner.run(problems, [end]) for end in (WEAK, STRONG))
    return runner.params.router(router, found.foresee(weak, strong)).policies()
