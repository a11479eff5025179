"""Whether an answer is right: exact where it can be, else Math-Verify with a time limit, each verdict kept."""

from __future__ import annotations

import atexit
import logging
import math
import re
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from trim.answers import boxed, normalise
from trim.draws import Draw, Draws, digest
from trim.problems.problem import Problem

_NUMBER = re.compile(
    r"(?P<sign>-?)(?P<value>\d+\.?\d*|\.\d+)(?:(?:[eE]|(?:\\times|\\cdot|\*)10\^)\{?(?P<power>[-+]?\d+)\}?)?"
    r"(?:/(?P<under>\d+\.?\d*))?"
)
_POWER = re.compile(r"(?P<sign>-?)10\^\{?(?P<power>[-+]?\d+)\}?")
_BASED = re.compile(r"(\w+?)_\{?(\d+)\}?")
_LARGEST = 300  # power of ten that is worth computing
_LONGEST = 1000  # characters of an answer that is worth parsing


class Judge:
    """Compares answers; a verdict is kept in the store of draws, under the hash of what was compared.

    Args:
        draws: the store.
        limit: seconds for one comparison; what takes longer counts as wrong.
    """

    def __init__(self, draws: Draws, limit: float = 5.0) -> None:
        self._draws, self._limit = draws, limit

    def right(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[bool]:
        """Whether the boxed answer of each text is its problem's."""
        found = [boxed(text) for text in texts]
        verdicts = [_exactly(problem, answer) for problem, answer in zip(problems, found, strict=True)]
        unsure = [index for index, verdict in enumerate(verdicts) if verdict is None]
        if unsure:
            pairs = [(problems[i].answer, str(found[i]), problems[i].tolerance) for i in unsure]
            for index, verdict in zip(unsure, self._compare(pairs), strict=True):
                verdicts[index] = verdict
        return [bool(verdict) for verdict in verdicts]

    def _compare(self, pairs: Sequence[tuple[str, str, float]]) -> list[bool]:
        keys = [digest(b"verdict", _identity(), *(str(part).encode() for part in pair)) for pair in pairs]
        known = {key: draw for key, draw in zip(keys, self._draws.get(keys), strict=True) if draw}
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in known}
        waiting = {key: _pool().schedule(equal, pair, timeout=self._limit) for key, pair in missing.items()}
        made = [(key, Draw(0, None, None, float(_result(future)))) for key, future in waiting.items()]
        self._draws.put(made)
        known.update(made)
        return [bool(known[key].score) for key in keys]


def number(answer: str) -> Fraction | None:
    r"""The value of a plain number, also as ``4.5e33``, ``4.5 \times 10^{33}`` or ``1/3``; None if it is none."""
    text = normalise(answer)
    match = _POWER.fullmatch(text) or _NUMBER.fullmatch(text)
    if not match:
        return None
    parts = match.groupdict()
    power, under = int(parts["power"] or 0), Fraction(parts.get("under") or 1)
    if abs(power) > _LARGEST or not under:
        return None
    return Fraction(match["sign"] + (parts.get("value") or "1")) * Fraction(10) ** power / under


def _exactly(problem: Problem, found: str | None) -> bool | None:
    """The verdict where no algebra is needed, else None."""
    if found is None or not problem.answer or len(found) > _LONGEST:
        return False
    if normalise(problem.answer) == normalise(found):
        return True
    bases = [_BASED.fullmatch(normalise(text)) for text in (problem.answer, found)]
    if bases[0] and bases[1]:
        return bases[0].groups() == bases[1].groups()
    one, other = number(problem.answer), number(found)
    if one is None or other is None:
        return None
    # A percentage may stand for its value, with the sign or without.
    scales = [1] + ([Fraction(1, 100)] if "%" in found else []) + ([100] if "%" in problem.answer else [])
    return any(_close(one, other * scale, problem.tolerance) for scale in scales)


def _close(one: Fraction | float, other: Fraction | float, tolerance: float) -> bool:
    return one == other or math.isclose(one, other, rel_tol=tolerance)


def equal(gold: str, found: str, tolerance: float = 0) -> bool:
    """Whether Math-Verify holds two answers for equal, or their values are within a relative tolerance."""
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # the limit on time is ours
    one, other = (parse(rf"\boxed{{{text}}}", parsing_timeout=None) for text in (gold, found))
    if verify(one, other, timeout_seconds=None):
        return True
    try:
        return bool(tolerance) and _close(float(one[0].evalf()), float(other[0].evalf()), tolerance)
    except (AttributeError, IndexError, TypeError, ValueError, OverflowError):
        return False


@cache
def _pool() -> ProcessPool:
    # A process can be killed in the middle of a power that no signal would interrupt. Not forked: torch has threads.
    pool = ProcessPool(max_workers=1, context=get_context("spawn"))
    atexit.register(pool.stop)
    return pool


def _result(future: ProcessFuture) -> bool:
    try:
        return bool(future.result())
    except (TimeoutError, ProcessExpired, RecursionError, MemoryError):
        return False
    except Exception:  # whatever a parser makes of text that a model wrote, it is not the answer
        return False


@cache
def _identity() -> bytes:
    return f"math-verify {version('math-verify')} 1".encode()
