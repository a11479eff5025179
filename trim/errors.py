"""The exception for users, and printable text."""

from __future__ import annotations

import unicodedata

_SHOWN = 2000  # characters of a text to print


class TrimError(Exception):
    """A mistake in the user's input or files: one line with the mistake and its cure.

    The command line prints the message alone and exits with status 2.
    """

    def __str__(self) -> str:
        return printable(" ".join(super().__str__().split()))


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if that is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def printable(text: str, limit: int = _SHOWN) -> str:
    r"""A text that is safe for a terminal: control characters and changes of direction become ``\xNN``.

    A longer text is cut to `limit` characters and the number of the others.
    """
    head = text[:limit]
    if not head.isprintable():
        head = "".join(c if c == "\n" or c.isprintable() or c == "\t" else _escaped(c) for c in head)
    return head if len(text) <= limit else f"{head}… ({len(text) - limit:,} more characters)"


def _escaped(character: str) -> str:
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode()
