"""Answers as values: numbers with units, lists, tuples and intervals; and when two of them are equal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from trim.answers.text import normalise, number, ungrouped
from trim.answers.units import alike, split_unit

# Whether two expressions are equal within a relative tolerance; None where one of them cannot be read.
Algebra = Callable[[str, str, float], bool | None]
_LONGEST = 1000  # characters of an answer that is worth reading
_OPEN, _CLOSE = "([{", ")]}"
_NAME = r"(?:\\text\{[^{}]*\}|\\?[A-Za-z]+'*(?:_\{[^{}]*\})?(?:\([^()=]*\))?)(?: ?(?:[A-Z]'?(?:_\{[^{}]*\})?)+)?"
_NAMED = re.compile(rf"({_NAME})\s*(?:=|\\approx|\\in(?![a-z])|\\equiv)\s*(.+)")
_NAMED_LAST = re.compile(rf"([^=]+)=\s*({_NAME})")
_OPTION = re.compile(r"(?:\\text\{)?\(?([A-J])\)?[.:)]?\}?")
_OPTION_WITH_TEXT = re.compile(
    r"(?:\\text\{\(?(?P<a>[A-J])\)?[.:]?\}|\((?P<b>[A-J])\)|(?P<c>[A-J])[.:)])[.:]?\s*(?P<text>[^\s,}].*)"
)
_ORDER = re.compile(r"\\le(?![a-z])|\\ge(?![a-z])|<|>")
_BASED = re.compile(r"(\w+)_\{(\w+)\}")
_WORDS = re.compile(r"\\text\{([^{}]*)\}")


@dataclass(frozen=True)
class Part:
    """One value of an answer.

    Attributes:
        text: without its name, unit and percent sign.
        name: what it is said to be the value of; "" if nothing is said.
        unit: what follows it.
        percent: whether a percent sign follows it.
        value: the value of a plain number.
        items: the parts of a tuple, an interval or a set.
        ends: the brackets of `items`; "{}" of a set, "" of a single value.
    """

    text: str
    name: str = ""
    unit: str = ""
    percent: bool = False
    value: Fraction | None = None
    items: tuple[Part, ...] = ()
    ends: str = ""


def _split(text: str, mark: re.Pattern[str]) -> list[str]:
    """The pieces of a text between marks that stand in no bracket and in no environment."""
    pieces, depth, start, place = [], 0, 0, 0
    while place < len(text):
        if text.startswith(("\\begin", "\\end"), place):
            depth += 1 if text.startswith("\\begin", place) else -1
            place += 4
        elif text.startswith(("\\{", "\\}"), place):
            depth += 1 if text[place + 1] == "{" else -1
            place += 2
        elif not depth and (found := mark.match(text, place)) and found.end() > place:
            pieces.append(text[start:place])
            place = start = found.end()
        else:
            depth += (text[place] in _OPEN) - (text[place] in _CLOSE)
            place += 1
    return [piece.strip() for piece in [*pieces, text[start:]] if piece.strip()]


_COMMA = re.compile(r"[,;]\s*|\\cup(?![a-z])\s*")
_LIST_COMMA = re.compile(r",(?!\d{3}(?!\d))\s*|;\s*|\\cup(?![a-z])\s*")


def _bracketed(text: str) -> tuple[str, str] | None:
    """The brackets around a whole text and what they hold, None if there are none."""
    shape = re.fullmatch(r"(\\\{|[(\[])(.*)(\\\}|[)\]])", text, re.DOTALL)
    if not shape:
        return None
    depth, place, inner = 0, 0, text
    while place < len(inner):
        step = 2 if inner.startswith("\\", place) else 1
        sign = inner[place : place + step].replace("\\", "")[:1]
        depth += (sign in _OPEN and sign != "") - (sign in _CLOSE and sign != "")
        place += step
        if not depth and place < len(inner):
            return None
    return (shape[1] + shape[3]).replace("\\", ""), shape[2].strip()


@lru_cache(maxsize=20_000)
def read(answer: str) -> tuple[Part, ...]:
    """The parts of an answer: one, or those of a list."""
    text = normalise(answer)
    parts: list[Part] = []
    for piece in _split(ungrouped(text), _LIST_COMMA):
        parts += _part(piece)
    # A set is a list that says so.
    if len(parts) == 1 and parts[0].ends == "{}" and parts[0].items:
        return parts[0].items
    return tuple(parts)


def _part(text: str) -> list[Part]:
    r"""The values of one piece: two where it holds a ``\pm``."""
    if text.count("\\pm") == 1:
        return _part(text.replace("\\pm", "+").replace("\\mp", "-").lstrip("+ ")) + _part(
            text.replace("\\pm", "-").replace("\\mp", "+")
        )
    if interval := _inequality(text):
        return [interval]
    name = ""
    if named := _NAMED.fullmatch(text):
        name, text = named[1], named[2]
    elif (named := _NAMED_LAST.fullmatch(text)) and number(named[1]) is not None:
        name, text = named[2], named[1]
    if interval := _inequality(text):
        return [interval]
    core, unit, percent = split_unit(text.strip())
    value = number(core)
    if value is None and (held := _bracketed(core)):
        ends, inside = held
        pieces = _split(inside, _COMMA)
        if ends == "()" and len(pieces) == 1:
            own = _part(inside)
            return [replace(p, name=name or p.name, unit=unit or p.unit, percent=percent or p.percent) for p in own]
        return [Part(core, name, unit, percent, None, tuple(p for piece in pieces for p in _part(piece)), ends)]
    return [Part(core, name, unit, percent, value)]


def _inequality(text: str) -> Part | None:
    r"""The interval of ``a \le x < b`` or ``x < b``; None if a text is none."""
    signs = _ORDER.findall(text)
    if not 1 <= len(signs) <= 2:
        return None
    sides = [side.strip() for side in _ORDER.split(text)]
    variable = re.compile(r"\\?[A-Za-z]+(?:_\{[^{}]*\})?")
    if len(signs) == 2:
        rising = all(s in ("<", "\\le") for s in signs)
        if not rising and not all(s in (">", "\\ge") for s in signs):
            return None
        if not variable.fullmatch(sides[1]):
            return None
        low, high = (sides[0], sides[2]) if rising else (sides[2], sides[0])
        first, last = signs if rising else signs[::-1]
        name = sides[1]
    else:
        left = variable.fullmatch(sides[0]) and sides[0] != "\\infty"
        if not left and not variable.fullmatch(sides[1]):
            return None
        name, bound = (sides[0], sides[1]) if left else (sides[1], sides[0])
        below = (signs[0] in ("<", "\\le")) == bool(left)
        low, high = ("-\\infty", bound) if below else (bound, "\\infty")
        first, last = ("<", signs[0]) if below else (signs[0], "<")
    if not low or not high or "," in low + high:
        return None
    ends = ("[" if first in ("\\le", "\\ge") else "(") + ("]" if last in ("\\le", "\\ge") else ")")
    return Part(text, name, "", False, None, (*_part(low)[:1], *_part(high)[:1]), ends)


def equal(gold: str, found: str, tolerance: float = 0.0, algebra: Algebra | None = None) -> bool | None:
    """Whether two answers have the same value.

    Args:
        gold: the right answer.
        found: the one to judge.
        tolerance: relative, of numbers.
        algebra: compares expressions; without it the verdict is None where it hangs on one.
    """
    if not gold.strip() or not found.strip() or max(len(gold), len(found)) > _LONGEST:
        return False
    one, other = normalise(gold), normalise(found)
    if one == other:
        return True
    if option := _OPTION.fullmatch(one):
        chosen = _OPTION.fullmatch(other) or _OPTION_WITH_TEXT.fullmatch(other)
        if chosen:
            return option[1] in chosen.groups()
    elif chosen := _OPTION_WITH_TEXT.fullmatch(other):
        return equal(gold, chosen["text"], tolerance, algebra)
    golds, founds = read(gold), read(found)
    if len(golds) != len(founds):
        golds, founds = _ambiguous(one, golds, founds), _ambiguous(other, founds, golds)
    return _lists(golds, founds, tolerance, algebra)


def _ambiguous(text: str, parts: tuple[Part, ...], others: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts of a text whose commas may part digits or numbers, as the other answer has them."""
    pieces = [part for piece in _split(text, _COMMA) for part in _part(piece)]
    return tuple(pieces) if len(pieces) == len(others) > len(parts) else parts


def _lists(golds: Sequence[Part], founds: Sequence[Part], tolerance: float, algebra: Algebra | None) -> bool | None:
    """Whether two lists hold equal values, in any order."""
    if len(golds) != len(founds) or not golds:
        return False
    if len(golds) == 1:
        return _parts(golds[0], founds[0], tolerance, algebra)
    left, unsure = list(founds), False
    for gold in golds:
        verdicts = [
            None if gold.name and part.name and gold.name != part.name else _parts(gold, part, tolerance, algebra)
            for part in left
        ]
        named = [bool(gold.name and part.name and gold.name != part.name) for part in left]
        if True in verdicts:
            left.pop(verdicts.index(True))
        elif algebra is None and any(v is None and not n for v, n in zip(verdicts, named)):
            unsure = True
        else:
            return False
    return None if unsure else True


def _parts(gold: Part, found: Part, tolerance: float, algebra: Algebra | None) -> bool | None:
    """Whether two values are equal; units that both say must agree."""
    if gold.unit and found.unit and not alike(gold.unit, found.unit):
        return False
    if gold.ends or found.ends:
        return _brackets(gold, found, tolerance, algebra)
    scales = [Fraction(1)]
    if gold.percent != found.percent:  # a percentage may stand for its value, with the sign or without
        scales.append(Fraction(1, 100) if found.percent else Fraction(100))
    if gold.value is not None and found.value is not None:
        return any(close(gold.value, found.value * scale, tolerance) for scale in scales)
    one, other = _plain(gold.text), _plain(found.text)
    if one == other:
        return True
    if _is_text(gold.text) or _is_text(found.text):
        return _words(gold.text) == _words(found.text)
    if _BASED.fullmatch(one) and _BASED.fullmatch(other) and one[0].isdigit():
        return False
    if algebra is None:
        return None
    # An equation is compared with an equation as it stands, and with a value by its right side.
    verdict = algebra(gold.text, found.text, tolerance)
    if verdict is False and len(scales) > 1:
        scaled = (f"({found.text})/100", f"({found.text})*100")[found.percent is False]
        verdict = algebra(gold.text, scaled, tolerance)
    if not verdict and ("=" in gold.text) != ("=" in found.text):
        one, other = (f"{p.name}={p.text}" if p.name and "=" not in p.text else p.text for p in (gold, found))
        verdict = algebra(one, other, tolerance) if "=" in one and "=" in other else False
    return bool(verdict)


def _brackets(gold: Part, found: Part, tolerance: float, algebra: Algebra | None) -> bool | None:
    if len(gold.items) != len(found.items):
        return False
    if gold.ends == found.ends == "{}":
        return _lists(gold.items, found.items, tolerance, algebra)
    if gold.ends != found.ends:
        return False
    verdicts = [_parts(*pair, tolerance, algebra) for pair in zip(gold.items, found.items)]
    return False if False in verdicts else None if None in verdicts else True


def close(one: Fraction, other: Fraction, tolerance: float) -> bool:
    """Whether two numbers are equal within a relative tolerance; exact, whatever their size."""
    return one == other or abs(one - other) <= Fraction(tolerance) * max(abs(one), abs(other))


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", _WORDS.sub(r"\1", text))


def _is_text(text: str) -> bool:
    """Whether a part is words, not mathematics."""
    return bool(re.fullmatch(r"(?:\\text\{[^{}]*\}|[A-Za-z]{3,}|[\s.,'-])+", text)) and bool(
        re.search("[A-Za-z]{2}", text)
    )


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", _WORDS.sub(r" \1 ", text).lower()))
