"""SpecReason (Pan et al., 2025): the strong model rates each weak step."""

from __future__ import annotations

from typing import Literal

from trim.engine.policy import Rater
from trim.routers.rated import RatedRouter


class SpecReason(RatedRouter):
    """Hands over the steps of least utility; the strong model's reading and writing for the rating is paid for.

    A written grade, or the one token requested to read log-probabilities, counts as strong tokens; tokens read count
    in all tokens, FLOPs, money and calls.
    """

    name = "specreason"
    title = "SpecReason"

    class Params(RatedRouter.Params):
        """The utility: "grade", 0 to 9, as in the paper, or "likelihood", the step's mean token log-probability."""

        utility: Literal["grade", "likelihood"] = "grade"

    @property
    def rater(self) -> Rater:
        """The strong model's grade or log-probability."""
        return "grade" if self.params.utility == "grade" else "strong"
