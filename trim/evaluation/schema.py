"""The columns of a table of episodes."""

from __future__ import annotations

import pyarrow as pa

# Kinds of calls at a step: a draft, ratings of it by the only or last rater and by an earlier one, and a rewrite.
CALLS = ("draft", "rating", "first", "rewrite")
SCHEMA = pa.schema(
    [
        ("problem", pa.string()),
        ("setting", pa.string()),
        ("step", pa.int16()),
        ("writer", pa.string()),
        ("decision", pa.string()),
        ("text", pa.string()),
        ("draft", pa.string()),
        ("glimpse", pa.float64()),
        ("logprob", pa.float64()),
        ("score", pa.float64()),
        ("tokens", pa.int32()),
        ("draft_tokens", pa.int32()),
        ("rater", pa.string()),
        ("first_score", pa.float64()),
        ("first_rater", pa.string()),
        ("first_read", pa.int32()),
        ("first_reread", pa.int32()),
        ("read_tokens", pa.int32()),
        ("reread_tokens", pa.int32()),
        ("verdict_tokens", pa.int32()),
        ("rating_calls", pa.int32()),
        *((f"{kind}_{what}", pa.int32()) for kind in CALLS for what in ("billed", "cached")),
        ("correct", pa.bool_()),
    ]
)
