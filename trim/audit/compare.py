"""Two runs of an experiment compared, on the same resamples of the same problems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from trim.errors import TrimError
from trim.evaluation.comparison import Comparison, comparisons
from trim.evaluation.results import read_results
from trim.experiment.params import Params, measure_settings


def difference(one: Path, other: Path, params: Params, measures: Sequence[str]) -> pd.DataFrame:
    """Measures of the second run minus those of the first, for each router in both.

    Returns:
        Columns benchmark, router, measure, one, other, difference, low, high.

    Raises:
        TrimError: if the runs share no router, or one was run on other problems.
    """
    rows = []
    for folder in sorted(path for path in (one / "episodes").glob("*") if path.is_dir()):
        both = [_comparison(results / "episodes" / folder.name, params) for results in (one, other)]
        if both[0] is None or both[1] is None:
            continue
        first, second = both[0], both[1]
        problems = [comparison.routers["always_strong"].problems for comparison in (first, second)]
        if problems[0] != problems[1]:
            raise TrimError(f"{folder.name}: {one} and {other} were run on different problems, so nothing is paired")
        for router in first.routers:
            if router not in second.routers:
                continue
            for measure in measures:
                if measure not in first.measures[router]:
                    known = ", ".join(first.measures[router])
                    raise TrimError(f"--measure {measure}: unknown; allowed: {known}")
                before, after = (comparison.measures[router][measure].to_numpy() for comparison in (first, second))
                apart = first.estimate(after - before)
                rows.append((folder.name, router, measure, before[0], after[0], *apart))
    if not rows:
        raise TrimError(f"{one} and {other} have no episodes of the same router; give two folders of results")
    return pd.DataFrame(
        rows, columns=["benchmark", "router", "measure", "one", "other", "difference", "low", "high", "reached"]
    )


def _comparison(folder: Path, params: Params) -> Comparison | None:
    """The routers of a benchmark, from their files; None without both ends."""
    paths = sorted(folder.glob("*.parquet"))
    if not {"always_weak", "always_strong"} <= {path.stem for path in paths}:
        return None
    return comparisons([read_results(path) for path in paths], measure_settings(params))[0]
