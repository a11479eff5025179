"""Problems from local JSON lines: the fields of MATH-500, AIME, Minerva Math, OlympiadBench and GSM8K."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trim.answers import boxed
from trim.errors import TrimError
from trim.problems.problem import SPLITS, Problem
from trim.steps import split as split_steps

_BARE_BOX = re.compile(r"\\boxed\s+([^\s$.,]+)")
_IDS = ("unique_id", "ID", "id", "idx")


def read_jsonl(path: Path, split: str | None = None) -> list[Problem]:
    """The problems of one file.

    The question is `problem` or `question`; the answer is `answer`, `final_answer`, the last
    boxed part of `solution`, or `solution` itself; GSM8K's follows ``####``.

    Args:
        path: the file.
        split: the split of records that name none; if None, such records are dealt to train,
            validation and test (2 : 1 : 1) by a hash of the question.

    Raises:
        TrimError: naming file and line of the first bad record.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TrimError(f"{path}: cannot be read ({error})") from error
    problems: dict[str, Problem] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            problem = to_problem(json.loads(line), str(number), split)
            if problem.id in problems:
                raise ValueError(f"the id {problem.id!r} stands twice")
        except ValueError as error:
            raise TrimError(f"{path}:{number}: {error}") from error
        problems[problem.id] = problem
    if not problems:
        raise TrimError(f"{path}: holds no problem")
    return list(problems.values())


def to_problem(record: Any, place: str, split: str | None = None) -> Problem:
    """One record as a problem; see `read_jsonl`.

    Args:
        record: of a file.
        place: where it stands; its id if it has none.
        split: of a record that names none.

    Raises:
        ValueError: if it lacks what a problem needs.
    """
    if not isinstance(record, Mapping):
        raise ValueError("not a JSON object")
    question = record.get("problem", record.get("question"))
    if not isinstance(question, str) or not question.strip():
        raise ValueError("no text in 'problem' or 'question'")
    name = next((str(record[key]) for key in _IDS if record.get(key) is not None), place)
    found = record.get("split") or split or _dealt(question)
    if found not in SPLITS:
        raise ValueError(f"split {found!r} is none of {', '.join(SPLITS)}")
    reference = record.get("reference") or ()
    return Problem(name, question, _answer(record), found, tuple(map(str, reference)))


def _answer(record: Mapping[str, Any]) -> str:
    solution = record.get("solution")
    answer = record.get("answer", record.get("final_answer"))
    if isinstance(answer, list):
        answer = ", ".join(map(str, answer))
    if isinstance(answer, str) and "####" in answer:
        answer = answer.rsplit("####", 1)[1]
    if answer is None and isinstance(solution, str):
        answer = _marked(solution) or (solution if len(split_steps(solution)) == 1 else None)
    if not isinstance(answer, str | int | float) or not str(answer).strip():
        raise ValueError("no answer in 'answer', 'final_answer' or 'solution'")
    return str(answer).strip()


def _marked(solution: str) -> str | None:
    r"""The boxed part of a solution; MATH also has ``\fbox{2}`` and ``\boxed 2``."""
    bare = _BARE_BOX.findall(solution)
    return boxed(solution.replace("\\fbox{", "\\boxed{")) or (bare[-1] if bare else None)


def _dealt(question: str) -> str:
    return ("train", "train", "validation", "test")[hashlib.sha256(question.encode()).digest()[0] % 4]
