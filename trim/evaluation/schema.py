"""The columns of a table of episodes."""

from __future__ import annotations

import pyarrow as pa

SCHEMA = pa.schema(
    [
        ("problem", pa.string()),
        ("setting", pa.string()),
        ("step", pa.int16()),
        ("writer", pa.string()),
        ("decision", pa.string()),
        ("text", pa.string()),
        ("draft", pa.string()),
        ("score", pa.float64()),
        ("tokens", pa.int32()),
        ("draft_tokens", pa.int32()),
        ("rater", pa.string()),
        ("first_score", pa.float64()),
        ("read_tokens", pa.int32()),
        ("reread_tokens", pa.int32()),
        ("verdict_tokens", pa.int32()),
        ("rating_calls", pa.int32()),
        *((f"{kind}_{what}", pa.int32()) for kind in ("draft", "rating", "rewrite") for what in ("billed", "cached")),
        ("correct", pa.bool_()),
    ]
)
