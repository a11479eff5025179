"""Fitting: routers choose their parameters on the validation split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from trim.errors import TrimError
from trim.stages.job import Job
from trim.stages.stage import Benchmark, DrawsOut, Input, Labelled, Stage

if TYPE_CHECKING:
    from trim.pomdp.model import StepModel


def make_fit(
    benchmark: Benchmark,
    router: Annotated[str, Input("The router to fit.")],
    job: Job,
    draws_out: DrawsOut,
    calibrations: Annotated[Path | None, Input("Folder made by `trim calibrate`.")] = None,
    solutions: Labelled = None,
) -> str:
    """Fit a router without networks: choose its settings on the validation split.

    Note:
        For a planning router with scores of its own a POMDP is calibrated on these, with labelled solutions if there
        are any.
    """
    from trim.experiment.calibrating import calibrations as calibrate
    from trim.experiment.fitting import fit_router
    from trim.pomdp.model import StepModel
    from trim.routers.fitted import write_fitted

    own = job.params.as_run(router)
    runner = job.runner(own)

    def calibration(name: str) -> StepModel:
        if own is not job.params:
            return calibrate(runner, job.problems, solutions).models[name]
        if calibrations is None:
            raise TrimError(f"--calibrations is missing: {router} plans in a calibrated POMDP")
        return StepModel.load(calibrations / f"{name}.json")

    fitted = fit_router(runner, router, job.problems, calibration)
    runner.draws.export(draws_out)
    write_fitted(job.out, router, benchmark, fitted)
    return f"{job.out}: fitted {router}"


STAGES = [
    Stage(
        "fit",
        make_fit,
        order=9,
        progress="fit {router}, {benchmark}",
        out="Folder to write ROUTER.json and ROUTER.safetensors into.",
    )
]
