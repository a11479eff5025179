"""TRIM-Thr: hand over a step whose PRM score is below a threshold (paper, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from trim.routers.base import Decisions, Policy, Router, Trial
from trim.routers.base import Params as BaseParams


class _Threshold(Policy):
    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def regenerate(self, seen: Decisions) -> np.ndarray:
        if self.threshold >= 1:
            return np.ones(len(seen), dtype=bool)
        return seen.scores[:, -1] < self.threshold


class TrimThr(Router):
    """The last step's score against a threshold: 0 never hands over, 1 always does.

    Fitting finds, for each token budget, the threshold that spends it on the validation split.
    """

    name = "trim_thr"
    title = "TRIM-Thr"
    fits = True

    class Params(BaseParams):
        """Thresholds of the sweep, one policy each."""

        thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...]

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """Thresholds by budget, interpolated between those of the sweep."""
        thresholds = sorted({0.0, 1.0, *self.params.thresholds})
        outcomes = trial({f"{t:g}": _Threshold(t) for t in thresholds})
        spent = np.maximum.accumulate([outcomes[f"{t:g}"].strong_fraction for t in thresholds])
        return {"budgets": {f"{b:g}": float(np.interp(b, spent, thresholds)) for b in sorted(budgets)}}

    def policies(self) -> dict[str, Policy]:
        """One setting per threshold, and one per fitted budget."""
        sweep: dict[str, Policy] = {f"tau={t:g}": _Threshold(t) for t in sorted(self.params.thresholds)}
        return sweep | {f"budget={b}": _Threshold(t) for b, t in self.fitted.get("budgets", {}).items()}
