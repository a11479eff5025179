"""Fitting: routers choose their parameters on the validation split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from trim.config import Params
from trim.episodes import Episode
from trim.errors import TrimError
from trim.fits import read_fits, write_fits
from trim.pomdp.model import StepModel
from trim.problems import Problem, read_problems
from trim.progress import Tracker
from trim.rl.tree import Tree
from trim.routers.always import STRONG, WEAK
from trim.routers.base import Outcome, Policy
from trim.stages.trees import open_tree
from trim.workspace import Workspace


class _Trial:
    """See `trim.routers.base.Trial`.

    Attributes:
        training: folder for the curves of trainings.
        journal: beside which trainings keep their state.
    """

    def __init__(
        self,
        workspace: Workspace,
        problems: Path,
        calibration: Callable[[str], StepModel],
        training: Path | None = None,
        journal: Path | None = None,
    ) -> None:
        self._workspace, self.calibration = workspace, calibration
        self._training, self._journal = training, journal
        self._split = cache(partial(read_problems, problems))
        self.problems: list[Problem] = self._split("validation")
        self.tree, self.episodes = cache(self._tree), cache(self._episodes)
        self._unit = sum(step.tokens for e in self.episodes(STRONG) for step in e.steps)
        self.checkpoint: Path | None = None
        self.log: Callable[[int, int, dict[str, float]], None] | None = None

    def __call__(self, policies: Mapping[str, Policy]) -> dict[str, Outcome]:
        episodes = self._workspace.run(self.problems, list(policies.values()))
        outcomes = {}
        for index, name in enumerate(policies):
            mine = [e for e in episodes if e.policy == index]
            strong = sum(step.strong_tokens for e in mine for step in e.steps)
            outcomes[name] = Outcome(sum(e.correct for e in mine) / len(mine), strong / self._unit)
        return outcomes

    def _episodes(self, policy: Policy, split: str = "validation", sample: int = 0) -> list[Episode]:
        workspace = self._workspace if sample == 0 else self._workspace.sampled(sample)
        return workspace.run(self._split(split), [policy])

    @contextmanager
    def of(self, router: str) -> Iterator[_Trial]:
        """The trial, with a checkpoint and a log for one router."""
        if self._journal:
            self.checkpoint = self._journal.with_name(f"{self._journal.stem}-{router}.safetensors")
        if self._training:
            from trim.rl.logs import curves

            with curves(self._training / router, self._workspace.tracker) as self.log:
                yield self
        else:
            yield self

    def _tree(self, split: str) -> Tree:
        return open_tree(self._workspace, self._split(split))


def fit_routers(
    workspace: Workspace,
    routers: Sequence[str],
    problems: Path,
    calibration: Callable[[str], StepModel],
    training: Path | None = None,
    journal: Path | None = None,
) -> dict[str, dict[str, Any]]:
    """What fitting finds for each router.

    Args:
        workspace: of the experiment that holds the routers.
        routers: their names.
        problems: their table.
        calibration: the benchmark's POMDP by name.
        training: folder for the curves of trainings, ROUTER/ each.
        journal: beside which trainings keep their state.
    """
    trial, fitted = _Trial(workspace, problems, calibration, training, journal), {}
    budgets = workspace.params.evaluation.budgets
    for name in routers:
        with trial.of(name):
            fitted[name] = workspace.params.router(name).fit(trial, budgets)
    return fitted


def make_fit(
    params: Params,
    benchmark: str,
    kind: str,
    problems: Path,
    layers: Sequence[Path],
    calibrations: Path | None,
    out: Path,
    draws_out: Path,
    training: Path | None,
    journal: Path | None,
    tracker: Tracker,
) -> None:
    """Fit all routers of one kind that are fitted on a benchmark, over the same draws.

    Writes KIND.json and KIND.safetensors into the folder `out`, the draws made for them, and the
    curves of trainings into the folder `training`.
    """

    def calibration(name: str) -> StepModel:
        if calibrations is None:
            raise TrimError(f"--calibrations is missing: {kind} plans in a calibrated POMDP")
        return StepModel.load(calibrations / f"{name}.json")

    workspace = Workspace.over(params, layers, journal, tracker)
    fitted = fit_routers(workspace, params.fitted_on(benchmark, kind), problems, calibration, training, journal)
    workspace.draws.export(draws_out)
    write_fits(out, kind, benchmark, fitted)


def fitted_policies(params: Params, router: str, benchmark: str, fits: Path | None) -> dict[str, Policy]:
    """A router's policies on a benchmark, with what was fitted for it in `fits`/BENCHMARK.

    Raises:
        TrimError: if a file there is missing or damaged.
    """
    kind = params.kind(router)
    if kind.foresees:
        raise TrimError(f"{router}: it knows how problems end, so that it can only be run on a benchmark")
    if not kind.fits:
        return params.router(router).policies()
    if fits is None:
        raise TrimError(f"--fits is missing: {router} is fitted before it is used")
    folder = fits / params.source(router, benchmark)
    return params.router(router, read_fits(folder, kind.name, router)).policies()


def policies_for(
    workspace: Workspace, router: str, benchmark: str, fits: Path | None, problems: Sequence[Problem]
) -> dict[str, Policy]:
    """As `fitted_policies`, for routers that are run on these problems; bounds are told how they end."""
    kind = workspace.params.kind(router)
    if not kind.foresees:
        return fitted_policies(workspace.params, router, benchmark, fits)
    weak, strong = (workspace.run(problems, [end]) for end in (WEAK, STRONG))
    return workspace.params.router(router, kind.foresee(weak, strong)).policies()
