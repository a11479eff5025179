"""Draws: all routers explore the solution trees at once, so that no draw is made twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.engine.policy import Policy
from trim.experiment.fitting import policies_for
from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.models.settings import RewardModel
from trim.problems import read_problems
from trim.progress import Tracker


def make_draws(
    params: Params,
    benchmark: str,
    split: str,
    problems: Path,
    layers: Sequence[Path],
    fitted: Path | None,
    out: Path,
    journal: Path,
    tracker: Tracker,
) -> int:
    """Run all routers at once to make the draws they need; returns the number of new ones.

    Args:
        params: the experiment.
        benchmark: the benchmark.
        split: the split to run.
        problems: the table of problems.
        layers: draws made by earlier rules.
        fitted: folder of fitted parameters, with a folder for each benchmark.
        out: the new layer.
        journal: database that keeps each batch of draws.
        tracker: notified of every batch and round.
    """
    runner = Runner.open(params, layers, journal, tracker)
    solved, together = read_problems(problems, split), dict[RewardModel, list[Policy]]()
    for router in params.routers_on(benchmark):
        found = policies_for(runner, router, benchmark, fitted, solved)
        together.setdefault(params.as_run(router).models.prm, []).extend(found.values())
    for prm, policies in together.items():
        scoring = runner.with_reward_model(prm)
        scoring.run(solved, policies)
        scoring.prompt_tokens(solved, "prm")
    return runner.draws.export(out)
