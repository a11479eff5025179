"""Draws: all routers at once explore the solution trees, so that nothing is made twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.experiment.fitting import policies_for
from trim.experiment.params import Params
from trim.experiment.runner import Runner
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
    """Run all routers at once, for the draws they need; returns the number of new ones.

    Args:
        params: the experiment.
        benchmark: its problems are run.
        split: the split that the problems are of.
        problems: their table.
        layers: draws made by earlier rules.
        fitted: folder of what was fitted, BENCHMARK/ each.
        out: the new layer.
        journal: where draws are kept as they are made.
        tracker: told of every batch and round.
    """
    runner = Runner.open(params, layers, journal, tracker)
    solved = read_problems(problems, split)
    routers = [policies_for(runner, router, benchmark, fitted, solved) for router in params.routers_on(benchmark)]
    runner.run(solved, [policy for found in routers for policy in found.values()])
    return runner.draws.export(out)
