"""Text of files, models and servers in tables of the terminal: no markup is read in it, and nothing of it is obeyed."""

from __future__ import annotations

from rich.text import Text

from trim.errors import printable


def cell(text: object, style: str = "") -> Text:
    """A text as it may stand in a table."""
    return Text(printable(str(text)), style)
