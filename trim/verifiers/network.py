"""A small network on the weak model's states at its draft."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trim.verifiers.base import Verifier, probe

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier


def _model() -> MLPClassifier:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((64,), early_stopping=True, n_iter_no_change=3, max_iter=20, random_state=0)


VERIFIER = Verifier("probe, network", probe(_model))
