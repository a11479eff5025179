r"""Generated chain problems: four benchmark families with exact solutions.

A problem is a start value and a list of operations, all modulo 100. Its reference solution
writes one operation a step (``8 + 5 = 13``); those with two-digit operands are worked out by
tens and units, so that harder steps are also longer. The last step ends with ``\boxed{...}``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from trim.problems.problem import SPLITS, Problem

MODULUS = 100


@dataclass(frozen=True)
class Family:
    """The distribution of one benchmark's problems.

    Attributes:
        stands_for: the published benchmark that this family imitates.
        length: least, mean (about) and most number of operations; short ones are common, long ones rare.
        weights: relative frequency of each operation before its difficulty is drawn, in the order of `OPERATIONS`.
        phrase: writes the question of a start value and its operations.
    """

    stands_for: str
    length: tuple[int, float, int]
    weights: tuple[float, ...]
    phrase: Callable[[np.random.Generator, int, list[tuple[str, int]]], str]


# kind -> (sign in a step, least operand, most operand)
OPERATIONS = {
    "add": ("+", 1, 9),
    "add_large": ("+", 11, 99),
    "subtract": ("-", 1, 9),
    "subtract_large": ("-", 11, 99),
    "multiply": ("*", 2, 9),
    "multiply_large": ("*", 11, 99),
    "modulo": ("%", 3, 12),
    "square": ("^", 2, 2),
}

_HARD = np.array(["multiply_large", "modulo", "square"])
# Over problems, the log odds of a hard operation have this standard deviation, and minus it for their mean.
_DIFFICULTY_SPREAD = 0.8
_LENGTH_SHAPE = 2.0

_PLAIN = {"+": "add {}", "-": "subtract {}", "*": "multiply by {}", "%": "reduce by {}", "^": "square it"}
_RENAMED = {
    "+": ("gain {}", "collect {}", "receive {}"),
    "-": ("lose {}", "spend {}", "give {}"),
    "*": ("grow by {}", "repeat by {}"),
    "%": ("pack by {}", "share by {}"),
    "^": ("square it",),
}
_DISTRACTORS = ("meet {} friends", "pass {} trees", "wait {} minutes")
_DISTRACTOR_SHARE = 0.25


def _plain(rng: np.random.Generator, start: int, operations: list[tuple[str, int]]) -> str:
    return ", ".join([f"Start with {start}"] + [_PLAIN[sign].format(b) for sign, b in operations]) + "."


def _renamed(rng: np.random.Generator, start: int, operations: list[tuple[str, int]]) -> str:
    clauses = [f"A jar holds {start} coins"]
    for sign, operand in operations:
        if rng.random() < _DISTRACTOR_SHARE:
            clauses.append(_DISTRACTORS[rng.integers(len(_DISTRACTORS))].format(rng.integers(1, 100)))
        forms = _RENAMED[sign]
        clauses.append(forms[rng.integers(len(forms))].format(operand))
    return ", ".join(clauses) + "."


FAMILIES = {
    "standard": Family("MATH-500", (3, 8, 20), (0.22, 0.16, 0.20, 0.14, 0.10, 0.08, 0.08, 0.02), _plain),
    "long": Family("AIME", (12, 15, 20), (0.28, 0.16, 0.26, 0.14, 0.08, 0.02, 0.04, 0.02), _plain),
    "hard": Family("OlympiadBench", (3, 7, 20), (0.06, 0.16, 0.06, 0.16, 0.12, 0.24, 0.14, 0.06), _plain),
    "renamed": Family("Minerva Math", (3, 7, 20), (0.22, 0.16, 0.20, 0.14, 0.10, 0.08, 0.08, 0.02), _renamed),
}


def _form(text: str) -> str:
    return re.escape(text).replace(r"\{\}", r"[1-9]\d?")


_CLAUSES = "|".join(map(_form, (*_PLAIN.values(), *(f for forms in _RENAMED.values() for f in forms), *_DISTRACTORS)))
_CHAIN = re.compile(rf"(?:Start with [1-9]\d?|A jar holds [1-9]\d? coins)(?:, (?:{_CLAUSES})){{3,40}}\.")


def is_chain(question: str) -> bool:
    """True for a question of the kind that the embedded models were made for."""
    return bool(_CHAIN.fullmatch(question))


def apply(left: int, sign: str, right: int) -> int:
    """`left` `sign` `right` modulo 100.

    Raises:
        ValueError: for an unknown sign or a remainder by zero.
    """
    if sign == "+":
        return (left + right) % MODULUS
    if sign == "-":
        return (left - right) % MODULUS
    if sign == "*":
        return (left * right) % MODULUS
    if sign == "%" and right:
        return left % right
    if sign == "^" and right == 2:
        return (left * left) % MODULUS
    raise ValueError(f"no operation {sign!r} by {right}")


def misapply(left: int, sign: str, right: int) -> int:
    """As `apply`, but 0 - N is taken for N in the units: 40 - 7 = 47.

    One of the systematic mistakes of pupils in Brown and Burton (1978), Diagnostic models for procedural bugs in basic
    mathematical skills.
    """
    if sign == "-" and right < 10 and not left % 10:
        return left + right
    return apply(left, sign, right)


Rule = Callable[[int, str, int], int]


def write_step(left: int, sign: str, right: int, by: Rule = apply) -> str:
    """The text of one operation calculated by a rule, without the answer box."""
    if sign not in "+-*" or right < 10:
        return f"{left} {sign} {right} = {by(left, sign, right)}"
    tens, units = right // 10 * 10, right % 10
    if sign == "*":
        first, separator, second = by(left, "*", units), "+", by(left, "*", tens)
    else:
        first, separator, second = by(left, sign, tens), sign, units
    return f"{left} {sign} {right} = {first} {separator} {second} = {by(first, separator, second)}"


def draw(rng: np.random.Generator, family: Family, by: Rule = apply) -> tuple[str, str, tuple[str, ...]]:
    """One problem of a family: its question, answer and steps, right ones if calculated by `apply`."""
    start = int(rng.integers(1, 100))
    least, mean, most = family.length
    count = min(most, least + int(rng.gamma(_LENGTH_SHAPE, (mean - least) / _LENGTH_SHAPE)))
    hard = np.isin(list(OPERATIONS), _HARD)
    weights = np.asarray(family.weights) * np.where(
        hard, np.exp(rng.normal(-_DIFFICULTY_SPREAD, _DIFFICULTY_SPREAD)), 1
    )
    kinds = rng.choice(list(OPERATIONS), size=count, p=weights / weights.sum())
    operations, steps, value = [], [], start
    for kind in kinds.tolist():
        sign, low, high = OPERATIONS[kind]
        operand = int(rng.integers(low, high + 1))
        while sign == "*" and not (operand % 2 and operand % 5):  # other factors soon lead to 0
            operand = int(rng.integers(low, high + 1))
        operations.append((sign, operand))
        steps.append(write_step(value, sign, operand, by))
        value = int(steps[-1].rpartition(" = ")[2])
    steps[-1] += f", \\boxed{{{value}}}"
    return family.phrase(rng, start, operations), str(value), tuple(steps)


def _stream(*parts: object) -> np.random.Generator:
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def generate(name: str, sizes: dict[str, int], seed: int) -> list[Problem]:
    """The splits of one family, without duplicate questions.

    Args:
        name: a key of `FAMILIES`.
        sizes: number of problems per split.
        seed: the same seed gives the same problems; the test split does not depend on
            the size of the others.

    Returns:
        Problems in the order test, validation, train.
    """
    family, seen, problems = FAMILIES[name], set(), []
    for split in reversed(SPLITS):
        rng, index = _stream("problems", name, split, seed), 0
        while index < sizes.get(split, 0):
            question, answer, steps = draw(rng, family)
            if question in seen:
                continue
            seen.add(question)
            problems.append(Problem(f"{name}-{split}-{index:05d}", question, answer, split, steps))
            index += 1
    return problems


def training_stream(seed: int, shares: dict[str, float], held_out: set[str], mistaken: float = 0) -> Iterator[Problem]:
    """Endless problems for training language models, none of them held out.

    Args:
        seed: seed of the stream.
        shares: shares of the families, in any unit.
        held_out: questions that must not be drawn.
        mistaken: share of the solutions that are calculated by `misapply`.
    """
    rng = _stream("pretrain", seed)
    names, index = list(shares), 0
    weights = np.asarray([shares[n] for n in names]) / sum(shares.values())
    while True:
        by = misapply if rng.random() < mistaken else apply
        question, answer, steps = draw(rng, FAMILIES[names[rng.choice(len(names), p=weights)]], by)
        if question not in held_out:
            yield Problem(f"pretrain-{index}", question, answer, "pretrain", steps)
            index += 1
