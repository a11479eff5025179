"""Episodes: one router's decisions, replayed from the draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from trim.engine.policy import Policy
from trim.engine.records import write_episodes
from trim.experiment.fitting import policies_for
from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.ledger.calls import ROLES
from trim.problems import Problem, read_problems
from trim.progress import Tracker
from trim.setting import Setting


def make_episodes(
    params: Params,
    benchmark: str,
    split: str,
    router: str,
    problems: Path,
    layers: Sequence[Path],
    fitted: Path | None,
    out: Path,
    journal: Path | None,
    tracker: Tracker,
) -> None:
    """Run one router and write its steps and calls; draws in the layers are read from there."""
    runner = Runner.open(params.as_run(router), layers, journal, tracker)
    solved = read_problems(problems, split)
    policies = policies_for(runner, router, benchmark, fitted, solved)
    write_run(runner, benchmark, split, router, solved, policies, out)


def write_run(
    runner: Runner,
    benchmark: str,
    split: str,
    router: str,
    problems: Sequence[Problem],
    policies: Mapping[Setting, Policy],
    out: Path,
    title: str | None = None,
) -> None:
    """Run policies on the problems of a split, and write their steps and calls; bounds, no routers, need `title`."""
    prompts = runner.prompt_tokens(problems, *ROLES)
    episodes = runner.run(problems, list(policies.values()), prompts=prompts)
    header = {
        "benchmark": benchmark,
        "split": split,
        "router": router,
        "title": title or runner.params.title(router),
        "reference": title is not None or runner.params.router_type(router).is_reference,
        "models": {name: asdict(cost) for name, cost in runner.costs().items()},
    }
    write_episodes(out, episodes, list(policies), header)
