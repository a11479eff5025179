"""A logistic probe on the weak model's states at its draft."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trim.verifiers.base import Verifier, probe

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression


def _model() -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=300)


VERIFIER = Verifier("probe, logistic", probe(_model))
