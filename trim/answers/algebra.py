"""Expressions read by SymPy: equal if they agree at every point of evaluation."""

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
_TOKEN = re.compile(rf"\\(?:begin|end|mathbb)\{{[A-Za-z]+\}}|{_NAME.pattern}|\\[A-Za-z]+")
_KEPT = ("e", "i")  # the constants, unless they have a subscript
_POINTS, _DIGITS, _CLOSE = 6, 40, 1e-12
_MOST_DIGITS = 20_000
_UNREADABLE = re.compile(r"(?<![A-Za-z}])\d+_|\\(?:int|sum|prod|lim|ldots|overline|bar)(?![a-z])")
# Forms that latex2sympy misses: n!^2, i(2 - i) as a product, degrees without their sign of a power.
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_FORMS = (
    (re.compile(r"(\d+|[A-Za-z]|\([^()]*\))!\^"), r"(\1!)^"),
    (re.compile(r"(?<![A-Za-z\\])([ei])(?=\s*\()"), r"\1 \\cdot "),
    (re.compile(r"\\circ(?![a-z])"), r"^{\\circ}"),
)


class Unreadable(ValueError):
    """An expression that SymPy does not read as a whole."""


def compare(gold: str, candidate: str, tolerance: float) -> bool | None:
    """True if two expressions are equal; None if one of them cannot be read (see `trim.answers.equality.Algebra`)."""
    names: dict[str, str] = {}
    try:
        one, other = (_read(text, names) for text in (gold, candidate))
    except Unreadable:
        return None
    one, other = (e.doit() if isinstance(e, sympy.MatrixExpr) else e for e in (one, other))
    if isinstance(one, sympy.MatrixBase) and isinstance(other, sympy.MatrixBase):
        return one.shape == other.shape and all(_same(a, b, tolerance) for a, b in zip(one, other))
    if isinstance(one, sympy.core.relational.Relational) and isinstance(other, sympy.core.relational.Relational):
        return _same_relation(one, other)
    if isinstance(one, sympy.Expr) and isinstance(other, sympy.Expr):
        return _same(one, other, tolerance)
    return type(one) is type(other) and one == other


def _read(text: str, names: dict[str, str]) -> Any:
    """An expression with every name of a quantity, in any notation, as one symbol.

    Raises:
        Unreadable: if any of it cannot be read.
    """
    if _UNREADABLE.search(text):
        raise Unreadable(text)

    def symbol(match: re.Match[str]) -> str:
        name = match[0]
        if name in _KEPT or not _NAME.fullmatch(name):
            return name
        return f" x_{{{names.setdefault(name, str(len(names)))}}} "

    for form, readable in _FORMS:
        text = form.sub(readable, text)
    try:
        expression = _parsed(_TOKEN.sub(symbol, text))
    except RecursionError:
        raise
    except Exception as error:  # its parser raises plain exceptions
        raise Unreadable(text) from error
    if expression is None or (isinstance(expression, sympy.Basic) and expression.has(sympy.zoo, sympy.nan)):
        raise Unreadable(text)
    if isinstance(expression, (sympy.Basic, sympy.MatrixBase)):
        expression = expression.subs({s: sympy.I for s in expression.free_symbols if s.name == "i"})
    return expression


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    """A parsed expression, cached since one right answer is compared with many."""
    return latex2sympy(text, convert_degrees=bool(_TRIGONOMETRY.search(text)))


def _same(one: sympy.Expr, other: sympy.Expr, tolerance: float) -> bool:
    if one == other:
        return True
    if one.is_infinite or other.is_infinite:
        return False
    if one.has(AppliedUndef) or other.has(AppliedUndef):
        return bool(sympy.simplify(one - other) == 0)
    # Compared at random points, the same ones each time, where they have values.
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    agreed = 0
    for point in _points(symbols, one.has(sympy.Abs) or other.has(sympy.Abs)):
        verdict = _same_value(one.subs(point), other.subs(point), 0.0 if symbols else tolerance)
        if verdict is False:
            return False
        agreed += bool(verdict)
        if agreed == _POINTS or (verdict and not symbols):
            return True
    return False


def _points(symbols: list[Any], negative: bool = False) -> Iterator[dict[Any, Any]]:
    """Places to compare at, the same each time: small ones, so that no term is lost, and large ones, for floors.

    Quantities are taken for positive, so that roots of products are products of roots, unless a sign matters.
    """
    stream = random.Random(0)
    for index in range(4 * _POINTS):
        sign = -1 if negative and index % 3 == 2 else 1
        yield {
            s: sign * (stream.randint(2, 60) if index % 2 else sympy.Rational(stream.randint(3, 39), 13))
            for s in symbols
        }


def _same_value(one: sympy.Expr, other: sympy.Expr, tolerance: float) -> bool | None:
    """True if two constants are equal; None if one has no finite value.

    The comparison is exact, or to 30 digits if both are irrational; of a decimal and an irrational value, to 12.
    """
    a, b = _value(one), _value(other)
    if a is None or b is None:
        return None
    largest = max(abs(a), abs(b))
    if abs(a - b) > max(tolerance, _CLOSE) * largest:
        return False
    if tolerance or a == b == 0:
        return True
    exponent = max(0, int(sympy.log(largest, 10)))
    if exponent > _MOST_DIGITS:
        return not (one.has(sympy.Add) or other.has(sympy.Add))
    exact = [_exact(expression) for expression in (one, other)]
    if all(value.is_Rational for value in exact):
        return bool(exact[0] == exact[1])
    if one.has(sympy.Float) or other.has(sympy.Float):
        return True
    a, b = (_value(value, exponent + _DIGITS) for value in exact)
    return bool(abs(a - b) < sympy.Float(10) ** (10 - _DIGITS) * min(1, largest))


def _exact(expression: sympy.Expr) -> sympy.Expr:
    """A constant with its decimals as fractions."""
    return expression.replace(lambda part: part.is_Float, lambda decimal: sympy.Rational(str(decimal))).doit()


def _value(expression: sympy.Expr, digits: int = _DIGITS) -> Any:
    value = sympy.N(expression, digits)
    return value if value.is_number and value.is_finite else None


def _same_relation(one: Any, other: Any) -> bool:
    """True if two equations or inequalities are equivalent: one side of each is a multiple of the other's."""
    sides = []
    for relation in (one, other):
        rising = relation.rel_op in ("<", "<=", "==")
        sides.append(relation.lhs - relation.rhs if rising else relation.rhs - relation.lhs)
    orders = [{">": "<", ">=": "<="}.get(r.rel_op, r.rel_op) for r in (one, other)]
    if orders[0] != orders[1]:
        return False
    symbols = sorted(sides[0].free_symbols | sides[1].free_symbols, key=str)
    ratios = []
    for point in _points(symbols, any(side.has(sympy.Abs) for side in sides)):
        a, b = (_value(side.subs(point)) for side in sides)
        if a is not None and b is not None and a != 0 and b != 0:
            ratios.append(a / b)
    if len(ratios) < _POINTS or not symbols:
        return False
    steady = all(abs(r - ratios[0]) <= _CLOSE * abs(ratios[0]) for r in itertools.islice(ratios, 1, None))
    return bool(steady and (orders[0] == "==" or (ratios[0].is_real and ratios[0] > 0)))
