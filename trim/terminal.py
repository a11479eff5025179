"""Text of files, models and servers in tables of the terminal, without markup and control characters."""

from __future__ import annotations

from rich.text import Text

from trim.errors import printable


def cell(text: object, style: str = "") -> Text:
    """A text for a cell of a table."""
    return Text(printable(str(text)), style)
