"""Episodes: one router's decisions, replayed from the draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from trim.config import Params
from trim.evaluation.records import write_episodes
from trim.problems import Problem, read_problems
from trim.progress import Tracker
from trim.routers.base import Policy
from trim.stages.fit import policies_for
from trim.workspace import Workspace


def make_episodes(
    params: Params,
    benchmark: str,
    split: str,
    router: str,
    problems: Path,
    layers: Sequence[Path],
    fits: Path | None,
    out: Path,
    journal: Path | None,
    tracker: Tracker,
) -> None:
    """Run one router and write a row per step; reads all draws from the layers if they hold them."""
    workspace = Workspace.over(params, layers, journal, tracker)
    solved = read_problems(problems, split)
    policies = policies_for(workspace, router, benchmark, fits, solved)
    write_run(workspace, benchmark, split, router, solved, policies, out)


def write_run(
    workspace: Workspace,
    benchmark: str,
    split: str,
    router: str,
    problems: Sequence[Problem],
    policies: Mapping[str, Policy],
    out: Path,
    title: str | None = None,
) -> None:
    """Run policies on the problems of a split, and write a row per step; a bound, which is no router, has a `title`."""
    episodes = workspace.run(problems, list(policies.values()))
    header = {
        "benchmark": benchmark,
        "split": split,
        "router": router,
        "title": title or workspace.params.title(router),
        "reference": title is not None or workspace.params.kind(router).reference,
        "seeds": [policy.seed for policy in policies.values()],
        "models": {name: asdict(cost) for name, cost in workspace.costs().items()},
        "prompts": workspace.prompt_tokens(problems, "weak", "strong", "prm"),
    }
    write_episodes(out, episodes, list(policies), header)
