"""Robustness: routers calibrated, fitted and run on distorted scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from trim.config import Params
from trim.evaluation.records import read_results
from trim.evaluation.summary import budgets, differences, studies
from trim.pomdp.model import StepModel
from trim.problems import read_problems
from trim.progress import Tracker
from trim.stages.calibrate import calibrations
from trim.stages.episodes import write_run
from trim.stages.evaluate import protocol
from trim.stages.fit import fit_routers
from trim.tables import write_text
from trim.workspace import Workspace


def make_robustness(
    params: Params,
    benchmark: str,
    distortion: str,
    problems: Path,
    layers: Sequence[Path],
    out: Path,
    journal: Path,
    tracker: Tracker,
    labelled: Path | None = None,
) -> None:
    """Calibrate, fit and run the routers under one of the experiment's distortions.

    Writes ROUTER.parquet, the calibrated POMDP as single.json, and the new draws as
    draws.parquet into the folder `out`.
    """
    plain = Workspace.over(params, layers, journal, tracker)
    workspace = plain.distorted(params.robustness.distortions()[distortion])
    models = calibrations(workspace, problems, labelled).models
    models["single"].save(out / "single.json")
    fits = [router for router in params.robustness.routers if params.kind(router).fits]
    fitted = fit_routers(workspace, fits, problems, models.__getitem__)
    test = read_problems(problems, "test")
    for router in params.robustness.routers:
        policies = params.router(router, fitted.get(router)).policies()
        write_run(workspace, benchmark, "test", router, test, policies, out / f"{router}.parquet")
    plain.draws.export(out / "draws.parquet")


def make_robustness_table(params: Params, benchmark: str, results: Path, out: Path) -> None:
    """Write every measure of the routers under every distortion, and their differences from the first router's.

    The first rows are those of the scores as they are. `auc` tells right steps from first wrong
    ones by the scores that the POMDP was calibrated on.
    """
    episodes, folder = results / "episodes" / benchmark, results / "studies" / "robustness" / benchmark
    ends = [read_results(episodes / f"{name}.parquet") for name in ("always_weak", "always_strong")]
    cases = {"none-0": (episodes, results / "calibration" / benchmark)}
    cases |= {name: (folder / name, folder / name) for name in params.robustness.distortions()}
    tables = []
    for name, (runs, calibration) in cases.items():
        routers = [read_results(runs / f"{router}.parquet") for router in params.robustness.routers]
        (study,) = studies([*ends, *routers], protocol(params))
        against = differences(study, params.robustness.routers[0])
        table = pd.concat([budgets(study).assign(baseline=""), against])
        kind, _, strength = name.partition("-")
        auc = StepModel.load(calibration / "single.json").auc()
        table = table[table["router"].isin(params.robustness.routers)]
        tables.append(table.assign(distortion=kind, strength=float(strength), auc=auc))
    columns = ["benchmark", "distortion", "strength", "auc", "router", "baseline", "measure", "value", "low", "high"]
    write_text(out, pd.concat(tables)[columns].to_csv(index=False, float_format="%.6g"))
