"""Fitting: a router chooses its parameters on the validation split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from trim.config import Params
from trim.problems import read_problems
from trim.progress import Tracker
from trim.routers.always import AlwaysStrong
from trim.routers.base import Outcome, Policy
from trim.tables import read_json, write_json
from trim.workspace import Workspace


def make_fit(
    params: Params,
    benchmark: str,
    router: str,
    problems: Path,
    layers: Sequence[Path],
    out: Path,
    draws_out: Path,
    journal: Path,
    tracker: Tracker,
) -> None:
    """Fit a router on the validation split; writes its fitted values and the draws made for it."""
    workspace = Workspace(params, layers, journal, tracker)
    chosen = read_problems(problems, "validation")
    (unit,) = AlwaysStrong(None).policies().values()
    spent = sum(step.tokens for e in workspace.run(chosen, [unit]) for step in e.steps)

    def trial(policies: Mapping[str, Policy]) -> dict[str, Outcome]:
        episodes = workspace.run(chosen, list(policies.values()))
        outcomes = {}
        for index, name in enumerate(policies):
            mine = [e for e in episodes if e.policy == index]
            strong = sum(s.tokens for e in mine for s in e.steps if s.writer == "strong")
            outcomes[name] = Outcome(sum(e.correct for e in mine) / len(mine), strong / spent)
        return outcomes

    fitted = params.router(router).fit(trial, params.evaluation.budgets)
    workspace.draws.export(draws_out)
    write_json(out, {"benchmark": benchmark, "router": router, "split": "validation", "fitted": fitted})


def fitted_policies(params: Params, router: str, fitted: Mapping[str, Path]) -> dict[str, Policy]:
    """A router's policies, with the values of its file in `fitted` if it has one."""
    values = read_json(fitted[router])["fitted"] if router in fitted else None
    return params.router(router, values).policies()
