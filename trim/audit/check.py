"""The result of one check of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "not recorded"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        kind: "unchanged", "draws", "again", "lineage" or "reference".
        what: a file, stage or number.
        outcome: see above.
        detail: the difference, where it does not pass.
    """

    kind: str
    what: str
    outcome: Outcome
    detail: str = ""
