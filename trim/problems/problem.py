"""The problem, as used by every stage."""

from __future__ import annotations

from dataclasses import dataclass

PARTS = ("gsm8k", "math", "olympiadbench", "omnimath")  # of ProcessBench
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Problem:
    r"""A problem.

    Attributes:
        id: unique in its benchmark.
        question: the text given to a model.
        answer: the final answer, as in a ``\boxed{}``.
        split: train, validation or test.
        reference: reference steps that the exact step checker compares with; empty where unknown.
        tolerance: relative, of a numeric answer.
    """

    id: str
    question: str
    answer: str
    split: str
    reference: tuple[str, ...] = ()
    tolerance: float = 0.0
