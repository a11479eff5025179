"""Solving problems on whole trees where certain drafts are rewritten."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trim.rl.tree import ACCEPT, FINISHED, REWRITE, Tree


class Walked(NamedTuple):
    """Solutions of n problems under one rule, shape (n,) each.

    Attributes:
        correct: whether they are right.
        strong: tokens that the strong model writes.
        unread: those of them that the other models read, as they have not written or read the same as a draft.
        passes: tokens that it writes or reads, the prompt left out.
        drafts: tokens of all drafts.
        steps: number of drafts.
    """

    correct: np.ndarray
    strong: np.ndarray
    unread: np.ndarray
    passes: np.ndarray
    drafts: np.ndarray
    steps: np.ndarray


def walk(tree: Tree, handed: np.ndarray) -> Walked:
    """Solve every problem where the drafts at some of V points are rewritten, shape (V,) bool."""
    at, open_ = tree.roots.copy(), np.arange(len(tree.roots))
    walked = Walked(*np.zeros((6, len(at))))
    standing, fresh = np.zeros(len(at)), ~tree.unchanged() & (tree.child[:, REWRITE] != FINISHED)
    while len(open_):
        again = handed[at]
        walked.drafts[open_] += tree.tokens[at]
        walked.steps[open_] += 1
        standing[open_] += np.where(again, tree.strong_tokens[at], tree.tokens[at])
        walked.strong[open_] += np.where(again, tree.strong_tokens[at], 0)
        walked.unread[open_] += np.where(again & fresh[at], tree.strong_tokens[at], 0)
        walked.passes[open_] = np.where(again, standing[open_], walked.passes[open_])
        action = np.where(again, REWRITE, ACCEPT)
        after, right = tree.child[at, action], tree.correct[at, action]
        walked.correct[open_] += right & (after == FINISHED)
        open_, at = open_[after != FINISHED], after[after != FINISHED]
    return walked
