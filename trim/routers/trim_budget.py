"""TRIM-Budget: one policy for every budget, with the cost of a strong token as an input. Beyond the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from trim.engine.policy import Policy
from trim.routers.base import Sweep, Trial
from trim.routers.trim_agg import Network, TrimAgg
from trim.setting import Setting

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

    def sweep(self) -> Sweep:
        """The costs."""
        return Sweep("cost", self.params.costs, descending=True, logarithmic=True)

    def fit(self, trial: Trial, budgets: Sequence[float]) -> dict[str, Any]:
        """The result of `TrimAgg.fit`, and costs by budget, interpolated between the operating points."""
        found = super().fit(trial, budgets)
        return found | {"budgets": {f"{b:g}": self._cost_of(b, found["validation"]) for b in sorted(budgets)}}

    def _cost_of(self, budget: float, validation: Mapping[str, Any]) -> float:
        """The cost that spends a budget on the validation split, interpolated between the operating points."""
        spent = np.mean(validation["strong_fraction"], axis=0)[::-1]
        return self.sweep().spending(budget, spent, self.sweep().rising())

    def at_budget(self) -> Callable[[float], Policy]:
        """See `Router.at_budget`; of the first seed."""
        _, _, model = self.networks()[0]
        validation, max_steps = self.fitted["validation"], self.fitted["max_steps"]
        return lambda budget: Network(model, self._cost_of(budget, validation), max_steps)

    def policies(self) -> dict[Setting, Policy]:
        """One setting per cost and seed, most expensive tokens first, and one per fitted budget and seed."""
        networks = self.networks()
        return {
            replace(setting, seed=seed): Network(model, cost, self.fitted["max_steps"])
            for setting, cost in self.sweep().settings(self.fitted).items()
            for _, seed, model in networks
        }
