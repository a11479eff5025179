"""Fitting: routers choose their parameters on the validation split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trim.config import Params
from trim.errors import TrimError
from trim.fits import read_fits, write_fits
from trim.pomdp.model import StepModel
from trim.problems import read_problems
from trim.progress import Tracker
from trim.rl.tree import Tree
from trim.routers.always import AlwaysStrong
from trim.routers.base import Outcome, Policy
from trim.workspace import Workspace


class _Trial:
    """See `trim.routers.base.Trial`."""

    def __init__(self, workspace: Workspace, problems: Path, calibration: Callable[[str], StepModel]) -> None:
        self._workspace, self._path, self.calibration = workspace, problems, calibration
        self._problems = read_problems(problems, "validation")
        (unit,) = AlwaysStrong(None).policies().values()
        self._unit = sum(step.tokens for e in workspace.run(self._problems, [unit]) for step in e.steps)

    def __call__(self, policies: Mapping[str, Policy]) -> dict[str, Outcome]:
        episodes = self._workspace.run(self._problems, list(policies.values()))
        outcomes = {}
        for index, name in enumerate(policies):
            mine = [e for e in episodes if e.policy == index]
            strong = sum(s.tokens for e in mine for s in e.steps if s.writer == "strong")
            outcomes[name] = Outcome(sum(e.correct for e in mine) / len(mine), strong / self._unit)
        return outcomes

    def tree(self, split: str) -> Tree:
        space = self._workspace
        steps = space.params.generation.max_steps
        return Tree(read_problems(self._path, split), space.weak, space.strong, space.scorer, steps)


def fit_routers(
    workspace: Workspace, routers: Sequence[str], problems: Path, calibration: Callable[[str], StepModel]
) -> dict[str, dict[str, Any]]:
    """What fitting finds for each router.

    Args:
        workspace: of the experiment that holds the routers.
        routers: their names.
        problems: their table.
        calibration: the benchmark's POMDP by name.
    """
    trial = _Trial(workspace, problems, calibration)
    budgets = workspace.params.evaluation.budgets
    return {name: workspace.params.router(name).fit(trial, budgets) for name in routers}


def make_fit(
    params: Params,
    benchmark: str,
    kind: str,
    problems: Path,
    layers: Sequence[Path],
    calibrations: Path | None,
    out: Path,
    draws_out: Path,
    journal: Path | None,
    tracker: Tracker,
) -> None:
    """Fit all routers of one kind on the validation split, over the same draws.

    Writes KIND.json and KIND.safetensors into the folder `out`, and the draws made for them.
    """

    def calibration(name: str) -> StepModel:
        if calibrations is None:
            raise TrimError(f"--calibrations is missing: {kind} plans in a calibrated POMDP")
        return StepModel.load(calibrations / f"{name}.json")

    workspace = Workspace.over(params, layers, journal, tracker)
    routers = [name for name in params.routers if params.kind(name).name == kind]
    fitted = fit_routers(workspace, routers, problems, calibration)
    workspace.draws.export(draws_out)
    write_fits(out, kind, benchmark, fitted)


def fitted_policies(params: Params, router: str, fits: Path | None) -> dict[str, Policy]:
    """A router's policies, with what was fitted for it in the folder `fits`.

    Raises:
        TrimError: if a file there is missing or damaged.
    """
    kind = params.kind(router)
    if not kind.fits:
        return params.router(router).policies()
    if fits is None:
        raise TrimError(f"--fits is missing: {router} is fitted before it is used")
    return params.router(router, read_fits(fits, kind.name, router)).policies()
