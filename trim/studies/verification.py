"""Verification as an action: results of priced reading in each currency, beside its special cases and bounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.evaluation.comparison import Comparison, comparisons
from trim.evaluation.results import read_results
from trim.experiment.params import Params, measure_settings
from trim.experiment.trees import whole_trees
from trim.files import write_text
from trim.ledger.units import UNIT_TITLES
from trim.reading import ActionName, Currency
from trim.report.figures import ENDS, legend, panels, styles
from trim.report.finding import FAILS, HOLDS, Finding
from trim.report.tables import read_csv
from trim.studies.study import Job, Measurement, Study, read_measured

if TYPE_CHECKING:
    from trim.reading.situations import Situations
    from trim.rl.tree import Tree

# Targets: PGR, a share of the gap, at a share of always-strong's spending in each currency.
TARGETS: dict[Currency, float] = {"strong_tokens": 0.2, "flops": 0.65, "money": 0.5}
PGR = 0.95
_SHARES = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0)
PRICES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1, 2)
_UNREAD: tuple[ActionName, ...] = ("delegate", "accept", "rewrite")
_READING = ("trim_verify", "pomdp_verify")
_FREE = "reward model for nothing"
_CHECKED = "exact checks for nothing"
_CLAIRVOYANT = "clairvoyant"


def _verifying(params: Params) -> list[str]:
    first = next(iter(params.benchmarks))
    return [name for name in params.routers_on(first) if params.router_type(name).name in _READING]


def _run(job: Job) -> None:
    """Bounds on the test problems' whole trees, to `out`.

    One is a clairvoyant router. The others are fitted like TRIM-Verify, with free evidence beside the weak model's
    log-probability: the reward model's score, an upper bound for any paid reader that is no more informative, and, if
    there are reference solutions, exact checks of the drafts.
    """
    from trim.reading.situations import Situations

    trees = whole_trees(job.runner, job.problems)
    costs, rows = job.runner.costs(), []
    free = costs | {"prm": replace(costs["prm"], parameters=0, price_in=0, price_cached=0)}
    referenced = all(problem.reference for tree in trees for problem in tree.problems)
    checked = [_checked(tree) for tree in trees] if referenced else []
    for currency in TARGETS:
        situations = [Situations(tree, free, currency, ("weak", "prm")) for tree in trees]
        rows += [(currency, _FREE, *point) for point in _fitted(situations, (*_UNREAD, "verify"))]
        if checked:
            informed = [Situations(tree, free, currency, ("weak", "prm")) for tree in checked]
            rows += [(currency, _CHECKED, *point) for point in _fitted(informed, _UNREAD)]
        rows += [(currency, _CLAIRVOYANT, *_foreseen(situations[-1], price)) for price in PRICES]
    table = pd.DataFrame(rows, columns=["currency", "bound", "spent", "accuracy"])
    write_text(job.out, table.to_csv(index=False, float_format="%.6g"))


def _checked(tree: Tree) -> Tree:
    """The tree with the truth about drafts as their scores: right so far 1, first wrong 1/2, wrong before 0."""
    from trim.pomdp.model import S0, S2
    from trim.rl.tree import ACCEPT

    states = tree.states(np.arange(len(tree)), np.full(len(tree), ACCEPT))
    informed = copy(tree)
    informed.score = np.where(states == S0, 1, np.where(states == S2, 0.5, 0))
    return informed


def _fitted(splits: Sequence[Situations], actions: Sequence[ActionName]) -> Iterator[tuple[float, float]]:
    """Spending and accuracy, on the last split and at each price, of policies fitted on the first."""
    from trim.reading.gains import action_sets, fit_sets

    train, validation, test = splits
    gains, chosen, _ = fit_sets(train, validation, PRICES, actions)
    for price, name in zip(PRICES, chosen, strict=True):
        choices = gains[name].choices(test, price, action_sets(actions)[name])
        solved, paid = (test.worth(p, choices).value[test.roots].mean() for p in (0, 1))
        yield solved - paid, solved


def _foreseen(test: Situations, price: float) -> tuple[float, float]:
    """Spending and accuracy of the clairvoyant router at a price; spending is minus the slope of value over price."""
    near = [test.worth(p).value[test.roots].mean() for p in (0.99 * price, price, 1.01 * price)]
    spent = (near[0] - near[2]) / (0.02 * price)
    return spent, near[1] + price * spent


def _comparison(params: Params, benchmark: str, results: Path, currency: Currency) -> Comparison:
    """Comparison of all routers, with budgets in a currency."""
    runs = [read_results(results / path) for path in params.episodes(benchmark)]
    settings = replace(measure_settings(params, currency), budgets=_SHARES)
    return comparisons([result for result in runs if not result.reference or result.router in ENDS], settings)[0]


def _measure(params: Params, benchmark: str, results: Path) -> dict[str, pd.DataFrame]:
    """Share of the gap of every router at shares of always-strong's spending, in each currency, with intervals."""
    rows = []
    for currency in TARGETS:
        comparison = _comparison(params, benchmark, results, currency)
        scale = comparison.scale()
        for router, frame in comparison.measures.items():
            for share in _SHARES:
                values = (frame[f"acc@{100 * share:g}"].to_numpy() - scale.weak) / scale.gap
                rows.append((benchmark, currency, router, share, *comparison.estimate(values)))
    columns = ["benchmark", "currency", "router", "share", "value", "low", "high", "reached"]
    return {"": pd.DataFrame(rows, columns=columns)}


def _table(results: Path, params: Params) -> pd.DataFrame:
    """In each currency: the best policies by share of the gap at the target, with their rank; then bounds."""
    (benchmark,) = _benchmarks(params)
    measured = read_measured(results, "verification", [benchmark])
    bounds = read_csv(results / f"studies/verification/{benchmark}.bounds.csv")
    summary = read_csv(results / "summary.csv")
    ends = summary[summary["benchmark"] == benchmark].set_index("router")["accuracy"]
    weak, gap = ends["always_weak"], ends["always_strong"] - ends["always_weak"]
    rows = []
    for currency, target in TARGETS.items():
        mine = measured[measured["currency"] == currency].dropna(subset=["value"])
        at = mine[mine["share"] == target].sort_values("value", ascending=False)
        fitted = [name for name in _verifying(params) if params.router(name).params.currency == currency]
        shown = [*at["router"][:4], *fitted]
        for place, (_, row) in enumerate(at.iterrows(), 1):
            if row["router"] in shown:
                finding = Finding.of_row(row)
                cells = params.title(row["router"]), f"{place} of {len(at)}", str(finding)
                rows.append(_row(currency, target, *cells, finding.at_least(PGR)))
        for bound, points in bounds[bounds["currency"] == currency].groupby("bound", sort=False):
            points = points.sort_values("spent")
            value = (np.interp(target, points["spent"], np.maximum.accumulate(points["accuracy"])) - weak) / gap
            verdict = f"{HOLDS if value >= PGR else FAILS}, no interval"
            rows.append(_row(currency, target, f"bound: {bound}", "", f"{value:.3f}", verdict))
    return pd.DataFrame(rows)


def _row(currency: Currency, target: float, policy: str, place: str, pgr: str, reached: str) -> dict[str, str]:
    asked = f"{PGR:.0%} of the gap at {target:g} of the {UNIT_TITLES[currency]}"
    return {"asked": asked, "policy": policy, "place": place, "PGR": pgr, "reached": reached}


def _figure(results: Path, params: Params) -> Figure:
    """Share of the gap over spending: in each currency, of the routers fitted for it and the bounds."""
    (benchmark,) = _benchmarks(params)
    summary = read_csv(results / "summary.csv")
    summary = summary[summary["benchmark"] == benchmark]
    strong = summary[summary["router"] == "always_strong"].iloc[0]
    weak = summary[summary["router"] == "always_weak"].iloc[0]
    bounds = read_csv(results / f"studies/verification/{benchmark}.bounds.csv")
    picture, panel = panels({currency: UNIT_TITLES[currency] for currency in TARGETS}, height=2.8)
    marks = styles(["trim_thr", *_verifying(params)])
    for currency, target in TARGETS.items():
        axes = panel[currency]
        for name, (colour, marker) in marks.items():
            if name != "trim_thr" and params.router(name).params.currency != currency:
                continue
            points = summary[summary["router"] == name].sort_values(currency)
            pgr = (points["accuracy"] - weak["accuracy"]) / (strong["accuracy"] - weak["accuracy"])
            axes.plot(
                points[currency] / strong[currency], pgr, marker + "-", ms=4, color=colour, label=params.title(name)
            )
        for bound, style in ((_CLAIRVOYANT, ":"), (_CHECKED, "-."), (_FREE, "--")):
            points = bounds[(bounds["currency"] == currency) & (bounds["bound"] == bound)].sort_values("spent")
            pgr = (points["accuracy"] - weak["accuracy"]) / (strong["accuracy"] - weak["accuracy"])
            axes.plot(points["spent"], pgr, style, color="0.4", label=f"bound: {bound}")
        axes.plot([target], [PGR], "k*", label="asked")
        axes.set_xlim(0, 1.3)
        axes.set_xlabel("always-strong's is 1")
        axes.set_ylabel("share of the gap")
    return legend(picture)


def _benchmarks(params: Params) -> list[str]:
    return [name for name in params.trees if name == next(iter(params.benchmarks))]


STUDY = Study(
    name="verification",
    title="Verification as an action",
    text=(
        "TRIM-Verify and the POMDP with reading can let the strong model read a draft before they decide, write "
        "without a draft, accept a draft unread or rewrite it, each at its price. Share of the gap at a share of "
        "always-strong's spending; everything that all models read and write counts, each keeping a prefix cache. The "
        "rows are the best four routers, with their rank among all routers on these same test problems (so the first "
        "ones look a little too good); the routers fitted for the currency; and bounds: a clairvoyant router, and the "
        "same fit as TRIM-Verify's with free reward model scores, an upper bound for any paid reader that is no more "
        "informative, or with free exact checks of the drafts, which give complete information about them."
    ),
    caption="Share of the gap over spending, by currency; the star is the target.",
    wanted=lambda params: bool(_benchmarks(params)) and bool(_verifying(params)),
    table=_table,
    figure=_figure,
    inputs=lambda params: [
        "summary.csv",
        *(f"studies/verification/{name}.bounds.csv" for name in _benchmarks(params)),
    ],
    measurement=Measurement(
        benchmarks=_benchmarks,
        inputs=lambda params, name: params.episodes(name),
        make=_measure,
    ),
    run=_run,
    test_trees=True,
)
