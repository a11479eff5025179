"""The two ends of the scale: one model writes everything."""

from __future__ import annotations

import numpy as np

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.routers.base import Router
from trim.setting import Setting


class _OneModel(Policy):
    rater, judges = None, False

    def __init__(self, strong: bool) -> None:
        self.strong = strong

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        return np.full(len(observation), Action.DELEGATE if self.strong else Action.DRAFT)


WEAK, STRONG = _OneModel(strong=False), _OneModel(strong=True)


class AlwaysWeak(Router):
    """The weak model alone."""

    name = "always_weak"
    title = "Always weak"
    group = "reference"
    is_reference = True

    def policies(self) -> dict[Setting, Policy]:
        """One setting."""
        return {Setting(): WEAK}


class AlwaysStrong(Router):
    """The strong model alone: the unit of cost."""

    name = "always_strong"
    title = "Always strong"
    group = "reference"
    is_reference = True

    def policies(self) -> dict[Setting, Policy]:
        """One setting."""
        return {Setting(): STRONG}
