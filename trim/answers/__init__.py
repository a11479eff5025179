"""Final answers: found in a solution, brought into one form, and compared.

Expressions and matrices are read by latex2sympy2_extended. The rest is not Math-Verify, which refuses about a quarter
of right answers in other forms and accepts some near misses: docs/attacks.md compares both.
"""

from trim.answers.boxes import boxed, is_boxed, is_open, unboxed
from trim.answers.equality import equal
from trim.answers.text import normalise, number

__all__ = ["boxed", "equal", "is_boxed", "is_open", "normalise", "number", "unboxed"]
