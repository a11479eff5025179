"""The ceiling: the best result that any router could reach on the test problems, and each router's distance from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.engine.policy import Policy
from trim.evaluation.comparison import comparisons, differences, measures, summary
from trim.evaluation.results import read_results
from trim.experiment.params import Params, measure_settings
from trim.experiment.trees import whole_trees
from trim.report.figures import ENDS, curves
from trim.report.tables import at_budgets, format_interval, read_csv, titles
from trim.rl.hyperparameters import CEILINGS
from trim.setting import Setting
from trim.stages.episodes import write_run
from trim.studies.study import Job, Measurement, Study, read_measured


def _run(job: Job) -> None:
    """Run the best routers on the test problems; writes NAME.parquet for each of `CEILINGS` into the folder `out`."""
    from trim.rl.ceiling import Clairvoyant, Fitted

    params, runner = job.params, job.runner
    train, validation, test = whole_trees(runner, job.problems)
    costs = sorted(params.ceiling.costs, reverse=True)
    # A clairvoyant router rescues solutions at far less cost than a router that has to guess.
    spread = np.geomspace(1, costs[-1], 2 * len(costs))
    policies: dict[str, list[tuple[float, Policy]]] = {
        "features": [(cost, Fitted(train, validation, cost)) for cost in costs],
        "hindsight": [(cost, Fitted(test, test, cost)) for cost in costs],
        "clairvoyant": [(cost, Clairvoyant(test, cost)) for cost in spread],
    }
    for name, priced in policies.items():
        settings = {Setting("cost", float(f"{cost:.4g}")): policy for cost, policy in priced}
        path = job.out / f"{name}.parquet"
        write_run(runner, job.benchmark, "test", name, test.problems, settings, path, CEILINGS[name])


def _measure(params: Params, benchmark: str, results: Path) -> dict[str, pd.DataFrame]:
    """The ceilings' operating points, and every router's measures and their distances from each ceiling."""
    folder = results / "studies" / "ceiling" / benchmark
    routers = [read_results(results / path) for path in params.episodes(benchmark)]
    (comparison,) = comparisons(
        [*routers, *(read_results(folder / f"{name}.parquet") for name in CEILINGS)], measure_settings(params)
    )
    rows = summary(comparison)
    distances = [measures(comparison).assign(baseline=""), *(differences(comparison, name) for name in CEILINGS)]
    columns = ["benchmark", "router", "baseline", "measure", "value", "low", "high", "spread", "reached"]
    return {"points": rows[rows["router"].isin(list(CEILINGS))], "distances": pd.concat(distances)[columns]}


def _table(results: Path, params: Params) -> pd.DataFrame:
    """Accuracy at budgets and APGR of every router and ceiling, and each router's distance from each ceiling."""
    benchmarks, routers = titles(params)
    names, rows = routers | CEILINGS | {"": ""}, []
    measures = [*at_budgets(params), "apgr"]
    distances = read_measured(results, "ceiling", params.trees, "distances").fillna({"baseline": ""})
    distances = distances[
        ~distances["router"].isin(ENDS) & ~(distances["router"].isin(list(CEILINGS)) & (distances["baseline"] != ""))
    ]
    for (benchmark, router, baseline), group in distances.groupby(["benchmark", "router", "baseline"], sort=False):
        cells = {
            row.measure: format_interval(row.value, row.low, row.high, row.spread, row.reached)
            for row in group.itertuples()
        }
        keys = {"benchmark": benchmarks[benchmark], "router": names[router], "vs": names[baseline]}
        rows.append(keys | {name: cells[name] for name in measures})
    return pd.DataFrame(rows)


def _figure(results: Path, params: Params) -> Figure:
    """Curves of the ceilings and of the fitted routers below them."""
    shown = [
        name for name in params.routers if params.router_type(name).needs_fitting and "type" not in params.routers[name]
    ]
    names = {name: params.title(name) for name in shown} | CEILINGS
    rows = pd.concat([read_csv(results / "summary.csv"), read_measured(results, "ceiling", params.trees, "points")])
    chosen = {name: title for name, title in titles(params)[0].items() if name in params.trees}
    return curves(rows, chosen, names)


STUDY = Study(
    name="ceiling",
    title="The best possible routers",
    text=(
        "Upper bounds for any router, by dynamic programming on whole solution trees. Five features: a router "
        "with TRIM-Agg's inputs, by fitted policy iteration on the train split, or (in hindsight, and so too good) "
        "on the test problems themselves. Clairvoyant: a router that knows every outcome in advance. `vs`: each "
        "router's distance from a bound."
    ),
    caption="Fitted routers below the upper bounds.",
    wanted=lambda params: bool(params.trees and params.ceiling.costs),
    table=_table,
    figure=_figure,
    inputs=lambda params: ["summary.csv"],
    measurement=Measurement(
        benchmarks=lambda params: list(params.trees),
        inputs=lambda params, name: (
            [f"studies/ceiling/{name}/{bound}.parquet" for bound in CEILINGS] + params.episodes(name)
        ),
        make=_measure,
        parts=("points", "distances"),
    ),
    run=_run,
    test_trees=True,
)
