"""Problems: generated families, local files and datasets of the Hub, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from trim.files import read_table, write_table
from trim.problems.problem import SPLITS, Problem

__all__ = ["SPLITS", "Problem", "read_problems", "write_problems"]

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("split", pa.string()),
        ("reference", pa.list_(pa.string())),
        ("tolerance", pa.float64()),
    ]
)


def write_problems(path: Path, problems: Sequence[Problem]) -> None:
    """Write problems as a checksummed table, in order."""
    rows = [{name: getattr(p, name) for name in SCHEMA.names} for p in problems]
    write_table(path, pa.Table.from_pylist(rows, schema=SCHEMA))


def read_problems(path: Path, split: str | None = None) -> list[Problem]:
    """The problems of a split, or all.

    Raises:
        TrimError: if the file is damaged.
    """
    table, _ = read_table(path, SCHEMA)
    problems = [Problem(**{**row, "reference": tuple(row["reference"])}) for row in table.to_pylist()]
    return [p for p in problems if split in (None, p.split)]
