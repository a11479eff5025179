"""Fitting: a router chooses its parameters on the validation split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from trim.config import Params
from trim.errors import TrimError
from trim.pomdp.model import StepModel
from trim.problems import Problem, read_problems
from trim.progress import Tracker
from trim.routers.always import AlwaysStrong
from trim.routers.base import Outcome, Policy
from trim.tables import read_json, write_json
from trim.workspace import Workspace


class _Trial:
    """See `trim.routers.base.Trial`."""

    def __init__(self, workspace: Workspace, problems: list[Problem], calibrations: Path | None) -> None:
        self._workspace, self._problems, self._calibrations = workspace, problems, calibrations
        (unit,) = AlwaysStrong(None).policies().values()
        self._unit = sum(step.tokens for e in workspace.run(problems, [unit]) for step in e.steps)

    def __call__(self, policies: Mapping[str, Policy]) -> dict[str, Outcome]:
        episodes = self._workspace.run(self._problems, list(policies.values()))
        outcomes = {}
        for index, name in enumerate(policies):
            mine = [e for e in episodes if e.policy == index]
            strong = sum(s.tokens for e in mine for s in e.steps if s.writer == "strong")
            outcomes[name] = Outcome(sum(e.correct for e in mine) / len(mine), strong / self._unit)
        return outcomes

    def calibration(self, kind: str) -> StepModel:
        if self._calibrations is None:
            raise TrimError("--calibrations is missing: this router plans in a calibrated POMDP")
        return StepModel.load(self._calibrations / f"{kind}.json")


def make_fit(
    params: Params,
    benchmark: str,
    router: str,
    problems: Path,
    layers: Sequence[Path],
    calibrations: Path | None,
    out: Path,
    draws_out: Path,
    journal: Path,
    tracker: Tracker,
) -> None:
    """Fit a router on the validation split.

    Writes its numbers to `out`, its arrays beside that as safetensors, and the draws made for it.
    """
    workspace = Workspace(params, layers, journal, tracker)
    trial = _Trial(workspace, read_problems(problems, "validation"), calibrations)
    fitted = params.router(router).fit(trial, params.evaluation.budgets)
    arrays = {name: np.ascontiguousarray(v) for name, v in fitted.items() if isinstance(v, np.ndarray)}
    numbers = {name: value for name, value in fitted.items() if name not in arrays}
    workspace.draws.export(draws_out)
    save_file(arrays, out.with_suffix(".safetensors"))
    write_json(out, {"benchmark": benchmark, "router": router, "split": "validation", "fitted": numbers})


def fitted_policies(params: Params, router: str, fitted: Mapping[str, Path]) -> dict[str, Policy]:
    """A router's policies, with the values of its file in `fitted` if it has one.

    Raises:
        TrimError: if the arrays beside that file are damaged.
    """
    if router not in fitted:
        return params.router(router).policies()
    arrays = fitted[router].with_suffix(".safetensors")
    try:
        values: dict[str, Any] = read_json(fitted[router])["fitted"] | load_file(arrays)
    except (OSError, SafetensorError) as error:
        raise TrimError(f"{arrays}: cannot be read ({error}); delete it and run again") from error
    return params.router(router, values).policies()
