"""The curves of all trainings in one table, for `dvc plots` and `dvc metrics`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from trim.errors import TrimError
from trim.stages.stage import Input, Output, Stage

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("return", "accuracy", "strong fraction", "entropy", "kl")
"""The curves in the table: means over the policies of a router, by update."""


def make_curves(
    out: Annotated[Path, Output("Folder to write curves.csv and metrics.json into.")],
    folders: Annotated[list[Path] | None, Input("BENCHMARK/ROUTER/ of each training.", positional=True)] = None,
) -> str:
    """Gather the curves of all trainings in one table, and their last values, for `dvc plots` and `dvc metrics`.

    Raises:
        TrimError: if a curve is missing or damaged.
    """
    import pandas as pd

    from trim.files import read_text, write_json, write_text

    metrics: dict[str, dict[str, object]] = {}
    tables = [pd.DataFrame(columns=["benchmark", "router", "update", *COLUMNS])]
    for folder in folders or ():
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
    return f"{out}: curves.csv, metrics.json"


def _curve(path: Path) -> pd.Series:
    import pandas as pd

    try:
        return pd.read_csv(path, sep="\t", index_col="step")["mean"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrimError(f"{path}: no curve of a training ({error}); delete its folder and run Snakemake") from error


STAGES = [Stage("curves", make_curves, order=11)]
