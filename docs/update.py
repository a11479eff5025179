"""Copy the figures of the last run into README.md: the curves, and the tables between their markers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from trim.report.tables import markdown

ROOT = Path(__file__).parent.parent
ROUTERS = ("Random", "TRIM-Thr", "TRIM-POMDP", "TRIM-Agg", "TRIM-Seq", "TRIM-Budget", "Oracle")


def main() -> None:
    """Update README.md and docs/curves.png from results/."""
    shutil.copy(ROOT / "results/figures/curves.png", ROOT / "docs/curves.png")
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    for name, make in BLOCKS.items():
        begin, end = f"<!-- {name} -->", f"<!-- end {name} -->"
        block = f"{begin}\n{markdown(make())}{end}"
        pattern = f"{re.escape(begin)}.*{re.escape(end)}"
        text, count = re.subn(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"{readme}: {begin} … {end} is not in it once")
    readme.write_text(text, encoding="utf-8")


def table(name: str) -> pd.DataFrame:
    """One of the run's tables."""
    return pd.read_csv(ROOT / "results/tables" / f"{name}.csv").fillna("")


def _main() -> pd.DataFrame:
    rows = table("main")
    rows = _first(rows[rows["router"].isin(ROUTERS)])
    return rows[["router", "acc@20", "cpt50", "cpt80", "apgr"]]


def _generalisation() -> pd.DataFrame:
    rows = table("generalisation")
    return rows[rows["measure"] == rows["measure"].iloc[0]].drop(columns="measure")


def _ceiling() -> pd.DataFrame:
    rows = _first(table("ceiling"))
    ceilings = list(dict.fromkeys(rows["minus"]))[1:]
    own = rows[rows["router"].isin(ceilings) & (rows["minus"] == "")]
    distances = rows[rows["router"].isin(ROUTERS) & (rows["minus"] == ceilings[0])]
    return pd.concat([own, distances]).drop(columns=["benchmark", "apgr"])


def _first(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of the first benchmark."""
    return rows[rows["benchmark"] == rows["benchmark"].iloc[0]]


def _pomdp() -> pd.DataFrame:
    rows = table("differences")
    rows = rows[rows["router"].str.contains("POMDP") & (rows["minus"] == "TRIM-Thr")]
    rows = _first(rows)
    return rows[["router", "acc@10", "acc@15", "acc@20", "acc@30", "apgr"]]


def _prediction() -> pd.DataFrame:
    return _first(table("prediction")).drop(columns="benchmark")


BLOCKS: dict[str, Callable[[], pd.DataFrame]] = {
    "main": _main,
    "generalisation": _generalisation,
    "ceiling": _ceiling,
    "pomdp": _pomdp,
    "prediction": _prediction,
}


if __name__ == "__main__":
    main()
