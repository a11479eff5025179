"""What the use of a model costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelCost:
    """What one model's use costs: parameters, money per million tokens, seconds."""

    parameters: int
    price: float
    latency_per_call: float
    latency_per_token: float
