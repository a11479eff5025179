"""The columns of a table of episodes: a row per step, with the list of its calls."""

from __future__ import annotations

import pyarrow as pa

from trim.ledger.calls import COLUMNS, Rater

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
        ("calls", pa.list_(COLUMNS)),
        ("correct", pa.bool_()),
    ]
)
