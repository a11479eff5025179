"""Final answers: found in a solution, brought into one form, and compared."""

from trim.answers.boxes import boxed, is_boxed, is_open, unboxed
from trim.answers.equality import equal
from trim.answers.text import normalise, number

__all__ = ["boxed", "equal", "is_boxed", "is_open", "normalise", "number", "unboxed"]
