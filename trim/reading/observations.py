"""Observations of a policy with reading: of a solution, a draft and a read draft; on trees and in episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trim.reading import Evidence

if TYPE_CHECKING:
    from trim.engine.policy import Observation

NO_EVIDENCE = 1.0  # above any log-probability, and equal to the best score


def observe(
    steps: np.ndarray, length: np.ndarray, known: np.ndarray, unread: np.ndarray, least: np.ndarray
) -> np.ndarray:
    """The observation before a draft, shape (N, 5 + k).

    Args:
        steps: number of accepted steps.
        length: characters of the question.
        known: number of them that the strong model has read or written.
        unread: tokens of the others.
        least: least evidence of the others' drafts, of each kind, shape (N, k); `NO_EVIDENCE` if there are none.
    """
    return np.column_stack([steps, length, known > 0, steps - known, unread, least]).astype(np.float32)


def observe_decisions(
    observation: Observation, evidence: Sequence[Evidence] = ("weak",)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The observations in episodes: before the draft, of the draft, and of a verified one; see `Situations`."""
    steps = observation.strong.shape[1]
    asked = observation.strong | np.isfinite(observation.seconds[:, :steps])
    known = np.where(asked, np.arange(1, steps + 1), 0).max(axis=1, initial=0)
    since = np.arange(steps) >= known[:, None]
    unread = np.where(since, observation.tokens[:, :steps], 0).sum(axis=1)
    signals = np.stack([observation.drafts if kind == "prm" else observation.logprobs for kind in evidence], axis=-1)
    standing = np.where(since[..., None] & np.isfinite(signals[:, :steps]), signals[:, :steps], NO_EVIDENCE)
    least = standing.min(axis=1, initial=NO_EVIDENCE)
    length = np.array([len(problem.question) for problem in observation.problems])
    before = observe(np.full(len(observation), steps), length, known, unread, least)
    if signals.shape[1] == steps:
        return before, before, before
    draft = np.column_stack([before, signals[:, -1], observation.draft_tokens[:, -1]])
    return before, draft, np.column_stack([draft, observation.seconds[:, -1]])
