"""Fitting: routers choose their parameters on the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.errors import TrimError
from trim.experiment.fitting import fit_router
from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.pomdp.model import StepModel
from trim.progress import Tracker
from trim.routers.fitted import write_fitted
from trim.stages.calibrate import calibrations as calibrate


def make_fit(
    params: Params,
    benchmark: str,
    router: str,
    problems: Path,
    layers: Sequence[Path],
    calibrations: Path | None,
    out: Path,
    draws_out: Path,
    journal: Path,
    tracker: Tracker,
    labelled: Path | None = None,
) -> None:
    """Fit a router on a benchmark.

    Writes ROUTER.json and ROUTER.safetensors into the folder `out`, and the draws made for it. For a planning router
    with scores of its own a POMDP is calibrated on these, with `labelled` solutions if there are any.
    """
    own = params.as_run(router)
    runner = Runner.open(own, layers, journal, tracker)

    def calibration(name: str) -> StepModel:
        if own is not params:
            return calibrate(runner, problems, labelled).models[name]
        if calibrations is None:
            raise TrimError(f"--calibrations is missing: {router} plans in a calibrated POMDP")
        return StepModel.load(calibrations / f"{name}.json")

    fitted = fit_router(runner, router, problems, calibration)
    runner.draws.export(draws_out)
    write_fitted(out, router, benchmark, fitted)
