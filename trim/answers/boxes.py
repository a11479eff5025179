r"""The answer that a solution marks: ``\boxed{5}``, ``\fbox{5}``, ``\boxed 5``."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from trim.answers.text import LONGEST, normalise, number

_SAID = re.compile(r"answer is:?\s+([^\n]+)", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])[ \t]*")
_COMMAND = re.compile(
    r"\\(?:d|t|c)?frac\s*(?:\{[^{}]*\}|\d)\s*(?:\{[^{}]*\}|\d)|\\sqrt\s*(?:\{[^{}]*\}|\d)|\\[a-zA-Z]+"
)
_BARE = re.compile(r"[-+]?\\?\$?\d+(?:[.,]\d+)*(?:\\?%)?|[A-Za-z0-9]+")
# Text allowed between two boxes that give one answer together.
_BETWEEN = re.compile(r"[\s$,;.]*(?:\\text\{\s*)?(?:and|or|,|;|)(?:\s*\})?[\s$,;]*")
_PLACEHOLDER = re.compile(
    r"[\s.…_?]*|\\(?:ldots|dots|cdots|square|ldotp|_+)|(?:\\text\{)?\s*(?:final |your )?answer\s*\}?", re.I
)
# "put the final answer as \\boxed{X}" describes the form and is no answer.
_ASKS = re.compile(
    r"answer\s+(?:in|as|inside|within|using|with)\s+(?:the\s+(?:form|format|box)\s+(?:of\s+)?)?[$`\"'(]*$", re.I
)


_BEFORE = 80  # characters before a box that may ask for it


class _Box(NamedTuple):
    content: str
    start: int
    end: int


def _braces(text: str) -> dict[int, int]:
    """The place after the closing brace of each opening one that has one."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    for sign in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if sign[0] == "{":
            opened.append(sign.start())
        elif sign[0] == "}" and opened:
            ends[opened.pop()] = sign.end()
    return ends


def _stray(text: str, start: int) -> int | None:
    r"""The place after the ``\}`` that ends a box without a closing brace, ``\boxed{185\}``; no ``\{`` is open."""
    depth = 0
    for sign in re.finditer(r"\\\\|\\[{}]", text[start:]):
        if sign[0] == r"\}" and not depth:
            return start + sign.end()
        depth += {r"\{": 1, r"\}": -1}.get(sign[0], 0)
    return None


def _boxes(text: str) -> list[_Box]:
    """The boxes with content, in order; linear in the length of the text."""
    boxes: list[_Box] = []
    ends, place = _braces(text), 0
    while match := _BOX.search(text, place):
        place = match.end()
        if text.startswith("{", place):
            end = ends.get(place)
            if end is None and not _BOX.search(text, place):
                end = _stray(text, place)
            content = text[place + 1 : end - 1] if end else None
        else:
            bare = _COMMAND.match(text, place) or _BARE.match(text, place)
            end, content = (bare.end(), bare[0]) if bare else (None, None)
        if end and content is not None and not _mentioned(text, match.start(), content):
            boxes.append(_Box(content.strip(), match.start(), end))
            place = end
    return boxes


def _mentioned(text: str, start: int, content: str) -> bool:
    """True if a box is a placeholder, or part of a request to fill it."""
    asks = content.strip("{} ") in "XYN" and _ASKS.search(text, max(0, start - _BEFORE), start)
    return bool(asks or _PLACEHOLDER.fullmatch(content))


def boxed(text: str) -> str | None:
    r"""The content of the last box; boxes that follow one another, as in ``\boxed{2}, \boxed{3}``, are one list.

    Empty boxes and placeholders are mentions, not answers. None if there is no answer.
    """
    boxes = _boxes(text)
    if not boxes:
        return None
    joined = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        if not _BETWEEN.fullmatch(text, box.end, joined[0].start):
            break
        joined.insert(0, box)
    # One value in two forms is one answer.
    forms = {_form(box.content): box.content for box in reversed(joined)}
    return ", ".join(reversed(forms.values()))


def _form(content: str) -> Fraction | str:
    return content if len(content) > LONGEST else number(content) or normalise(content)


def unboxed(text: str) -> str | None:
    """The content of the last box; without one the text after the last "answer is", or else the last number."""
    content = boxed(text)
    if content is not None:
        return content
    answers = _SAID.findall(text)
    if answers:
        return str(answers[-1]).strip().rstrip(".").strip("$ ")
    numbers = _NUMBER.findall(text)
    return str(numbers[-1]) if numbers else None


def is_boxed(text: str) -> bool:
    """True if a text gives an answer, and does not only mention the box for it."""
    return bool(_boxes(text))


def is_open(text: str) -> bool:
    """True if a text ends within a box."""
    last = max(_BOX.finditer(text), key=lambda match: match.end(), default=None)
    if last is None or not text.startswith("{", last.end()):
        return False
    return last.end() not in _braces(text) and _stray(text, last.end()) is None
