"""Routers with one policy per price of spending, highest price first."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trim.reading import Currency
from trim.routers.base import Params as BaseParams
from trim.routers.base import Sweep, SweepRouter

Prices = tuple[Annotated[float, Field(gt=0)], ...]


class PricedRouter(SweepRouter):
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

    def sweep(self) -> Sweep:
        """The prices."""
        return Sweep("price", self.params.prices, descending=True, logarithmic=True)
