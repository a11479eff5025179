"""A check of the judge on benchmark files: right answers in other forms, and wrong ones that look similar."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from rich.box import SIMPLE
from rich.table import Table

from trim.answers import boxed, normalise, number
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
_EXPRESSION = re.compile(r"(?!-?[\d.]+$)(?:(?!\\text)[^,=<>A-Z]|\{,\})*\d(?:(?!\\text|\\circ)[^,=<>A-Z]|\{,\})*")
_PAIR = re.compile(r"(?:\\left)?\(([^,()\[\]=]+),([^,()\[\]=]+)(?:\\right)?\)")
_NAMED = re.compile(r"([a-zA-Z])(\([a-z]\))?\s*=[^=,]*")
_MATRIX = re.compile(r"\\begin\{pmatrix\}(.*)\\end\{pmatrix\}", re.DOTALL)
_COLUMN = re.compile(r"\\begin\{pmatrix\}[^&]*\\end\{pmatrix\}", re.DOTALL)
_SLASH = re.compile(r"(-?)(\d+)/(\d+)")
Change = Callable[[str], str | None]


class Check(NamedTuple):
    """The judge's results on one kind of answer.

    Attributes:
        kind: the kind of answer; see `REWRITINGS` and `NEAR_MISSES`.
        right: True if answers of this kind must be accepted.
        total: number of answers.
        failures: for each misjudged answer, the problem's id, its answer, and the answer it was compared with.
    """

    kind: str
    right: bool
    total: int
    failures: list[tuple[str, str, str]]


def _when(pattern: re.Pattern[str], change: Change) -> Change:
    """A change applied only to answers of a form."""
    return lambda answer: change(answer) if pattern.fullmatch(answer.strip("$")) else None


def _scientific(answer: str) -> str | None:
    answer = answer.strip("$")
    if not _PLAIN.fullmatch(answer) or not Decimal(answer):
        return None
    sign, digits, _ = Decimal(answer).as_tuple()
    shown = f"{'-' * sign}{digits[0]}.{''.join(map(str, digits[1:])) or '0'}"
    return rf"{shown} \times 10^{{{Decimal(answer).adjusted()}}}"


def _grouped(mark: str) -> Change:
    return _when(_INTEGER, lambda answer: f"{int(answer.strip('$')):,}".replace(",", mark))


def _mixed(answer: str) -> str | None:
    found = _FRACTION.fullmatch(answer.strip("$"))
    if not found or int(found[2]) < int(found[3]) or not int(found[2]) % int(found[3]):
        return None
    whole, rest = divmod(int(found[2]), int(found[3]))
    return rf"{found[1]}{whole}\frac{{{rest}}}{{{found[3]}}}"


def _array(answer: str) -> str | None:
    matrix = _MATRIX.fullmatch(answer.strip("$"))
    if not matrix:
        return None
    columns = "c" * (matrix[1].split("\\\\")[0].count("&") + 1)
    return rf"\left[\begin{{array}}{{{columns}}}{matrix[1]}\\\end{{array}}\right]"


# Right answers in other forms.
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
    "chain": _when(_PLAIN, lambda answer: rf"S = 1 \cdot {answer.strip('$')} = {answer.strip('$')}"),
    "left side": _when(_SINGLE, lambda answer: rf"|r - s| = {answer.strip('$')}"),
    "words before": _when(_PLAIN, lambda answer: rf"\text{{Total: }} {answer.strip('$')}"),
    "qualifier": _when(_SINGLE, lambda answer: rf"{answer.strip('$')} \text{{ for }} k \in \mathbb{{Z}}"),
    "names in a tuple": _when(_PAIR, lambda answer: f"(p, q) = {answer.strip('$')}"),
    "names in a list": _when(_PAIR, lambda answer: _PAIR.sub(r"p = \1, q = \2", answer.strip("$"))),
    "bmatrix": _when(_MATRIX, lambda answer: answer.replace("pmatrix", "bmatrix")),
    "array": _array,
    "fractions in a matrix": _when(_MATRIX, lambda answer: _SLASH.sub(r"\1\\frac{\2}{\3}", answer)),
    "backslash after it": lambda answer: f"{answer.strip('$')}\\",
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


# Wrong answers that look similar.
NEAR_MISSES: Mapping[str, Change] = {
    "first number + 1": lambda a: _DIGITS.sub(_higher, a, count=1) if _DIGITS.search(a) else None,
    "last number + 1": _last,
    "all numbers + 1": lambda a: _DIGITS.sub(_higher, a) if len(_DIGITS.findall(a)) > 1 else None,
    "other sign": _when(_PLAIN, lambda a: f"-{a}".replace("--", "") if Decimal(a.strip("$")) else None),
    "ten times": _when(_PLAIN, lambda a: rf"{a.strip('$')} \times 10^{{1}}" if Decimal(a.strip("$")) else None),
    "minus one": _when(_EXPRESSION, lambda a: f"{a.strip('$')} - 1"),
    "other name": _when(_NAMED, lambda a: ("u" if a.strip("$")[0] != "u" else "v") + a.strip("$")[1:]),
    "row for column": _when(_COLUMN, lambda a: a.replace("\\\\", "&")),
    "other order in a tuple": _when(_PAIR, lambda a: _PAIR.sub(r"(\2, \1)", a.strip("$"))),
    "one more": lambda a: f"{a.strip('$')}, 7",
    "one less": _when(_LIST, lambda a: a.strip("$").rsplit(", ", 1)[0]),
    "other letter": _letter,
}


def _differs(problem: Problem, changed: str) -> bool:
    """True if a changed answer differs by more than the problem's tolerance."""
    one, other = number(problem.answer), number(changed)
    if one is None or other is None:
        return normalise(changed) != normalise(problem.answer)
    return abs(one - other) > problem.tolerance * max(abs(one), abs(other))


def check_answers(path: Path, judge: AnswerJudge | None = None, tolerance: float = 0.0) -> list[Check]:
    """Compare the answers of a file of problems with their own solutions, rewritings and near misses.

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
    """The judge's results on benchmark files for the terminal: rates by file and kind of answer."""
    table = Table(box=SIMPLE, title="Answers judged as they should be")
    for column in ("file", "answer", "is", "judged rightly", "of"):
        table.add_column(column, justify="right" if column in ("judged rightly", "of") else "left")
    for path, made in checks.items():
        table.add_section()
        for check in (check for check in made if check.total):
            meant, judged = "right" if check.right else "wrong", check.total - len(check.failures)
            table.add_row(cell(path.name), check.kind, meant, str(judged), str(check.total))
    return table
