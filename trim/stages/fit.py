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
from trim.routers.fitted import write_fits


def make_fit(
    params: Params,
    benchmark: str,
    kind: str,
    problems: Path,
    layers: Sequence[Path],
    calibrations: Path | None,
    out: Path,
    draws_out: Path,
    journal: Path,
    tracker: Tracker,
) -> None:
    """Fit all routers of one kind that are fitted on a benchmark, over the same draws.

    Writes KIND.json and KIND.safetensors into the folder `out`, and the draws made for them.
    """

    def calibration(name: str) -> StepModel:
        if calibrations is None:
            raise TrimError(f"--calibrations is missing: {kind} plans in a calibrated POMDP")
        return StepModel.load(calibrations / f"{name}.json")

    runner = Runner.open(params, layers, journal, tracker)
    fitted = fit_routers(runner, params.fitted_on(benchmark, kind), problems, calibration)
    runner.draws.export(draws_out)
    write_fits(out, kind, benchmark, fitted)
