"""The result of one check of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "not recorded"]


@dataclass(frozen=True)
class Check:
    """A check and its outcome.

    Attributes:
        kind: "unchanged", "draws", "again", "lineage" or "reference".
        what: the file, stage or number checked.
        outcome: see above.
        detail: the difference, if it does not pass.
    """

    kind: str
    what: str
    outcome: Outcome
    detail: str = ""
