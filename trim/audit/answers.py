"""A check of the judge on benchmark files: right answers in other words, and wrong ones that look alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.box import SIMPLE
from rich.table import Table

from trim.answers import boxed, number
from trim.engine.judge import AnswerJudge
from trim.engine.store import Draws
from trim.problems import Problem
from trim.problems.jsonl import with_records
from trim.terminal import cell

_DIGITS = re.compile(r"\d+")
_OPTION = re.compile(r"\\text\{\(([A-J])\)\}")
_INTEGER = re.compile(r"-?\d{4,}")
_PLAIN = re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)")
_FRACTION = re.compile(r"(-?)\\frac\{(\d+)\}\{(\d+)\}")
_LIST = re.compile(r"[^,(){}\[\]=]+(?:, [^,(){}\[\]=]+)+")
_SINGLE = re.compile(r"(?:[^,=<>]|\{,\})+")
Change = Callable[[str], str | None]


class Check(NamedTuple):
    """How often the judge was right about one kind of answer.

    Attributes:
        kind: the kind of answer; see `REWRITINGS` and `NEAR_MISSES`.
        right: whether answers of this kind are to be accepted.
        total: number of answers.
        failures: of each answer judged wrongly, the problem's id, its answer, and what was held against it.
    """

    kind: str
    right: bool
    total: int
    failures: list[tuple[str, str, str]]


def _when(pattern: re.Pattern[str], change: Change) -> Change:
    """A change of the answers that are of a form, and of no other."""
    return lambda answer: change(answer) if pattern.fullmatch(answer.strip("$")) else None


def _scientific(answer: str) -> str | None:
    answer = answer.strip("$")
    if not _PLAIN.fullmatch(answer) or not float(answer):
        return None
    digits = answer.replace("-", "").replace(".", "").lstrip("0")
    power = len(f"{abs(float(answer)):f}".split(".")[0]) - 1
    if abs(float(answer)) < 1:
        power = -(len(re.match(r"0*", answer.replace("-", "").lstrip("0").lstrip("."))[0]) + 1)  # type: ignore[index]
    sign = "-" if answer.startswith("-") else ""
    return rf"{sign}{digits[0]}.{digits[1:] or '0'} \times 10^{{{power}}}"


def _grouped(mark: str) -> Change:
    return _when(_INTEGER, lambda answer: f"{int(answer.strip('$')):,}".replace(",", mark))


def _mixed(answer: str) -> str | None:
    found = _FRACTION.fullmatch(answer.strip("$"))
    if not found or int(found[2]) < int(found[3]) or not int(found[2]) % int(found[3]):
        return None
    whole, rest = divmod(int(found[2]), int(found[3]))
    return rf"{found[1]}{whole}\frac{{{rest}}}{{{found[3]}}}"


# Right answers, otherwise written.
REWRITINGS: Mapping[str, Change] = {
    "itself": lambda answer: answer,
    "bold": lambda answer: rf"\mathbf{{{answer.strip('$')}}}",
    "blanks": lambda answer: rf"\, {answer.strip('$').replace(', ', ',~')} \;",
    "a sentence": lambda answer: rf"\text{{The answer is }} {answer.strip('$')}.",
    "with a name": _when(_SINGLE, lambda answer: f"x = {answer.strip('$')}"),
    "with a unit": _when(_PLAIN, lambda answer: rf"{answer.strip('$')} \text{{ cm}}"),
    "scientific": _scientific,
    "groups of digits": _grouped("{,}"),
    "thin blanks": _grouped(r"\,"),
    "dfrac": lambda answer: answer.replace(r"\frac", r"\dfrac") if r"\frac" in answer else None,
    "a/b": _when(_FRACTION, lambda answer: _FRACTION.sub(r"\1\2/\3", answer.strip("$"))),
    "mixed number": _mixed,
    "other order": _when(_LIST, lambda answer: ", ".join(reversed(answer.strip("$").split(", ")))),
    "Unicode": lambda answer: answer.replace("-", "−").replace(r"\pi", "π") if re.search(r"-|\\pi", answer) else None,
}


def _higher(match: re.Match[str]) -> str:
    return str(int(match[0]) + 1).zfill(len(match[0]))


def _last(answer: str) -> str | None:
    found = list(_DIGITS.finditer(answer))
    return answer[: found[-1].start()] + _higher(found[-1]) + answer[found[-1].end() :] if found else None


def _letter(answer: str) -> str | None:
    if option := _OPTION.fullmatch(answer):
        return rf"\text{{({chr(ord(option[1]) + 1)})}}"
    return None if _DIGITS.search(answer) else f"{answer} + z" if "\\" in answer or len(answer) < 3 else f"{answer}z"


# Wrong answers that look alike.
NEAR_MISSES: Mapping[str, Change] = {
    "first number + 1": lambda a: _DIGITS.sub(_higher, a, count=1) if _DIGITS.search(a) else None,
    "last number + 1": _last,
    "all numbers + 1": lambda a: _DIGITS.sub(_higher, a) if len(_DIGITS.findall(a)) > 1 else None,
    "other sign": _when(_PLAIN, lambda a: f"-{a}".replace("--", "") if float(a.strip("$")) else None),
    "ten times": _when(_PLAIN, lambda a: rf"{a.strip('$')} \times 10^{{1}}" if float(a.strip("$")) else None),
    "one more": lambda a: f"{a.strip('$')}, 7",
    "one less": _when(_LIST, lambda a: a.strip("$").rsplit(", ", 1)[0]),
    "other letter": _letter,
}


def _differs(problem: Problem, changed: str) -> bool:
    """Whether a changed answer is another one within the problem's tolerance."""
    one, other = number(problem.answer), number(changed)
    if one is None or other is None:
        return changed != problem.answer
    return abs(one - other) > problem.tolerance * max(abs(one), abs(other))


def check_answers(path: Path, judge: AnswerJudge | None = None, tolerance: float = 0.0) -> list[Check]:
    """Hold the answers of a file of problems against their own solutions, rewritings and near misses.

    Raises:
        TrimError: if the file is not in the form of a benchmark.
    """
    judge = judge or AnswerJudge(Draws())
    read = [(replace(problem, tolerance=tolerance), record) for problem, record in with_records(path, "test")]
    problems = [problem for problem, _ in read]
    cases: list[tuple[str, bool, list[tuple[Problem, str]]]] = []
    for right, changes in ((True, REWRITINGS), (False, NEAR_MISSES)):
        for kind, change in changes.items():
            made = [(p, changed) for p in problems if (changed := change(p.answer)) is not None]
            kept = [(p, rf"\boxed{{{changed}}}") for p, changed in made if right or _differs(p, changed)]
            cases.append((kind, right, kept))
    solutions = [(problem, record.get("solution")) for problem, record in read]
    solved = [(p, s) for p, s in solutions if isinstance(s, str) and boxed(s) is not None]
    cases.insert(1, ("own solution", True, solved))
    checks = []
    for kind, right, chosen in cases:
        verdicts = judge.right([p for p, _ in chosen], [text for _, text in chosen])
        wrong = [case for case, verdict in zip(chosen, verdicts, strict=True) if verdict != right]
        checks.append(Check(kind, right, len(chosen), [(p.id, p.answer, str(boxed(text))) for p, text in wrong]))
    return checks


def rich_checks(checks: Mapping[Path, Sequence[Check]]) -> Table:
    """What the judge made of benchmark files for the terminal: rates by file and kind of answer."""
    table = Table(box=SIMPLE, title="Answers judged as they should be")
    for column in ("file", "answer", "is", "judged rightly", "of"):
        table.add_column(column, justify="right" if column in ("judged rightly", "of") else "left")
    for path, made in checks.items():
        table.add_section()
        for check in (check for check in made if check.total):
            meant, judged = "right" if check.right else "wrong", check.total - len(check.failures)
            table.add_row(cell(path.name), check.kind, meant, str(judged), str(check.total))
    return table
