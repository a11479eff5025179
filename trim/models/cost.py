"""The cost of a model's use: operations, money and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from trim.models.settings import Model

Amount = TypeVar("Amount", float, "np.ndarray")


@dataclass(frozen=True)
class ModelCost:
    """Prices of one model.

    Attributes:
        parameters: number of weights.
        price_in, price_cached, price_out: money per million tokens read, found in the model's prefix
            cache, and written.
        latency_per_call: seconds per call, at any length.
        latency_per_token: seconds per written token.
        latency_per_read: seconds per token read that is not in the cache.
    """

    parameters: int
    price_in: float
    price_cached: float
    price_out: float
    latency_per_call: float
    latency_per_token: float
    latency_per_read: float

    @classmethod
    def of(cls, model: Model, parameters: int = 0) -> ModelCost:
        """The cost of a model of an experiment."""
        return cls(
            parameters,
            model.price_in,
            model.price_in if model.price_cached is None else model.price_cached,
            model.price_out,
            model.latency_per_call,
            model.latency_per_token,
            model.latency_per_read,
        )

    def flops(self, tokens: Amount) -> Amount:
        """Floating-point operations of a forward pass over tokens, read or written: two per parameter and token."""
        return 2.0 * self.parameters * tokens

    def money(self, read: Amount, cached: Amount, written: Amount) -> Amount:
        """The price of tokens read, found in the cache, and written."""
        return (self.price_in * read + self.price_cached * cached + self.price_out * written) / 1e6
