"""Probes: small models on the weak model's states and statistics of its draft."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trim.verifiers.verifier import Verifier, probe

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier


def _logistic() -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=300)


def _network() -> MLPClassifier:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((64,), early_stopping=True, n_iter_no_change=3, max_iter=20, random_state=0)


VERIFIERS = {
    "logistic": Verifier("probe, logistic", probe(_logistic)),
    "network": Verifier("probe, network", probe(_network)),
}
