"""The paper's claims beside what was measured: in the run that was published with it, and in this experiment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.config import Params
from trim.evaluation.published import SETTING, published_budgets, published_points
from trim.report.figures import ENDS, legend, styles
from trim.report.tables import at_budgets, at_middle, figure, read_csv, titles
from trim.stages.evaluate import protocol

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told"


@dataclass(frozen=True)
class Finding:
    """A figure with its interval; NaN where it was not reached.

    Attributes:
        value, low, high: see above.
        of: what it is of, for the reader.
    """

    value: float
    low: float
    high: float
    of: str = ""

    def __str__(self) -> str:
        return figure(self.value, self.low, self.high) + (f" ({self.of})" if self.of else "")

    def at_most(self, bound: float) -> str:
        """Whether it is at most `bound`, as far as its interval tells; what is not reached is not."""
        if np.isnan(self.value):
            return FAILS
        if np.isnan(self.low):
            return OPEN
        return HOLDS if self.high <= bound else FAILS if self.low > bound else OPEN

    def at_least(self, bound: float) -> str:
        """Whether it is at least `bound`, as far as its interval tells."""
        return Finding(-self.value, -self.high, -self.low).at_most(-bound)


def _found(table: pd.DataFrame, of: str = "", **keys: str) -> Finding | None:
    """The row of a table that has these keys."""
    for key, value in keys.items():
        table = table[table[key] == value]
    if table.empty:
        return None
    row = table.iloc[0]
    return Finding(float(row["value"]), float(row["low"]), float(row["high"]), of)


def claims_table(results: Path, params: Params) -> pd.DataFrame:
    """A row per claim: the figure and whether it holds, published and here."""
    rows = [
        *_thrift(results, params),
        *_efficiency(results, params),
        *_takeover(results, params),
        *_transfer(results, params),
        *_noise(results, params),
    ]
    columns = ["claim", "published run", "published", "here, measured", "here"]
    return pd.DataFrame(rows, columns=columns)


Row = tuple[str, str, str, str, str]


def _row(claim: str, here: Finding | None, verdict: str, there: Finding | None = None, published: str = "") -> Row:
    return (
        claim,
        str(there) if there else "not released",
        published if there else "",
        str(here) if here else "not measured",
        verdict if here else "",
    )


def _thrift(results: Path, params: Params) -> list[Row]:
    """The strong model's accuracy for a fifth of its tokens."""
    budgets, released = read_csv(results / "budgets.csv"), published_budgets(protocol(params))
    first, (benchmarks, routers) = next(iter(params.benchmarks)), titles(params)
    trim = [name for name in params.routers_on(first) if params.group(name) == "trim"]
    rows = []
    for level in params.evaluation.levels[-2:]:
        measure = f"cpt{round(100 * level)}"
        there = _found(released, measure=measure)
        here = _found(budgets, benchmarks[first], benchmark=first, router="trim_thr", measure=measure)
        claim = f"TRIM-Thr recovers {100 * level:g} % of the gap with 20 % of the strong tokens"
        rows.append(_row(claim, here, here.at_most(0.2) if here else "", there, there.at_most(0.2) if there else ""))
    own = budgets[(budgets["benchmark"] == first) & budgets["router"].isin(trim) & (budgets["measure"] == measure)]
    if own["value"].notna().any():
        best = str(own.loc[own["value"].idxmin(), "router"])
        here = _found(own, f"{routers[best]}, {benchmarks[first]}", router=best)
    else:
        here = Finding(np.nan, np.nan, np.nan, f"any of TRIM, {benchmarks[first]}")
    claim = f"the best policy recovers {100 * level:g} % of it with 20 % of the strong tokens"
    return [*rows, _row(claim, here, here.at_most(0.2) if here else "")]


def _best_rival(budgets: pd.DataFrame, params: Params, benchmark: str) -> str | None:
    """The query-level router of most incremental benefit per cost."""
    rivals = [name for name in params.routers_on(benchmark) if params.group(name) == "query"]
    rows = budgets[(budgets["benchmark"] == benchmark) & (budgets["measure"] == "ibc") & budgets["router"].isin(rivals)]
    return str(rows.loc[rows["value"].idxmax(), "router"]) if rows["value"].notna().any() else None


def _efficiency(results: Path, params: Params) -> list[Row]:
    """Times as cost-efficient as choosing a model by the query."""
    ratios, (benchmarks, routers) = read_csv(results / "ratios.csv"), titles(params)
    budgets, rows = read_csv(results / "budgets.csv"), []
    for index, (benchmark, title) in enumerate(benchmarks.items()):
        rival = _best_rival(budgets, params, benchmark)
        if rival is None:
            continue
        bound = 6 if index else 5
        where = (
            "elsewhere up to 6 times" if index else "5 times as cost-efficient (ΔIBC) as the best query-level router"
        )
        keys = {"benchmark": benchmark, "router": "trim_thr", "measure": "ibc"}
        here = _found(ratios, f"over {routers[rival]}, {title}", baseline=rival, **keys)
        if here:
            claim = f"TRIM-Thr is {where}" if not index else f"{where}: {title}"
            rows.append(_row(claim, here, here.at_least(bound)))
        if not index and "oracle_query" in params.routers:
            bound_of_all = _found(ratios, f"over {routers['oracle_query']}, {title}", baseline="oracle_query", **keys)
            rows.append(
                _row("for comparison: TRIM-Thr over the best that any query-level router could do", bound_of_all, "")
            )
    return rows


def _takeover(results: Path, params: Params) -> list[Row]:
    """One step at a time suffices."""
    if "takeover" not in params.routers:
        return []
    differences, first = read_csv(results / "differences.csv"), next(iter(params.benchmarks))
    middle = at_middle(params)
    keys = {"benchmark": first, "router": "takeover", "baseline": "trim_thr", "measure": middle}
    here = _found(differences, f"takeover minus TRIM-Thr, {middle}", **keys)
    verdict = here.at_most(0) if here else ""
    return [_row("single steps suffice: letting the strong model go on is no better at equal cost", here, verdict)]


def _transfer(results: Path, params: Params) -> list[Row]:
    """Routers carry over."""
    if "transfer" not in params.studies():
        return []
    benchmarks, routers = titles(params)
    folder = results / "studies" / "transfer"
    found = pd.concat([read_csv(folder / f"{name}.csv") for name in params.benchmarks])
    rows = []
    for router in params.transfer.routers:
        if params.kind(router).group != "trim":
            continue
        mine = found[(found["router"] == router) & (found["measure"] == "apgr")]
        values = mine.pivot(index="source", columns="benchmark", values="value")
        kept = values.div(pd.Series(np.diag(values.loc[list(benchmarks), list(benchmarks)]), list(benchmarks)), axis=1)
        source, target = kept.stack().idxmin()
        low = mine[(mine["source"] == source) & (mine["benchmark"] == target)].iloc[0]
        own = values.loc[target, target]
        here = Finding(
            kept.loc[source, target],
            low["low"] / own,
            low["high"] / own,
            f"least, {routers[router]} from {benchmarks[source]} on {benchmarks[target]}",
        )
        rows.append(_row("fitted elsewhere a policy keeps 90 % of its APGR", here, here.at_least(0.9)))
    return rows


def _noise(results: Path, params: Params) -> list[Row]:
    """Noise on the scores costs little."""
    noise = [d for name, d in params.robustness.distortions().items() if d.kind == "noise"]
    if not noise or not params.robustness.benchmarks or "trim_thr" not in params.robustness.routers:
        return []
    benchmark = params.robustness.benchmarks[0]
    found = read_csv(results / "studies" / "robustness" / f"{benchmark}.csv").fillna({"baseline": ""})
    middle = at_middle(params)
    found = found[(found["router"] == "trim_thr") & (found["baseline"] == "") & (found["measure"] == middle)]
    rows, plain = [], _found(found, distortion="none")
    for level in noise:
        row = found[(found["distortion"] == "noise") & (found["strength"] == level.strength)]
        if row.empty or plain is None:
            continue
        noisy = _found(row)
        assert noisy
        of = f"{noisy.value:.3f} for {plain.value:.3f}, noise {level.strength:g} on the logit, {middle}"
        here = Finding(noisy.value / plain.value, noisy.low / plain.value, noisy.high / plain.value, of)
        rows.append(_row("robust to noise: 95 % of the accuracy is kept", here, here.at_least(0.95)))
    return rows


def claims_figure(results: Path, params: Params) -> Figure:
    """How many times as cost-efficient TRIM-Thr is as each router that chooses one model, and as their bound."""
    ratios, (benchmarks, routers) = read_csv(results / "ratios.csv"), titles(params)
    rows = ratios[(ratios["router"] == "trim_thr") & (ratios["measure"] == "slope")]
    rivals = list(dict.fromkeys(rows["baseline"]))
    picture = Figure(figsize=(7, 0.32 * len(rivals) + 1.6), layout="constrained")
    axes = picture.subplots()
    for index, (benchmark, (colour, marker)) in enumerate(styles(benchmarks).items()):
        mine = rows[rows["benchmark"] == benchmark].set_index("baseline").reindex(rivals)
        places = -np.arange(len(rivals)) - 0.16 * (index - (len(benchmarks) - 1) / 2)
        error = np.abs(mine[["low", "high"]].to_numpy().T - mine["value"].to_numpy())
        axes.errorbar(mine["value"], places, xerr=error, fmt=marker, color=colour, markersize=4, capsize=2)
        axes.plot([], [], marker, color=colour, label=benchmarks[benchmark])
    axes.axvline(1, color="0.4", linewidth=0.8)
    axes.set_yticks(-np.arange(len(rivals)), [routers[name] for name in rivals])
    axes.set_xlabel("accuracy per strong token: TRIM-Thr's over the rival's")
    return legend(picture)


def paper_table(results: Path, params: Params) -> pd.DataFrame:
    """The published run's measures, and TRIM-Thr's here, by the same code."""
    measures = [
        *(f"cpt{round(100 * level)}" for level in params.evaluation.levels), "apgr", "aiq", "ibc", *at_budgets(params)
    ]  # fmt: skip
    budgets, rows = read_csv(results / "budgets.csv"), []
    tables = {f"published: {SETTING}": published_budgets(protocol(params))}
    for benchmark, title in titles(params)[0].items():
        tables[f"here: {title}"] = budgets[(budgets["benchmark"] == benchmark) & (budgets["router"] == "trim_thr")]
    for name, table in tables.items():
        cells = {row.measure: figure(row.value, row.low, row.high) for row in table.itertuples()}
        rows.append({"TRIM-Thr": name} | {measure: cells[measure] for measure in measures})
    return pd.DataFrame(rows)


def paper_figure(results: Path, params: Params) -> Figure:
    """The share of the gap that TRIM-Thr recovers over strong tokens, published and here."""
    summary, benchmarks = read_csv(results / "summary.csv"), titles(params)[0]
    picture = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = picture.subplots()
    points = published_points().sort_values("strong_fraction")
    ends = points["accuracy"].iloc[[0, -1]].to_numpy()
    recovered = (points["accuracy"] - ends[0]) / (ends[1] - ends[0])
    axes.plot(points["strong_fraction"], recovered, "k*--", linewidth=1.4, label=f"published: {SETTING}")
    for benchmark, (colour, marker) in styles(benchmarks).items():
        mine = summary[(summary["benchmark"] == benchmark) & (summary["router"].isin(["trim_thr", ENDS[0]]))]
        mine = mine.sort_values(["strong_fraction", "pgr"])
        label = f"here: {benchmarks[benchmark]}"
        axes.plot(mine["strong_fraction"], mine["pgr"], marker + "-", color=colour, markersize=3, label=label)
    axes.axhline(1, color="0.4", linewidth=0.8)
    axes.axvline(0.2, color="0.4", linewidth=0.8, linestyle=":")
    axes.set_xlim(-0.02, 1.1)
    axes.set_xlabel("strong tokens / always-strong's")
    axes.set_ylabel("share of the accuracy gap recovered")
    axes.legend(fontsize=8)
    return picture
