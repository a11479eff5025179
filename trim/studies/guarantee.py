"""Settings with a guarantee: chosen on the validation problems of the first benchmark, checked on test problems."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.evaluation.guarantee import Outcomes, choose
from trim.evaluation.results import Results, read_results
from trim.experiment.choosing import RISK, guarantee, read_validation, validation_path
from trim.experiment.params import Params
from trim.report.figures import legend, panels, styles
from trim.report.tables import titles
from trim.setting import Setting
from trim.studies.study import Measurement, Study, read_measured

_LEVEL = 0.95  # of always-strong's accuracy
_DRAWS = 1000


def _first(params: Params) -> str:
    return next(iter(params.benchmarks))


def _routers(params: Params, benchmark: str) -> list[str]:
    """Routers that are measured on the validation problems of the first benchmark and run on this benchmark."""
    first = _first(params)
    return [
        name
        for name in params.routers_on(first)
        if name in params.routers_on(benchmark)
        and params.source(name, first) == first
        and not params.router_type(name).is_reference
    ]


def _measured_from(params: Params, name: str) -> list[str]:
    measured = [f"validation/{_first(params)}.{form}" for form in ("json", "safetensors")]
    return [*measured, *(f"episodes/{name}/{r}.parquet" for r in ("always_strong", *_routers(params, name)))]


def _measure(params: Params, benchmark: str, results: Path) -> dict[str, pd.DataFrame]:
    """Accuracy and spending of each router's guaranteed setting on the test problems.

    Each router's promise is made with the whole risk. On the first benchmark, also the rate of broken promises; see
    `_broken`.
    """
    measured = read_validation(validation_path(results / "routers", _first(params)))
    strong = read_results(results / "episodes" / benchmark / "always_strong.parquet")
    rows = []
    for router in _routers(params, benchmark):
        (row,) = guarantee(measured, "accuracy", _LEVEL, routers=[router])
        test = read_results(results / "episodes" / benchmark / f"{router}.parquet")
        names = measured.settings[router]
        places = [test.settings.index(name) for name in names]
        outcomes = _outcomes(test, strong, places)
        promise: dict[str, object] = {"router": router, "setting": str(row.setting or ""), "needed": row.needed}
        if row.setting:
            place = names.index(row.setting)
            promise["accuracy"] = outcomes.correct[place].mean() / outcomes.strong_correct.mean()
            promise["spent"] = outcomes.tokens[place].sum() / outcomes.strong_tokens.sum()
        if benchmark == _first(params):
            validation = measured.outcomes[router]
            promise["broken"] = _broken(_together(validation, outcomes), len(validation.strong_correct))
        rows.append(promise)
    columns = ["router", "setting", "needed", "accuracy", "spent", "broken"]
    return {"": pd.DataFrame(rows).reindex(columns=columns).assign(benchmark=benchmark)}


def _outcomes(test: Results, strong: Results, settings: list[int]) -> Outcomes:
    tokens = test.totals["strong_tokens"][settings], strong.totals["strong_tokens"][0]
    return Outcomes(test.correct[settings], tokens[0], strong.correct[0], tokens[1])


def _together(one: Outcomes, other: Outcomes) -> Outcomes:
    return Outcomes(*(np.concatenate(parts, axis=-1) for parts in zip(one, other, strict=True)))


def _broken(all_problems: Outcomes, size: int) -> float:
    """Share of draws of `size` problems whose chosen setting breaks the promise on all problems.

    The promise is made for the population that validation problems are drawn from, independently and at random. Here
    that population is the set of all problems, so it is known which settings break the promise; each draw is made from
    it with replacement. The problems left out of a draw would not do as the population: a setting that keeps the
    promise breaks it there by chance, and if draws are halves, a setting that breaks it there did too well on its draw.
    """
    rng, (margins, least) = np.random.default_rng(0), all_problems.margins("accuracy", _LEVEL)
    breaks, broken = margins.mean(axis=1) < 0, 0
    for _ in range(_DRAWS):
        index = choose(margins[:, rng.integers(margins.shape[1], size=size)], least, RISK)
        broken += index is not None and bool(breaks[index])
    return broken / _DRAWS


def _shown(results: Path, params: Params) -> pd.DataFrame:
    benchmarks, routers = titles(params)
    measured = read_measured(results, "guarantee", params.benchmarks)
    return measured.assign(benchmark=measured["benchmark"].map(benchmarks), router=measured["router"].map(routers))


def _table(results: Path, params: Params) -> pd.DataFrame:
    """By router: its setting, then on each benchmark accuracy and spending over always-strong's, and the outcome."""
    first, rows = params.benchmark_title(_first(params)), []
    for router, group in _shown(results, params).groupby("router", sort=False):
        mine = group.set_index("benchmark")
        on_first = mine.loc[first]
        row = {"router": router, "setting": on_first["setting"]}
        if pd.isna(on_first["setting"]):
            needed = (
                "none keeps it" if pd.isna(on_first["needed"]) else f"needs about {on_first['needed']:,.0f} problems"
            )
            row["setting"] = f"none: {needed}"
        for benchmark in map(params.benchmark_title, params.benchmarks):
            there = mine.loc[benchmark] if benchmark in mine.index else None
            if there is None or pd.isna(there["accuracy"]):
                row[benchmark] = ""
            else:
                outcome = "kept" if there["accuracy"] >= _LEVEL else "broken"
                row[benchmark] = f"{there['accuracy']:.3f} at {there['spent']:.3f}, {outcome}"
        rows.append(row | {"broken in draws": f"{on_first['broken']:.3f}"})
    return pd.DataFrame(rows)


def _figure(results: Path, params: Params) -> Figure:
    """Accuracy over always-strong's against spending of every guaranteed setting, a panel per benchmark."""
    shown = _shown(results, params).dropna(subset=["accuracy"])
    titles_of = {title: title for title in map(params.benchmark_title, params.benchmarks)}
    picture, axes_of = panels(titles_of, height=2.8)
    marks = styles(shown["router"].unique())
    for benchmark, axes in axes_of.items():
        for row in shown[shown["benchmark"] == benchmark].itertuples():
            colour, marker = marks[row.router]
            axes.plot(row.spent, row.accuracy, marker, color=colour, label=row.router)
        axes.axhline(_LEVEL, color="0.4", linewidth=0.8, label="the promise")
        axes.set_xlabel("strong tokens, always-strong's is 1")
        axes.set_ylabel("accuracy / always-strong's")
    return legend(picture)


def _settings(results: Path, benchmark: str) -> dict[str, str]:
    """The guaranteed setting of each router that has one, with its accuracy and tokens over always-strong's."""
    rows = read_measured(results, "guarantee", [benchmark]).dropna(subset=["setting"])
    return {row.router: f"{row.setting}: {row.accuracy:.3f} at {row.spent:.3f}" for row in rows.itertuples()}


STUDY = Study(
    name="guarantee",
    title="Settings with a guarantee",
    text=(
        f"Each router's cheapest setting for which, with probability {1 - RISK:.0%} over the draw of the first "
        f"benchmark's validation problems, the accuracy is at least {_LEVEL:.0%} of always-strong's (`trim choose`), "
        "on the test problems of all benchmarks: accuracy over always-strong's, at strong tokens over always-strong's. "
        "The promise is made for problems of the first benchmark; on others it may be broken. Broken in draws: the "
        "first benchmark's validation and test problems together are taken as the population, and from it "
        f"{_DRAWS:,} samples of the size of the validation split are drawn; this is the share of samples whose chosen "
        f"setting breaks the promise on the population, and it should be at most {RISK:g}."
    ),
    caption="Guaranteed settings on the test problems; the line is the promise.",
    wanted=lambda params: bool(_routers(params, _first(params))),
    table=_table,
    figure=_figure,
    measurement=Measurement(benchmarks=lambda params: list(params.benchmarks), inputs=_measured_from, make=_measure),
    columns={str(Setting("guarantee", _LEVEL)): _settings},
)
