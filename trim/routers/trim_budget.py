"""TRIM-Budget: one policy for every budget, with the cost of a strong token as an input. Beyond the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """One policy per seed; in training every problem is run at costs drawn between the ends of the list.

    Fitting also finds, for each token budget, the cost that spends it on the validation split.
    """

    name = "trim_budget"
    title = "TRIM-Budget"

    class Params(TrimAgg.Params):
        """The policy's objective and training.

        Attributes:
            costs: costs of a strong token, where a right solution is worth 1; one operating point each.
            repeats: number of costs per problem of a batch; TRIM-Agg's number of costs gives equal total training.
            memory: true if the policy remembers earlier steps, as TRIM-Seq does.
        """

        repeats: int = Field(6, ge=1)
        memory: bool = True

    def task(self) -> Task:
        """The training task."""
        own = {"recurrent": self.params.memory, "repeats": self.params.repeats}
        return replace(super().task(), conditioned=True, **own)

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """The result of `TrimAgg.fit`, and costs by budget, interpolated between the operating points."""
        found = super().fit(trial, budgets)
        return found | {"budgets": {f"{b:g}": self._cost_of(b, found["validation"]) for b in sorted(budgets)}}

    def _cost_of(self, budget: float, validation: Mapping[str, Any]) -> float:
        """The cost that spends a budget on the validation split, interpolated between the operating points."""
        costs, spent = sorted(self.params.costs), np.mean(validation["strong_fraction"], axis=0)
        return float(np.exp(np.interp(budget, np.maximum.accumulate(spent[::-1]), np.log(costs[::-1]))))

    def at_budget(self) -> Callable[[float], Policy]:
        """See `Router.at_budget`; of the first seed."""
        _, seed, model = self.networks()[0]
        validation, max_steps = self.fitted["validation"], self.fitted["max_steps"]
        return lambda budget: Network(model, self._cost_of(budget, validation), seed, max_steps)

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
