"""A number with its interval, and the verdict on a claim about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from trim.report.tables import format_interval

HOLDS, FAILS, OPEN = "holds", "does not hold", "inconclusive"


@dataclass(frozen=True)
class Finding:
    """A number with its interval.

    Attributes:
        value, low, high: see above; NaN where it was not reached.
        of: the router, benchmark or comparison, for the reader.
        reached: share of the resamples in which it was reached.
    """

    value: float
    low: float
    high: float
    of: str = ""
    reached: float = np.nan

    @classmethod
    def of_row(cls, row: pd.Series, of: str = "") -> Finding:
        """The number in a row of a table."""
        reached = float(row.get("reached", np.nan))
        return cls(float(row["value"]), float(row["low"]), float(row["high"]), of, reached)

    def __str__(self) -> str:
        text = format_interval(self.value, self.low, self.high, reached=self.reached)
        return text + (f" ({self.of})" if self.of else "")

    def at_most(self, bound: float) -> str:
        """The verdict on "at most `bound`", by the interval; it fails if the number is never reached."""
        if np.isnan(self.low):
            return OPEN if self.reached > 0 or not np.isnan(self.value) else FAILS
        return HOLDS if self.high <= bound else FAILS if self.low > bound else OPEN

    def at_least(self, bound: float) -> str:
        """The verdict on "at least `bound`", by the interval."""
        return Finding(-self.value, -self.high, -self.low).at_most(-bound)
