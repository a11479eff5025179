"""The measures of every router in every unit of cost."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from trim.experiment.params import Params
from trim.ledger.units import REGIME_TITLES, UNIT_TITLES
from trim.report.figures import ENDS, first_of_kinds, legend, panels, styles
from trim.report.tables import format_interval, read_csv, titles
from trim.studies.study import Study


def _table(results: Path, params: Params) -> pd.DataFrame:
    """A row per benchmark, router, regime and measure, with a column for each unit."""
    benchmarks, routers = titles(params)
    costs, rows = read_csv(results / "units.csv"), []
    costs = costs[~costs["router"].isin(ENDS)]
    for (benchmark, router, cache, measure), group in costs.groupby(
        ["benchmark", "router", "cache", "measure"], sort=False
    ):
        cells = {
            UNIT_TITLES[row.unit]: format_interval(row.value, row.low, row.high, row.spread, row.reached)
            for row in group.itertuples()
        }
        keys = {"benchmark": benchmarks[benchmark], "router": routers[router], "reading": REGIME_TITLES[cache]}
        rows.append(keys | {"measure": measure} | {name: cells.get(name, "") for name in UNIT_TITLES.values()})
    return pd.DataFrame(rows)


def _figure(results: Path, params: Params) -> Figure:
    """Cost of each router in every unit at the middle budget, a panel per benchmark."""
    benchmarks, routers = titles(params)
    costs = read_csv(results / "units.csv")
    costs = costs[(costs["measure"] == "spent") & (costs["cache"] == "prefix")]
    names = [name for name in first_of_kinds(params) if params.group(name) != "ablation"]
    picture, axes_of = panels(benchmarks, height=0.22 * len(names) + 0.9)
    for benchmark, axes in axes_of.items():
        for unit, (colour, marker) in styles(UNIT_TITLES).items():
            rows = costs[(costs["benchmark"] == benchmark) & (costs["unit"] == unit)].set_index("router")
            shown = [(i, rows.loc[name, "value"]) for i, name in enumerate(names) if name in rows.index]
            places = [x for _, x in shown], [-i for i, _ in shown]
            axes.plot(*places, marker, color=colour, markersize=4, label=UNIT_TITLES[unit])
        axes.axvline(1, color="0.4", linewidth=0.8)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.5, 1, 2, 5]))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks([-i for i in range(len(names))], [routers[name] for name in names], fontsize=7)
        axes.set_xlabel("cost, always-strong's is 1")
    return legend(picture)


STUDY = Study(
    name="units",
    title="In other units of cost",
    text=(
        "`spent`: the cost at the setting for the middle budget; always-strong's is 1. Strong passes: tokens that the "
        "strong model writes or reads. All tokens: read or written by any model, including the reward model. The other "
        "rows are measures of the curves over that cost; they are not defined if always-weak alone costs more than "
        "always-strong."
    ),
    caption="Cost at the middle budget in every unit.",
    wanted=lambda params: True,
    table=_table,
    figure=_figure,
    inputs=lambda params: ["units.csv"],
)
