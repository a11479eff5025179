"""Calibration: a POMDP from scored solutions whose first error is known, or guessed.

Source: paper, TRIM-POMDP; design, section 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from trim.errors import TrimError
from trim.pomdp.difficulty import Outcomes, fit_classes
from trim.pomdp.model import BINS, LEAST, StepModel

_HAZARD_BANDWIDTH = 0.1
STATES = ("S0", "S1", "S2")
_MEANINGS = ("right steps", "steps after a wrong one", "first wrong steps")


@dataclass(frozen=True)
class Solution:
    """A solution with a score in [0, 1] for each of its T steps.

    Attributes:
        scores: shape (T,).
        error: index of the first wrong step, -1 if there is none.
    """

    scores: np.ndarray
    error: int

    @property
    def right(self) -> int:
        """Steps before the first wrong one."""
        return len(self.scores) if self.error < 0 else self.error


def guess_error(scores: np.ndarray, correct: bool, threshold: float = 0.35) -> int:
    """The first error by the paper's rule, where no step is labelled.

    It is the first score below the threshold in a wrong solution, or the lowest score if there
    is none; -1 in a right one.

    Args:
        scores: scores of the solution's steps, shape (T,).
        correct: whether its final answer is right.
        threshold: score below which a step is taken for wrong, in [0, 1].
    """
    if correct:
        return -1
    below = np.flatnonzero(scores < threshold)
    return int(below[0]) if len(below) else int(np.argmin(scores))


def agreement(known: Sequence[Solution], guessed: Sequence[Solution]) -> dict[str, float]:
    """How far guessed first errors are off.

    Args:
        known: solutions with true labels.
        guessed: the same solutions with labels by the rule.

    Returns:
        solutions; wrong and wrong_by_rule: shares with an error; of those wrong by both, the
        shares with the same first error (exact), or with an earlier or later one by the rule.
    """
    truth, guess = (np.array([s.error for s in group]) for group in (known, guessed))
    both = (truth >= 0) & (guess >= 0)
    shift = np.sign(guess[both] - truth[both])
    return {
        "solutions": len(truth),
        "wrong": float((truth >= 0).mean()),
        "wrong_by_rule": float((guess >= 0).mean()),
        **{
            name: float((shift == sign).mean()) if len(shift) else float("nan")
            for name, sign in (("exact", 0), ("earlier", -1), ("later", 1))
        },
    }


def observations(solutions: Sequence[Solution]) -> tuple[np.ndarray, np.ndarray]:
    """Every prefix's least earlier score and last score, shape (n, 2), and its state, shape (n,)."""
    points, states = [], []
    for solution in solutions:
        steps = np.arange(len(solution.scores))
        earlier = np.minimum.accumulate(np.concatenate([[1.0], solution.scores]))[:-1]
        points.append(np.stack([earlier, solution.scores], axis=1))
        error = solution.error if solution.error >= 0 else len(steps)
        states.append(np.where(steps < error, 0, np.where(steps == error, 2, 1)))
    return np.concatenate(points), np.concatenate(states)


def density(points: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Bin masses of a Gaussian KDE mirrored at 0 and 1, with Scott's bandwidth, exactly.

    Args:
        points: shape (n, 2), in [0, 1].
        bins: along each axis.

    Returns:
        Shape (bins, bins), with sum 1.
    """
    edges = np.linspace(0, 1, bins + 1)
    masses = []
    for values in points.T:
        width = values.std(ddof=1) * len(values) ** (-1 / 6)
        images = np.stack([values, -values, 2 - values])  # those further out have no mass within
        below = ndtr((edges[:, None, None] - images) / width).sum(axis=1)
        mass = np.diff(below, axis=0)
        masses.append(mass / mass.sum(axis=0))
    return masses[0] @ masses[1].T / len(points)


def hazard(counts: np.ndarray, steps: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Probability that a solution ends at step k = 1…`steps`, given that it reached k.

    Args:
        counts: steps of each solution, shape (n,).
        steps: most steps; the hazard there is 1.
        weights: weights of the solutions.
    """
    from scipy.stats import gaussian_kde

    support = np.arange(2, steps + 1)
    try:
        mass = gaussian_kde(np.clip(counts, 2, steps), _HAZARD_BANDWIDTH, weights)(support)
    except (np.linalg.LinAlgError, ValueError):  # all solutions are equally long
        mass = np.bincount(np.clip(counts, 2, steps), minlength=steps + 1)[2:].astype(float)
    mass = np.maximum(mass, 1e-12) / np.maximum(mass, 1e-12).sum()
    reached = mass[::-1].cumsum()[::-1]
    return np.concatenate([[0.0], np.minimum(mass / reached, 1)[:-1], [1.0]])


def calibrate(
    weak: Sequence[Solution],
    strong: Sequence[Solution],
    tokens: float,
    steps: int,
    classes: int = 1,
    labelled: Sequence[Solution] | None = None,
) -> StepModel:
    """Fit the POMDP.

    Args:
        weak: the weak model's solutions.
        strong: the strong model's, of the same problems in the same order if `classes` > 1.
        tokens: mean tokens of a step.
        steps: most steps of a solution.
        classes: latent difficulty classes; 1 is the paper's model.
        labelled: solutions that the densities are made from, instead of the weak model's.

    Raises:
        TrimError: if there are too few solutions of a kind, scores or labels out of range, or
            scores that are constant.
    """
    for name, solutions in (("weak", weak), ("strong", strong)):
        _check(name, solutions)
    if labelled is not None:
        _check("labelled", labelled)
    points, states = observations(weak if labelled is None else labelled)
    for state, name in enumerate(STATES):
        found = points[states == state]
        if len(found) < LEAST:
            raise TrimError(
                f"calibration: {len(found)} observations of {name} ({_MEANINGS[state]}), at least {LEAST} are needed; "
                "give more train problems, or labelled solutions as calibration.solutions"
            )
        if not np.ptp(found, axis=0).all():
            raise TrimError(f"calibration: the scores of {name} are constant; is the reward model right?")
    outcomes = [
        Outcomes(np.array([s.right for s in group]), np.array([s.error >= 0 for s in group]))
        for group in (weak, strong)
    ]
    counts = np.array([len(s.scores) for s in weak])
    member = fit_classes(outcomes, counts, classes)
    p_weak, p_strong = (_rates(o, member if classes > 1 else np.ones((len(o.right), 1))) for o in outcomes)
    return StepModel(
        observation=np.stack([density(points[states == state]) for state in range(3)]),
        prior=member.mean(axis=0),
        p_weak=p_weak,
        p_strong=p_strong,
        hazard=np.stack([hazard(counts, steps, member[:, z]) for z in range(classes)]),
        tokens=tokens,
    )


def _rates(outcomes: Outcomes, member: np.ndarray) -> np.ndarray:
    """Probability, by class, that a step is right given that all before it are."""
    return (member.T @ outcomes.right) / (member.T @ (outcomes.right + outcomes.wrong))


def _check(name: str, solutions: Sequence[Solution]) -> None:
    if len(solutions) < LEAST:
        raise TrimError(f"calibration: {len(solutions)} {name} solutions, at least {LEAST} are needed")
    for index, solution in enumerate(solutions):
        if not len(solution.scores) or not ((solution.scores >= 0) & (solution.scores <= 1)).all():
            raise TrimError(f"calibration: {name} solution {index}: scores must be in [0, 1], one a step")
        if not -1 <= solution.error < len(solution.scores):
            raise TrimError(
                f"calibration: {name} solution {index}: label {solution.error} is not -1…{len(solution.scores) - 1}"
            )
