"""Sampling in which every request has a random stream of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from trim.models.base import Sampling

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def seeds(keys: Sequence[bytes]) -> np.ndarray:
    """The keys, 16 bytes each, as an array of shape (n, 2)."""
    return np.frombuffer(b"".join(keys), dtype="<u8").reshape(len(keys), 2)


def uniforms(seeds: np.ndarray, position: int) -> np.ndarray:
    """The numbers in [0, 1) at `position` of each stream, shape (n,)."""
    counter = _mix(seeds[:, 0] + np.uint64((position + 1) * int(_GOLDEN) % 2**64))
    return (_mix(counter ^ seeds[:, 1]) >> np.uint64(11)) * 2.0**-53


def sample(logits: torch.Tensor, uniform: np.ndarray, sampling: Sampling) -> torch.Tensor:
    """Token ids, shape (n,), by inverse distribution over the top-k, then top-p, tokens.

    Args:
        logits: shape (n, vocabulary).
        uniform: numbers in [0, 1), shape (n,).
        sampling: temperature 0 takes the most probable token.
    """
    values, tokens = logits.float().topk(min(sampling.top_k, logits.shape[-1]), dim=-1)
    if sampling.temperature == 0:
        return tokens[:, 0]
    probabilities = torch.softmax(values / sampling.temperature, dim=-1)
    cumulative = probabilities.cumsum(-1)
    kept = torch.where(cumulative - probabilities < sampling.top_p, probabilities, 0.0).cumsum(-1)
    target = torch.from_numpy(uniform).to(kept)[:, None] * kept[:, -1:]
    chosen = (kept <= target).sum(-1, keepdim=True).clamp(max=kept.shape[-1] - 1)
    return tokens.gather(-1, chosen)[:, 0]
