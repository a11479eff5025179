"""Time and memory of a run's jobs, as measured by Snakemake."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def read_jobs(benchmarks: Path) -> pd.DataFrame:
    """A row per job: its rule, and Snakemake's columns, among them s, max_rss (MB) and cpu_time (s).

    Args:
        benchmarks: the folder of a run's benchmark files, RULE.tsv or below RULE/.
    """
    parts = [
        pd.read_csv(path, sep="\t", na_values="-").assign(
            rule=path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        )
        for path in sorted(benchmarks.rglob("*.tsv"))
    ]
    return pd.concat(parts, ignore_index=True)
