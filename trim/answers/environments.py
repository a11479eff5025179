"""Matrices, systems and cases in all their LaTeX forms."""

from __future__ import annotations

import re

_INSIDE = r"((?:(?!\\begin).)*?)"
_ROW_END = re.compile(r"\\\\\s*(?:\[-?[\d.]+\s*[a-z]+\])?|\\(?:cr|newline)(?![a-zA-Z])")
_LAST_ROW_END = re.compile(r"\s*(?:\\\\\s*)+(?=\\end)")
_ARRAY_OF_CASES = re.compile(
    rf"\\\{{\s*\\begin\{{array\}}\{{[^{{}}]*\}}{_INSIDE}\\end\{{array\}}(?!\s*\\\}})", re.DOTALL
)
_MATRIX = re.compile(r"\\(begin|end)\{(?:[bBp]|small)?(?:matrix|array)\*?\}(?:\{[lcr|@ ]*\}|\[[lcr]\])?")
_AROUND_MATRIX = re.compile(rf"[(\[]\s*(\\begin\{{pmatrix\}}{_INSIDE}\\end\{{pmatrix\}})\s*[)\]]", re.DOTALL)
_CASES = re.compile(rf"(?:\\\{{\s*)?\\begin\{{([dr]?cases|aligned|gathered)\}}{_INSIDE}\\end\{{\1\}}", re.DOTALL)
_ALIGNMENT = re.compile(r"&\s*(?=[=<>]|\\[gl]e(?![a-z]))|(?<=[=<>])\s*&")
_CONDITION = re.compile(r"^(?:\\text\{\s*(?:if|for|when)?\s*\}|(?:if|for|when)\b)\s*")


def rows_ended(text: str) -> str:
    r"""A text with ``\\`` at the end of each row, without its optional space."""
    return _ROW_END.sub(r" \\\\ ", text)


def environments(text: str) -> str:
    r"""Matrices as ``pmatrix``, whatever their brackets; the rows of systems and cases as a list.

    SymPy reads the matrices. It has no systems, and no pairs of a value and its condition.
    """
    text = _ARRAY_OF_CASES.sub(r"\\begin{cases}\1\\end{cases}", _LAST_ROW_END.sub(" ", text))
    return _CASES.sub(_rows, _AROUND_MATRIX.sub(r"\1", _MATRIX.sub(r"\\\1{pmatrix}", text)))


def _rows(environment: re.Match[str]) -> str:
    """A list of equations, or of pairs of a value and its condition."""
    rows = []
    for row in environment[2].split("\\\\"):
        cells = [_CONDITION.sub("", cell.strip(" ,;.")) for cell in _ALIGNMENT.sub("", row).split("&")]
        rows.append(f"({', '.join(cells)})" if len(cells) > 1 else cells[0])
    return ", ".join(rows)
