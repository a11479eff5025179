"""Operating points: results of each router's settings on the validation problems, as a guide to choosing one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from trim.stages.job import Job
from trim.stages.stage import DEFAULT_RESULTS, Benchmark, Input, Stage


def measure_points(
    benchmark: Benchmark,
    job: Job,
    fitted: Annotated[Path, Input("Folder of fitted parameters.")] = DEFAULT_RESULTS / "routers",
) -> str:
    """Measure every setting of the fitted routers on the validation problems, for `trim serve`; writes OUT.

    Note:
        OUT holds accuracy and strong tokens over always-strong's, by router and setting; the safetensors file beside it
        the same by problem. Routers are fitted on these very problems, so the numbers guide a choice and are no result.
    """
    import numpy as np

    from trim.experiment.fitting import by_problem, fitted_policies
    from trim.files import write_arrays, write_sealed
    from trim.problems import read_problems
    from trim.routers.always import STRONG

    params, runner = job.params, job.runner()
    solved = read_problems(job.problems, "validation")
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
    write_arrays(job.out.with_suffix(".safetensors"), {name: a.astype(np.int32) for name, a in arrays.items()})
    write_sealed(job.out, reached)
    return f"{job.out}: operating points on {benchmark}"


STAGES = [Stage("operating-points", measure_points, order=14, progress="operating points, {benchmark}")]
