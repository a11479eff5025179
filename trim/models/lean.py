"""Import Transformers' generation without scikit-learn, a seventh of the CPU time that a job's imports take."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_GENERATION = "transformers.generation.candidate_generator"


@contextmanager
def scikit_learn_later() -> Iterator[None]:
    """Defer Transformers' import of scikit-learn, needed only for assisted generation, which no backend uses."""
    from transformers import utils

    if _GENERATION in sys.modules:
        yield
        return
    available = utils.is_sklearn_available
    utils.is_sklearn_available = lambda: False
    try:
        yield
    finally:
        utils.is_sklearn_available = available
        generation: Any = sys.modules.get(_GENERATION)
        if generation:
            generation.is_sklearn_available, generation.roc_curve = available, _roc_curve


def _roc_curve(*args: Any, **options: Any) -> Any:
    from sklearn.metrics import roc_curve

    return roc_curve(*args, **options)
