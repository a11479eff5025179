"""Evaluation: from all routers' episodes to the tables behind every report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from trim.errors import TrimError
from trim.stages.stage import DEFAULT_RESULTS, Input, Results, Stage

if TYPE_CHECKING:
    import pandas as pd

    from trim.evaluation.comparison import Comparison
    from trim.experiment.params import Params


def make_evaluation(
    params: Params,
    episodes: Annotated[list[Path], Input("Files made by `trim episodes`.", positional=True)],
    results: Results = DEFAULT_RESULTS,
    cost: Annotated[str | None, Input("Unit of cost, in place of the experiment's.")] = None,
) -> str:
    """Compute every measure with its interval: the CSV files and metrics.json in the results.

    Note:
        Benchmarks and routers keep the experiment's order; differences are to each of its baselines.

    Raises:
        TrimError: for an unknown unit of cost or a damaged file.
    """
    import pandas as pd

    from trim.evaluation.comparison import comparisons, differences, headline, measures, ratios, summary, units
    from trim.evaluation.results import read_results
    from trim.experiment.params import measure_settings
    from trim.files import write_json, write_text
    from trim.ledger.units import UNITS

    if cost is not None and cost not in UNITS:
        raise TrimError(f"--cost {cost}: unknown unit; allowed: {', '.join(UNITS)}")
    benchmarks, routers = list(params.benchmarks), list(params.routers)
    read = sorted(map(read_results, episodes), key=lambda r: (benchmarks.index(r.benchmark), routers.index(r.router)))
    made = comparisons(read, measure_settings(params, cost))

    def write(name: str, table: Callable[[Comparison], pd.DataFrame]) -> pd.DataFrame:
        rows = pd.concat([table(comparison) for comparison in made], ignore_index=True)
        write_text(results / name, rows.to_csv(index=False, float_format="%.6g"))
        return rows

    write("summary.csv", summary)

    def all_differences(comparison: Comparison) -> pd.DataFrame:
        parts = [differences(comparison, name) for name in params.evaluation.baselines if name in comparison.routers]
        return pd.concat(parts) if parts else pd.DataFrame()

    write("differences.csv", all_differences)
    write("ratios.csv", lambda comparison: ratios(comparison, *_rivals(params, comparison)))
    write("units.csv", lambda comparison: units(comparison, params.evaluation.headline_budget))
    write_json(results / "metrics.json", headline(write("measures.csv", measures)))
    return f"{results}: summary, measures, differences, ratios and units .csv, metrics.json"


def _rivals(params: Params, comparison: Comparison) -> tuple[list[str], list[str]]:
    """TRIM's routers, and the routers of whole problems, with their bound."""
    names = list(comparison.routers)
    trim = [name for name in names if params.group(name) == "trim"]
    return trim, [name for name in names if params.group(name) in ("query", "cascade") or name == "oracle_query"]


STAGES = [Stage("evaluate", make_evaluation, order=15)]
