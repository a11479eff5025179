"""Latent difficulty: a mixture over problems, fitted by expectation maximisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ROUNDS = 5000
_SETTLED = 1e-10


@dataclass(frozen=True)
class Outcomes:
    """Solutions of n problems by one model.

    Attributes:
        right: steps before the first wrong one, shape (n,).
        wrong: whether there is a wrong one, shape (n,).
    """

    right: np.ndarray
    wrong: np.ndarray


def fit_classes(outcomes: Sequence[Outcomes], counts: np.ndarray, classes: int) -> np.ndarray:
    """Posterior of each problem's class, shape (n, classes), from easy to hard.

    A class has for each model a probability that a step is right, and a distribution of the
    number of steps.

    Args:
        outcomes: outcomes of each model on the same n problems.
        counts: steps of the weak model's solutions, shape (n,).
        classes: how many; with 1 every problem belongs to it.
    """
    if classes == 1:
        return np.ones((len(counts), 1))
    lengths, length = np.unique(counts, return_inverse=True)
    # Start from the share of weak steps that are right, shrunk to the mean.
    first = outcomes[0]
    share = (first.right + first.right.sum() / (first.right + first.wrong).sum()) / (first.right + first.wrong + 1)
    rank = np.argsort(np.argsort(-share, kind="stable"), kind="stable") * classes // len(share)
    member = np.eye(classes)[rank] * 0.8 + 0.2 / classes
    before = -np.inf
    for _ in range(_ROUNDS):
        likelihood = np.log(member.mean(axis=0))[None].repeat(len(counts), axis=0)
        for model in outcomes:
            p = (member.T @ model.right + 1) / (member.T @ (model.right + model.wrong) + 2)
            likelihood += model.right[:, None] * np.log(p) + model.wrong[:, None] * np.log1p(-p)
        spread = np.array([np.bincount(length, member[:, z], len(lengths)) + 0.5 for z in range(classes)])
        likelihood += np.log(spread / spread.sum(axis=1, keepdims=True)).T[length]
        top = likelihood.max(axis=1, keepdims=True)
        member = np.exp(likelihood - top)
        total = float((top[:, 0] + np.log(member.sum(axis=1))).sum())
        member /= member.sum(axis=1, keepdims=True)
        if total - before < _SETTLED * abs(total):
            break
        before = total
    ease = (member.T @ first.right) / (member.T @ (first.right + first.wrong))
    return member[:, np.argsort(-ease)]
