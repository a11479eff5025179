"""Fitting: routers choose their parameters on the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trim.errors import TrimError
from trim.experiment.fitting import fit_routers
from trim.experiment.params import Params
from trim.experiment.runner import Runner
from trim.pomdp.model import StepModel
from trim.progress import Tracker
from trim.routers.fitted import write_fitted


def make_fit(
    params: Params,
    benchmark: str,
    router_type: str,
    problems: Path,
    layers: Sequence[Path],
    calibrations: Path | None,
    out: Path,
    draws_out: Path,
    journal: Path,
    tracker: Tracker,
) -> None:
    """Fit all routers of one type that are fitted on a benchmark, over the same draws.

    Writes TYPE.json and TYPE.safetensors into the folder `out`, and the draws made for them.
    """

    def calibration(name: str) -> StepModel:
        if calibrations is None:
            raise TrimError(f"--calibrations is missing: {router_type} plans in a calibrated POMDP")
        return StepModel.load(calibrations / f"{name}.json")

    runner = Runner.open(params, layers, journal, tracker)
    fitted = fit_routers(runner, params.fitted_on(benchmark, router_type), problems, calibration)
    runner.draws.export(draws_out)
    write_fitted(out, router_type, benchmark, fitted)
