"""Answers as values: numbers with units and names, lists, tuples and intervals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from trim.answers.quantities import split_unit
from trim.answers.text import normalise, number, ungrouped

_OPENING, _CLOSING = ("(", "[", "{", "\\{", "\\begin"), (")", "]", "}", "\\}", "\\end")
_SIGN = re.compile(r"\\(?:begin|end)(?![A-Za-z])|\\.|.", re.DOTALL)
_SYMBOL = r"\\?[A-Za-z]+'*(?:_\{[^{}]*\})?"
VARIABLE = re.compile(_SYMBOL)
_ORDER = re.compile(r"\\le(?![a-z])|\\ge(?![a-z])|<|>")
_FALLING = {">": "<", r"\ge": r"\le"}
_EQUALS = re.compile(r"=|\\(?:equiv|in)(?![a-z])")
_APPROXIMATELY = re.compile(r"\\approx(?![a-z])")
_COMMA = re.compile(r"[,;]\s*|\\cup(?![a-z])\s*")
_LIST_COMMA = re.compile(r",(?!\d{3}(?!\d))\s*|;\s*|\\cup(?![a-z])\s*")
_COLON = re.compile(r"\s*:\s*")
_SUM = re.compile(r"(?<=[^\s({\[=])\s*[-+]")
_CALCULATED = re.compile(
    r"\\(?:frac|binom|sqrt|pi|cdot|times|circ|sin|cos|tan|cot|sec|csc|log|ln|exp|pm|[lr](?:floor|ceil))(?![A-Za-z])"
)
# Words before a value are its name: "The area is (3, 4)", "Area: -5", "Day 5"; without a verb, unless it changes it.
_SAYS = re.compile(
    r"((?:\\text\{[^{}]*|[A-Za-z][a-z]{2,}[A-Za-z' ]*)(?:\b(?:is|are|was|equals)|:)\s*\}?:?)\s*(?=[-+\d\\$(.])"
)
_LABELS = re.compile(r"(\\text\{[^{}0-9]*\}|[A-Za-z][a-z]{2,}[A-Za-z' ]*(?= ))\s*(?=[\d$.]|\\(?:frac|sqrt)(?![a-z]))")
_CHANGES = re.compile(
    r"\b(?:no|not|never|cannot|neither|nor|less|more|fewer|least|most|than|greater|larger|smaller|under|over|above|below|"
    r"before|after|until|minus|negative|half|third|quarter|twice|double|triple|between|except|without|but|other|if|when|"
    r"unless|for|where|or|and|to|up|sin|cos|tan|cot|sec|csc|log|exp|root|square|squared|reciprocal|inverse|opposite|"
    r"hundred|thousand|million|billion)\b",
    re.IGNORECASE,
)
_SET = r"(?:\\mathbb\{[NZQRC]\}|[NZQRC])"
_CLAUSE = re.compile(r"(?:[,;\s(]|(?=\\text))\s*(?:\\text\{\s*)?,?\s*(?:for|where|with)\b")
_OVER = re.compile(rf"\\in\s*{_SET}|\b(?:integers?|numbers?)\b")
_MEMBER = re.compile(rf"(?:,\s*{_SYMBOL}(?:,\s*{_SYMBOL})*|[\s(]\(?{_SYMBOL})\s*\\in\s*{_SET}\)?$")


@dataclass(frozen=True)
class Part:
    """One value of an answer.

    Attributes:
        text: its text without name, unit and percent sign.
        name: the other side of its equation; "" if there is none.
        unit: the words after it.
        percent: True if a percent sign follows it.
        value: the value of a plain number.
        items: the parts of a tuple, an interval, a set or a ratio of three or more.
        ends: the brackets of `items`; "{}" of a set, ":" of a ratio, "" of a single value.
    """

    text: str
    name: str = ""
    unit: str = ""
    percent: bool = False
    value: Fraction | None = None
    items: tuple[Part, ...] = ()
    ends: str = ""


def _depths(text: str) -> Iterator[tuple[int, int, int]]:
    """The start and the end of each sign, and the number of brackets and environments open after it."""
    depth = 0
    for sign in _SIGN.finditer(text):
        depth += (sign[0] in _OPENING) - (sign[0] in _CLOSING)
        yield sign.start(), sign.end(), depth


def split(text: str, mark: re.Pattern[str] = _COMMA) -> list[str]:
    """The pieces of a text between marks outside brackets and environments."""
    pieces, start, before = [], 0, 0
    for place, _, depth in _depths(text):
        if not before and place >= start and (match := mark.match(text, place)):
            pieces.append(text[start:place])
            start = match.end()
        before = depth
    return [piece.strip() for piece in [*pieces, text[start:]] if piece.strip()]


def _bracketed(text: str) -> tuple[str, str] | None:
    """The brackets around a whole text and their content, None if there are none."""
    shape = re.fullmatch(r"(\\\{|[(\[])(.*)(\\\}|[)\]])", text, re.DOTALL)
    if not shape or any(not depth and end < len(text) for _, end, depth in _depths(text)):
        return None
    return (shape[1] + shape[3]).replace("\\", ""), shape[2].strip()


@lru_cache(maxsize=20_000)
def read(answer: str) -> tuple[Part, ...]:
    """The parts of an answer: one, or those of a list."""
    text = unqualified(normalise(answer))
    return tuple(part for piece in split(ungrouped(text), _LIST_COMMA) for part in read_piece(piece))


def unqualified(text: str) -> str:
    r"""A normalised answer without a last ``\text{for } k \in \mathbb{Z}``; ``x, y \in \mathbb{R}`` stays."""
    for clause in _CLAUSE.finditer(text):
        rest = text[clause.end() :]
        if _OVER.search(rest) and not re.search("[=<>]", rest):
            return text[: clause.start()].rstrip(",; ") or text
    member = _MEMBER.search(text)
    body = text[: member.start()].rstrip(",; ") if member else ""
    return body if body and not VARIABLE.fullmatch(body) else text


def read_piece(text: str) -> list[Part]:
    r"""The values of one piece of a list: two where it holds a ``\pm``."""
    if text.count("\\pm") == 1:
        return read_piece(text.replace("\\pm", "+").replace("\\mp", "-").lstrip("+ ")) + read_piece(
            text.replace("\\pm", "-").replace("\\mp", "+")
        )
    name, text = _named(text)
    if interval := _inequality(text):
        return [interval]
    core, unit, percent = split_unit(text.strip())
    if core == r"\mathbb{R}":
        core = r"(-\infty,\infty)"
    value = number(core)
    if len(terms := split(core, _COLON)) > 2:  # a ratio, or a time, is no division
        items = tuple(part for term in terms for part in read_piece(term))
        return [Part(core, name, unit, percent, None, items, ":")]
    if value is None and (held := _bracketed(core)):
        ends, inside = held
        pieces = split(inside)
        if ends == "()" and len(pieces) == 1:
            inner = read_piece(inside)
            return [replace(p, name=name or p.name, unit=unit or p.unit, percent=percent or p.percent) for p in inner]
        items = tuple(part for piece in pieces for part in read_piece(piece))
        return [_with_names(Part(core, name, unit, percent, None, items, ends))]
    return [Part(core, name, unit, percent, value)]


def _named(text: str) -> tuple[str, str]:
    r"""The first and the last side of a chain of equations: S and 6 of ``S = 2 + 4 = 6 \approx 6.0``."""
    words = _SAYS.match(text) or _LABELS.match(text)
    if words and (words.re is _SAYS or not _CHANGES.search(words[1])):
        return words[1], _named(text[words.end() :])[1]
    exact, *rounded = split(text, _APPROXIMATELY) or [text]
    sides = split(exact, _EQUALS)
    if len(sides) == 1 and rounded and number(split_unit(rounded[-1])[0]) is not None and _has_variable(exact):
        sides.append(rounded[-1])  # |r - s| \approx 2.2, unlike \sqrt{5} \approx 2.2
    if len(sides) < 2 or not any(VARIABLE.fullmatch(side) or _has_variable(side) for side in sides):
        return "", sides[-1] if sides else text
    if is_name(sides[-1]) and number(sides[0]) is not None:
        sides.reverse()
    return sides[0], sides[-1]


def _has_variable(text: str) -> bool:
    return bool(re.search(r"[A-Za-df-hj-z]|\\", _CALCULATED.sub("", text)))


def is_name(text: str) -> bool:
    r"""True if one side of an equation names a quantity: ``f(n)``, ``|x|``, ``\sin 2A``; not ``2x`` or ``x + y``."""
    digits = re.search(r"\d", re.sub(r"_\{[^{}]*\}|\([^()]*\)", "", text))
    applied = re.match(r"\\(?!frac|sqrt)[A-Za-z]|\||\[", text)
    return not _SUM.search(re.sub(r"\([^()]*\)|\|.*\||\{[^{}]*\}", "", text)) and bool(applied or not digits)


def _with_names(part: Part) -> Part:
    """A tuple that equals a tuple of names gives its names to its items."""
    held = _bracketed(part.name)
    names = split(held[1]) if held and part.ends == held[0] == "()" else []
    if len(names) != len(part.items):
        return part
    items = tuple(replace(item, name=item.name or name) for item, name in zip(part.items, names))
    return replace(part, name="", items=items)


def _inequality(text: str) -> Part | None:
    r"""The interval of ``a \le x < b`` or ``x < b``; None for another text."""
    sides, signs = [side.strip() for side in _ORDER.split(text)], _ORDER.findall(text)
    if signs and signs[0] in _FALLING:
        sides, signs = sides[::-1], [_FALLING.get(sign, "") for sign in reversed(signs)]
    if len(signs) == 1 and VARIABLE.fullmatch(sides[0]) and sides[0] != r"\infty":
        sides, signs = [r"-\infty", *sides], ["<", *signs]
    elif len(signs) == 1:
        sides, signs = [*sides, r"\infty"], [*signs, "<"]
    if len(sides) != 3 or not set(signs) <= set(_FALLING.values()) or not VARIABLE.fullmatch(sides[1]):
        return None
    low, name, high = sides
    if not low or not high or "," in low + high:
        return None
    ends = ("[" if signs[0] == r"\le" else "(") + ("]" if signs[1] == r"\le" else ")")
    return Part(text, name, ends=ends, items=(*read_piece(low)[:1], *read_piece(high)[:1]))
