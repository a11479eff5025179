"""Problems from local JSON lines: the fields of MATH-500, AIME, Minerva Math, OlympiadBench and GSM8K."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trim.answers import boxed, normalise
from trim.errors import TrimError
from trim.files import read_text
from trim.problems.problem import SPLITS, Problem
from trim.section import shown
from trim.steps import split as split_steps

_IDS = ("unique_id", "ID", "id", "idx")


def records(path: Path) -> Iterator[tuple[int, Any]]:
    """Every record of a file of JSON lines, with its line; lines end at newlines only.

    Raises:
        TrimError: naming file and line of the first that is not JSON, names a key twice, or holds a NaN.
    """
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line, object_pairs_hook=_unique, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise TrimError(f"{path}:{number}: {_reason(error)}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise ValueError(f"the key {shown(twice)} is given twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a value of JSON")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return f"not JSON ({error})" if isinstance(error, json.JSONDecodeError) else str(error)


def read_jsonl(path: Path, split: str | None = None) -> list[Problem]:
    """The problems of one file.

    The question is `problem` or `question`; the answer is `answer`, `final_answer`, the last
    boxed part of `solution`, or `solution` itself; GSM8K's follows ``####``.

    Args:
        path: the file.
        split: the split of records that name none; if None, such records are dealt to train,
            validation and test (2 : 1 : 1) by a hash of the question.

    Raises:
        TrimError: naming file and line of the first bad record, or of a question that stands in two splits, is
            there twice, or has two answers.
    """
    problems: dict[str, Problem] = {}
    asked: dict[str, tuple[int, Problem]] = {}
    for number, record in records(path):
        try:
            problem = to_problem(record, str(number), split)
            if problem.id in problems:
                raise ValueError(f"the id {shown(problem.id)} is a duplicate")
            _asked_once(problem, asked)
        except ValueError as error:
            raise TrimError(f"{path}:{number}: {error}") from error
        problems[problem.id] = problem
        asked.setdefault(plain(problem.question), (number, problem))
    if not problems:
        raise TrimError(f"{path}: holds no problem")
    return list(problems.values())


def plain(question: str) -> str:
    """A question without what does not change it, to find it again in another dataset."""
    return re.sub(r"[\s$]+", "", question).lower()


def _asked_once(problem: Problem, asked: Mapping[str, tuple[int, Problem]]) -> None:
    if before := asked.get(plain(problem.question)):
        line, other = before
        if other.split != problem.split:
            raise ValueError(f"the question of line {line} again, which is in {other.split}, this in {problem.split}")
        if normalise(other.answer) != normalise(problem.answer):
            raise ValueError(f"the question of line {line} again, with another answer")
        raise ValueError(f"the question of line {line} again; leave one out")


def to_problem(record: Any, place: str, split: str | None = None) -> Problem:
    """One record as a problem; see `read_jsonl`.

    Args:
        record: a record of the file.
        place: where it stands; its id if it has none.
        split: the split of a record that names none.

    Raises:
        ValueError: if it lacks what a problem needs.
    """
    if not isinstance(record, Mapping):
        raise ValueError("not a JSON object")
    question = _given(record, ("problem", "question"))
    if not isinstance(question, str) or not question.strip():
        raise ValueError("no text in 'problem' or 'question'")
    _stored(question, "the question")
    name = next((str(record[key]) for key in _IDS if isinstance(record.get(key), str | int | float)), place)
    _stored(name, "the id")
    found = record.get("split") or split or _dealt(question)
    if found not in SPLITS:
        raise ValueError(f"split {shown(found)} is none of {', '.join(SPLITS)}")
    reference = record.get("reference") or ()
    if not isinstance(reference, list | tuple) or not all(isinstance(step, str) for step in reference):
        raise ValueError("'reference' is no list of steps")
    for step in reference:
        _stored(step, "a step of the reference")
    return Problem(name, question, _answer(record), str(found), tuple(reference))


def _given(record: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """The first of several fields that holds something."""
    return next((record[key] for key in keys if record.get(key) not in (None, "", [])), None)


def _stored(text: str, what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} holds half of a character, which cannot be stored") from None


def _answer(record: Mapping[str, Any]) -> str:
    solution = record.get("solution")
    answer = _given(record, ("answer", "final_answer"))
    if isinstance(answer, list):
        if not all(_is_value(part) for part in answer):
            raise ValueError(f"the answer {shown(answer)} holds what is no text and no number")
        answer = ", ".join(map(str, answer))
    if isinstance(answer, str) and "####" in answer:
        answer = answer.rsplit("####", 1)[1]
    if answer is None and isinstance(solution, str):
        answer = boxed(solution) or (
            solution if len(split_steps(solution)) == 1 and "\\boxed" not in solution else None
        )
    if answer is not None and not _is_value(answer):
        raise ValueError(f"the answer {shown(answer)} is no text and no number")
    if answer is None or not str(answer).strip():
        raise ValueError("no answer in 'answer', 'final_answer' or 'solution'")
    _stored(str(answer), "the answer")
    return str(answer).strip()


def _is_value(answer: Any) -> bool:
    return isinstance(answer, str) or (
        isinstance(answer, int | float) and not isinstance(answer, bool) and math.isfinite(answer)
    )


def _dealt(question: str) -> str:
    return ("train", "train", "validation", "test")[hashlib.sha256(question.encode()).digest()[0] % 4]
