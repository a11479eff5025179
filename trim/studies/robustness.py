"""Robustness: routers calibrated, fitted and run on distorted scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.evaluation.comparison import comparisons, differences, kept, measures
from trim.evaluation.results import read_results
from trim.experiment.calibrating import calibrations
from trim.experiment.fitting import fit_router
from trim.experiment.params import Params, measure_settings
from trim.pomdp.model import StepModel
from trim.problems import read_problems
from trim.report.figures import legend, panels, styles
from trim.report.tables import at_budgets, format_interval, headline_measure, titles
from trim.stages.episodes import write_run
from trim.studies.study import Job, Measurement, Study, read_measured


def _run(job: Job) -> None:
    """Calibrate, fit and run the routers under one of the experiment's distortions.

    Writes ROUTER.parquet, the calibrated POMDP as single.json, and the new draws as draws.parquet into `out`.
    """
    params, plain = job.params, job.runner
    distortion = params.robustness.distortions()[job.case]
    models = calibrations(plain.with_distortion(distortion), job.problems, job.labelled).models
    models["single"].save(job.out / "single.json")
    test = read_problems(job.problems, "test")
    for router in params.robustness.routers:
        runner = plain.with_reward_model(params.as_run(router).models.prm).with_distortion(distortion)
        needs_fitting = params.router_type(router).needs_fitting
        fitted = fit_router(runner, router, job.problems, models.__getitem__) if needs_fitting else None
        policies = params.router(router, fitted).policies()
        write_run(runner, job.benchmark, "test", router, test, policies, job.out / f"{router}.parquet")
    plain.draws.export(job.out / "draws.parquet")


def _measured_from(params: Params, name: str) -> list[str]:
    """The files of every distortion, and those of the undistorted scores."""
    routers = [f"{router}.parquet" for router in params.robustness.routers]
    return [
        f"calibration/{name}/single.json",
        *(f"episodes/{name}/{file}" for file in ("always_weak.parquet", "always_strong.parquet", *routers)),
        *(
            f"studies/robustness/{name}/{d}/{f}"
            for d in params.robustness.distortions()
            for f in ["single.json", *routers]
        ),
    ]


def _measure(params: Params, benchmark: str, results: Path) -> dict[str, pd.DataFrame]:
    """Every measure of the routers under every distortion, and their differences from the first router's.

    The first rows are those of the undistorted scores. `kept` is the accuracy at the middle budget over theirs, on the
    same resamples; `auc` is the AUC of right steps against first wrong ones, by the scores that the POMDP was
    calibrated on, those of `models.prm`.
    """
    episodes, folder = results / "episodes" / benchmark, results / "studies" / "robustness" / benchmark
    ends = [read_results(episodes / f"{name}.parquet") for name in ("always_weak", "always_strong")]
    cases = {"none-0": (episodes, results / "calibration" / benchmark)}
    cases |= {name: (folder / name, folder / name) for name in params.robustness.distortions()}
    tables, plain = [], None
    for name, (runs, calibration) in cases.items():
        routers = [read_results(runs / f"{router}.parquet") for router in params.robustness.routers]
        (comparison,) = comparisons([*ends, *routers], measure_settings(params))
        against = differences(comparison, params.robustness.routers[0])
        plain = plain or comparison
        own = pd.concat([measures(comparison), kept(comparison, plain, headline_measure(params))])
        table = pd.concat([own.assign(baseline=""), against])
        auc = StepModel.load(calibration / "single.json").auc()
        kind, _, strength = name.partition("-")
        table = table[table["router"].isin(params.robustness.routers)]
        auc_of = {r: np.nan if params.routers[r].get("reward_model") else auc for r in params.robustness.routers}
        tables.append(table.assign(distortion=kind, strength=float(strength), auc=table["router"].map(auc_of)))
    columns = [
        "benchmark", "distortion", "strength", "auc", "router", "baseline", "measure", "value", "low", "high",
        "reached",
    ]  # fmt: skip
    return {"": pd.concat(tables)[columns]}


def _measured(results: Path, params: Params) -> pd.DataFrame:
    names, routers = titles(params)
    rows = read_measured(results, "robustness", params.robustness.benchmarks)
    rows = rows.fillna({"baseline": ""})
    return rows.assign(
        benchmark=rows["benchmark"].map(names),
        router=rows["router"].map(routers),
        vs=rows["baseline"].map(routers | {"": ""}),
    )


def _table(results: Path, params: Params) -> pd.DataFrame:
    """Accuracy at budgets and APGR under every distortion, the share of accuracy kept; differences of the routers."""
    table, rows = _measured(results, params), []
    measures = [*at_budgets(params), "apgr"]
    keys = ["benchmark", "distortion", "strength", "auc", "router", "vs"]
    for key, group in table.groupby(keys, sort=False, dropna=False):
        row = dict(zip(keys, key, strict=True))
        found = {
            row.measure: format_interval(row.value, row.low, row.high, reached=row.reached)
            for row in group.itertuples()
        }
        rows.append(row | {"kept": found.get("kept", "")} | {name: found[name] for name in measures})
    return pd.DataFrame(rows).round({"auc": 3})


def _figure(results: Path, params: Params) -> Figure:
    """Accuracy at the middle budget over the strength of each distortion."""
    table = _measured(results, params)
    measure = headline_measure(params)
    first = titles(params)[0][params.robustness.benchmarks[0]]
    table = table[(table["measure"] == measure) & (table["vs"] == "") & (table["benchmark"] == first)]
    kinds = [kind for kind in table["distortion"].unique() if kind != "none"]
    picture, axes_of = panels({kind: f"distortion: {kind}" for kind in kinds}, height=2.8)
    for kind, axes in axes_of.items():
        for router, (colour, marker) in styles(table["router"].unique()).items():
            rows = table[(table["router"] == router) & table["distortion"].isin(["none", kind])]
            # A temperature of 1 does not change the scores; nor does a strength of 0 of the other distortions.
            neutral = 1.0 if kind == "temperature" else 0.0
            rows = rows.assign(strength=rows["strength"].where(rows["distortion"] == kind, neutral))
            rows = rows.sort_values("strength")
            spread = np.abs(rows[["low", "high"]].to_numpy().T - rows["value"].to_numpy())
            axes.errorbar(rows["strength"], rows["value"], spread, fmt=marker + "-", color=colour, capsize=2)
            axes.plot([], [], marker + "-", color=colour, label=router)
        axes.set_xlabel("strength")
        axes.set_ylabel(f"accuracy at {measure.removeprefix('acc@')} %")
    return legend(picture)


STUDY = Study(
    name="robustness",
    title="Distorted scores",
    text=(
        "Routers calibrated and fitted on distorted scores: noise on the logit, a wrong temperature, a share "
        "of random scores. `auc`: right steps against first wrong ones; `kept`: the accuracy at the middle budget over "
        "that on undistorted scores, on the same resamples of the problems."
    ),
    caption="Accuracy at the middle budget on distorted scores; strength 0 and temperature 1 change nothing.",
    wanted=lambda params: bool(params.robustness.benchmarks),
    table=_table,
    figure=_figure,
    measurement=Measurement(
        benchmarks=lambda params: list(params.robustness.benchmarks), inputs=_measured_from, make=_measure
    ),
    run=_run,
    cases=lambda params: list(params.robustness.distortions()),
)
