"""Problems from local files: the fields of MATH-500, AIME, Minerva Math, OlympiadBench and GSM8K."""

from __future__ import annotations

import hashlib
import logging
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trim.answers import boxed, equal, unboxed
from trim.errors import TrimError
from trim.problems.problem import SPLITS, Problem
from trim.problems.records import records
from trim.section import shown
from trim.steps import split as split_steps

_log = logging.getLogger(__name__)
_IDS = ("unique_id", "ID", "id", "idx")
_FRAMED = re.compile(r"\\framebox(?![a-zA-Z])")
_WORD = re.compile(r"(?<!\\)(?<![^\W\d_])[^\W\d_]{2,}")
_END = re.compile(r"[.!?]\s+[A-Z]")
_WORDS = 8  # most of an answer that does not read like a sentence


def read_jsonl(path: Path, split: str | None = None) -> list[Problem]:
    """The problems of one file; see `with_records`."""
    return [problem for problem, _ in with_records(path, split)]


def with_records(path: Path, split: str | None = None) -> list[tuple[Problem, Mapping[str, Any]]]:
    r"""The problems of one file, each with its record.

    The question is `problem` or `question`; the answer is `answer`, `final_answer`, the last
    boxed part of `solution`, or `solution` itself if it is no sentence; GSM8K's follows ``####``. A question that
    repeated with the same answer is used once, which is logged, as are answers that read like sentences.

    Args:
        path: the file; see `records` for its forms.
        split: the split of records that name none; if None, such records are assigned to train,
            validation and test (2 : 1 : 1) by a hash of the question.

    Raises:
        TrimError: with file and line of the first bad record, or of a question in two splits or with two answers.
    """
    taken: dict[str, tuple[int, Problem, Mapping[str, Any]]] = {}  # by question
    names: set[str] = set()
    again = []
    for number, record in records(path):
        try:
            problem = to_problem(record, str(number), split)
            question = " ".join(problem.question.split())
            if before := taken.get(question):
                _check_same(problem, record, *before[:2])
                again.append((number, before[0]))
                continue
            if problem.id in names:
                raise ValueError(f"the id {shown(problem.id)} is a duplicate")
        except ValueError as error:
            raise TrimError(f"{path}:{number}: {error}") from error
        taken[question] = number, problem, record
        names.add(problem.id)
    if not taken:
        raise TrimError(f"{path}: holds no problem")
    if again:
        _log.warning("%s:%d: the question of line %d again with the same answer, taken once (%d in all)",
                     path, *again[0], len(again))  # fmt: skip
    _name_sentences(path, [(number, problem.answer) for number, problem, _ in taken.values()])
    return [(problem, record) for _, problem, record in taken.values()]


def plain(question: str) -> str:
    """A question without blanks, dollar signs and case, to exclude test questions of other benchmarks from fitting."""
    return re.sub(r"[\s$]+", "", question).lower()


def _check_same(problem: Problem, record: Mapping[str, Any], line: int, other: Problem) -> None:
    """Refuse a repeated question, unless it is the same problem."""
    if record.get("split") and other.split != problem.split:
        raise ValueError(f"the question of line {line} again, which is in {other.split}, this in {problem.split}")
    if not equal(other.answer, problem.answer):
        raise ValueError(f"the question of line {line} again, with another answer; leave one out")


def _name_sentences(path: Path, answers: Sequence[tuple[int, str]]) -> None:
    prose = [(number, answer) for number, answer in answers if _is_prose(answer)]
    if prose:
        number, answer = prose[0]
        _log.warning("%s:%d: the answer %s reads like a sentence (%d of %d do); only the same words are judged right, "
                     "so give the value alone", path, number, shown(answer), len(prose), len(answers))  # fmt: skip


def to_problem(record: Any, place: str, split: str | None = None) -> Problem:
    """A record as a problem; see `with_records`.

    Args:
        record: a record of the file.
        place: its place; used as its id if it has none.
        split: the split of a record that names none.

    Raises:
        ValueError: if it lacks what a problem needs.
    """
    if not isinstance(record, Mapping):
        raise ValueError("not a JSON object")
    question = _given(record, ("problem", "question"))
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"no text in 'problem' or 'question'; {_fields(record)}")
    _stored(question, "the question")
    name = next((str(record[key]) for key in _IDS if isinstance(record.get(key), str | int | float)), place)
    _stored(name, "the id")
    chosen = record.get("split") or split or _dealt(question)
    if chosen not in SPLITS:
        raise ValueError(f"split {shown(chosen)} is none of {', '.join(SPLITS)}")
    reference = record.get("reference") or ()
    if not isinstance(reference, list | tuple) or not all(isinstance(step, str) for step in reference):
        raise ValueError("'reference' is no list of steps")
    for step in reference:
        _stored(step, "a step of the reference")
    return Problem(name, question, _answer(record), str(chosen), tuple(reference))


def _given(record: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """The first of several fields that is not empty."""
    return next((record[key] for key in keys if record.get(key) not in (None, "", [])), None)


def _fields(record: Mapping[str, Any]) -> str:
    names = [shown(name) for name in record]
    return f"the record has {', '.join(names[:12])}{', …' if names[12:] else ''}" if names else "the record is empty"


def _stored(text: str, what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} holds half of a character, which cannot be stored") from None


def _answer(record: Mapping[str, Any]) -> str:
    answer, solution = _given(record, ("answer", "final_answer")), record.get("solution")
    if isinstance(answer, list):
        if not all(_is_value(part) for part in answer):
            raise ValueError(f"the answer {shown(answer)} contains a value that is no text and no number")
        answer = ", ".join(map(str, answer))
    if isinstance(answer, str):
        answer = answer.rsplit("####", 1)[1] if "####" in answer else _marked(answer) or answer
    if answer is None and isinstance(solution, str):
        answer = _of_solution(solution)
    if answer is not None and not _is_value(answer):
        raise ValueError(f"the answer {shown(answer)} is no text and no number")
    if answer is None or _is_empty(str(answer)):
        raise ValueError(f"no answer in 'answer', 'final_answer' or 'solution'; {_fields(record)}")
    _stored(str(answer), "the answer")
    return str(answer).strip()


def _of_solution(solution: str) -> str | None:
    """The answer marked in a solution, or the whole solution if it is one step without a box."""
    if len(split_steps(solution)) == 1 and "\\boxed" not in solution:
        return _marked(solution) or (None if _is_prose(solution) else solution)
    return boxed(_FRAMED.sub(r"\\boxed", solution))


def _marked(text: str) -> str | None:
    """The value marked in a text by a box, or by "answer is"."""
    text = _FRAMED.sub(r"\\boxed", text)
    return unboxed(text) if "answer is" in text.lower() else boxed(text)


def _is_empty(answer: str) -> bool:
    """True if only dollars and boxes are left; an empty set in braces or as a symbol is an answer."""
    text = answer.replace("\\boxed", "")
    return not ("\\{" in text or any(c.isalnum() or unicodedata.category(c) == "Sm" for c in text))


def _is_prose(answer: str) -> bool:
    """True if an answer reads like a sentence, which no model's value equals."""
    return len(_WORD.findall(answer)) > _WORDS or bool(_END.search(answer))


def _is_value(answer: Any) -> bool:
    if isinstance(answer, float):
        return math.isfinite(answer)
    return isinstance(answer, str | int) and not isinstance(answer, bool)


def _dealt(question: str) -> str:
    return ("train", "train", "validation", "test")[hashlib.sha256(question.encode()).digest()[0] % 4]
