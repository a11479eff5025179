"""Operating points: what each setting of each router reaches on the validation problems, for those who choose one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from trim.experiment.fitting import fitted_policies, outcomes
from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.files import write_sealed
from trim.problems import read_problems
from trim.progress import Tracker
from trim.routers.always import STRONG


def measure_points(
    params: Params,
    benchmark: str,
    problems: Path,
    layers: Sequence[Path],
    fitted: Path,
    out: Path,
    journal: Path | None,
    tracker: Tracker,
) -> None:
    """Run every setting of the routers that are fitted on a benchmark on its validation problems.

    Writes accuracy and strong tokens over always-strong's, by router and setting. These are the problems that routers
    are fitted on, so that the figures guide a choice and are no result.
    """
    runner = Runner.open(params, layers, journal, tracker)
    solved = read_problems(problems, "validation")
    unit = sum(step.tokens for episode in runner.run(solved, [STRONG]) for step in episode.steps)
    reached: dict[str, dict[str, dict[str, float]]] = {}
    for router in params.routers_on(benchmark):
        kind = params.router_type(router)
        if kind.hindsight or kind.needs_reference or params.source(router, benchmark) != benchmark:
            continue
        found = outcomes(runner, solved, fitted_policies(params, router, benchmark, fitted), unit)
        reached[router] = {name: asdict(outcome) for name, outcome in found.items()}
    write_sealed(out, reached)
