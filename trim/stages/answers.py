"""A check of the judge on benchmark files: what it takes for right, and what it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from trim.answers import boxed
from trim.draws import Draws
from trim.judge import Judge
from trim.problems.jsonl import read_jsonl

_LAST_NUMBER = re.compile(r"\d+(?!.*\d)", re.DOTALL)


class Check(NamedTuple):
    """How often the judge was right about one kind of answer.

    Attributes:
        kind: "itself", the answer in a box; "own solution", the reference solution as it stands;
            "perturbed", the answer with its last number one higher, which is to be refused.
        total: of answers.
        failures: problem, its answer and what was held against it.
    """

    kind: str
    total: int
    failures: list[tuple[str, str, str]]


def perturb(answer: str) -> str:
    """Another answer that looks alike: its last number one higher, or a text with more letters."""
    changed = _LAST_NUMBER.sub(lambda match: str(int(match[0]) + 1).zfill(len(match[0])), answer, count=1)
    return changed if changed != answer else f"{answer} + z" if "\\" in answer or len(answer) < 3 else f"{answer}z"


def check_answers(path: Path, judge: Judge | None = None, tolerance: float = 0.0) -> list[Check]:
    """Hold the answers of a file of JSON lines against themselves, their solutions and perturbed ones.

    Raises:
        TrimError: if the file has not the form of a benchmark.
    """
    judge = judge or Judge(Draws())
    problems = [replace(problem, tolerance=tolerance) for problem in read_jsonl(path, "test")]
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    solutions = [record.get("solution") for record in records]
    solved = [i for i, text in enumerate(solutions) if isinstance(text, str) and boxed(text) is not None]
    cases = {
        "itself": (range(len(problems)), lambda i: rf"So it is $\boxed{{{problems[i].answer}}}$.", True),
        "own solution": (solved, lambda i: solutions[i], True),
        "perturbed": (range(len(problems)), lambda i: rf"\boxed{{{perturb(problems[i].answer)}}}", False),
    }
    checks = []
    for kind, (chosen, text, expected) in cases.items():
        texts = [text(i) for i in chosen]
        verdicts = judge.right([problems[i] for i in chosen], texts)
        wrong = [(i, t) for i, t, verdict in zip(chosen, texts, verdicts, strict=True) if verdict != expected]
        checks.append(Check(kind, len(texts), [(problems[i].id, problems[i].answer, str(boxed(t))) for i, t in wrong]))
    return checks
