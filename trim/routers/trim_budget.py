"""TRIM-Budget: one policy for every budget, told what a strong token costs. Beyond the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from trim.engine.policy import Policy
from trim.routers.base import Trial
from trim.routers.trim_agg import Network, TrimAgg

if TYPE_CHECKING:
    from trim.rl.training import Task


class TrimBudget(TrimAgg):
    """One policy per seed; in training every problem is tried at costs drawn between the ends of the list.

    Fitting also finds, for each token budget, the cost that spends it on the validation split.
    """

    name = "trim_budget"
    title = "TRIM-Budget"

    class Params(TrimAgg.Params):
        """What the policy is trained for, and how.

        Attributes:
            costs: costs of a strong token, where a right solution is worth 1; one operating point each.
            repeats: number of costs that are tried on each problem of a batch; as many as TRIM-Agg has costs make
                for equal total training.
            memory: whether the policy remembers earlier steps, as TRIM-Seq does.
        """

        repeats: int = Field(6, ge=1)
        memory: bool = True

    def task(self) -> Task:
        """What is to be trained."""
        own = {"recurrent": self.params.memory, "repeats": self.params.repeats}
        return replace(super().task(), conditioned=True, **own)

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """What `TrimAgg.fit` finds, and costs by budget, interpolated between the operating points."""
        found, costs = super().fit(trial, budgets), sorted(self.params.costs)
        spent = np.mean(found["validation"]["strong_fraction"], axis=0)
        spent = np.maximum.accumulate(spent[::-1])
        chosen = {f"{b:g}": float(np.exp(np.interp(b, spent, np.log(costs[::-1])))) for b in sorted(budgets)}
        return found | {"budgets": chosen}

    def policies(self) -> dict[str, Policy]:
        """One setting per cost and seed, most expensive tokens first, and one per fitted budget and seed."""
        costs = {f"cost={cost:g}": cost for cost in sorted(self.params.costs, reverse=True)}
        costs |= {f"budget={budget}": cost for budget, cost in self.fitted.get("budgets", {}).items()}
        networks = self.networks()
        return {
            f"{name} seed={seed}": Network(model, cost, seed, self.fitted["max_steps"])
            for name, cost in costs.items()
            for _, seed, model in networks
        }
