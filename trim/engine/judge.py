"""Correctness of answers: each verdict is computed once and stored."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version

from trim.answers import boxed, equal, unboxed
from trim.answers.worker import Answer, Worker
from trim.engine.store import Draw, DrawStore
from trim.problems.problem import Problem
from trim.rng import digest

_VERSION = 3  # of the rules for reading and comparing answers
_log = logging.getLogger(__name__)


class AnswerJudge:
    """Compares answers; a verdict is kept in the store of draws, under the hash of its inputs.

    Args:
        draws: the store.
        limit: seconds of computing for one comparison.
        numbers: True to read an answer without a box after "answer is", or else from the last number.

    Attributes:
        unfinished: comparisons that reached the limit twice. They count as wrong, are not stored, and are
            repeated by the next run.
    """

    def __init__(self, draws: DrawStore, limit: float = 5.0, numbers: bool = False) -> None:
        self._draws, self._limit, self._read = draws, limit, unboxed if numbers else boxed
        self.unfinished: set[tuple[str, str, float]] = set()

    def right(self, problems: Sequence[Problem], texts: Sequence[str]) -> list[bool]:
        """True for each solution text whose answer is its problem's.

        Raises:
            RuntimeError: if the process that compares expressions does not start.
        """
        pairs = [
            (problem.answer, self._read(text), problem.tolerance) for problem, text in zip(problems, texts, strict=True)
        ]
        verdicts = [found is not None and equal(gold, found, tolerance) for gold, found, tolerance in pairs]
        unsure = [index for index, verdict in enumerate(verdicts) if verdict is None]
        asked = [(pairs[i][0], str(pairs[i][1]), pairs[i][2]) for i in unsure]
        for index, verdict in zip(unsure, self._compare(asked), strict=True):
            verdicts[index] = verdict
        return [bool(verdict) for verdict in verdicts]

    def _compare(self, pairs: Sequence[tuple[str, str, float]]) -> list[bool]:
        keys = [self._key(*pair) for pair in pairs]
        known = {key: bool(draw.score) for key, draw in zip(keys, self._draws.get(keys), strict=True) if draw}
        for key, pair in dict(zip(keys, pairs, strict=True)).items():
            if key in known:
                continue
            answer = self._ask(pair)
            known[key] = answer == "equal"
            if answer != "unfinished":
                self._draws.put([(key, Draw(0, None, None, float(known[key])))])
        return [known[key] for key in keys]

    def _ask(self, pair: tuple[str, str, float]) -> Answer:
        if pair in self.unfinished:
            return "unfinished"
        for _ in range(2):
            answer = _worker(self._limit).ask(*pair)
            if answer != "unfinished":
                return answer
        self.unfinished.add(pair)
        _log.warning(
            "%.200r against %.200r: not compared within %g s, counted as wrong (%d so far)",
            pair[1], pair[0], self._limit, len(self.unfinished),
        )  # fmt: skip
        return "unfinished"

    def _key(self, gold: str, found: str, tolerance: float) -> bytes:
        who = f"{_libraries()}/{_VERSION}/{self._limit!r}"
        return digest(b"verdict", who.encode(), *(str(part).encode() for part in (gold, found, tolerance)))


@cache
def _worker(limit: float) -> Worker:
    worker = Worker(limit)
    atexit.register(worker.stop)
    return worker


@cache
def _libraries() -> str:
    return " ".join(f"{name} {version(name)}" for name in ("latex2sympy2_extended", "sympy"))
