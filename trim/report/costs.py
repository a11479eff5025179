"""The whole cost: every unit, and who still saves in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from trim.config import Params
from trim.evaluation.costs import UNITS, WRITTEN
from trim.evaluation.published import RELEASED, published_costs
from trim.report.figures import ENDS, first_of_kinds, legend, panels, styles
from trim.report.tables import figure, read_csv, titles

UNIT_TITLES = dict(
    zip(
        UNITS,
        (
            "strong tokens written", "strong passes", "all tokens", "FLOPs", "FLOPs without PRM", "money", "latency",
            "latency, writing", "latency, reading",
        ),
        strict=True,
    )
)  # fmt: skip
CACHES = {"prefix": "each model keeps a prefix cache", "none": "every call reads all again", "billed": "as billed"}
_SHOWN = ("strong_tokens", "flops")


def units_table(results: Path, params: Params) -> pd.DataFrame:
    """Per benchmark, router, regime and measure, a column for each unit."""
    benchmarks, routers = titles(params)
    found, rows = _units(results), []
    found = found[~found["router"].isin(ENDS)]
    for (benchmark, router, cache, measure), group in found.groupby(
        ["benchmark", "router", "cache", "measure"], sort=False
    ):
        cells = {UNIT_TITLES[row.unit]: figure(row.value, row.low, row.high, row.spread) for row in group.itertuples()}
        keys = {"benchmark": benchmarks[benchmark], "router": routers[router], "reading": CACHES[cache]}
        rows.append(keys | {"measure": measure} | {name: cells.get(name, "") for name in UNIT_TITLES.values()})
    return pd.DataFrame(rows)


def _units(results: Path) -> pd.DataFrame:
    return read_csv(results / "units.csv")


def units_figure(results: Path, params: Params) -> Figure:
    """What each router costs in every unit at the middle budget, a panel a benchmark."""
    benchmarks, routers = titles(params)
    found = _units(results)
    found = found[(found["measure"] == "spent") & (found["cache"] == "prefix")]
    names = [name for name in first_of_kinds(params) if params.group(name) != "ablation"]
    picture, axes_of = panels(benchmarks, height=0.22 * len(names) + 0.9)
    for benchmark, axes in axes_of.items():
        for unit, (colour, marker) in styles(UNIT_TITLES).items():
            rows = found[(found["benchmark"] == benchmark) & (found["unit"] == unit)].set_index("router")
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


def spent_table(results: Path, params: Params) -> pd.DataFrame:
    """What the setting for the middle budget costs in every unit, and in which it saves; below, the released runs."""
    benchmarks, routers = titles(params)
    found, rows = _units(results), []
    found = found[(found["measure"] == "spent") & (found["router"] != "always_strong")]
    for benchmark, title in benchmarks.items():
        of_all = found[found["benchmark"] == benchmark]
        written = of_all[of_all["unit"].isin(WRITTEN)]
        for router in dict.fromkeys(of_all["router"]):
            for cache in dict.fromkeys(of_all["cache"]):
                mine = pd.concat([written, of_all[of_all["cache"] == cache]]).drop_duplicates(["router", "unit"])
                mine = mine[mine["router"] == router].set_index("unit").loc[list(UNITS)]
                cells = {UNIT_TITLES[str(u)]: figure(r["value"], r["low"], r["high"]) for u, r in mine.iterrows()}
                saves = [UNIT_TITLES[str(unit)] for unit in mine.index[mine["high"] < 1]]
                keys = {"benchmark": title, "router": routers[router], "reading": CACHES[str(cache)]}
                rows.append(keys | cells | {"saves in": "; ".join(saves) or "nothing"})
    return pd.concat([pd.DataFrame(rows), _released(params)], ignore_index=True).fillna("")


def _released(params: Params) -> pd.DataFrame:
    """The released run nearest to the middle budget, and the most that it can have cost."""
    rows = []
    for router in RELEASED:
        points = published_costs(router)
        nearest = points.loc[(points["strong_tokens"] - params.evaluation.middle).abs().idxmin()]
        costs = nearest.drop("setting")
        cells = {UNIT_TITLES[str(unit)]: f"{value:.3f}" for unit, value in costs.items()}
        saves = [UNIT_TITLES[str(unit)] for unit, value in costs.items() if value < 1]
        name = f"{params.title(router) if router in params.routers else router}, released, {nearest['setting']}"
        keys = {"benchmark": "MATH-500 (released)", "router": name, "reading": f"at most: {CACHES['prefix']}"}
        rows.append(keys | cells | {"saves in": "; ".join(saves)})
    return pd.DataFrame(rows)


def spent_figure(results: Path, params: Params) -> Figure:
    """On the first benchmark: accuracy over strong tokens written, and over operations in all."""
    benchmark, title = next(iter(titles(params)[0].items()))
    rows = read_csv(results / "summary.csv")
    rows = rows[rows["benchmark"] == benchmark]
    strong = rows[rows["router"] == "always_strong"].iloc[0]
    names = [name for name in first_of_kinds(params) if params.group(name) in ("trim", "step", "query", "cascade")]
    picture, axes_of = panels({unit: f"{title}: {UNIT_TITLES[unit]}" for unit in _SHOWN})
    for unit, axes in axes_of.items():
        for router, (colour, marker) in styles(names).items():
            points = rows[rows["router"] == router].groupby("setting", sort=False)[[unit, "accuracy"]].mean()
            points = points.sort_values(unit)
            spent = points[unit] / strong[unit]
            axes.plot(spent, points["accuracy"], marker + "-", color=colour, markersize=3, label=params.title(router))
        for end, marker in zip(ENDS, "v^", strict=True):
            row = rows[rows["router"] == end].iloc[0]
            axes.plot(row[unit] / strong[unit], row["accuracy"], "k" + marker, label=params.title(end))
        axes.axvline(1, color="0.4", linewidth=0.8)
        axes.set_xlabel(f"{UNIT_TITLES[unit]}, always-strong's is 1")
        axes.set_ylabel("accuracy")
    axes_of["flops"].set_xlim(0, max(1.1, float(np.ceil(10 * axes_of["flops"].dataLim.x1) / 10)))
    return legend(picture)
