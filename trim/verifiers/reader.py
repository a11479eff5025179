"""Verifiers that read the draft: a reward model, and the strong model by the draft's log-probability."""

from __future__ import annotations

import numpy as np

from trim.engine.cached import CachedPRM
from trim.verifiers.verifier import Seen, Verifier, given


def reading(title: str, scorer: CachedPRM) -> Verifier:
    """A reward model beside that of the experiment."""

    def score(seen: Seen) -> np.ndarray:
        drafted = seen.tree.drafted(seen.points)
        return np.array([read[-1].score for read in scorer.score(drafted, [1] * len(drafted))])

    return Verifier(title, given(score), "prm")


VERIFIERS = {
    "prm": Verifier("reward model", given(lambda seen: seen.tree.score[seen.points]), "prm"),
    "strong": Verifier(
        "strong log-probability", given(lambda seen: seen.tree.logprobs("strong", seen.points)), "strong"
    ),
}
