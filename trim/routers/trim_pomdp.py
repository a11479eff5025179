"""TRIM-POMDP: hand over steps by a plan in a calibrated POMDP (paper, TRIM-POMDP)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from trim.engine.actions import Action, Phase
from trim.engine.policy import Observation, Policy
from trim.pomdp.beliefs import TRACKERS, History
from trim.pomdp.model import Calibrated, StepModel
from trim.pomdp.planner import Plan, plan
from trim.pomdp.policy import planned
from trim.routers.base import Params as BaseParams
from trim.routers.base import Sweep, SweepRouter, Trial


def history(observation: Observation) -> History:
    """The POMDP's observations of n episodes."""
    return History(np.minimum.accumulate(observation.before, axis=1), observation.drafts, observation.strong)


class _Planned(Policy):
    def __init__(self, plan: Plan, cost: int, model: StepModel, tracker: str, restriction: float | None) -> None:
        self._rewrites = planned(plan, cost, model, tracker, restriction)
        self._track = partial(TRACKERS[tracker], model)

    def decide(self, phase: Phase, observation: Observation) -> np.ndarray:
        if phase != Phase.DRAFTED:
            return super().decide(phase, observation)
        return np.where(self._rewrites(history(observation), observation.tokens[:, -1]), Action.REWRITE, Action.ACCEPT)

    def explain(self, observation: Observation) -> str:
        right, lost, wrong = self._track(history(observation))[0].sum(axis=0)
        belief = f"all right {right:.3f}, this step wrong {wrong:.3f}, an earlier one {lost:.3f}"
        return f"score {observation.scores[0, -1]:.3f}: belief {belief}"


class TrimPomdp(SweepRouter):
    """One policy per cost of a strong token; a right solution is worth 100.

    Fitting plans, and finds for each token budget the cost that spends it on the validation split.
    """

    name = "trim_pomdp"
    title = "TRIM-POMDP"
    needs_fitting = True
    needs = frozenset({"pomdp"})

    class Params(BaseParams):
        """The plan and the belief.

        Attributes:
            costs: costs of a strong token, where a right solution is worth 100; one policy each.
            calibration: the POMDP to plan in: from step labels ("single", as in the paper), from the threshold rule
                ("rule"), or with classes of difficulty ("classes").
            observation: observation of a step: the least earlier score and the draft's ("pair", as in the paper), or
                the draft's alone ("score").
            tracker: update of the belief: from the latest observation alone ("latest", as in the paper), or by
                filtering all ("filter").
            restriction: act only where max(b) - b[S2] is below it (paper: 0.4).
        """

        costs: tuple[Annotated[float, Field(ge=0)], ...] = Field(min_length=2)
        calibration: Calibrated = "single"
        observation: Literal["pair", "score"] = "score"
        tracker: Literal["latest", "filter"] = "filter"
        restriction: float | None = Field(None, ge=0, le=1)

    def prepare(self, trial: Trial) -> dict[str, Any]:
        """The model, and the plans of the sweep."""
        model = trial.calibration(self.params.calibration)
        if self.params.observation == "score":
            model = model.on_scores()
        return {"model": vars(model), "plan": vars(plan(model, sorted(self.params.costs)))}

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """The plans with their largest gap as a share of the reward, and costs by budget, interpolated."""
        found = super().fit(trial, budgets)
        model, first = self._planned
        whole = first.joined(plan(model, list(found["budgets"].values())))
        return found | {"largest_gap": float(whole.gap.max() / model.reward), "plan": vars(whole)}

    def sweep(self) -> Sweep:
        """The costs."""
        return Sweep("cost", self.params.costs, descending=True)

    @cached_property
    def _planned(self) -> tuple[StepModel, Plan]:
        return StepModel(**self.fitted["model"]), Plan(**self.fitted["plan"])

    def policy(self, value: float) -> Policy:
        """See `SweepRouter.policy`."""
        model, whole = self._planned
        index = whole.costs.tolist().index(value)
        return _Planned(whole, index, model, self.params.tracker, self.params.restriction)
