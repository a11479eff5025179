"""The curves of all trainings in one table, for `dvc plots` and `dvc metrics`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from trim.errors import TrimError
from trim.files import read_text, write_json, write_text

COLUMNS = ("return", "accuracy", "strong fraction", "entropy", "kl")
"""The curves in the table: means over the policies of a router, by update."""


def make_curves(folders: Sequence[Path], out: Path) -> None:
    """Write curves.csv, a row for each update of a training, and metrics.json, the last values, into a folder.

    Args:
        folders: BENCHMARK/ROUTER/ of each training, as `trim.rl.logs.curves` writes them; none for an empty table.
        out: the folder to write into.

    Raises:
        TrimError: if a curve is missing or damaged.
    """
    metrics: dict[str, dict[str, object]] = {}
    tables = [pd.DataFrame(columns=["benchmark", "router", "update", *COLUMNS])]
    for folder in folders:
        if not (folder / "plots").is_dir():  # of a router that is fitted on trees without updates
            continue
        benchmark, router = folder.parts[-2:]
        curves = {name: _curve(folder / "plots/metrics" / name / "mean.tsv") for name in COLUMNS}
        table = pd.DataFrame(curves).rename_axis("update").reset_index()
        tables.append(table.assign(benchmark=benchmark, router=router))
        metrics.setdefault(benchmark, {})[router] = json.loads(read_text(folder / "metrics.json"))
    filled = [table for table in tables if len(table)] or tables
    text = pd.concat(filled, ignore_index=True)[list(tables[0])].to_csv(index=False, float_format="%.6g")
    write_text(out / "curves.csv", text)
    write_json(out / "metrics.json", metrics)


def _curve(path: Path) -> pd.Series:
    try:
        return pd.read_csv(path, sep="\t", index_col="step")["mean"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrimError(f"{path}: no curve of a training ({error}); delete its folder and run Snakemake") from error
