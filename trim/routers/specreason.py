"""SpecReason (Pan et al., 2025): the strong model itself says whether a weak step is good enough."""

from __future__ import annotations

from typing import Literal

from trim.engine.policy import Rater
from trim.routers.rated import RatedRouter


class SpecReason(RatedRouter):
    """Hands over the steps of least utility; what the strong model reads and writes to tell it is paid for.

    A grade that it writes, or the one token that it is asked for where its log-probabilities are read, counts among its
    tokens; what it reads counts among all tokens, FLOPs, money and calls.
    """

    name = "specreason"
    title = "SpecReason"

    class Params(RatedRouter.Params):
        """What utility is: "grade", 0 to 9, as in the paper, or "likelihood", the step's mean token log-probability."""

        utility: Literal["grade", "likelihood"] = "grade"

    @property
    def rater(self) -> Rater:
        """The strong model's grade or log-probability."""
        return "grade" if self.params.utility == "grade" else "strong"
