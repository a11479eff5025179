"""Names of units of cost and of regimes in tables and figures."""

from __future__ import annotations

from trim.evaluation.costs import UNITS

UNIT_TITLES = dict(
    zip(
        UNITS,
        (
            "strong tokens written", "strong passes", "all tokens", "FLOPs", "FLOPs without PRM", "money", "latency",
            "latency, writing", "latency, reading",
        ),
        strict=True,
    )
)  # fmt: skip
CACHES = {"prefix": "each model keeps a prefix cache", "none": "every call reads all again", "billed": "as billed"}
