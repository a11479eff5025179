"""Exact checks of the steps of generated problems."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trim.problems.generated import apply
from trim.problems.problem import Problem

_EXPRESSION = re.compile(r"(\d{1,2})((?: [-+*%^] \d{1,2})*)")
_BOX = ", \\boxed{"
_TERM = re.compile(r" ([-+*%^]) (\d{1,2})")


def _value(expression: str) -> int | None:
    match = _EXPRESSION.fullmatch(expression)
    if not match:
        return None
    value = int(match[1])
    try:
        for sign, operand in _TERM.findall(match[2]):
            value = apply(value, sign, int(operand))
    except ValueError:
        return None
    return value


def is_right_step(problem: Problem, index: int, step: str) -> bool:
    """True if a step of a generated problem is right: an exact check against the reference.

    The step must carry out the right operation on the right value, every equality in it must
    hold, its result must be the reference's, and the answer box must be in the last step
    and only there.

    Args:
        problem: a problem with reference steps.
        index: the step's place, from 0.
        step: its text.

    Raises:
        ValueError: if the problem has no reference steps.
    """
    if not problem.reference:
        raise ValueError(f"problem {problem.id} has no reference steps")
    if index >= len(problem.reference):
        return False
    expected = problem.reference[index]
    return follows(problem, index, step, expected.split(" ", 1)[0]) and result(step) == result(expected)


def follows(problem: Problem, index: int, step: str, left: str) -> bool:
    """True if a step carries out the right operation on `left`, which may itself be wrong, without a mistake."""
    if index >= len(problem.reference):
        return False
    text, box, answer = step.partition(_BOX)
    expected, expected_box, _ = problem.reference[index].partition(_BOX)
    sides, operation = text.split(" = "), expected.split(" = ")[0].split(" ", 1)[1]
    if sides[0] != f"{left} {operation}" or len(sides) < 2 or bool(box) != bool(expected_box):
        return False
    result = _value(sides[0])
    same = result is not None and sides[-1].isdigit() and all(_value(side) == result for side in sides)
    return same and (not box or answer == f"{sides[-1]}}}")


def result(step: str) -> str:
    """The result of a step."""
    return step.partition(_BOX)[0].rpartition(" = ")[2]


def first_error(problem: Problem, steps: Sequence[str]) -> int:
    """Index of the first wrong step, -1 if none (the label of ProcessBench)."""
    return next((i for i, step in enumerate(steps) if not is_right_step(problem, i, step)), -1)
