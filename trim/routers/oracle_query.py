"""The oracle of whole questions: hand over exactly the problems that are solved by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trim.engine.policy import Policy
from trim.routers.base import Router
from trim.routers.query import Delegate
from trim.setting import Setting

if TYPE_CHECKING:
    from trim.engine.episode import Episode


class OracleQuery(Router):
    """Knows which problems only the strong model solves, and their cost; the cheapest go first."""

    name = "oracle_query"
    title = "Oracle, query level"
    group = "reference"
    is_reference = True
    hindsight = True

    @classmethod
    def foresee(cls, weak: Sequence[Episode], strong: Sequence[Episode]) -> dict[str, Any]:
        """The questions worth handing over, cheapest first."""
        gained = [s for w, s in zip(weak, strong, strict=True) if s.correct and not w.correct]
        gained.sort(key=lambda episode: sum(step.tokens for step in episode.steps))
        return {"questions": [episode.problem.question for episode in gained]}

    def policies(self) -> dict[Setting, Policy]:
        """Shares of the questions."""
        place = {question: i for i, question in enumerate(self.fitted["questions"])}

        def scores(questions: Sequence[str]) -> np.ndarray:
            return -np.array([place.get(question, np.inf) for question in questions])

        return {Setting("share", share): Delegate(scores, -share * len(place)) for share in (0.25, 0.5, 0.75, 1)}
