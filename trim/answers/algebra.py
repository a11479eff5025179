"""Expressions that are read by SymPy: equal if they agree wherever they are evaluated."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended import latex2sympy
from sympy.core.function import AppliedUndef

_NAME = re.compile(
    r"(?:\\(?:alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|rho|sigma|tau|upsilon|phi|chi|psi|omega|"
    r"Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega|hbar|ell)(?![A-Za-z])|"
    r"\\text\{[^{}]*\}|\\vec\{?[A-Za-z]\}?|[A-Za-z])'*(?:_\{[^{}]*\})?"
)
_TOKEN = re.compile(rf"{_NAME.pattern}|\\[A-Za-z]+")
_KEPT = ("e", "i")  # the constants, unless they have a subscript
_POINTS, _DIGITS, _CLOSE = 6, 40, 1e-12
_UNREADABLE = re.compile(r"(?<![A-Za-z}])\d+_|\\(?:begin|int|sum|prod|lim|ldots|overline|bar)(?![a-z])")


class Unreadable(ValueError):
    """An expression that SymPy does not read as a whole."""


def compare(gold: str, found: str, tolerance: float) -> bool | None:
    """Whether two expressions are equal; None if one of them cannot be read (see `trim.answers.parts.Algebra`)."""
    names: dict[str, str] = {}
    try:
        one, other = (_read(text, names) for text in (gold, found))
    except Unreadable:
        return None
    if isinstance(one, sympy.MatrixBase) and isinstance(other, sympy.MatrixBase):
        return one.shape == other.shape and all(_same(a, b, tolerance) for a, b in zip(one, other))
    if isinstance(one, sympy.core.relational.Relational) and isinstance(other, sympy.core.relational.Relational):
        return _same_relation(one, other)
    if isinstance(one, sympy.Expr) and isinstance(other, sympy.Expr):
        return _same(one, other, tolerance)
    return type(one) is type(other) and one == other


def _read(text: str, names: dict[str, str]) -> Any:
    """An expression with every name of a quantity, however it is written, as a symbol of its own.

    Raises:
        Unreadable: if any of it cannot be read.
    """
    if _UNREADABLE.search(text):
        raise Unreadable(text)

    def symbol(match: re.Match[str]) -> str:
        found = match[0]
        if found in _KEPT or not _NAME.fullmatch(found):
            return found
        return f" x_{{{names.setdefault(found, str(len(names)))}}} "

    try:
        expression = _parsed(_TOKEN.sub(symbol, text))
    except RecursionError:
        raise
    except Exception as error:  # its parser raises plain exceptions
        raise Unreadable(text) from error
    if expression is None or (isinstance(expression, sympy.Basic) and expression.has(sympy.zoo, sympy.nan)):
        raise Unreadable(text)
    return expression


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    """One right answer is held against many."""
    return latex2sympy(text)


def _same(one: sympy.Expr, other: sympy.Expr, tolerance: float) -> bool:
    if one == other:
        return True
    if one.is_infinite or other.is_infinite:
        return False
    # Compared where they have values: at random points, the same ones each time.
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    if one.has(AppliedUndef) or other.has(AppliedUndef):
        return bool(sympy.simplify(one - other) == 0)
    agreed = 0
    near = _CLOSE if symbols else max(tolerance, _CLOSE)
    for point in _points(symbols):
        a, b = (_value(expression, point) for expression in (one, other))
        if a is None or b is None:
            continue
        if abs(a - b) > near * max(abs(a), abs(b)):
            return False
        agreed += 1
        if agreed == _POINTS or not symbols:
            return True
    return False


def _points(symbols: list[Any]) -> Iterator[dict[Any, Any]]:
    """Places to compare at, the same each time: small ones, so that no term is lost, and large ones, for floors."""
    stream = random.Random(0)
    for index in range(4 * _POINTS):
        yield {s: stream.randint(2, 60) if index % 2 else sympy.Rational(stream.randint(3, 39), 13) for s in symbols}


def _value(expression: sympy.Expr, point: dict[Any, Any]) -> Any:
    value = sympy.N(expression.subs(point), _DIGITS)
    return value if value.is_number and value.is_finite else None


def _same_relation(one: Any, other: Any) -> bool:
    """Whether two equations or inequalities say the same: one side of each is a multiple of the other's."""
    sides = []
    for relation in (one, other):
        rising = relation.rel_op in ("<", "<=", "==")
        sides.append(relation.lhs - relation.rhs if rising else relation.rhs - relation.lhs)
    orders = [{">": "<", ">=": "<="}.get(r.rel_op, r.rel_op) for r in (one, other)]
    if orders[0] != orders[1]:
        return False
    symbols = sorted(sides[0].free_symbols | sides[1].free_symbols, key=str)
    ratios = []
    for point in _points(symbols):
        a, b = (_value(side, point) for side in sides)
        if a is not None and b is not None and a != 0 and b != 0:
            ratios.append(a / b)
    if len(ratios) < _POINTS or not symbols:
        return False
    steady = all(abs(r - ratios[0]) <= _CLOSE * abs(ratios[0]) for r in itertools.islice(ratios, 1, None))
    return bool(steady and (orders[0] == "==" or (ratios[0].is_real and ratios[0] > 0)))
