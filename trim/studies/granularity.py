"""The definition of a step: TRIM-Thr with steps of a paragraph, a sentence or a number of tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.evaluation.comparison import comparisons, measures, summary
from trim.evaluation.results import read_results
from trim.experiment.params import Params, measure_settings
from trim.problems import read_problems
from trim.report.figures import ENDS, legend, panels, styles
from trim.report.tables import at_budgets, format_interval, titles
from trim.routers.always import AlwaysStrong, AlwaysWeak
from trim.routers.trim_thr import TrimThr
from trim.stages.episodes import write_run
from trim.studies.study import Job, Measurement, Study, read_measured


def _run(job: Job) -> None:
    """Run both ends and TRIM-Thr's sweep on the test problems, with one definition of a step.

    Writes ROUTER.parquet into the folder `out`.
    """
    params = job.params
    known = {str(step): step for step in ("paragraph", *params.granularity.steps)}
    runner = job.runner.with_step(known[job.case])
    test, thresholds = read_problems(job.problems, "test"), TrimThr.Params(thresholds=params.granularity.thresholds)
    for router in (AlwaysWeak(None), AlwaysStrong(None), TrimThr(thresholds)):
        path = job.out / f"{router.name}.parquet"
        write_run(runner, job.benchmark, "test", router.name, test, router.policies(), path, router.title)


def _measure(params: Params, benchmark: str, results: Path) -> dict[str, pd.DataFrame]:
    """The measures of TRIM-Thr and the accuracy of both ends, by definition of a step."""
    tables = []
    for definition in params.granularity.names():
        folder = results / "studies" / "granularity" / benchmark / definition
        (comparison,) = comparisons(list(map(read_results, sorted(folder.glob("*.parquet")))), measure_settings(params))
        points = summary(comparison)
        ends = points[points["router"] != "trim_thr"].rename(
            columns={"accuracy": "value", "accuracy_low": "low", "accuracy_high": "high"}
        )
        measured = measures(comparison)
        found = [ends.assign(measure="accuracy", reached=1.0), measured[measured["router"] == "trim_thr"]]
        steps = points.loc[points["router"] == "always_strong", "steps"].iloc[0]
        columns = ["benchmark", "router", "measure", "value", "low", "high", "reached"]
        tables.append(pd.concat([table[columns] for table in found]).assign(definition=definition, steps=steps))
    return {"": pd.concat(tables)}


def _table(results: Path, params: Params) -> pd.DataFrame:
    """TRIM-Thr and both ends by definition of a step."""
    benchmarks, _ = titles(params)
    rows = []
    for name in params.granularity.benchmarks:
        found = read_measured(results, "granularity", [name])
        for definition, group in found.groupby("definition", sort=False):
            ends = {f"{row.router.removeprefix('always_')}": row for row in group.itertuples() if row.router in ENDS}
            cells = {end: format_interval(row.value, row.low, row.high) for end, row in ends.items()}
            own = group[group["router"] == "trim_thr"]
            cells |= {
                row.measure: format_interval(row.value, row.low, row.high, reached=row.reached)
                for row in own.itertuples()
            }
            what = f"{definition} tokens" if str(definition).isdigit() else str(definition)
            steps = f"{group['steps'].iloc[0]:.1f}"
            rows.append({"benchmark": benchmarks[name], "a step is": what, "steps of a solution": steps} | cells)
    return pd.DataFrame(rows)


def _figure(results: Path, params: Params) -> Figure:
    """Accuracy of TRIM-Thr at the budgets, by definition of a step."""
    names = {name: title for name, title in titles(params)[0].items() if name in params.granularity.benchmarks}
    picture, axes_of = panels(names)
    shown = {name: 100 * budget for name, budget in zip(at_budgets(params), params.evaluation.budgets, strict=True)}
    for benchmark, axes in axes_of.items():
        found = read_measured(results, "granularity", [benchmark])
        rows = found[found["measure"].isin(list(shown))]
        for definition, (colour, marker) in styles(params.granularity.names()).items():
            own = rows[rows["definition"].astype(str) == definition]
            error = np.abs(own[["low", "high"]].to_numpy().T - own["value"].to_numpy())
            label = f"{definition} tokens" if definition.isdigit() else definition
            axes.errorbar(own["measure"].map(shown), own["value"], error, fmt=marker + "-", color=colour, capsize=2)
            axes.plot([], [], marker + "-", color=colour, label=label)
        axes.set_xlabel("budget: % of always-strong's tokens")
        axes.set_ylabel("accuracy of TRIM-Thr")
    return legend(picture)


STUDY = Study(
    name="granularity",
    title="The definition of a step",
    text=(
        "TRIM-Thr with steps that end at a blank line, at the end of a sentence or after a number of tokens; the "
        "reward model was trained on paragraphs. The embedded models write no full stops, so their sentences are "
        "paragraphs too."
    ),
    caption="TRIM-Thr by definition of a step.",
    wanted=lambda params: bool(params.granularity.names()),
    table=_table,
    figure=_figure,
    measurement=Measurement(
        benchmarks=lambda params: list(params.granularity.benchmarks),
        inputs=lambda params, name: [f"studies/granularity/{name}/{case}" for case in params.granularity.names()],
        make=_measure,
    ),
    run=_run,
    cases=lambda params: params.granularity.names(),
)
