"""Routing by the weak model's own uncertainty, without a reward model."""

from __future__ import annotations

from trim.engine.policy import Rater
from trim.routers.rated import RatedRouter


class Uncertainty(RatedRouter):
    """Hands over the steps of least mean token log-probability under the weak model, which is free with the draft."""

    name = "uncertainty"
    title = "Weak log-probability"

    @property
    def rater(self) -> Rater:
        """The weak model."""
        return "weak"
