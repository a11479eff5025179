"""The columns of a table of episodes; `trim.ledger.calls.SCHEMA` has those of their calls."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from trim.ledger.calls import Rater

RATERS: tuple[Rater, ...] = ("prm", "weak", "strong", "grade")  # of single steps
STEPS = pa.schema(
    [
        ("problem", pa.string()),
        ("setting", pa.string()),
        ("step", pa.int16()),
        ("writer", pa.string()),
        ("decision", pa.string()),
        ("text", pa.string()),
        ("draft", pa.string()),
        ("tokens", pa.int32()),
        ("draft_tokens", pa.int32()),
        ("glimpse", pa.float64()),
        *((f"score_{rater}", pa.float64()) for rater in RATERS),
        ("correct", pa.bool_()),
    ]
)


def calls_of(episodes: Path) -> Path:
    """The table of the calls behind a table of episodes."""
    return episodes.parent / "calls" / episodes.name
