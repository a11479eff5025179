"""The guaranteed setting of a router: certified on the validation problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trim.errors import TrimError
from trim.evaluation.guarantee import Outcomes, Promise, choose, problems_needed
from trim.files import read_arrays, read_sealed
from trim.setting import BUDGET, Setting, first_seed

RISK = 0.05
_NAME = "guarantee"


@dataclass(frozen=True)
class Guaranteed:
    """A router's setting that is certified to keep a promise.

    Attributes:
        router: the router.
        setting: its cheapest certified setting, None if there is none.
        accuracy: its accuracy on the validation problems, over always-strong's.
        spent: its strong tokens, over always-strong's.
        needed: if there is no such setting, about how many problems would certify one; None if no number is likely to.
    """

    router: str
    setting: Setting | None
    accuracy: float
    spent: float
    needed: int | None = None


def validation_path(fitted: Path, benchmark: str) -> Path:
    """The file of the settings' results on the validation problems, beside the folder of fitted parameters."""
    return fitted.parent / "validation" / f"{benchmark}.json"


class Validation(NamedTuple):
    """Results of every setting on the validation problems, by router, safest setting first.

    Attributes:
        settings: the k settings of each router.
        outcomes: their results.
    """

    settings: dict[str, list[Setting]]
    outcomes: dict[str, Outcomes]


def read_validation(path: Path) -> Validation:
    """Read the results on the validation problems.

    Settings fitted for a budget are left out, since they were chosen on these very problems; so are those of all
    seeds but one.

    Raises:
        TrimError: if a file is missing or damaged.
    """
    if not path.is_file() or not path.with_suffix(".safetensors").is_file():
        raise TrimError(f"{path}: No such file or directory; `snakemake --cores all serving` measures it")
    reached: dict[str, Any] = read_sealed(path)
    arrays, _ = read_arrays(path.with_suffix(".safetensors"))
    strong = arrays["always_strong.correct"][0].astype(bool), arrays["always_strong.tokens"][0]
    names, found = {}, {}
    for router, texts in reached.items():
        settings = list(map(Setting.parse, texts))
        first = first_seed(settings)
        kept = [
            index for index, setting in enumerate(settings) if setting.parameter != BUDGET and setting.seed == first
        ][::-1]  # a router's settings are in order of rising cost
        if kept:
            names[router] = [settings[index] for index in kept]
            correct, tokens = arrays[f"{router}.correct"][kept].astype(bool), arrays[f"{router}.tokens"][kept]
            found[router] = Outcomes(correct, tokens, *strong)
    return Validation(names, found)


def guarantee(
    measured: Validation, promise: Promise, level: float, routers: Sequence[str], risk: float = RISK
) -> list[Guaranteed]:
    """The guaranteed setting of each router, cheapest first; those without one come last.

    Args:
        measured: results of every setting.
        promise: see `trim.evaluation.guarantee.Outcomes.margins`.
        level: see there.
        routers: those to choose among; the risk is split evenly between them.
        risk: largest probability that any promise made here is broken, over the draw of the validation problems.
    """
    rows = []
    for router in routers:
        outcomes = measured.outcomes[router]
        order = slice(None) if promise == "accuracy" else slice(None, None, -1)
        margins, least = outcomes.margins(promise, level)
        shared = risk / len(routers)
        index = choose(margins[order], least, shared)
        if index is None:
            needed = problems_needed(margins[order][0], least, shared)
            rows.append(Guaranteed(router, None, np.nan, np.nan, needed))
            continue
        index = range(len(margins))[order][index]
        accuracy = outcomes.correct[index].mean() / outcomes.strong_correct.mean()
        spent = outcomes.tokens[index].sum() / outcomes.strong_tokens.sum()
        rows.append(Guaranteed(router, measured.settings[router][index], float(accuracy), float(spent)))
    best = (lambda row: row.spent) if promise == "accuracy" else (lambda row: -row.accuracy)
    return sorted(rows, key=lambda row: (row.setting is None, best(row)))


def guaranteed_setting(path: Path, router: str, setting: Setting) -> Setting:
    """The setting of a promise: for guarantee=0.95, the one certified to reach 95 % of always-strong's accuracy.

    Any other setting is returned as it is.

    Args:
        path: see `validation_path`.
        router: the router.
        setting: the promise.

    Raises:
        TrimError: if no setting is certified at the usual risk (the message gives the number of problems needed), or
            the router was not measured.
    """
    if setting.parameter != _NAME:
        return setting
    if not 0 < setting.value < 1:
        raise TrimError(f"{setting}: must be a share of always-strong's accuracy in (0, 1), such as {_NAME}=0.95")
    measured = read_validation(path)
    if router not in measured.outcomes:
        raise TrimError(f"{path}: no {router} there; it has: {', '.join(measured.outcomes)}")
    (row,) = guarantee(measured, "accuracy", setting.value, routers=[router])
    if row.setting is None:
        raise TrimError(f"{router}: {without(row)}")
    return row.setting


def without(row: Guaranteed) -> str:
    """Why a router has no guaranteed setting."""
    more = f"about {row.needed:,} validation problems would be needed" if row.needed else "none keeps it on validation"
    return f"no setting is certified to keep the promise; {more}"
