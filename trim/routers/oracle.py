"""The oracle: hand over exactly the steps that break a solution."""

from __future__ import annotations

import numpy as np

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.problems.checks import first_error
from trim.routers.base import Router
from trim.setting import Setting


class _Truth(Policy):
    rater = None

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        if phase != Phase.DRAFTED:
            return super().decide(phase, observation)
        # After an error nothing can be gained, so only the first one is handed over.
        last = len(observation.steps[0]) - 1
        wrong = [first_error(p, s) == last for p, s in zip(observation.problems, observation.steps, strict=True)]
        return np.where(wrong, Action.REWRITE, Action.ACCEPT)


class Oracle(Router):
    """Knows the truth of every step; for problems with reference steps only."""

    name = "oracle"
    title = "Oracle"
    group = "reference"
    is_reference = True
    needs_reference = True

    def policies(self) -> dict[Setting, Policy]:
        """One setting."""
        return {Setting(): _Truth()}
