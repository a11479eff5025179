"""Distorted step scores, to study a router's dependence on a good reward model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from trim.rng import digest, seeds, uniforms
from trim.section import Section

DistortionType = Literal["noise", "temperature", "random"]
_LEAST = 1e-6  # scores are kept this far from 0 and 1, whose logits are infinite


class Distortion(Section):
    """A distortion of scores.

    Attributes:
        type: "noise" adds a normal deviate to the logit; "temperature" divides the logit, which
            keeps the order of scores but not their calibration; "random" replaces a share of
            the scores by uniform ones.
        strength: standard deviation, divisor, or share.
    """

    type: DistortionType
    strength: Annotated[float, Field(ge=0)]

    def __call__(self, scores: np.ndarray, keys: Sequence[bytes]) -> np.ndarray:
        """Distorted scores in [0, 1]; `keys`, 16 bytes each, seed the deviates."""
        streams = seeds([digest(b"distortion", key) for key in keys])
        first, second = (uniforms(streams, position) for position in range(2))
        if self.type == "random":
            return np.where(first < self.strength, second, scores)
        from scipy.special import expit, ndtri

        inner = logits(scores)
        if self.type == "temperature":
            return expit(inner / max(self.strength, _LEAST))
        return expit(inner + self.strength * ndtri(np.clip(first, _LEAST, 1 - _LEAST)))


def logits(scores: np.ndarray) -> np.ndarray:
    """Logits of scores in [0, 1], none of them infinite."""
    from scipy.special import logit

    return np.asarray(logit(np.clip(scores, _LEAST, 1 - _LEAST)))
