"""Features and hyper-parameters; kept apart so that reading them needs no torch."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

# Of a step, as TRIM-Agg sees it (paper, section 4).
TOKEN_SCALE = 300.0
FEATURES = ("least earlier score", "product of earlier scores", "score", "tokens / 300", "step / most steps")


def stack_features(
    least: np.ndarray, product: np.ndarray, score: np.ndarray, tokens: np.ndarray, position: np.ndarray
) -> np.ndarray:
    """`FEATURES` as float32: five arrays of one shape to (..., 5); scores before the first step count as 1."""
    return np.stack([least, product, score, tokens / TOKEN_SCALE, position], axis=-1).astype(np.float32)


class Hyperparameters(BaseModel):
    """The paper's, for TRIM-Agg."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: int = Field(64, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(1e-5, ge=0)
    discount: float = Field(1.0, gt=0, le=1)
    trace: float = Field(0.95, ge=0, le=1)
    clip: float = Field(0.2, gt=0)
    value: float = Field(0.5, ge=0)
    entropy: tuple[float, float] = (0.01, 0.001)
    gradient_norm: float = Field(0.5, gt=0)
    passes: int = Field(3, ge=1)
    epochs: int = Field(10, ge=1)
    batch: int = Field(64, ge=1)
    minibatches: int = Field(4, ge=1)
