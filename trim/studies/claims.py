"""The paper's claims beside its reported numbers, the runs released with it, and this experiment's measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.evaluation.published import (
    ADVANCED_TITLES,
    RELEASED_FOR,
    RELEASED_TITLES,
    published_budgets,
    reported,
    reported_for,
    reported_values,
)
from trim.experiment.params import Benchmark, Params, measure_settings
from trim.problems.generated import FAMILIES
from trim.report.figures import legend, styles
from trim.report.finding import Finding
from trim.report.tables import at_budgets, headline_measure, read_csv, titles
from trim.studies import robustness, transfer
from trim.studies.study import Study, read_measured

AT_ZERO = "the rival is at zero"


def _found(table: pd.DataFrame, of: str = "", **keys: str) -> Finding | None:
    """The first row of a table with these keys; None if there is none."""
    for key, value in keys.items():
        table = table[table[key] == value]
    if table.empty:
        return None
    return Finding.of_row(table.iloc[0], of)


COLUMNS = ("claim", "made for", "reported in the paper", "released run", "released", "here, measured", "here")
_OURS = "own criterion"
Row = tuple[str, ...]


def _table(results: Path, params: Params) -> pd.DataFrame:
    """A row per claim: its setting, the reported and the released numbers, and its verdict there and here."""
    rows = [
        *_thrift(results, params),
        *_efficiency(results, params),
        *_planning(results, params),
        *_takeover(results, params),
        *_transfer(results, params),
        *_noise(results, params),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(
    claim: str,
    pair: str,
    here: Finding | None,
    verdict: str,
    reported: str = "",
    there: Finding | None = None,
    released: str = "",
) -> Row:
    return (
        claim,
        pair,
        reported or "not reported",
        str(there) if there else "not released",
        released if there else "",
        str(here) if here else "not measured",
        verdict if here else "",
    )


def _best(rows: pd.DataFrame, routers: Mapping[str, str], where: str, least: bool) -> Finding:
    """The best of some routers; a finding that was not reached if no router has a value."""
    if rows["value"].isna().all():
        names = ", ".join(routers[name] for name in dict.fromkeys(rows["router"]))
        return Finding(np.nan, np.nan, np.nan, f"{names}, {where}", float(rows["reached"].max()))
    row = rows.loc[rows["value"].idxmin() if least else rows["value"].idxmax()]
    return Finding.of_row(row, f"{routers[row['router']]}, {where}")


def _thrift(results: Path, params: Params) -> list[Row]:
    """The strong model's accuracy for a fifth of its tokens."""
    budgets, (benchmarks, routers) = read_csv(results / "measures.csv"), titles(params)
    first, rows = next(iter(params.benchmarks)), []
    # In none of the paper's policies does the strong model read a draft.
    others = {"trim_thr", *params.needing("train_logprobs")}
    advanced = [n for n in params.routers_on(first) if params.group(n) == "trim" and n not in others]
    for names, who, released in (
        (advanced, "the advanced policies recover", "trim_pomdp"),
        (["trim_thr"], "TRIM-Thr recovers", "trim_thr"),
    ):
        for level in params.evaluation.levels[-1:] if names == advanced else params.evaluation.levels[-2:]:
            measure = f"cpt{round(100 * level)}"
            candidates = budgets[(budgets["benchmark"] == first) & budgets["router"].isin(names)]
            candidates = candidates[candidates["measure"] == measure]
            if candidates.empty:
                continue
            here = _best(candidates, routers, benchmarks[first], least=True)
            there = _found(
                published_budgets(measure_settings(params), released), RELEASED_TITLES[released], measure=measure
            )
            values = reported_values(measure)
            quote = ", ".join(f"{name}: {values[key]:g}" for key, name in ADVANCED_TITLES.items() if key in values)
            theirs = names == advanced and level == 0.95
            claim = f"{who} {100 * level:g} % of the gap with 20 % of the strong tokens"
            rows.append(
                _row(
                    claim, reported_for() if theirs else _OURS, here, here.at_most(0.2), quote if theirs else "", there,
                    there.at_most(0.2) if there else "",
                )
            )  # fmt: skip
    return rows


def _best_rival(budgets: pd.DataFrame, params: Params, benchmark: str, *groups: str) -> str | None:
    """The rival with the highest incremental benefit per cost."""
    rivals = [name for name in params.routers_on(benchmark) if params.group(name) in groups]
    rows = budgets[(budgets["benchmark"] == benchmark) & (budgets["measure"] == "ibc") & budgets["router"].isin(rivals)]
    return str(rows.loc[rows["value"].idxmax(), "router"]) if rows["value"].notna().any() else None


def _efficiency(results: Path, params: Params) -> list[Row]:
    """Cost-efficiency relative to the best prior method."""
    budgets, ratios = read_csv(results / "measures.csv"), read_csv(results / "ratios.csv")
    benchmarks, routers = titles(params)
    first = next(iter(benchmarks))
    aime = [name for name in benchmarks if stands_for(params.benchmarks[name]) == "AIME"]
    on_math, on_aime = reported_values("ibc"), reported_values("ibc", "aime")
    times = on_math["trim_thr"] / on_math["automix_prm"]
    more = on_aime["trim_pomdp"] / on_aime["routellm_similarity"]
    rows = []
    for router, where, bound, groups, claim, quote in (
        (
            "trim_thr", [first], 5, ("query", "cascade"),
            "TRIM-Thr is 5 times as cost-efficient (ΔIBC) as the best prior method, of any group",
            f"{times:.1f} = {on_math['trim_thr']:g} / {on_math['automix_prm']:g} (AutoMix-PRM)",
        ),
        (
            "trim_pomdp", aime, 6, ("query",),
            "on AIME TRIM-POMDP is up to 6 times as cost-efficient as the best query-level router",
            f"{more:.1f} = {on_aime['trim_pomdp']:g} / {on_aime['routellm_similarity']:g} (RouteLLM, similarity)",
        ),
    ):  # fmt: skip
        for benchmark in where:
            rival = _best_rival(budgets, params, benchmark, *groups)
            keys = {"benchmark": benchmark, "measure": "ibc"}
            of = f"over {routers[rival]}, {benchmarks[benchmark]}" if rival else ""
            here = _found(ratios, of, router=router, baseline=rival, **keys) if rival else None
            verdict = here.at_least(bound) if here else ""
            if rival and here and np.isnan(here.value):
                ours, theirs = (_found(budgets, router=name, **keys) for name in (router, rival))
                assert ours and theirs
                here, verdict = replace(theirs, of=f"ΔIBC of {routers[rival]}; {ours} of {routers[router]}"), AT_ZERO
            rows.append(_row(claim, reported_for(), here, verdict, quote))
    if "oracle_query" in params.routers:
        keys = {"benchmark": first, "router": "trim_thr", "measure": "ibc", "baseline": "oracle_query"}
        bound_of_all = _found(ratios, f"over {routers['oracle_query']}, {benchmarks[first]}", **keys)
        claim = "for comparison: TRIM-Thr over the best that any query-level router could do"
        rows.append(_row(claim, _OURS, bound_of_all, ""))
    return rows


def stands_for(benchmark: Benchmark) -> str:
    """The published benchmark that this one is or replaces."""
    if benchmark.family:
        return FAMILIES[benchmark.family].stands_for
    return {"math500": "MATH-500", "aime": "AIME"}.get(benchmark.hub or "", "")


def _planning(results: Path, params: Params) -> list[Row]:
    """Planning helps most at low spending."""
    if "trim_pomdp" not in params.routers or "trim_thr" not in params.evaluation.baselines:
        return []
    differences, first = read_csv(results / "differences.csv"), next(iter(params.benchmarks))
    rows = []
    for measure in at_budgets(params)[:2]:
        one, other = (
            float(published_budgets(measure_settings(params), router).set_index("measure").loc[measure, "value"])
            for router in ("trim_pomdp", "trim_thr")
        )
        there = Finding(one - other, np.nan, np.nan, f"{one:.3f} and {other:.3f}, no paired interval")
        keys = {"benchmark": first, "router": "trim_pomdp", "baseline": "trim_thr", "measure": measure}
        here = _found(differences, titles(params)[0][first], **keys)
        claim = f"planning wins where little is spent: TRIM-POMDP minus TRIM-Thr, {measure}, is above 0"
        sign = "positive" if there.value > 0 else "negative"
        rows.append(_row(claim, RELEASED_FOR, here, here.at_least(0) if here else "", "", there, sign))
    return rows


def _takeover(results: Path, params: Params) -> list[Row]:
    """Rewriting single steps suffices."""
    if "takeover" not in params.routers:
        return []
    differences, first = read_csv(results / "differences.csv"), next(iter(params.benchmarks))
    middle = headline_measure(params)
    keys = {"benchmark": first, "router": "takeover", "baseline": "trim_thr", "measure": middle}
    here = _found(differences, f"takeover minus TRIM-Thr, {middle}", **keys)
    claim = "single steps suffice: letting the strong model go on is no better at equal cost"
    return [_row(claim, reported_for(), here, here.at_most(0) if here else "", "said, without a figure")]


def _transfer(results: Path, params: Params) -> list[Row]:
    """Routers transfer to other benchmarks."""
    if not transfer.STUDY.made(params):
        return []
    benchmarks, routers = titles(params)
    measured = read_measured(results, "transfer", params.benchmarks)
    paper, rows = reported(), []
    paper = paper[paper["fitted_on"].eq("aime") & paper["router"].isin(list(RELEASED_TITLES | ADVANCED_TITLES))]
    quote = "ΔIBC fitted on AIME: " + ", ".join(
        f"{(ADVANCED_TITLES | RELEASED_TITLES)[row.router]} {row.value:g} on {row.benchmark}"
        for row in paper.itertuples()
    )
    for router in params.transfer.routers:
        if params.router_type(router).group != "trim":
            continue
        mine = measured[(measured["router"] == router) & (measured["measure"] == "kept") & measured["value"].notna()]
        if mine.empty:
            continue
        row = mine.loc[mine["value"].idxmin()]
        of = f"least, {routers[router]} from {benchmarks[row['source']]} on {benchmarks[row['benchmark']]}"
        here = Finding.of_row(row, of)
        rows.append(_row("fitted elsewhere a policy keeps 90 % of its APGR", _OURS, here, here.at_least(0.9), quote))
    return rows


def _noise(results: Path, params: Params) -> list[Row]:
    """Noise on the scores costs little accuracy."""
    noise = [d for name, d in params.robustness.distortions().items() if d.type == "noise"]
    if not noise or not robustness.STUDY.made(params) or "trim_thr" not in params.robustness.routers:
        return []
    benchmark = params.robustness.benchmarks[0]
    measured = read_measured(results, "robustness", [benchmark]).fillna({"baseline": ""})
    middle = headline_measure(params)
    measured = measured[(measured["router"] == "trim_thr") & (measured["baseline"] == "")]
    rows, plain = [], _found(measured, distortion="none", measure=middle)
    for level in noise:
        noisy = measured[(measured["distortion"] == "noise") & (measured["strength"] == level.strength)]
        reached, kept = _found(noisy, measure=middle), _found(noisy, measure="kept")
        if plain is None or reached is None or kept is None:
            continue
        of = f"{reached.value:.3f} for {plain.value:.3f}, noise {level.strength:g} on the logit, {middle}"
        here = replace(kept, of=of)
        claim = "robust to noise: 95 % of the accuracy is kept"
        rows.append(_row(claim, _OURS, here, here.at_least(0.95), "said, without a figure"))
    return rows


def _figure(results: Path, params: Params) -> Figure:
    """TRIM-Thr's cost-efficiency relative to each router that chooses one model, and to their upper bound."""
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


def _inputs(params: Params) -> list[str]:
    studies = [study for study in (transfer.STUDY, robustness.STUDY) if study.made(params)]
    tables = [path for study in studies for path in study.measured(params)]
    return ["measures.csv", "differences.csv", "ratios.csv", *tables]


STUDY = Study(
    name="claims",
    title="The paper's claims",
    text=(
        "Each claim is checked on the run released with the paper (TRIM-Thr on MATH-500) and on this experiment, "
        "with the same code; the intervals decide the verdict. ΔIBC: incremental benefit per cost, relative to "
        "always-strong's."
    ),
    caption="Accuracy gained per strong token: TRIM-Thr relative to routers that choose one model for a problem.",
    wanted=lambda params: "trim_thr" in params.routers,
    table=_table,
    figure=_figure,
    inputs=_inputs,
    prose=True,
)
