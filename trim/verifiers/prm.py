"""The score of a reward model, which reads the draft."""

from __future__ import annotations

import numpy as np

from trim.engine.cached import CachedPRM
from trim.verifiers.base import Seen, Verifier, given


def reading(title: str, scorer: CachedPRM) -> Verifier:
    """A reward model beside that of the experiment."""

    def score(seen: Seen) -> np.ndarray:
        drafted = seen.tree.drafted(seen.points)
        return np.array([read[-1].score for read in scorer.score(drafted, [1] * len(drafted))])

    return Verifier(title, given(score), "prm")


VERIFIER = Verifier("reward model", given(lambda seen: seen.tree.score[seen.points]), "prm")
