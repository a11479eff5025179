"""Evaluation: from all routers' episodes to the tables that everything else is drawn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from trim.errors import TrimError
from trim.evaluation.comparison import Study, budgets, differences, headline, ratios, studies, summary, units
from trim.evaluation.costs import UNITS
from trim.evaluation.results import read_results
from trim.experiment.params import Params, protocol
from trim.files import write_json, write_text


def make_evaluation(params: Params, episodes: Sequence[Path], results: Path, cost: str | None = None) -> None:
    """Write summary.csv, budgets.csv, differences.csv, ratios.csv, units.csv and metrics.json into `results`.

    Benchmarks and routers come in the order of the experiment; differences are to each of the experiment's baselines.

    Raises:
        TrimError: for an unknown unit of cost or a damaged file.
    """
    if cost is not None and cost not in UNITS:
        raise TrimError(f"--cost {cost}: unknown unit; allowed: {', '.join(UNITS)}")
    benchmarks, routers = list(params.benchmarks), list(params.routers)
    read = sorted(map(read_results, episodes), key=lambda r: (benchmarks.index(r.benchmark), routers.index(r.router)))
    made = studies(read, protocol(params, cost))

    def write(name: str, table: Callable[[Study], pd.DataFrame]) -> pd.DataFrame:
        rows = pd.concat([table(study) for study in made], ignore_index=True)
        write_text(results / name, rows.to_csv(index=False, float_format="%.6g"))
        return rows

    write("summary.csv", summary)

    def all_differences(study: Study) -> pd.DataFrame:
        parts = [differences(study, name) for name in params.evaluation.baselines if name in study.routers]
        return pd.concat(parts) if parts else pd.DataFrame()

    write("differences.csv", all_differences)
    write("ratios.csv", lambda study: ratios(study, *_rivals(params, study)))
    write("units.csv", lambda study: units(study, params.evaluation.middle))
    write_json(results / "metrics.json", headline(write("budgets.csv", budgets)))


def _rivals(params: Params, study: Study) -> tuple[list[str], list[str]]:
    """TRIM's routers, and those that choose one model for the whole problem, beside each other and their bound."""
    names = list(study.routers)
    trim = [name for name in names if params.group(name) == "trim"]
    return trim, [name for name in names if params.group(name) in ("query", "cascade") or name == "oracle_query"]
