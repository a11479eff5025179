"""Episodes: one router's decisions, replayed from the draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from trim.stages.job import Job
from trim.stages.stage import Benchmark, Fitted, Input, Split, Stage

if TYPE_CHECKING:
    from trim.engine.policy import Policy
    from trim.experiment.runner import Runner
    from trim.problems import Problem
    from trim.setting import Setting


def make_episodes(
    benchmark: Benchmark,
    router: Annotated[str, Input("A router of the experiment.")],
    job: Job,
    split: Split,
    fitted: Fitted = None,
) -> str:
    """Run one router on a split and write a row per step to OUT."""
    from trim.experiment.fitting import policies_for
    from trim.problems import read_problems

    runner = job.runner(job.params.as_run(router))
    solved = read_problems(job.problems, split)
    policies = policies_for(runner, router, benchmark, fitted, solved)
    write_run(runner, benchmark, split, router, solved, policies, job.out)
    return f"{job.out}: episodes of {router}"


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
    from trim.engine.records import write_episodes
    from trim.ledger.calls import ROLES

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


STAGES = [Stage("episodes", make_episodes, order=13, progress="{router}, {benchmark}")]
