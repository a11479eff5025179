"""Operating points: results of each router's settings on the validation problems, as a guide to choosing one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trim.experiment.fitting import by_problem, fitted_policies
from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.files import write_arrays, write_sealed
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
    """Run every setting of the routers fitted on a benchmark on its validation problems.

    Writes accuracy and strong tokens over always-strong's, by router and setting, to OUT, and problem by problem into
    the safetensors file beside it. Routers are fitted on these very problems, so the numbers guide a choice and are
    no result.
    """
    runner = Runner.open(params, layers, journal, tracker)
    solved = read_problems(problems, "validation")
    strong = by_problem(runner, solved, [STRONG])
    reached: dict[str, dict[str, dict[str, float]]] = {}
    arrays = dict(zip(("always_strong.correct", "always_strong.tokens"), strong, strict=True))
    for router in params.routers_on(benchmark):
        kind = params.router_type(router)
        if kind.hindsight or kind.needs_reference or params.source(router, benchmark) != benchmark:
            continue
        policies = fitted_policies(params, router, benchmark, fitted)
        runs = runner.with_reward_model(params.as_run(router).models.prm)
        correct, tokens = by_problem(runs, solved, list(policies.values()))
        shares = tokens.sum(axis=1) / strong[1].sum()
        reached[router] = {
            str(setting): {"accuracy": float(right.mean()), "strong_fraction": float(share)}
            for setting, right, share in zip(policies, correct, shares, strict=True)
        }
        arrays |= {f"{router}.correct": correct, f"{router}.tokens": tokens}
    write_arrays(out.with_suffix(".safetensors"), {name: a.astype(np.int32) for name, a in arrays.items()})
    write_sealed(out, reached)
