"""Equality of two answers: exact for numbers, part by part for lists, else by SymPy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from trim.answers.parts import VARIABLE, Part, is_name, read, read_piece, split
from trim.answers.quantities import alike
from trim.answers.text import LONGEST, normalise

# True if two expressions are equal within a relative tolerance; None if one of them cannot be read.
Algebra = Callable[[str, str, float], bool | None]
_OPTION = re.compile(r"(?:\\text\{)?\(?([A-J])\)?[.:)]?\}?")
_OPTION_WITH_TEXT = re.compile(
    r"(?:\\text\{(?P<a>[A-J])[.:]?\}(?!\s*-)|\\text\{\((?P<b>[A-J])\)[.:]?\}|\((?P<c>[A-J])\)|(?P<d>[A-J])[.:)])[.:]?\s*"
    r"(?P<text>[^\s,}*^_/=+].*)"
)
_WORDY = re.compile(r"(?=.*[A-Za-z]{3})(?:\\text\{[\w ]*\}|[\w ])+")  # June 20
_BASED = re.compile(r"(\w+)_\{(\w+)\}")
_WORDS = re.compile(r"\\(?:text|mathbb)\{([^{}]*)\}")
_UNSAID = re.compile(r"^m(?=\\angle)|\\overline(?=\{[A-Z]{2}\})|_\{\\?[a-z]{2,}\}|[{}]")  # in a name
_ARGUMENTS = re.compile(r"\(.*\)$")
_FILLERS = {"the", "a", "an", "is", "are", "was", "of", "equals", "exactly", "value"}


def equal(gold: str, candidate: str, tolerance: float = 0.0, algebra: Algebra | None = None) -> bool | None:
    """True if two answers have the same value.

    Args:
        gold: the right answer.
        candidate: the one to judge.
        tolerance: relative, of numbers.
        algebra: compares expressions; without it a verdict that needs it is None.
    """
    if not gold.strip() or not candidate.strip() or max(len(gold), len(candidate)) > LONGEST:
        return False
    one, other = normalise(gold), normalise(candidate)
    if one == other or (_WORDY.fullmatch(one) and _words(one) == _words(other)):
        return True
    option, chosen = _option(one), _option(other)
    if option and chosen:
        return option[0] == chosen[0]
    if texts := [part[1] for part in (option, chosen) if part and part[1]]:
        return equal(texts[0], candidate, tolerance, algebra) if option else equal(gold, texts[0], tolerance, algebra)
    golds, candidates = read(gold), read(candidate)
    members = _members(golds), _members(candidates)
    is_tuple = any(len(parts) == 1 and parts[0].ends == "()" for parts in (golds, candidates))
    if is_tuple and members != (golds, candidates) and len(members[0]) != len(members[1]):
        return False  # a set is no tuple and no interval
    golds, candidates = members
    if len(golds) != len(candidates):
        golds, candidates = _ambiguous(one, golds, candidates), _ambiguous(other, candidates, golds)
    if len(golds) != len(candidates):
        return _list_and_tuple(golds, candidates, tolerance, algebra)
    return _lists(golds, candidates, tolerance, algebra)


def _members(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The values of a list; a set counts as a list."""
    return parts[0].items if len(parts) == 1 and parts[0].ends == "{}" and parts[0].items else parts


def _option(text: str) -> tuple[str, str] | None:
    """The letter of an option and the text after it."""
    match = _OPTION.fullmatch(text) or _OPTION_WITH_TEXT.fullmatch(text)
    return (next(filter(None, match.groups())), match.groupdict().get("text", "")) if match else None


def _ambiguous(text: str, parts: tuple[Part, ...], others: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts of a text whose commas may separate digits or numbers, chosen to match the other answer."""
    pieces = [part for piece in split(text) for part in read_piece(piece)]
    return tuple(pieces) if len(pieces) == len(others) > len(parts) else parts


def _list_and_tuple(
    golds: Sequence[Part], candidates: Sequence[Part], tolerance: float, algebra: Algebra | None
) -> bool | None:
    """True if a tuple has a list's values in their order, or each under its name.

    A list of values without names is not an answer if a tuple is required.
    """
    if len(candidates) == 1 and candidates[0].ends == "()":
        candidates = candidates[0].items
    elif len(golds) == 1 and golds[0].ends == "()" and all(part.name for part in candidates):
        golds = golds[0].items
    return _sequences(golds, candidates, tolerance, algebra)


def _sequences(
    golds: Sequence[Part], candidates: Sequence[Part], tolerance: float, algebra: Algebra | None
) -> bool | None:
    """True if two sequences have equal values in the same order; in any order, if all have names."""
    if len(golds) != len(candidates) or not golds:
        return False
    if all(part.name for part in (*golds, *candidates)):
        return _lists(golds, candidates, tolerance, algebra)
    return _all(_parts(*pair, tolerance, algebra) for pair in zip(golds, candidates))


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    """False if any verdict is False, else None if any is None, else True."""
    verdicts = set(verdicts)
    return False if False in verdicts else None if None in verdicts else True


def _lists(golds: Sequence[Part], candidates: Sequence[Part], tolerance: float, algebra: Algebra | None) -> bool | None:
    """True if two lists have equal values, in any order."""
    if len(golds) != len(candidates) or not golds:
        return False
    if len(golds) == 1:
        return _parts(golds[0], candidates[0], tolerance, algebra)
    left, unsure = list(candidates), False
    for gold in golds:
        verdicts = [_parts(gold, part, tolerance, algebra) for part in left]
        if True in verdicts:
            left.pop(verdicts.index(True))
        elif None in verdicts:
            unsure = True
        else:
            return False
    return None if unsure else True


def _parts(gold: Part, candidate: Part, tolerance: float, algebra: Algebra | None) -> bool | None:
    """True if two values are equal; units and names that both have must agree, equations may be multiples."""
    if gold.name and not candidate.name and not is_name(gold.name):
        return False
    if not gold.name or not candidate.name or _same_name(gold.name, candidate.name):
        return _values(gold, candidate, tolerance, algebra)
    numbers = gold.value is not None and candidate.value is not None
    if gold.ends or candidate.ends or (numbers and all(VARIABLE.fullmatch(part.name) for part in (gold, candidate))):
        return False
    if algebra is None:
        return None
    return bool(algebra(_equation(gold), _equation(candidate), tolerance))


def _equation(part: Part) -> str:
    return f"{part.name}={part.text}"


def _same_name(one: str, other: str) -> bool:
    """True if two names may mean one quantity: the same words or symbols, or words for a symbol."""
    words, others = (_name_words(name) for name in (one, other))
    if words is None and others is None:
        return _same_symbol(*(_UNSAID.sub("", _plain(name)) for name in (one, other)))
    return not words or not others or bool(words & others)


def _same_symbol(one: str, other: str) -> bool:
    """True if two symbols may mean one quantity: f for f(x), and y for f(x)."""
    if one == other or {one, other} == {"y", "f(x)"}:
        return True
    return other == _ARGUMENTS.sub("", one) or one == _ARGUMENTS.sub("", other)


def _name_words(name: str) -> set[str] | None:
    return set(_words(name).split()) - _FILLERS if _is_text(name.rstrip(":")) else None


def _values(gold: Part, candidate: Part, tolerance: float, algebra: Algebra | None) -> bool | None:
    if not alike(gold.unit, candidate.unit):
        return False
    if gold.ends or candidate.ends:
        return _brackets(gold, candidate, tolerance, algebra)
    scales = [Fraction(1)]
    if gold.percent != candidate.percent:  # a percentage may be written as its value, with the sign or without
        scales.append(Fraction(1, 100) if candidate.percent else Fraction(100))
    if gold.value is not None and candidate.value is not None:
        return any(close(gold.value, candidate.value * scale, tolerance) for scale in scales)
    one, other = _plain(gold.text), _plain(candidate.text)
    if one == other:
        return True
    if _is_text(gold.text) or _is_text(candidate.text):
        return _words(gold.text) == _words(candidate.text)
    if _BASED.fullmatch(one) and _BASED.fullmatch(other) and one[0].isdigit():
        return False
    if algebra is None:
        return None
    verdict = algebra(gold.text, candidate.text, tolerance)
    if verdict is False and len(scales) > 1:
        scaled = (f"({candidate.text})/100", f"({candidate.text})*100")[candidate.percent is False]
        verdict = algebra(gold.text, scaled, tolerance)
    return bool(verdict)


def _brackets(gold: Part, candidate: Part, tolerance: float, algebra: Algebra | None) -> bool | None:
    if gold.ends != candidate.ends:
        return False
    compare = _lists if gold.ends == "{}" else _sequences
    return compare(gold.items, candidate.items, tolerance, algebra)


def close(one: Fraction, other: Fraction, tolerance: float) -> bool:
    """True if two numbers are equal within a relative tolerance; exact for any size."""
    return one == other or abs(one - other) <= Fraction(tolerance) * max(abs(one), abs(other))


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", _WORDS.sub(r"\1", text))


def _is_text(text: str) -> bool:
    """True if a part is words, not mathematics."""
    return bool(re.fullmatch(r"(?:\\text\{[^{}]*\}|[A-Za-z]{3,}+|[\s.,'-])++", text)) and bool(
        re.search("[A-Za-z]{2}", text)
    )


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", _WORDS.sub(r" \1 ", text).lower()))
