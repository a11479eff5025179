"""Draws: all routers explore the solution trees at once, so that no draw is made twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trim.stages.job import Job
from trim.stages.stage import Benchmark, Fitted, Split, Stage

if TYPE_CHECKING:
    from trim.engine.policy import Policy
    from trim.models.settings import RewardModel


def make_draws(benchmark: Benchmark, job: Job, split: Split, fitted: Fitted = None) -> str:
    """Run all routers at once, so that shared draws are made once; writes the draws to OUT."""
    from trim.experiment.fitting import policies_for
    from trim.problems import read_problems

    runner, solved = job.runner(), read_problems(job.problems, split)
    together: dict[RewardModel, list[Policy]] = {}
    for router in job.params.routers_on(benchmark):
        found = policies_for(runner, router, benchmark, fitted, solved)
        together.setdefault(job.params.as_run(router).models.prm, []).extend(found.values())
    for prm, policies in together.items():
        scoring = runner.with_reward_model(prm)
        scoring.run(solved, policies)
        scoring.prompt_tokens(solved, "prm")
    return f"{job.out}: {runner.draws.export(job.out)} draws"


STAGES = [Stage("draws", make_draws, order=12, progress="draws, {split}")]
