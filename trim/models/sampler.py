"""Sampling of tokens from given numbers, so that every request can have its own stream."""

from __future__ import annotations

import numpy as np
import torch

from trim.models.settings import Sampling


def penalise(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Logits of shape (n, vocabulary), lowered for tokens already seen; see `Sampling.repetition_penalty`.

    Args:
        logits: shape (n, vocabulary).
        seen: True for tokens in the text so far, shape (n, vocabulary), bool.
        penalty: above 0; 1 changes nothing.
    """
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def sample(logits: torch.Tensor, uniform: np.ndarray, sampling: Sampling) -> torch.Tensor:
    """Token ids, shape (n,), by inverse distribution over the top-k, then top-p, tokens.

    Args:
        logits: shape (n, vocabulary).
        uniform: numbers in [0, 1), shape (n,).
        sampling: temperature 0 takes the most probable token.
    """
    values, tokens = logits.float().topk(min(sampling.top_k or logits.shape[-1], logits.shape[-1]), dim=-1)
    if sampling.temperature == 0:
        return tokens[:, 0]
    probabilities = torch.softmax(values / (sampling.temperature or 1.0), dim=-1)
    cumulative = probabilities.cumsum(-1)
    top_p = 1.0 if sampling.top_p is None else sampling.top_p
    nucleus = torch.where(cumulative - probabilities < top_p, probabilities, 0.0).cumsum(-1)
    target = torch.from_numpy(uniform).to(nucleus)[:, None] * nucleus[:, -1:]
    chosen = (nucleus <= target).sum(-1, keepdim=True).clamp(max=nucleus.shape[-1] - 1)
    return tokens.gather(-1, chosen)[:, 0]
