"""Routers with one policy per price of spending, highest price first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from trim.engine.policy import Policy
from trim.errors import TrimError
from trim.reading import Currency
from trim.routers.base import Params as BaseParams
from trim.routers.base import Router, Trial, at_budgets, settings

Prices = tuple[Annotated[float, Field(gt=0)], ...]


class PricedRouter(Router):
    """Plans or learns for all prices at once, on whole solution trees of the train split."""

    needs_fitting = True
    needs = frozenset({"train_trees", "train_logprobs"})

    class Params(BaseParams):
        """The currency and the prices.

        Attributes:
            prices: loss from spending as much as always-strong does on a problem; one operating point each.
            currency: unit of spending: strong tokens written, or FLOPs or money of all tokens read and written.
        """

        prices: Prices = (0.1, 0.2, 0.3, 0.45, 0.7, 1, 1.5, 2.5)
        currency: Currency = "strong_tokens"

    def sweep(self) -> list[float]:
        """The prices of the operating points, highest first."""
        return sorted(set(self.params.prices), reverse=True)

    def fit_budgets(self, trial: Trial, policies: Sequence[Policy], budgets: Sequence[float]) -> dict[str, float]:
        """The price that spends each budget on the validation split, interpolated between the policies of the sweep."""
        chosen = at_budgets(trial, np.log(self.sweep()).tolist(), policies, budgets)
        return {budget: float(np.exp(log)) for budget, log in chosen.items()}

    def outdated(self) -> TrimError:
        """The error for a fit by an earlier version."""
        return TrimError(f"{self.title}: fitted by an earlier version; `snakemake --cores all` fits it again")

    def by_setting(self) -> dict[str, float]:
        """The price of each setting: those of the sweep, and those fitted for budgets."""
        return settings("price", self.params.prices, self.fitted, descending=True)
