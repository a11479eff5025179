"""Features of a step for policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trim.models.fusion import log_surprise

if TYPE_CHECKING:
    from trim.engine.policy import Observation

TOKEN_SCALE = 300.0
# Of the current step (paper, TRIM-Agg), and by the weak model's log-probability; of the step before it (TRIM-Seq); and
# # the cost of a strong token.
FEATURES = ("least earlier score", "product of earlier scores", "score", "tokens / 300", "step / most steps")
SURPRISE = "log surprise / 4"
MEMORY = ("score before", "strong before")
CONDITION = "log10(100 cost)"


def feature_names(recurrent: bool, conditioned: bool, informed: bool = False) -> tuple[str, ...]:
    """The features of a kind of policy at each step."""
    names = FEATURES + ((SURPRISE,) if informed else ())
    return names + (MEMORY if recurrent else ()) + ((CONDITION,) if conditioned else ())


def stack_features(*columns: np.ndarray) -> np.ndarray:
    """Features as float32: F arrays of one shape, in the order of `feature_names`, to (..., F).

    Tokens are counts; scores before the first step are 1.
    """
    least, product, score, tokens, *others = columns
    return np.stack([least, product, score, tokens / TOKEN_SCALE, *others], axis=-1).astype(np.float32)


def surprise(logprobs: np.ndarray) -> np.ndarray:
    """`SURPRISE` of mean log-probabilities under the weak model, in nats, any shape."""
    return log_surprise(logprobs) / 4


def condition(cost: np.ndarray) -> np.ndarray:
    """`CONDITION` of costs, any shape."""
    return np.log10(100 * cost)


def decision_features(observation: Observation, max_steps: int, *others: np.ndarray) -> np.ndarray:
    """Features of every step of n solutions whose drafts are judged, shape (n, t + 1, 5 and others)."""
    position = np.broadcast_to(np.arange(observation.drafts.shape[1]) / max_steps, observation.drafts.shape)
    least, product = np.minimum.accumulate(observation.before, axis=1), observation.before.cumprod(axis=1)
    return stack_features(least, product, observation.drafts, observation.draft_tokens, position, *others)
